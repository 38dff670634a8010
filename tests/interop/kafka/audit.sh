#!/usr/bin/env bash
# Stamped keys through bridges against a real broker, there and back: while bridges are killed at random
# moments, the broker is restarted and shards are split and merged, no record is lost, none passes another
# of its key, and in Kafka none is there twice (K1, K3, K4). Needs MILLRACE and the jars in $1.
set -uo pipefail

# shellcheck disable=SC2034 # for broker.sh
kafka_jars=$1
here=$PWD/tests/interop/kafka
work=$(mktemp -d)
server='' bridge='' writer='' pid='' brokers='' broker=''
# shellcheck disable=SC1091
. "$here/broker.sh"
trap 'for pid in $bridge $writer $server $broker; do kill -9 "$pid" 2> /dev/null; done; rm -rf "$work"' EXIT
RANDOM=${MR_SEED:=$$}
echo "MR_SEED=$MR_SEED"

keys=20 each=${EACH:-500} kills=${KILLS:-20}

ok() { # WHAT COMMAND...
    if "${@:2}"; then echo "ok - kafka: $1"; else echo "not ok - kafka: $1"; fi
}

# Each key counts: "key NUMBER", a few rounds at a time; shards change in between.
write_all() {
    local chunk=$((each / 20)) step i k

    for ((step = 0; step < 20; step++)); do
        for ((i = step * chunk + 1; i <= (step + 1) * chunk; i++)); do
            for ((k = 0; k < keys; k++)); do echo "key$k:$i"; done
        done | "$MILLRACE" put there -K : -q
        case $step in
        3) "$MILLRACE" split there 0 ;;
        7) "$MILLRACE" scale there 4 ;;
        11) "$MILLRACE" scale there 1 ;;
        15) "$MILLRACE" scale there 3 ;;
        esac
    done
}

# follow ARGUMENT...: a bridge that is killed at random moments, and once with the broker
follow() {
    for ((n = 0; n < kills; n++)); do
        "$MILLRACE" bridge "$@" 2>> "$work/bridge.log" &
        bridge=$!
        sleep "$((RANDOM % 2)).$((RANDOM % 10))" # how long it lives is the point
        [ "$n" != $((kills / 2)) ] || { stop_broker KILL; start_broker; }
        kill -9 $bridge
        wait $bridge 2> /dev/null
        bridge=''
    done
    wait $writer # all is there
    writer=''
    "$MILLRACE" bridge "$@" --once 2>> "$work/bridge.log"
}

# Lines "KEY NUMBER": each key has all its numbers, in order; "twice" if a number may come again.
is_complete() { # FILE WHAT
    awk -v keys=$keys -v each="$each" -v what="$2" '
        $2 == last[$1] + 1 { last[$1]++; next }
        what == "twice" && $2 <= last[$1] { next }
        { print "key " $1 " has " $2 " behind " last[$1] + 0; wrong = 1; exit }
        END { for (k = 0; k < keys; k++) if (last["key" k] != each) { print "key" k " ends at " last["key" k] + 0; wrong = 1 }
              exit wrong }' "$1"
}

start_broker || { echo "not ok - kafka: the broker does not start"; exit 1; }
mkfifo "$work/said"
MILLRACE_DATA=$work/data "$MILLRACE" serve --port 0 --json --limits off --state-delay 0 > "$work/said" 2> "$work/server.log" &
server=$!
read -r line < "$work/said"
AWS_ENDPOINT_URL=http://127.0.0.1:$(sed -E 's/.*"port":([0-9]+).*/\1/' <<< "$line")
export AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1
"$MILLRACE" create there --shards 2
"$MILLRACE" create back --shards 2

write_all > "$work/write.log" 2>&1 &
writer=$!
ok "a bridge into Kafka ends" follow there "kafka://$brokers/topic" --create 5
java -cp "$kafka_jars/*" "$here/Look.java" "$brokers" topic > "$work/there" 2> "$work/look.log"
cut -d' ' -f3,4 "$work/there" > "$work/there.keys"
ok "exactly once and in order, in Kafka" is_complete "$work/there.keys" once
# shellcheck disable=SC2016 # it is for awk
ok "in the partitions that Java chooses" awk '$1 != $2 { exit 1 } END { exit NR == 0 }' "$work/there"

kills=5
ok "a bridge out of Kafka ends" follow "kafka://$brokers/topic" back
"$MILLRACE" tail back -F '%k %v\n' > "$work/back" 2> "$work/tail.log"
ok "all and in order, back in a stream" is_complete "$work/back" twice
