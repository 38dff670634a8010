#!/usr/bin/env bash
# A Prometheus server (Debian's) scrapes /metrics and answers a query for IncomingRecords; promtool finds
# nothing to object to. AWS_ENDPOINT_URL says where millrace serves, the argument is a directory.
set -uo pipefail
work=$1 target=${AWS_ENDPOINT_URL#http://} stream=prometheus

check() { # NAME COMMAND...
    if "${@:2}"; then echo "ok - prometheus: $1"; else echo "not ok - prometheus: $1"; fi
}
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

aws kinesis create-stream --stream-name $stream --shard-count 2
aws kinesis wait stream-exists --stream-name $stream
for key in a b c d e; do
    aws kinesis put-record --stream-name $stream --partition-key $key --data text > /dev/null
done
curl -sS "$AWS_ENDPOINT_URL/metrics" > "$work/metrics"
check "promtool finds nothing" promtool check metrics < "$work/metrics"

printf 'global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: millrace\n  static_configs: [{targets: ["%s"]}]\n' \
    "$target" > "$work/prometheus.yml"
promtool check config "$work/prometheus.yml" > "$work/config_said" || cat "$work/config_said"
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/prometheus" \
    --web.listen-address="127.0.0.1:$port" --log.level=error &
server=$!
trap 'kill $server' EXIT

answers() { # QUERY VALUE: within a minute
    local until=$((SECONDS + 60))
    while [ $SECONDS -lt $until ] && kill -0 $server; do
        curl -s "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" > "$work/answer"
        ! grep -q "\"$2\"\]" "$work/answer" || return 0
        read -rt 0.2 <> <(:) || :
    done
    cat "$work/answer"
    return 1
}
check "IncomingRecords" answers "sum(kinesis_incoming_records_total{stream_name=\"$stream\"})" 5
check "latencies" answers 'sum(millrace_request_duration_seconds_count{operation="PutRecord"})' 5
check "a rate of them" answers "count(rate(kinesis_incoming_bytes_total{stream_name=\"$stream\"}[1m]))" 2
