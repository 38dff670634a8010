#!/usr/bin/env bash
# gen: a seed gives the same records again, keys as distributed, no more than asked for, and what a
# shard refuses is counted where it was refused.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

keys_of() { # FILE: how often each key, the most frequent first
    cut -f 1 "$1" | sort | uniq -c | sort -rn | awk '{ print $1 }'
}

check "shows some without a stream" ends 0 millrace gen none --dry-run
check "they are five" [ "$(wc -l < "$work/out")" = 5 ]
check "it made no data directory" [ ! -e "$MILLRACE_DATA" ]
check "of its own templates" ends 0 millrace gen none --dry-run -t access-log -n 3
check "they look as they should" [ "$(grep -cE ' - - \[../.../[0-9]{4}:..:..:.. \+0000\] "(GET|POST|PUT|DELETE) /' "$work/out")" = 3 ]
check "a template on the command line" ends 0 millrace gen none --dry-run -n 1 -t 'no {{index}}' -k 'a{{key}}' --keys 1
check "it is filled in" prints $'a0\tno 0'
printf 'from\na file {{index}}\n' > "$work/template"
check "a template in a file" ends 0 millrace gen none --dry-run -n 1 -t "$work/template" -k k
check "line ends are not part of it" prints $'k\tfroma file 0'
check "a template on the standard input" ends 0 millrace gen none --dry-run -n 1 -t - -k k < "$work/template"
check "the same" prints $'k\tfroma file 0'
check "a key from the record" ends 0 millrace gen none --dry-run -n 1 -t '{"a":{"b":{{index}}}}' --key-field a.b
check "is that field" prints $'0\t{"a":{"b":0}}'
check "a record without its field" ends 1 millrace gen none --dry-run -n 1 -t '{"c":{{index}}}' --key-field a.b
check "is told" says 'no such field'

millrace gen none --dry-run -n 1000 --seed 7 --start 2026-01-01T00:00Z > "$work/a"
millrace gen none --dry-run -n 1000 --seed 7 --start 2026-01-01T00:00Z > "$work/b"
check "a seed gives the same again" diff "$work/a" "$work/b"
millrace gen none --dry-run -n 1000 --seed 8 --start 2026-01-01T00:00Z > "$work/b"
check "another gives others" [ "$(cat "$work/a")" != "$(cat "$work/b")" ]
millrace gen none --dry-run -n 10000 --seed 1 --keys 100 -D zipf:1 > "$work/a"
mapfile -t counts < <(keys_of "$work/a")
check "zipf: the first key is twice as frequent as the second" \
    awk -v a="${counts[0]}" -v b="${counts[1]}" 'BEGIN { exit !(a / b > 1.7 && a / b < 2.4) }'
millrace gen none --dry-run -n 1000 --keys 10 -D sequential > "$work/a"
check "sequential: all as frequent" [ "$(keys_of "$work/a" | sort -u)" = 100 ]
millrace gen none --dry-run --json -n 3 -D timestamp --rate 2 --start 2026-01-01T00:00Z -t '{{index}}' > "$work/out"
check "a dry run for programs is a recording, with the times of the rate" prints \
    '{"time":"2026-01-01T00:00:00.000Z","key":"1767225600000","data":"0"}
{"time":"2026-01-01T00:00:00.500Z","key":"1767225600500","data":"1"}
{"time":"2026-01-01T00:00:01.000Z","key":"1767225601000","data":"2"}'
millrace gen none --dry-run --duration 10s --rate burst:1,10,5s,1s > "$work/out"
check "a duration ends it: 4 + 10 records in 5 s" [ "$(wc -l < "$work/out")" = 28 ]

check "no stream" ends 4 millrace gen none
millrace create s --shards 4 2> "$work/err"
check "puts" ends 0 millrace gen s -n 12345 --json --seed 3
check "all of them" [ "$(member stored_count < "$work/out")" = 12345 ]
check "says so" says '12,345 records'
check "they are there" [ "$(millrace tail s | wc -l)" = 12345 ]
check "the same as shown" diff <(millrace gen s --dry-run -n 12345 --seed 3 | sort) \
    <(millrace tail s -F '%k\t%v\n' | sort)
check "keeps to its rate" ends 0 millrace gen s --rate 500 --duration 400ms --json -q
check "to the record" [ "$(member stored_count < "$work/out")" = 200 ]
check "not faster" awk -v s="$(member seconds < "$work/out")" 'BEGIN { exit !(s > 0.395) }'
check "reports how late records were" grep -q '"late_p99_us":[0-9]' "$work/out"

millrace create hot --shards 2 2> "$work/err"
check "a shard refuses what is over its rate" ends 1 millrace gen hot --keys 1 -n 5000 --limits --json
stored=$(member stored_count < "$work/out") rejected=$(member rejected_count < "$work/out")
check "generated = stored + rejected" [ $((stored + rejected)) = 5000 ]
check "some of both" [ "$stored" -ge 1000 ] && [ "$rejected" -gt 0 ]
check "one shard did it" [ "$(grep -oE '"throttled_count":[1-9]' "$work/out" | wc -l)" = 2 ] # and the sum
check "says which" says 'of them by shardId-'
check "with retries all are stored" ends 0 millrace gen hot --keys 1 -n 2500 --limits --retries 12 --json
check "every one" [ "$(member stored_count < "$work/out")" = 2500 ]
check "none is lost or doubled" [ "$(millrace tail hot | wc -l)" = $((stored + 2500)) ]

while read -r words; do
    # shellcheck disable=SC2086 # a list
    check "refuses: $words" ends 2 millrace gen s $words
done << 'END'
--distribution zipf
--distribution pareto:1
--rate 0
--rate burst:1,2
--keys 0
--records x
--duration x
--seed x
--retries 13
--template nonesuch
--template {{random.numbr}}
--key {{
--key a --key-field b
--start yesterday
END
