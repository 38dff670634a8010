#!/usr/bin/env bash
# bridge without a broker: what is wrong with a file of bridges is named with its line, no secret is shown,
# brokers that are away are waited for while status and metrics can be seen. What needs a broker is in
# tests/unit/test_kafka_bridge.c and tests/interop/kafka.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

nowhere=kafka://127.0.0.1:1
millrace create s --shards 2 2> "$work/err"

# refuses TEXT: with the file that is on stdin
refuses() {
    cat > "$work/bridges"
    ends 2 millrace bridge --config "$work/bridges" && says "$work/bridges, $1"
}

check "an option that there is not" refuses "line 4: a bridge has no memori: did you mean memory?" << END
[one]
source = s
target = $nowhere/t # a comment counts as no line more
memori = 9
END
check "a bridge that is there twice" refuses "line 4: there is a bridge one already" << END
[one]
source = s
target = $nowhere/t
[one]
END
check "a bridge without a target" refuses "line 2: [two] lacks source or target" << 'END'

[two]
source = s
END
check "a line that is none" refuses "line 2: it is no NAME = VALUE" << 'END'
[three]
what
END
check "a setting of no bridge" refuses "line 1: a [NAME] comes first" << 'END'
source = s
END
check "dead letters need a place" ends 2 millrace bridge s $nowhere/t --on-error dlq
check "which is said" says "--dead-letters"
check "two streams are no bridge" ends 2 millrace bridge s s
check "a stream that is not there" ends 4 millrace bridge none $nowhere/t
check "is named" says none
check "a property that does not fit" ends 1 millrace bridge s $nowhere/t -X security.protocol=hush
check "is named" says security.protocol
check "and its value is not" eval '! says hush'

if grep -q __tsan_init "$MILLRACE"; then
    echo "# TSan does not know thrd_create(), by which librdkafka starts its threads: no bridge runs"
    exit
fi

# Two bridges in one process, which wait for their brokers.
printf '[out]\nsource = s\ntarget = %s/t\n[in]\nsource = %s/u\ntarget = s\n' $nowhere $nowhere > "$work/bridges"
"$MILLRACE" bridge --config "$work/bridges" --metrics 0 --status > "$work/out" 2> "$work/err" &
bridge=$!
until [ "$(grep -c 'event=unreachable brokers=127.0.0.1:1 .*next="tries again"' "$work/err")" = 2 ]; do
    kill -0 $bridge || break
    sleep 0.05
done
check "each says which brokers are away" kill -0 $bridge
curl -s "$(sed -n 's/^.*metrics at //p' "$work/err")" > "$work/metrics"
for name in out in; do
    check "metrics of bridge $name" grep -q "^millrace_bridge_records_total{bridge=\"$name\"} 0$" "$work/metrics"
done
# shellcheck disable=SC2016 # it is for awk
check "each metric has a type" awk '/^# TYPE/ { type[$3] } /^[a-z]/ { split($1, name, "{"); if (!(name[1] in type)) exit 1 }' "$work/metrics"
if command -v promtool > "$work/promtool"; then
    check "Prometheus reads them" promtool check metrics < "$work/metrics"
fi
until grep -q '^in ' "$work/out"; do kill -0 $bridge || break; sleep 0.05; done
check "the status has a row for each" [ "$(grep -cE '^(out|in) ' "$work/out")" -ge 2 ]
kill -TERM $bridge
wait $bridge
check "they end when they are told to" [ $? = 0 ]

# On a terminal the table is drawn over.
script -qec "stty rows 24 cols 80; TERM=xterm '$MILLRACE' bridge s $nowhere/t --status &
    until [ -e '$work/seen' ]; do sleep 0.05; done; kill \$!; wait" /dev/null > "$work/out" < /dev/null 2> "$work/err" &
terminal=$!
until grep -q 'BRIDGE .*BEHIND' "$work/out" && grep -qF $'\e[H' "$work/out"; do
    kill -0 $terminal || break
    sleep 0.05
done
touch "$work/seen"
wait $terminal
check "a terminal sees it, too" grep -q 'BRIDGE .*BEHIND' "$work/out"
check "in one place" grep -qF "$(printf '\033[H')" "$work/out"
