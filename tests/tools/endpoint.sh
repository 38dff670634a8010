#!/usr/bin/env bash
# The commands over a server: the same results as in the directory, found by --endpoint, by the
# environment, and by the directory itself while a server has it.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh
unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_KINESIS AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export HOME=$work # no credentials there

# Serves $MILLRACE_DATA; sets $server and $url.
start() {
    rm -f "$work/serving"
    mkfifo "$work/serving"
    "$MILLRACE" serve --port 0 --limits off --json > "$work/serving" 2> "$work/err.serve" &
    server=$!
    url=$(head -n 1 "$work/serving" | member url)
}

stop() {
    kill -"${1:-TERM}" "$server"
    wait "$server" 2> "$work/err"
}

numbers() { # FROM TO: records of ten keys
    seq "$1" "$2" | awk '{ print "key" $1 % 10 ":" $1 }'
}

every_command() { # NAME: with streams that are found by themselves
    check "$1: creates" ends 0 millrace create visits --shards 3 --retention 48
    check "$1: says so" says 'created visits: 3 shards, records kept for 48 hours'
    check "$1: not twice" ends 1 millrace create visits
    check "$1: says why" says 'stream visits exists'
    check "$1: lists" ends 0 millrace list --names
    check "$1: names" prints visits
    check "$1: the table, too" grep -qE '^visits +3 .* 48 h' <(millrace list)
    check "$1: describes" grep -q '"retention_hours":48,"shard_count":3,"open_shard_count":3' <(millrace describe visits --json)
    check "$1: puts lines" ends 0 millrace put visits -K : -q < <(numbers 1 1200)
    check "$1: puts a text" ends 0 millrace put visits --key key1 1201
    check "$1: says where it is" grep -qE '^shardId-00000000000[0-2] 4[0-9]{55}$' "$work/out"
    check "$1: splits" ends 0 millrace split visits 1
    check "$1: says so" prints 'shardId-000000000001 -> shardId-000000000003 + shardId-000000000004'
    check "$1: splits where told" ends 0 millrace split visits 0 --at 1234567890 --json
    check "$1: says so in JSON" prints '{"parents":["shardId-000000000000"],"children":["shardId-000000000005","shardId-000000000006"]}'
    check "$1: merges" ends 0 millrace merge visits 4 3
    check "$1: says so" prints 'shardId-000000000004 + shardId-000000000003 -> shardId-000000000007'
    check "$1: does not merge others" ends 1 millrace merge visits 5 2
    check "$1: does not split what is closed" ends 1 millrace split visits 0
    check "$1: does not split what is not there" ends 4 millrace split visits 99
    numbers 1202 2000 | millrace put visits -K : -q
    check "$1: scales" ends 0 millrace scale visits 6
    check "$1: says how many" prints 'visits: 6 open shards, were 4'
    check "$1: the open shards cover the space once" covers_once visits
    check "$1: shows the shards" ends 0 millrace shards visits
    check "$1: draws their history" ends 0 millrace shards visits --history
    check "$1: finds a key" ends 0 millrace where visits key1
    check "$1: says where" grep -q 'key1 is in shardId-0' "$work/out"
    check "$1: every record is there" diff <(seq 2000) <(millrace tail visits | sort -n)
    check "$1: each key in its order" diff <(numbers 1 2000 | sort -s -t : -k1,1) \
        <(millrace tail visits -F '%k:%v\n' | sort -s -t : -k1,1)
    millrace put visits --key key1 last > "$work/out"
    check "$1: the last one" [ "$(millrace tail visits -n 1)" = last ]
    check "$1: from a place on" [ "$(millrace tail visits --from "seq:$(millrace tail visits -n 1 -F '%s\n')")" = last ]
    check "$1: from a time on" [ -z "$(millrace tail visits --from 2100-01-01T00:00Z)" ]
    check "$1: of one shard" [ "$(millrace tail visits --shard 2 | wc -l)" -gt 0 ]
    check "$1: one bad line does not stop the others" ends 1 millrace put visits -K : < <(
        printf 'a:1\n%s:2\nb:3\n' "$(head -c 300 /dev/zero | tr '\0' x)"
    )
    check "$1: that is counted" says '3 lines read = 2 stored + 1 rejected + 0 blank'
    check "$1: no such stream" ends 4 millrace tail none
    check "$1: guesses" ends 4 millrace describe visit
    check "$1: says which" says "did you mean 'visits'?"
    check "$1: deletes" ends 0 millrace delete visits
    check "$1: it is gone" ends 4 millrace describe visits
    check "$1: nothing is left" [ -z "$(millrace list --names 2> /dev/null)" ]
}

every_command directory
start
every_command held
check "the server has done it" [ "$(MILLRACE_DATA=$work/none millrace --endpoint "$url" list --names 2>&1)" = \
    'no streams yet; try: millrace create STREAM --shards 4' ]
check "the environment leads there" ends 0 env MILLRACE_DATA="$work/none" AWS_ENDPOINT_URL="$url" "$MILLRACE" list
check "one for Kinesis comes first" ends 0 env MILLRACE_DATA="$work/none" AWS_ENDPOINT_URL=http://127.0.0.1:1 \
    AWS_ENDPOINT_URL_KINESIS="$url" "$MILLRACE" list
check "a flag beats the environment" ends 0 env AWS_ENDPOINT_URL=http://127.0.0.1:1 "$MILLRACE" --endpoint "$url" list
check "--data does, too" ends 4 env AWS_ENDPOINT_URL="$url" "$MILLRACE" --data "$work/none" list
check "not both" ends 2 millrace --endpoint "$url" --data "$work/data" list
check "an endpoint is a URL" ends 1 millrace --endpoint 'ftp://x' list
check "its profile must be there" ends 4 env AWS_PROFILE=nobody "$MILLRACE" --endpoint "$url" list
check "AWS needs credentials" ends 4 millrace --endpoint https://kinesis.eu-west-3.amazonaws.com list
check "it is told which" says AWS_ACCESS_KEY_ID
check "a server that is not there" ends 1 millrace --endpoint http://127.0.0.1:1 list
check "is told" says 'millrace serve'
for command in status check bench; do
    check "$command works on directories" ends 2 millrace $command --endpoint "$url"
    check "and says so" says 'not over --endpoint'
done
check "a directory that a server has" ends 1 millrace status
check "is said to be" says "a server has it open, at $url"

# A follower hears of records through a split.
millrace create f --shards 1 2> "$work/err"
mkfifo "$work/heard"
"$MILLRACE" tail f -f --from start > "$work/heard" 2> "$work/err.tail" &
tail=$!
exec 3< "$work/heard"
millrace put f --key a first > "$work/out"
read -r heard <&3
check "a follower hears" [ "$heard" = first ]
millrace split f 0 > "$work/out"
millrace put f --key a second > "$work/out"
read -r heard <&3
check "through a split" [ "$heard" = second ]
for ((i = 0; i < 40; i++)); do
    millrace put f --key a "again $i" > "$work/out"
    read -r heard <&3
done
check "all" [ "$heard" = "again 39" ]
check "and is never told to ask less often" [ "$(curl -s "$url/metrics" |
    awk '/^kinesis_read_provisioned_throughput_exceeded_total.*"f"/ { sum += $NF; found = 1 } END { print found, sum + 0 }')" = '1 0' ]
kill $tail
wait $tail
exec 3<&-

stop KILL
check "after a SIGKILL the directory is nobody's" ends 0 millrace list --names
check "and has what was put" diff <(echo first && echo second && seq -f "again %g" 0 39) <(millrace tail f)
check "an old address is not believed" sh -c "! grep -q http '$MILLRACE_DATA/LOCK'"
start
check "a server has it again" ends 0 millrace list --names
stop
check "and leaves it" ends 0 millrace status
