#!/usr/bin/env bash
# A program made with one of the KCL's kits, under millrace consume instead of Java: gets every record, each
# key's in order, through a SIGKILL of its worker and a split. KIT STREAM PROPERTIES; the program says each
# record on stderr as amazon_kclpy's sample does.
set -uo pipefail

kit=$1 stream=$2 properties=$3
work=$(mktemp -d)
worker=''
trap '[ -z "$worker" ] || kill -9 $worker 2> /dev/null; rm -rf "$work"' EXIT
touch "$work/log"

check() { # WHAT COMMAND...
    if "${@:2}"; then
        echo "ok - $kit: $1"
    else
        echo "not ok - $kit: $1: ${*:2}"
        tail -c 1000 "$work/log"
    fi
}

put() { # COUNT
    awk -v count="$1" 'BEGIN { for (i = 0; i < count; i++) print "key" i % 20 ":record" }' |
        "$MILLRACE" put "$stream" -K : -q
}

begin() {
    "$MILLRACE" consume -p "$properties" --failover 2s -v 2>> "$work/log" &
    worker=$!
}

# The records as they came, "KEY NUMBER" a line.
came() {
    grep -aoE 'Partition Key: [^,]*, Sequence Number: [0-9]+' "$work/log" | awk -F '[:,] *' '{ print $2, $4 }'
}

# reach COUNT: waits until so many different ones have come
reach() {
    local until=$((SECONDS + 60))

    while [ "$(came | sort -u | wc -l)" -lt "$1" ]; do
        kill -0 "$worker" && [ $SECONDS -lt $until ] || return
        read -r -t 0.2 _ <> "$work/never"
    done
    [ "$(came | sort -u | wc -l)" = "$1" ]
}

in_order() { # all numbers are of one length, too long to be compared as such
    came | awk '!seen[$2]++ { if (last[$1] "" >= $2 "") exit bad = 1; last[$1] = $2 } END { exit bad }'
}

no_lag() {
    local application

    application=$("$MILLRACE" group ls -s "$stream" --json | sed -E 's/.*"application":"([^"]*).*/\1/')
    [ "$("$MILLRACE" group show "$application" --json | sed -E 's/.*"lag_ms":([0-9]+).*/\1/' | sort -u)" = 0 ]
}

mkfifo "$work/never"
"$MILLRACE" create "$stream" --shards 2 2> "$work/err"
put 1000
begin
check "gets what is there" reach 1000
put 500
check "and what comes" reach 1500
kill -9 $worker
wait $worker 2> /dev/null
put 500
begin
check "its worker killed, the next one goes on" reach 2000
"$MILLRACE" split "$stream" 0 > "$work/err" 2>&1
put 1000
check "through a split" reach 3000
check "each key's records come in order" in_order
check "it is told of the end of the shard" grep -aq 'Shard has ended' "$work/log"
kill -TERM $worker
check "ends well when asked to" wait $worker
check "and is told of it" grep -aq 'Shutdown has been requested' "$work/log"
check "having checkpointed all" no_lag
check "no program failed" grep -aq ' 0 restarts of the program' <(tail -n 3 "$work/log")
worker=''
