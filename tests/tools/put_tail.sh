#!/usr/bin/env bash
# What is put comes out of tail: every byte, key and order, in every format; and totals add up.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

flights=$PWD/tools/labs/data/flights.ndjson
quakes=$PWD/tools/labs/data/earthquakes.ndjson

# ---- the lab that everybody copies: three texts in, three texts out

millrace create demo 2> "$work/err"
check "puts one text" ends 0 millrace put demo --key user1 'user signup'
check "says where it went" grep -qE '^shardId-0{12} [0-9]{56}$' "$work/out"
millrace put demo --key user1 'user login' > "$work/out"
check "puts one text, for programs" ends 0 millrace put demo --key user1 'user logout' --json
check "prints shard and sequence" grep -qxE '\{"shard_id":"shardId-0{12}","sequence_number":"[0-9]{56}"\}' "$work/out"
check "tails" ends 0 millrace tail demo
check "three texts" prints $'user signup\nuser login\nuser logout'
check "the last two" ends 0 millrace tail demo -n 2
check "are the last two" prints $'user login\nuser logout'
check "the first one" ends 0 millrace tail demo -n 1 --from start
check "is the first" prints 'user signup'
check "none" ends 0 millrace tail demo -n 0
check "is none" prints ''
check "from the latest without following" ends 0 millrace tail demo --from latest
check "there is nothing" prints ''
second=$(millrace tail demo -F '%s\n' | sed -n 2p)
check "from a sequence number" ends 0 millrace tail demo --from "seq:$second"
check "includes it" prints $'user login\nuser logout'
check "to a sequence number" ends 0 millrace tail demo --to "seq:$second"
check "includes it, too" prints $'user signup\nuser login'
time=$(millrace tail demo -F '%t\n' | sed -n 3p)
check "from a time" ends 0 millrace tail demo --from "$time" -n 100
check "includes what arrived then" grep -qx 'user logout' "$work/out"
check "to a time" ends 0 millrace tail demo --to "$time"
check "without what arrived then" test "$(grep -c logout "$work/out")" = 0
check "in the last hour" ends 0 millrace tail demo --from -1h
check "is all" [ "$(wc -l < "$work/out")" -eq 3 ]
check "filters by expression" ends 0 millrace tail demo --grep '^user log(in|off)$'
check "one matches" prints 'user login'
check "filters by key" ends 0 millrace tail demo --key user2
check "none has it" prints ''
mkfifo "$work/followed"
"$MILLRACE" tail demo -f --from start > "$work/followed" 2> "$work/err" &
follower=$!
mapfile -t -n 3 lines < "$work/followed"
check "follows, printing what is there at once" [ "${lines[*]}" = 'user signup user login user logout' ]
kill -TERM $follower
check "until it is told to end" wait $follower

# ---- a file by a field

millrace create flights --shards 7 2> "$work/err"
check "puts a file by a field" ends 0 millrace put flights --key-field origin < "$flights"
check "counts it" says "20,000 records"
check "each record has its key" diff <(sed -E 's/.*"origin":"([^"]*)".*/\1\t&/' "$flights" | sort) \
    <(millrace tail flights -F '%k\t%v\n' | sort)
check "each key has its order" diff \
    <(sed -E 's/.*"origin":"([^"]*)".*/\1\t&/' "$flights" | sort -s -t $'\t' -k1,1) \
    <(millrace tail flights -F '%k\t%v\n' | sort -s -t $'\t' -k1,1)
check "shards add up to the whole" diff <(millrace tail flights -o raw | sort) \
    <(for shard in 0 1 2 shardId-3 4 5 shardId-000000000006; do
        millrace tail flights --shard $shard -o raw
    done | sort)
check "where agrees with where they went" diff \
    <(millrace tail flights -F '%k %h\n' | sort -u) \
    <(millrace tail flights -F '%k\n' | sort -u | xargs "$MILLRACE" where flights --json |
        sed -E 's/.*"partition_key":"([^"]*)".*"shard_id":"([^"]*)".*/\1 \2/' | sort)
check "a closed pipe is no trouble" [ "$(millrace tail flights 2>&1 | head -n 1 | wc -l)" = 1 ]
check "the directory is closed after it" ends 0 millrace status
check "nothing was recovered" test "$(grep -c recovered "$work/err")" = 0

# ---- acknowledgements

millrace create acks --shards 3 2> "$work/err"
check "acknowledges each record" ends 0 millrace put acks --key-field net --json < "$quakes"
check "with the numbers of the lines" diff <(seq 1707) <(member line < "$work/out")
check "with the sequence numbers that tail prints" diff <(member sequence_number < "$work/out" | sort) \
    <(millrace tail acks -F '%s\n' | sort)

# ---- lines of every kind

millrace create lines 2> "$work/err"
printf 'a:1\n\nb:2:3\nno separator\n:empty key\nc:' > "$work/in"
check "a separator; bad lines fail" ends 1 millrace put lines -K : < "$work/in"
check "says which line" says "line 4: has no separator ':'"
check "says why" says 'line 5: the partition key is empty'
check "adds up" says '6 lines read = 3 stored + 2 rejected + 1 blank'
check "keys and data" ends 0 millrace tail lines -F '%k=%v\n'
check "are split at the first separator" prints $'a=1\nb=2:3\nc='

millrace create strict 2> "$work/err"
check "strict stops" ends 1 millrace put strict -K : --strict < "$work/in"
check "strict adds up" says '4 lines read = 2 stored + 1 rejected + 1 blank'
check "strict stored what stood before" ends 0 millrace tail strict
check "and nothing behind" prints $'1\n2:3'

millrace create bad 2> "$work/err"
{
    echo '{"k":"a"}'
    echo '{"k":'
    echo '{"other":1}'
    echo '{"k":[1]}'
    echo '{"k":""}'
    printf '{"k":"%300s"}\n' x
    printf '{"k":"\xff"}\n'
    echo '{"k":17}'
    echo
    head -c 11000000 /dev/zero | tr '\0' x
} > "$work/in"
check "bad JSON fails" ends 1 millrace put bad --key-field .k < "$work/in"
check "names the fault" says 'line 2: not JSON'
check "names the field" says 'line 3: has no field .k'
check "shows five" [ "$(grep -c '^line' "$work/err")" = 5 ]
check "adds up in the end" says '10 lines read = 2 stored + 7 rejected + 1 blank'
check "numbers are keys as they stand" [ "$(millrace tail bad -F '%k ')" = 'a 17 ' ]
check "at most 256 characters, of any size" ends 0 millrace put bad --key "$(printf '%0.sé' {1..256})" x
check "257 are too many" ends 2 millrace put bad --key "$(printf '%0.sé' {1..257})" x
check "one key at a time" ends 2 millrace put bad --key a --key-field b x

# ---- any bytes

millrace create bytes 2> "$work/err"
millrace create copy --shards 4 2> "$work/err"
for byte in {0..255}; do
    [ "$byte" = 10 ] || printf '%b-\n' "\\x$(printf %x "$byte")"
done > "$work/in"
head -c 20000 /dev/urandom | tr -d '\n' >> "$work/in"
check "any bytes go in" ends 0 millrace put bytes < "$work/in"
check "any bytes come out" cmp "$work/in" <(millrace tail bytes -o raw | head -c "$(stat -c %s "$work/in")")
check "text shows no control characters" ends 0 millrace tail bytes
check "but tab and return" test "$(tr -d '\t\r\n -~' < "$work/out" | wc -c)" = 0
printf 'z' | millrace put bytes --hash-key 340282366920938463463374607431768211455 2> "$work/err"
millrace put bytes --key 'quote " and \ and é' '' > "$work/out"
millrace tail bytes -o json > "$work/lines"
check "our own lines go in" ends 0 millrace put copy -i json < "$work/lines"
contents() {
    millrace tail "$1" -o json | sed -E 's/.*("partition_key":.*)/\1/' | sort
}
check "and are the same records" diff <(contents bytes) <(contents copy)
check "an explicit hash key is kept" [ "$(millrace tail copy --shard 3 --grep '^z$')" = z ]
check "hex shows the bytes" ends 0 millrace tail bytes -o hex -n 2
check "as a person reads them" grep -qx '00000000  7a                                                |z|' "$work/out"
check "10 MiB fit" ends 0 millrace put bytes --key k --quiet < <(head -c 10485759 /dev/zero | tr '\0' x)
check "10 MiB come back" [ "$(millrace tail bytes -n 1 -F '%v' | wc -c)" = 10485759 ]
check "a format that is none" ends 2 millrace tail bytes -F '%x'
check "a moment that is none" ends 2 millrace tail bytes --from yesterday
