#!/usr/bin/env bash
# record and replay: what was recorded and replayed and recorded again is the same, timing included; and
# whatever is in a file, its lines are all accounted for.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

# adds_up: the last replay's figures, from its JSON
adds_up() {
    awk -v read="$(member read_count < "$work/out")" -v a="$(member replayed_count < "$work/out")" \
        -v b="$(member rejected_count < "$work/out")" -v c="$(member skipped_count < "$work/out")" \
        'BEGIN { exit !(read > 0 && read == a + b + c) }'
}

# by_key FILE: a recording without its times, each key's records in their order
by_key() {
    sed -E 's/"time":"[^"]*",//' "$1" | LC_ALL=C sort -s -t , -k1,1
}

for stream in a b c paced; do
    millrace create $stream --shards 4 2> "$work/err"
done
millrace put a --key-field origin -q < tools/labs/data/flights.ndjson
printf '\0\377\n\n' | millrace put a --key bytes --hash-key 12345 -q
check "records" ends 0 millrace record a
cp "$work/out" "$work/a.rec"
check "all of it" [ "$(wc -l < "$work/a.rec")" = 20002 ]
check "says how much" says '20,002 records'
check "bytes that are no text" grep -q '"key":"bytes","hash":"12345","base64":"AP8="' "$work/a.rec"
check "empty data" grep -q '"key":"bytes","hash":"12345","data":""' "$work/a.rec"
check "replays" ends 0 millrace replay "$work/a.rec" b --speed max --json
check "all of it again" [ "$(member replayed_count < "$work/out")" = 20002 ]
check "it adds up" adds_up
millrace record b -q > "$work/b.rec"
check "recorded again it is the same" diff <(by_key "$work/a.rec") <(by_key "$work/b.rec")
check "and in the same shards" diff <(millrace tail a -F '%h %k %v\n' | sort) \
    <(millrace tail b -F '%h %k %v\n' | sort)
millrace split b 1 2> "$work/err" > "$work/out"
millrace replay "$work/b.rec" b --speed max -q
check "records through a split" [ "$(millrace record b -q | wc -l)" = 40004 ]

gzip -k "$work/a.rec"
check "gzip, from the standard input" ends 0 millrace replay - c --speed max -q < "$work/a.rec.gz"
check "is all there" diff <(by_key "$work/a.rec") <(millrace record c -q | by_key /dev/stdin)
if command -v zstd > "$work/out"; then
    zstd -q "$work/a.rec"
    check "zstd" ends 0 millrace replay "$work/a.rec.zst" c --speed max --json -q
    check "is all there, too" [ "$(member replayed_count < "$work/out")" = 20002 ]
fi

# ---- which part of it

check "the first few" ends 0 millrace record a -n 3
check "are three" [ "$(wc -l < "$work/out")" = 3 ]
check "seek and until skip the rest" ends 0 millrace replay tools/labs/data/flights.ndjson c --key-field origin \
    --speed max --seek 2001-01-10 --until 2001-01-11 --json
check "it adds up then, too" adds_up
check "the day is there" [ "$(member replayed_count < "$work/out")" = \
    "$(grep -c '"time":"2001-01-10' tools/labs/data/flights.ndjson)" ]
number=$(millrace tail a -o json -n 1 | member sequence_number)
check "up to a sequence number" [ "$(millrace record a --to "seq:$number" -q | wc -l)" = 20002 ]
check "nothing is recorded behind now" [ "$(millrace record a --from latest -q | wc -l)" = 0 ]
check "a stream that follows ends by itself" ends 0 millrace record a --from start -f --duration 1s
check "with what it had by then" [ -s "$work/out" ]

# ---- when

cat > "$work/timed.rec" << 'END'
{"time":"2026-01-01T00:00:00.000Z","key":"a","data":"1"}
{"time":"2026-01-01T00:00:30.000Z","key":"a","data":"2"}
{"time":"2026-01-01T00:00:20.000Z","key":"a","data":"back"}
{"time":"2026-01-01T00:01:00.000Z","key":"a","data":"3"}
END
check "a minute in 0.6 s" ends 0 millrace replay "$work/timed.rec" paced --speed 100x --json
check "not faster" awk -v s="$(member seconds < "$work/out")" 'BEGIN { exit !(s >= 0.6) }'
check "reports how late records were" grep -q '"late_max_us":[0-9]' "$work/out"
check "times that go back are counted" [ "$(member backward_count < "$work/out")" = 1 ]
check "and said" says '1 times go backwards'
check "in the file's order" [ "$(millrace tail paced | tr '\n' ' ')" = "1 2 back 3 " ]
millrace record paced -q > "$work/paced.rec"
# shellcheck disable=SC2016 # of awk
check "no record came before its moment" awk -F '[":.Z]' '
    { at[NR] = $7 * 1000 + $8 }
    END { span = (at[4] - at[1] + 60000) % 60000; exit !(span >= 590) }' "$work/paced.rec"
timeout --foreground -s INT 3 "$MILLRACE" replay "$work/timed.rec" paced --speed 10000x --loop --json > "$work/out" 2> "$work/err"
check "a loop ends well when interrupted" [ $? = 124 ]
check "it went round" awk -v n="$(member round_count < "$work/out")" 'BEGIN { exit !(n > 2) }'
check "it adds up over all rounds" adds_up

mkfifo "$work/fifo"
"$MILLRACE" replay - c --speed max --json < "$work/fifo" > "$work/out" 2> "$work/err" &
player=$!
exec 4> "$work/fifo"
head -n 2000 "$work/b.rec" >&4 # more than a pipe holds: so it has begun to read
kill -TERM $player
wait $player
check "a player that waits for a pipe ends when interrupted" [ $? = 1 ]
exec 4>&-
check "and adds up" [ "$(member read_count < "$work/out")" = "$(member replayed_count < "$work/out")" ]

# ---- bad input

{
    echo '{"time":"2020-01-01T00:00:00Z","key":"a","data":"good"}'
    echo 'not json'
    echo
    echo '{"time":"no time","key":"a","data":"x"}'
    echo '{"time":"2020-01-01T00:00:00Z","key":"","data":"x"}'
    printf '{"time":"2020-01-01T00:00:00Z","key":"%s","data":"x"}\n' "$(head -c 257 /dev/zero | tr '\0' k)"
    printf '{"time":"2020-01-01T00:00:00Z","key":"%s","data":"good"}\n' "$(head -c 256 /dev/zero | tr '\0' k)"
    printf '{"time":"2020-01-01T00:00:00Z","key":"big","data":"%s"}\n' "$(head -c 10485760 /dev/zero | tr '\0' x)"
    echo '{"time":"2020-01-01T00:00:01Z","key":"a","data":"good"}'
    printf '{"time":"2020-01-01T00:00:00Z","key":"a","da'
} > "$work/bad.rec"
check "bad lines make it fail" ends 1 millrace replay "$work/bad.rec" c --speed max --json
check "they add up" adds_up
check "the good ones are put" [ "$(member replayed_count < "$work/out")" = 3 ]
check "six are refused" [ "$(member rejected_count < "$work/out")" = 6 ]
check "the empty line is skipped" [ "$(member skipped_count < "$work/out")" = 1 ]
for line in 2 4 5 6; do
    check "line $line is named" says "line $line: "
done
check "not all are shown" says 'only counted'
check "strict stops at the first" ends 1 millrace replay "$work/bad.rec" c --speed max --strict
check "says where" says 'line 2'
check "and adds up" says '2 lines read = 1 replayed + 1 rejected + 0 skipped'
printf 'time,zone\n2020-01-01T00:00:00Z,a\n2020-01-01T00:00:00Z\n2020-01-01T00:00:00Z,b\n' > "$work/trips.csv"
check "a CSV with a short line" ends 1 millrace replay "$work/trips.csv" c --key-field zone --speed max --json
check "adds up" adds_up
check "its names are skipped" [ "$(member skipped_count < "$work/out")" = 1 ]
check "a column that is not there" ends 1 millrace replay "$work/trips.csv" c --key-field zoen --speed max
check "a field that is not there" ends 1 millrace replay tools/labs/data/flights.ndjson c --key-field nonesuch --speed max --json
check "is missing in every line" [ "$(member rejected_count < "$work/out")" = 20000 ]
head -c 100000 "$work/a.rec.gz" > "$work/cut.rec.gz"
check "a file cut short" ends 1 millrace replay "$work/cut.rec.gz" c --speed max --json
check "what came before is put" awk -v n="$(member replayed_count < "$work/out")" 'BEGIN { exit !(n > 1000) }'
check "and adds up" adds_up
check "no file" ends 4 millrace replay "$work/none" c
check "no stream" ends 4 millrace replay "$work/a.rec" none
check "no stream to record" ends 4 millrace record none

# ---- limits

head -n 6000 "$work/a.rec" > "$work/few.rec"
check "limits throttle, and retries get all through" ends 0 \
    millrace replay "$work/few.rec" paced --speed max --limits --retries 12 --json
check "all is there in the end" [ "$(member replayed_count < "$work/out")" = 6000 ]
check "some were throttled" [ "$(member throttled_count < "$work/out")" -gt 0 ]
check "without retries they are rejected" ends 1 millrace replay "$work/a.rec" paced --speed max --limits \
    --retries 0 --json
check "and add up" adds_up

for words in '--speed 0' '--speed fast' '--speed -1x' '--seek soon' '--retries 13' '--input xml'; do
    # shellcheck disable=SC2086 # a list
    check "refuses: $words" ends 2 millrace replay "$work/a.rec" c $words
done
check "no loop over a pipe" ends 2 millrace replay - c --loop < /dev/null
