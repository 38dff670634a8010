#!/usr/bin/env bash
# top: what a stream took in its last seconds, shard by shard, here and through the server that has the
# directory.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

# sum MEMBER: over all shards of a frame's JSON
sum() {
    grep -oE "\"$1\":[0-9]+" "$work/out" | awk -F : '{ sum += $2 } END { print sum + 0 }'
}

millrace create s --shards 4 2> "$work/err"
check "an idle stream" ends 0 millrace top s
check "has its shards" [ "$(grep -cE '^ +[0-3]  ' "$work/out")" = 4 ]
check "fits a terminal" awk 'length > 80 { exit 1 }' "$work/out"
check "each has its part of the hash space" grep -qE '^ +1  \.{3}###\.{6} ' "$work/out"

millrace gen s --keys 1 --rate 2000 --duration 2100ms -q # a whole second of it, whenever it begins
check "a hot shard" ends 0 millrace top s --json
check "is over its limit in some second" [ "$(sum seconds_over)" -ge 1 ]
check "one line a frame" [ "$(wc -l < "$work/out")" = 1 ]
check "as many frames as asked for" ends 0 millrace top s -n 3 -i 100ms
check "three" [ "$(grep -c '^s  4 shards' "$work/out")" = 3 ]
check "the minute shows it" grep -qE ' [1-9][0-9]? s  +-  +-$' "$work/out"
millrace split s 0 > "$work/out" 2> "$work/err"
check "after a split" ends 0 millrace top s --json
check "it shows the children" grep -q 'shardId-000000000005' "$work/out"

# A terminal, and a server that has the directory: records arrive while it looks.
"$MILLRACE" serve --port 0 --json --limits off > "$work/serve" 2> "$work/err" &
server=$!
exec 3< <(tail -f --pid=$server "$work/serve")
read -r -u 3 _
check "through the server" ends 0 millrace top s --json
check "the same shards" grep -q 'shardId-000000000005' "$work/out"
check "knows how far reads are behind" grep -q "\"iterator_age_ms\":0" "$work/out"

# What the server refuses and how far its readers are behind: from its /metrics.
kill $server
wait $server
"$MILLRACE" serve --port 0 --json --limits on > "$work/serve2" 2> "$work/err" &
server=$!
exec 3< <(tail -f --pid=$server "$work/serve2")
read -r -u 3 _
"$MILLRACE" top s --json -n 2 > "$work/top" 2> "$work/err" &
top=$!
for _ in 1 2 3 4 5 6; do # while it looks, whenever it begins to
    millrace gen s --keys 1 --records 3000 -q --retries 0 > "$work/gen" 2>&1
    millrace tail s --shard 2 -n 10 > "$work/gen" 2>&1
done &
load=$!
wait $top
check "ends well" [ $? = 0 ]
cp "$work/top" "$work/out"
check "counts records" [ "$(sum records_per_s)" -gt 0 ]
check "counts what was throttled" [ "$(sum throttled_count)" -gt 0 ]
wait $load
check "behind it there is nothing new" ends 0 millrace top s -n 1
check "fits a terminal, too" awk 'length > 80 { exit 1 }' "$work/out"
script -qec "stty rows 24 cols 80; TERM=xterm timeout --foreground -s INT 1 '$MILLRACE' top s -i 100ms" /dev/null > "$work/out" < /dev/null
check "on a terminal it draws on a screen of its own" grep -qF $'\e[?1049h' "$work/out"
check "and gives the old one back" grep -qF $'\e[?1049l' "$work/out"
check "with its cursor" grep -qF $'\e[?25h' "$work/out"
kill $server
wait $server

check "no stream" ends 4 millrace top none
check "no such interval" ends 2 millrace top s -i never
check "no frames" ends 2 millrace top s -n 0
