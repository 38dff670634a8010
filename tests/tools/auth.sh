#!/usr/bin/env bash
# millrace serve --auth with a client that signs by itself (curl): right keys come in, wrong ones do
# not; policies hold; SIGHUP changes who may, without closing a connection; no secret is ever said.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh
# shellcheck source=tests/support/serving.sh
. tests/support/serving.sh

users=$work/users.json
secret=wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY

# write_users ACTIONS: those that Alice may do
write_users() {
    (umask 077 && cat > "$users" << END
{"users": [
  {"name": "root", "keys": [{"id": "AKIDROOT", "secret": "$secret-root"}],
   "policies": [{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]},
  {"name": "alice", "keys": [{"id": "AKIDALICE", "secret": "$secret"}],
   "policies": [{"Version": "2012-10-17",
                 "Statement": {"Effect": "Allow", "Action": $1,
                               "Resource": "arn:aws:kinesis:*:*:stream/test-*"}}]}
]}
END
    )
}

# as ID SECRET WHAT BODY CURL-ARGUMENT...: the status to $work/status, the answer to $work/out
as() {
    : > "$work/out"
    curl -sS -k --max-time 20 -o "$work/out" -w '%{http_code}' -d "$4" \
        --aws-sigv4 aws:amz:us-east-1:kinesis --user "$1:$2" \
        -H 'Content-Type: application/x-amz-json-1.1' -H "X-Amz-Target: Kinesis_20131202.$3" \
        "${@:5}" "http://127.0.0.1:$port/" > "$work/status" 2> "$work/err"
    cat "$work/out" "$work/err" >> "$work/answers"
}

# answers STATUS TEXT ID SECRET WHAT BODY CURL-ARGUMENT...
answers() {
    as "${@:3}"
    [ "$(cat "$work/status")" = "$1" ] && grep -qF -- "$2" "$work/out"
}

root=(AKIDROOT "$secret-root")
alice=(AKIDALICE "$secret")
one='{"StreamName":"test-1"}'
record='{"StreamName":"test-1","Data":"AAAA","PartitionKey":"k"}'

# ---- the file --------------------------------------------------------------------------

write_users '"kinesis:Put*"'
chmod 644 "$users"
refuses() { # CODE TEXT FILE
    ends "$1" "$MILLRACE" serve --port 0 --auth "$3" && says "$2"
}
check "a file that others may read is refused" refuses 1 'chmod 600' "$users"
check "... and no other advice given" eval '! says AWS_PROFILE'
check "a file that is not there is told" refuses 4 none.json "$work/none.json"
printf '{"users":\n[{"name":"a","keys":[{"id":"x"}]}]}' > "$work/bad.json"
chmod 600 "$work/bad.json"
check "a file that is wrong is told with its line" refuses 1 'line 2' "$work/bad.json"

# ---- who comes in ----------------------------------------------------------------------

chmod 600 "$users"
start --state-delay 0 --auth "$users" --audit "$work/audit.log" --verbose

as "${root[@]}" CreateStream '{"StreamName":"test-1","ShardCount":1}'
check "one who may do all makes a stream" [ "$(cat "$work/status")" = 200 ]
check "one who may put puts" answers 200 SequenceNumber "${alice[@]}" PutRecord "$record"
check "over HTTP/2, too" \
    answers 200 SequenceNumber "${alice[@]}" PutRecord "$record" --http2-prior-knowledge
check "who may put may not delete" answers 400 \
    'not authorized to perform: kinesis:DeleteStream on resource: arn:aws:kinesis:us-east-1:000000000000:stream/test-1 because' \
    "${alice[@]}" DeleteStream "$one"
check "a wrong secret is refused" answers 400 InvalidSignatureException \
    AKIDALICE "${secret}x" PutRecord "$record"
check "an unknown key is refused" answers 400 UnrecognizedClientException \
    AKIDNOBODY "$secret" PutRecord "$record"
check "a request that is not signed is refused" \
    grep -q MissingAuthenticationTokenException <(curl -s -d "$record" "http://127.0.0.1:$port/" \
        -H 'Content-Type: application/x-amz-json-1.1' -H 'X-Amz-Target: Kinesis_20131202.PutRecord')
check "anybody may ask for its health" \
    grep -q ok <(curl -s "http://127.0.0.1:$port/health")

by() { # ID SECRET COMMAND...: a command, over the server
    AWS_ACCESS_KEY_ID=$1 AWS_SECRET_ACCESS_KEY=$2 AWS_REGION=us-east-1 \
        ends "$code" millrace --endpoint "http://127.0.0.1:$port" "${@:3}"
}
code=0
check "millrace put needs no more than the right to put" by "${alice[@]}" put test-1 hello
code=1
check "millrace tail is refused" by "${alice[@]}" tail test-1
check "... and says what would help" says 'of somebody whose policies allow it'
check "without a key of the file nothing is told" ends 1 millrace describe test-1
check "... but how to give one" says "--endpoint http://127.0.0.1:$port"

# ---- SIGHUP ----------------------------------------------------------------------------

# health: asked over the connection that is open
health() {
    local line found=1

    printf 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n' >&3
    while read -rt 10 line <&3; do
        [[ $line != *'"status":"ok"'* ]] || { found=0 && break; }
    done
    return $found
}

exec 3<> "/dev/tcp/127.0.0.1/$port"
check "a connection is open" health
write_users '"kinesis:Describe*"'
kill -HUP "$server"
has_said 1 'users read again'
check "after SIGHUP the connection is still open" health
check "... what is in the file counts" \
    answers 400 'because no identity-based policy allows' "${alice[@]}" PutRecord "$record"
check "... and what was not allowed before is" answers 200 test-1 "${alice[@]}" DescribeStream "$one"
echo 'nonsense' > "$users"
kill -HUP "$server"
has_said 1 'users stay as they were'
check "a file that is wrong changes nothing" answers 200 test-1 "${alice[@]}" DescribeStream "$one"

curl -sS "http://127.0.0.1:$port/metrics" > "$work/metrics"
stop
# What signs, and what was signed with it.
no_secret() {
    [ -s "$1" ] && ! grep -qE -- "$secret|Signature=|Credential=" "$1"
}
for place in err.serve answers audit.log metrics; do
    check "no secret is in $place" no_secret "$work/$place"
done
