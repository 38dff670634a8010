#!/usr/bin/env bash
# Stamped keys through bridges against a real broker, there and back: while bridges are killed at random
# moments, the broker is restarted, shards are split and merged and writes are throttled, no record is
# lost, none passes another of its key, and none is there twice (R1, R3, R4, R7); and
# a bridge that is far behind takes no more memory for it (R5). That all this trouble came
# is checked, too. Needs MILLRACE and the jars in $1.
set -uo pipefail

# shellcheck disable=SC2034 # for broker.sh
kafka_jars=$1
here=$PWD/tests/interop/kafka
work=$(mktemp -d)
server='' bridge='' meanwhile='' pid='' brokers='' broker=''
# shellcheck disable=SC1091
. "$here/broker.sh"
trap 'for pid in $bridge $meanwhile $server $broker; do kill -9 "$pid" 2> /dev/null; done; rm -rf "$work"' EXIT
RANDOM=${MR_SEED:=$$}
echo "MR_SEED=$MR_SEED"

keys=20 each=${EACH:-4000} kills=${KILLS:-20}

ok() { # WHAT COMMAND...
    if "${@:2}"; then echo "ok - kafka: $1"; else echo "not ok - kafka: $1"; fi
}

# A part of what is written while the bridge lives for the Nth time; shards change in between. Each key
# counts: "key NUMBER".
write_some() { # N
    local chunk=$((each / kills)) i k

    for ((i = $1 * chunk + 1; i <= ($1 + 1) * chunk; i++)); do
        for ((k = 0; k < keys; k++)); do echo "key$k:$i"; done
    done | "$MILLRACE" put there -K : -q || echo "put failed"
    case $(($1 % 5)) in
    1) "$MILLRACE" scale there 4 ;;
    3) "$MILLRACE" scale there 2 ;;
    esac
}

# The stream that Kafka's messages come into changes, too.
reshard_back() { # N
    "$MILLRACE" scale back $((2 + 2 * ($1 % 2)))
}

# Dies at a random moment, mostly when it is at work: how long it lives is the point.
kill_at_random() { # LOG
    local i event=event=

    [ $((RANDOM % 4)) = 0 ] || event='event=lane-open\|event=assigned'
    for ((i = 0; i < 50; i++)); do
        ! grep -q "$event" "$1" || break
        kill -0 $bridge || return
        sleep 0.1
    done
    sleep "$((RANDOM % 2)).$((RANDOM % 10))"
    kill -0 $bridge || return # it ended by itself: that does not count
    kill -9 $bridge
    wait $bridge 2> /dev/null
    killed=$((killed + 1))
    bridge=''
}

# follow MEANWHILE ARGUMENT...: a bridge that is killed at random moments, and once with the broker
follow() {
    local n

    killed=0 restarted=0
    for ((n = 0; n < kills; n++)); do
        : > "$work/life.log"
        "$MILLRACE" bridge "${@:2}" 2> "$work/life.log" &
        bridge=$!
        "$1" $n >> "$work/meanwhile.log" 2>&1 &
        meanwhile=$!
        if [ "$n" = $((kills / 2)) ]; then
            stop_broker KILL
            start_broker && restarted=1
        fi
        kill_at_random "$work/life.log"
        cat "$work/life.log" >> "$work/bridge.log"
        wait $meanwhile
        meanwhile=''
    done
    "$MILLRACE" bridge "${@:2}" --once 2>> "$work/bridge.log"
}

# Lines "KEY NUMBER": each key has all its numbers, once and in order.
is_complete() { # FILE
    awk -v keys=$keys -v each="$each" '
        $2 == last[$1] + 1 { last[$1]++; next }
        { print "key " $1 " has " $2 " behind " last[$1] + 0; wrong = 1; exit }
        END { for (k = 0; k < keys; k++) if (last["key" k] != each) { print "key" k " ends at " last["key" k] + 0; wrong = 1 }
              exit wrong }' "$1"
}

closed_shards() { # STREAM
    "$MILLRACE" shards "$1" --all --json | grep -c '"open":false'
}

was_throttled() { # STREAM
    curl -s "$AWS_ENDPOINT_URL/metrics" |
        grep "write_provisioned_throughput_exceeded.*\"$1\"" | grep -qv ' 0$'
}

start_broker || { echo "not ok - kafka: the broker does not start"; exit 1; }
mkfifo "$work/said"
MILLRACE_DATA=$work/data "$MILLRACE" serve --port 0 --json --limits on --metrics on --state-delay 0 > "$work/said" 2> "$work/server.log" &
server=$!
read -r line < "$work/said"
AWS_ENDPOINT_URL=http://127.0.0.1:$(sed -E 's/.*"port":([0-9]+).*/\1/' <<< "$line")
export AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1
"$MILLRACE" create there --shards 2
"$MILLRACE" create back --shards 2

ok "a bridge into Kafka ends" follow write_some there "kafka://$brokers/topic" --create 5
ok "it was killed $killed times, the broker once" [ "$killed$restarted" = "${kills}1" ]
ok "all was written" [ "$(grep -c "put failed" "$work/meanwhile.log")" = 0 ]
ok "shards were split and merged there" [ "$(closed_shards there)" -ge 8 ]
ok "writes there were throttled" was_throttled there
java -cp "$kafka_jars/*" "$here/Look.java" "$brokers" topic > "$work/there" 2> "$work/look.log"
cut -d' ' -f3,4 "$work/there" > "$work/there.keys"
ok "exactly once and in order, in Kafka" is_complete "$work/there.keys"
# shellcheck disable=SC2016 # it is for awk
ok "in the partitions that Java chooses" awk '$1 != $2 { exit 1 } END { exit NR == 0 }' "$work/there"

: > "$work/bridge.log"
ok "a bridge out of Kafka ends" follow reshard_back "kafka://$brokers/topic" back \
    --kafka-property session.timeout.ms=1000 --kafka-property heartbeat.interval.ms=200
ok "it was killed $killed times, the broker once" [ "$killed$restarted" = "${kills}1" ]
ok "it was one that stores once" grep -q "delivery=exactly-once" "$work/bridge.log"
ok "shards were split and merged back" [ "$(closed_shards back)" -ge 8 ]
ok "writes back were throttled" was_throttled back
ok "it was killed at work" [ "$(grep -c event=assigned "$work/bridge.log")" -ge $((kills / 2)) ]
"$MILLRACE" tail back -F '%k %v\n' > "$work/back" 2> "$work/tail.log"
ok "exactly once and in order, back in a stream" is_complete "$work/back"
# 200 MB to copy with 16 MiB to do it in; the engine has its own 60.
copies_within() { # MIB ARGUMENT...
    python3 - "$@" << 'END'
import os, resource, subprocess, sys
environment = {k: v for k, v in os.environ.items() if k != "AWS_ENDPOINT_URL"}
said = subprocess.run([os.environ["MILLRACE"], "bridge", *sys.argv[2:]], env=environment, text=True,
                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(f"{peak_mib} MiB")
sys.exit(said.returncode or "200000 records copied" not in said.stdout or peak_mib > int(sys.argv[1]))
END
}

far() {
    env -u AWS_ENDPOINT_URL "$MILLRACE" "$@" -d "$work/far"
}
far create far --shards 4
awk 'BEGIN { row = sprintf("%1000s", ""); for (i = 0; i < 200000; i++) print "key" i % 1000 ":" row }' | far put far -K : -q
ok "memory is bounded, into Kafka" copies_within 120 far "kafka://$brokers/far" --create 4 --once --memory 16 -d "$work/far"
ok "memory is bounded, out of Kafka" copies_within 120 "kafka://$brokers/far" near --create 4 --once --memory 16 -d "$work/far"
[ -z "${KEEP:-}" ] || cp -r "$work" "$KEEP"
