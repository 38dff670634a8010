# shellcheck shell=bash
# cases.sh - what the shell tests of the program share. Sourced; needs MILLRACE.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MILLRACE_DATA=$work/data MILLRACE_KEY_FILE=$work/keys NO_COLOR=1 LC_ALL=C

millrace() {
    "$MILLRACE" "$@"
}

# check NAME COMMAND...: one case; it passes when the command succeeds.
check() {
    local name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name: $*"
        sed 's/^/    /' "$work/out" "$work/err" 2> /dev/null | head -n 20
    fi
}

# ends CODE COMMAND...: runs it, output to $work/out and $work/err; succeeds when it exits so.
ends() {
    local wanted=$1 code=0
    shift
    "$@" > "$work/out" 2> "$work/err" || code=$?
    [ $code -eq "$wanted" ] || {
        echo "# exit code $code, not $wanted"
        return 1
    }
}

says() { # TEXT: stderr of the last ends() holds it
    grep -qF -- "$1" "$work/err"
}

prints() { # TEXT: stdout of the last ends() is it
    [ "$(cat "$work/out")" = "$1" ]
}

# member NAME: that member of each line of our own JSON on stdin
member() {
    sed -E "s/.*\"$1\":\"?([^,\"}]*).*/\1/"
}

# covers_once STREAM: the open shards' ranges follow each other through the whole space (S1). Hash keys
# are decimal texts: no number of awk's is as large.
covers_once() {
    millrace shards "$1" --json --open > "$work/shards" &&
        paste -d ' ' <(member first_hash_key < "$work/shards") <(member last_hash_key < "$work/shards") |
        sort -n | awk '
            function next_of(text,  i) {
                for (i = length(text); i > 0 && substr(text, i, 1) == 9; i--);
                return (i > 1 ? substr(text, 1, i - 1) : "") (i > 0 ? substr(text, i, 1) + 1 : 1) \
                    substr("000000000000000000000000000000000000000", 1, length(text) - i)
            }
            BEGIN { at = "0" }
            $1 "" != at { exit 1 }
            { at = next_of($2) }
            END { exit at != "340282366920938463463374607431768211456" }'
}
