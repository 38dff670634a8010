#!/usr/bin/env bash
# Every operation that the AWS CLI has, once; $1: a prefix for names. aws and AWS_ENDPOINT_URL are set. An
# older CLI has fewer: what it does not know is not asked of it.
set -uo pipefail

name=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: > "$work/called"
aws kinesis help | col -b | sed -nE 's/^ +o ([a-z-]+)$/\1/p' | sort -u > "$work/operations"

# try TEXT OPERATION ARGUMENT...: it succeeds, and the answer has the text
try() {
    local text=$1 operation=$2
    grep -qx -- "$operation" "$work/operations" || return
    echo "$operation" >> "$work/called"
    if aws kinesis "${@:2}" > "$work/out" 2> "$work/err" && grep -qF -- "$text" <(cat "$work/out" && echo); then
        echo "ok - $name: $operation"
    else
        echo "not ok - $name: $operation"
        sed 's/^/    /' "$work/out" "$work/err" | head -n 20
    fi
}

refused() { # TEXT OPERATION ARGUMENT...
    grep -qx -- "$2" "$work/operations" || return
    echo "$2" >> "$work/called"
    if ! aws kinesis "${@:2}" > "$work/out" 2> "$work/err" && grep -qF -- "$1" "$work/err"; then
        echo "ok - $name: $2 is refused"
    else
        echo "not ok - $name: $2 is refused"
        sed 's/^/    /' "$work/out" "$work/err" | head -n 20
    fi
}

s=(--stream-name "$name") region=${AWS_REGION:-us-east-1}
a=(--stream-arn "arn:aws:kinesis:$region:000000000000:stream/$name")
r=(--resource-arn "${a[1]}")
try '' create-stream "${s[@]}" --shard-count 2
try '"OpenShardCount": 2' describe-stream-summary "${a[@]}"
try '"ShardId": "shardId-000000000001"' describe-stream "${s[@]}"
try "\"$name\"" list-streams
try '"ShardId": "shardId-000000000001"' list-shards "${s[@]}"
try '"ShardLimit"' describe-limits
try '' describe-account-settings
try '' update-account-settings --minimum-throughput-billing-commitment Status=DISABLED
try shardId-000000000000 put-record "${s[@]}" --partition-key 123 --data testdata
try '"FailedRecordCount": 0' put-records "${s[@]}" --records Data=blob1,PartitionKey=123 Data=blob2,PartitionKey=a
try ShardIterator get-shard-iterator "${s[@]}" --shard-id shardId-000000000000 \
    --shard-iterator-type TRIM_HORIZON
try '"Data": "dGVzdGRhdGE="' get-records --shard-iterator \
    "$(sed -nE 's/.*"ShardIterator": "(.*)"/\1/p' "$work/out")"
try CREATING register-stream-consumer "${a[@]}" --consumer-name c
try '"ConsumerStatus": "ACTIVE"' describe-stream-consumer "${a[@]}" --consumer-name c
try '"ConsumerName": "c"' list-stream-consumers "${a[@]}"
try '' deregister-stream-consumer "${a[@]}" --consumer-name c
try '' add-tags-to-stream "${s[@]}" --tags team=red
try '"Value": "red"' list-tags-for-stream "${s[@]}"
try '' remove-tags-from-stream "${s[@]}" --tag-keys team
try '' tag-resource "${r[@]}" --tags team=blue
try '"Value": "blue"' list-tags-for-resource "${r[@]}"
try '' untag-resource "${r[@]}" --tag-keys team
try '' put-resource-policy "${r[@]}" --policy '{"Statement":[]}'
try Statement get-resource-policy "${r[@]}"
try '' delete-resource-policy "${r[@]}"
try '' increase-stream-retention-period "${s[@]}" --retention-period-hours 48
try '' decrease-stream-retention-period "${s[@]}" --retention-period-hours 24
try '"IncomingBytes"' enable-enhanced-monitoring "${s[@]}" --shard-level-metrics IncomingBytes
try '"DesiredShardLevelMetrics": []' disable-enhanced-monitoring "${s[@]}" --shard-level-metrics ALL
try '' start-stream-encryption "${s[@]}" --encryption-type KMS --key-id alias/aws/kinesis
try '' stop-stream-encryption "${s[@]}" --encryption-type KMS --key-id alias/aws/kinesis
try '' split-shard "${s[@]}" --shard-to-split shardId-000000000000 \
    --new-starting-hash-key 85070591730234615865843651857942052864
try '' merge-shards "${s[@]}" --shard-to-merge shardId-000000000002 \
    --adjacent-shard-to-merge shardId-000000000003
try '"TargetShardCount": 4' update-shard-count "${s[@]}" --target-shard-count 4 \
    --scaling-type UNIFORM_SCALING
try '' update-max-record-size "${a[@]}" --max-record-size-in-ki-b 2048
try '' update-stream-mode "${a[@]}" --stream-mode-details StreamMode=ON_DEMAND
try '' update-stream-record-distribution-strategy "${a[@]}" \
    --record-distribution-strategy USER_PARTITION_KEY
refused ResourceNotFoundException update-stream-warm-throughput --stream-name none \
    --warm-throughput-mi-bps 100
refused 'Stream none under account 000000000000 not found.' describe-stream --stream-name none
try '' delete-stream "${s[@]}" --enforce-consumer-deletion

# What the CLI has by itself: `wait`. Channels and queues are not ours.
missing=$(sort -u "$work/called" | comm -13 - "$work/operations" | grep -vE '^(help|wait)$|channel|queue')
if [ -z "$missing" ] && [ "$(wc -l < "$work/called")" -ge 28 ]; then
    echo "ok - $name: no operation is left out"
else
    echo "not ok - $name: left out: ${missing//$'\n'/ }"
fi
