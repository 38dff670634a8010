#!/usr/bin/env bash
# record and keys on a stream while others put to it, and a stream resharded as keys advises: over a
# server, as a directory is one process's.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh
unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_KINESIS AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export HOME=$work # no credentials there

numbers() { # FROM TO: records of ten keys
    seq "$1" "$2" | awk '{ print "key" $1 % 10 ":" $1 }'
}

# Three seconds with 2,000 records each of two keys.
awk 'BEGIN { for (i = 0; i < 12000; i++)
    printf "{\"time\":\"2026-01-01T00:00:0%d.%03dZ\",\"key\":\"%s\",\"data\":\"x\"}\n",
           i / 4000, i % 4000 / 4, i % 2 ? "left" : "right" }' > "$work/hot.rec"

mkfifo "$work/serving"
"$MILLRACE" serve --port 0 --limits off --json > "$work/serving" 2> "$work/err.serve" &
server=$!
AWS_ENDPOINT_URL=$(head -n 1 "$work/serving" | member url)
export AWS_ENDPOINT_URL MILLRACE_DATA=$work/none

check "creates" ends 0 millrace create live --shards 2
millrace put live -K : -q < <(numbers 1 100)
"$MILLRACE" record live --from start -f -n 300 > "$work/live.rec" 2> "$work/live.err" &
recorder=$!
for first in 101 201; do
    millrace put live -K : -q < <(numbers $first $((first + 99)))
done
check "a recording that follows ends when it has enough" wait $recorder
check "it has all of them" diff <(seq 1 300) <(sed -E 's/.*"data":"([0-9]+)".*/\1/' "$work/live.rec" | sort -n)
# shellcheck disable=SC2016 # of awk
check "each key's in order" awk -F '"' '
    { data = $0; sub(/.*"data":"/, "", data); n = data + 0; key = n % 10 }
    n <= last[key] { exit 1 } { last[key] = n }' "$work/live.rec"

"$MILLRACE" gen live --rate 300 --duration 10m -q > "$work/gen.out" 2> "$work/gen.err" &
generator=$!
millrace tail live --from latest -f -n 1 > "$work/one" 2>&1 # it has begun
check "looks for a while at what comes" ends 0 millrace keys live --follow 3 --json
check "and saw some" awk -v n="$(sed -E 's/.*"lines":([0-9]+).*/\1/' "$work/out")" 'BEGIN { exit !(n > 0) }'
kill -TERM $generator
wait $generator 2> "$work/err"

millrace create hot --shards 1 2> "$work/err"
check "advises" ends 0 millrace keys "$work/hot.rec" --stream hot --advise
check "a split" grep -qE '^millrace split hot 0 --at [0-9]+$' "$work/out"
check "changes nothing by that" [ "$(millrace shards hot --open --json | wc -l)" = 1 ]
check "applies it" ends 0 millrace keys "$work/hot.rec" --stream hot --advise --apply
check "the hot keys are apart" [ "$(millrace where hot left right --json |
    grep -o '"shard_id":"[^"]*"' | sort -u | wc -l)" = 2 ]
check "and the space is whole" covers_once hot

kill -TERM $server
check "the server ends well" wait $server
