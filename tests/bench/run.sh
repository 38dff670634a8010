#!/bin/sh
# Runs the benchmarks given, one after the other, and ends with one table of all ratios.
# The exit status tells that a benchmark went wrong, not that a target was missed: speed depends on
# the machine and on who else uses it.
#
# bench_http also measures other servers, where it can have them: nginx, if it is installed, and
# kinesalite, which npm installs below O. It says so where one is missing. bench_kafka wants a broker,
# which is started of what `make interop T=kafka` has installed below O.
set -u
lines=$(mktemp)
trap 'rm -f "$lines"; [ -z "${broker:-}" ] || { kill -9 "$broker"; rm -rf "$work"; }' EXIT
status=0

find_peers() {
    peers=$O/bench kinesalite=$O/bench/node_modules/kinesalite/cli.js
    [ "${O#/}" != "$O" ] || kinesalite=$PWD/$kinesalite
    [ -f "$kinesalite" ] || ! command -v npm > /dev/null || {
        echo "installing kinesalite"
        npm install --silent --no-fund --no-audit --prefix "$peers" kinesalite
    }
    [ ! -f "$kinesalite" ] || export MR_BENCH_KINESALITE="$kinesalite"
    MR_BENCH_NGINX=$(PATH=$PATH:/usr/sbin command -v nginx) && export MR_BENCH_NGINX
}

find_broker() {
    kafka_jars=$O/interop/kafka
    [ "${O#/}" != "$O" ] || kafka_jars=$PWD/$kafka_jars
    [ -d "$kafka_jars" ] && [ -z "${MR_BENCH_KAFKA:-}" ] || return 0
    work=$(mktemp -d)
    . tests/interop/kafka/broker.sh
    start_broker
    export MR_BENCH_KAFKA="$brokers"
}

for program; do
    case $program in
    */bench_kafka) find_broker ;;
    */bench_http) find_peers ;;
    esac
    echo "== ${program##*/}"
    # $? of the program, not of tee
    { "$program" || echo "# ${program##*/}: FAILED"; } | tee -a "$lines"
done
grep -q '^# .*: FAILED$' "$lines" && status=1
awk '
    function shown(name) {
        return name in value ? sprintf("%.*f %s", value[name] < 100 ? 2 : 0, value[name], unit[name]) \
                             : "-"
    }
    $3 != "of" && NF >= 3 && $1 != "#" { value[$1] = $2; unit[$1] = $3 }
    $3 == "of" {
        if (!rows++)
            printf "\n%-34s %20s   %-36s %20s %8s  %-8s\n", "what", "measured", "limit", "measured",
                "ratio", "target"
        limit = substr($4, 1, length($1) + 1) == $1 "." ? substr($4, length($1) + 2) : $4
        printf "%-34s %20s   %-36s %20s %8.2f  %-2s %-5s %s\n", $1, shown($1), limit, shown($4),
            $2, $6, substr($7, 1, length($7) - 1), $8
    }' "$lines"
exit $status
