#!/usr/bin/env bash
# Split, merge and scale by the program: S1, S2 as a user sees them; and delete.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

put() { # FROM TO: numbered records of ten keys
    seq "$1" "$2" | awk '{ print "key" $1 % 10 ":" $1 }' | millrace put s -K : --quiet
}

millrace create s --shards 3 2> "$work/err"
put 1 1000
check "splits in the middle" ends 0 millrace split s 1
check "says so" prints 'shardId-000000000001 -> shardId-000000000003 + shardId-000000000004'
put 1001 2000
check "splits where told, for programs" ends 0 millrace split s 0 --at 1234567890 --json
check "says so in JSON" prints '{"parents":["shardId-000000000000"],"children":["shardId-000000000005","shardId-000000000006"]}'
check "there it is" grep -q '"first_hash_key":"1234567890"' <(millrace shards s --json)
put 2001 3000
check "merges neighbours in either order" ends 0 millrace merge s 4 3
put 3001 4000
check "does not merge others" ends 1 millrace merge s 5 2
check "does not split what is closed" ends 1 millrace split s 0
check "does not split outside" ends 1 millrace split s 2 --at 5
check "the open shards cover the space once" covers_once s
check "scales" ends 0 millrace scale s 5
check "says how many" prints 's: 5 open shards, were 4'
check "the open shards still cover the space once" covers_once s
put 4001 5000
check "scales to one" ends 0 millrace scale s 1
put 5001 6000
check "every record is there" diff <(seq 6000) <(millrace tail s | sort -n)
check "each key in its order" diff \
    <(seq 6000 | awk '{ print "key" $1 % 10 ":" $1 }' | sort -s -t : -k1,1) \
    <(millrace tail s -F '%k:%v\n' | sort -s -t : -k1,1)
check "shards are counted" diff <(echo 6000) \
    <(millrace shards s --json | member record_count | awk '{ n += $1 } END { print n }')
check "shows the table" ends 0 millrace shards s
check "within 80 columns" awk 'length > 80 { exit 1 }' "$work/out"
check "draws the history" ends 0 millrace shards s --history
check "a line for each change" [ "$(grep -c reshard "$work/out")" = 5 ]
check "history within 80 columns" awk 'length > 80 { exit 1 }' "$work/out"

check "lists" ends 0 millrace list --names
check "names" prints s
check "describes" grep -q '"record_count":6000' <(millrace describe s --json)
check "deletes" ends 0 millrace delete s
check "it is gone" ends 4 millrace describe s
check "the list is empty" ends 0 millrace list --names
check "and says what to do" says 'millrace create'
