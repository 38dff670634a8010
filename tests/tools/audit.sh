#!/usr/bin/env bash
# No record is lost and each key's come in order (C1, C2, C4) while workers are killed with SIGKILL, shards are
# split and merged, puts are throttled and the server dies: three processes of millrace consume, and an
# auditor that reads what their programs write and says how far it has come.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

keys=50
log=$work/log
server='' workers=() said=''
trap 'kill -9 $server "${workers[@]}" $auditor 2> /dev/null; rm -rf "$work"' EXIT
auditor=''
mkfifo "$work/said" "$work/progress"
touch "$log"

# start PORT: the server, with the limits of Kinesis
start() {
    "$MILLRACE" serve --port "$1" --json > "$work/said" 2> "$work/err.serve" &
    server=$!
    read -r said < "$work/said"
    port=$(member port <<< "$said")
}

# work PLACE: a worker, in the place of one that has gone
work() {
    "$MILLRACE" consume -p "$work/properties" 2>> "$work/err.workers" &
    workers[$1]=$!
}

murder() { # PLACE
    kill -9 "${workers[$1]}"
    wait "${workers[$1]}" 2> /dev/null
    work "$1"
}

# put_stamped FIRST COUNT: records of 12 bytes, each key counting its own
put_stamped() {
    awk -v first="$1" -v count="$2" -v keys=$keys 'BEGIN {
        for (i = first; i < first + count; i++)
            printf "{\"partition_key\":\"k%d\",\"data\":\"%02d %08d\\n\"}\n", i % keys, i % keys, i / keys
    }' | "$MILLRACE" --endpoint "$url" put s -i json -q
}

# A record is the next of its key, or has come before: else something was lost, or overtook. Each thousandth
# is told, with how many came again. (Not awk: some read ahead.)
audit() {
    local key number sum=0 again=0
    local -A next_of

    timeout 120 tail -n +1 -f --pid=$$ "$log" | while read -r key number; do
        number=$((10#$number))
        if [ "$number" -eq "${next_of[$key]:-0}" ]; then
            next_of[$key]=$((number + 1)) sum=$((sum + 1))
            [ $((sum % 1000)) != 0 ] || echo "$sum $again"
        elif [ "$number" -lt "${next_of[$key]:-0}" ]; then
            again=$((again + 1))
        else
            echo "wrong: $key $number"
            return
        fi
    done
}

# reach COUNT: waits until the auditor has seen so many
reach() {
    while [ "$sum" != wrong: ] && [ "$sum" -lt "$1" ]; do
        read -r -t 120 sum again <&3 || return
    done
    [ "$sum" != wrong: ] || echo "# $sum $again"
    [ "$sum" != wrong: ]
}

start 0
url=http://127.0.0.1:$port
cat > "$work/properties" << END
executableName = tests/support/processor.sh $log lazy
streamName = s
applicationName = app
initialPositionInStream = TRIM_HORIZON
kinesisEndpoint = $url
retrievalMode = POLLING
maxRecords = 200
idleTimeBetweenReadsInMillis = 50
failoverTimeMillis = 1000
END
millrace --endpoint "$url" create s --shards 3 2> "$work/err"
audit > "$work/progress" &
auditor=$!
exec 3< "$work/progress"
sum=0 again=0
for place in 0 1 2; do work $place; done

check "puts" put_stamped 0 6000
check "are read" reach 2000
murder 0
check "by who is left" reach 6000
put_stamped 6000 8000 &
loader=$!
check "a split while records come" ends 0 millrace --endpoint "$url" split s 0
murder 1
check "a merge" ends 0 millrace --endpoint "$url" merge s 1 2
check "all were put, though throttled" wait $loader
check "they were" grep -q '^kinesis_write_provisioned_throughput_exceeded_total{.* [1-9]' \
    <(curl -sS "$url/metrics")
check "and read" reach 14000
put_stamped 14000 4000
kill -9 "$server"
wait "$server" 2> /dev/null
murder 2
start "$port"
check "the server is back" ends 0 millrace --endpoint "$url" shards s --open
check "nothing is lost with it" reach 18000
check "all of it, when all else is at rest" put_stamped 18000 2000
check "has come, in order" reach 20000
for place in 0 1 2; do kill -TERM "${workers[place]}"; done
for place in 0 1 2; do check "worker $place ends well" wait "${workers[place]}"; done
check "nobody lags" [ "$(millrace --endpoint "$url" group show app --json | member lag_ms | sort -u)" = 0 ]
check "three shards have ended" eval \
    "millrace --endpoint '$url' group ls --json | grep -q '\"shard_count\":6,\"ended_count\":3,\"owned_count\":0'"
check "every record is in the log" [ "$(sort -u "$log" | wc -l)" = 20000 ]
check "what came twice is counted" [ "$(wc -l < "$log")" -ge $((20000 + again)) ]
echo "# $again records came twice"
