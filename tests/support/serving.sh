# shellcheck shell=bash
# serving.sh - a server to ask, for the shell tests. Sourced behind cases.sh.

server='' port=''
# shellcheck disable=SC2154 # of cases.sh
trap '[ -z "$server" ] || kill -9 "$server" 2> /dev/null; rm -rf "$work"' EXIT
mkfifo "$work/said"

# start ARGUMENT...: a server on a free port
start() {
    "$MILLRACE" serve --port 0 --json "$@" > "$work/said" 2> "$work/err.serve" &
    server=$!
    read -r port < "$work/said"
    port=$(member port <<< "$port")
}

stop() {
    local code=0
    kill -TERM "$server" && wait "$server" || code=$?
    server=''
    return $code
}

# ask WHAT BODY CURL-ARGUMENT...: a signed call; the status to $work/status, the answer to $work/out
ask() {
    : > "$work/out" # curl leaves it alone when nothing is answered
    curl -sS --max-time 20 -o "$work/out" -w '%{http_code}' -d "$2" \
        --aws-sigv4 aws:amz:us-east-1:kinesis --user "AKIDTEST:secret" \
        -H 'Content-Type: application/x-amz-json-1.1' -H "X-Amz-Target: Kinesis_20131202.$1" \
        "${@:3}" "http://127.0.0.1:$port/" > "$work/status" 2> "$work/err"
}

# answers STATUS TEXT WHAT BODY CURL-ARGUMENT...
answers() {
    ask "${@:3}"
    [ "$(cat "$work/status")" = "$1" ] && grep -qF -- "$2" "$work/out"
}

# page TEXT PATH CURL-ARGUMENT...: a page that has the text
page() {
    curl -sS --max-time 20 "${@:3}" "http://127.0.0.1:$port$2" > "$work/out" 2> "$work/err" &&
        grep -qF -- "$1" "$work/out"
}

# has_said N TEXT: waits until the server has said it so often
has_said() {
    while [ "$(grep -cF -- "$2" "$work/err.serve")" -lt "$1" ]; do
        kill -0 "$server" || return
        read -rt 0.02 <> <(:) || :
    done
}
