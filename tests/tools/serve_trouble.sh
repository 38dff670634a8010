#!/usr/bin/env bash
# Operating serve: what /metrics shows, what the audit log has and what it has not, faults that are asked
# for, a clock that is set ahead, and who may ask for all that.
# shellcheck disable=SC2016 # what is for eval
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh
# shellcheck source=tests/support/serving.sh
. tests/support/serving.sh

secret_data=c2VjcmV0LWRhdGE= # "secret-data"
put='{"StreamName":"orders","Data":"'$secret_data'","PartitionKey":"secret-key"}'
two='{"StreamName":"orders","Records":[{"PartitionKey":"a","Data":"AA=="},{"PartitionKey":"b","Data":"AA=="}]}'

iterator() { # STREAM SHARD
    ask GetShardIterator "{\"StreamName\":\"$1\",\"ShardId\":\"$2\",\"ShardIteratorType\":\"TRIM_HORIZON\"}"
    iterator=$(member ShardIterator < "$work/out")
}

# sum NAME: the figure over all shards
sum() {
    curl -sS "http://127.0.0.1:$port/metrics" | awk -v name="$1" 'index($1, name "{") == 1 { sum += $2 } END { print sum + 0 }'
}

start --state-delay 0 --streams orders:2,clicks --audit "$work/audit.log" --metrics on

# ---- metrics ---------------------------------------------------------------------------

check "a record is put" answers 200 SequenceNumber PutRecord "$put"
check "two are put" answers 200 '"FailedRecordCount":0' PutRecords "$two"
check "three are counted" [ "$(sum kinesis_incoming_records_total)" = 3 ]
check "with their bytes and keys" [ "$(sum kinesis_incoming_bytes_total)" = $((11 + 10 + 2 + 2)) ]
for shard in 0 1; do
    iterator orders shardId-00000000000$shard
    check "shard $shard is read" answers 200 Records GetRecords "{\"ShardIterator\":\"$iterator\"}"
done
check "what is read is counted" [ "$(sum kinesis_outgoing_records_total)" = 3 ]
check "so are the calls" [ "$(sum kinesis_get_records_success_total)" = 2 ]
check "latencies are a histogram" page \
    'millrace_request_duration_seconds_bucket{operation="PutRecord",le="+Inf"} 1' /metrics
check "errors are counted" eval 'answers 400 ResourceNotFound PutRecord "${put/orders/none}" &&
    page "millrace_request_errors_total{operation=\"PutRecord\",error=\"ResourceNotFoundException\"} 1" /metrics'
check "names of CloudWatch stand in the help" page 'CloudWatch IncomingRecords: ' /metrics
large='{"PartitionKey":"k","Data":"'$(head -c 1000000 /dev/zero | base64 -w 0)'"}'
echo '{"StreamName":"clicks","Records":['"$large,$large"']}' > "$work/large"
check "of two large records the second is too much" answers 200 \
    ProvisionedThroughputExceededException PutRecords "@$work/large"
check "which is counted" [ "$(sum kinesis_write_provisioned_throughput_exceeded_total)" = 1 ]
ask DeleteStream '{"StreamName":"clicks"}'
is_gone() {
    until ! page 'stream_name="clicks"' /metrics; do kill -0 "$server" || return; done
}
check "a deleted stream is gone from the metrics" is_gone

# ---- faults ----------------------------------------------------------------------------

faults() { # RULE...
    printf '%s\n' "$@" | curl -sS "http://127.0.0.1:$port/admin/faults" --data-binary @- > "$work/out"
}
list='{}'
faults 'operation=ListStreams,every=2,error=LimitExceededException'
check "the first is spared" answers 200 StreamNames ListStreams "$list"
check "the second is hit" answers 400 LimitExceededException ListStreams "$list"
check "the third is spared" answers 200 StreamNames ListStreams "$list"
check "others are spared" answers 200 Shards ListShards '{"StreamName":"orders"}'
check "the rules tell how often" page '"seen":3,"hit":1' /admin/faults
faults 'stream=other,error=InternalFailure' 'stream=orders,count=1,error=InternalFailure'
check "an error of the server is 500" answers 500 InternalFailure PutRecord "$put"
check "but once only" answers 200 Sequence PutRecord "$put"
faults 'stream=orders,operation=GetRecords,error=ProvisionedThroughputExceededException'
iterator orders shardId-000000000000
check "an iterator knows its stream" answers 400 Provisioned GetRecords "{\"ShardIterator\":\"$iterator\"}"
before=$(sum kinesis_incoming_records_total)
faults 'operation=PutRecord,disconnect=before'
check "a connection is cut" eval 'ask PutRecord "$put"; [ "$(cat "$work/status")" = 000 ]'
check "before anything was done" [ "$(sum kinesis_incoming_records_total)" = "$before" ]
faults 'operation=PutRecord,disconnect=after'
check "a connection is cut afterwards" eval 'ask PutRecord "$put"; [ "$(cat "$work/status")" = 000 ]'
check "when the record was put" [ "$(sum kinesis_incoming_records_total)" = $((before + 1)) ]
check "over HTTP/2, too" eval 'ask PutRecord "$put" --http2-prior-knowledge; [ "$(cat "$work/status")" = 000 ]'
faults 'operation=ListStreams,delay=300ms'
took() { # at least so many ms
    local took
    took=$(curl -sS -o /dev/null -w '%{time_total}' -d '{}' --aws-sigv4 aws:amz:us-east-1:kinesis --user a:b \
        -H 'Content-Type: application/x-amz-json-1.1' -H 'X-Amz-Target: Kinesis_20131202.ListStreams' \
        "http://127.0.0.1:$port/")
    [ "${took/./}" -ge "$1"000 ]
}
check "an answer is late" took 300
check "a rule that is none is refused" eval 'faults "every=0"; grep -q "every is a number" "$work/out"'
check "and changes nothing" page 'delay=300ms' /admin/faults
check "an unknown error is guessed" eval 'faults "error=LimitExceded"; grep -q "did you mean LimitExceeded?" "$work/out"'
check "rules go away" eval '[ -z "$(curl -sS -X DELETE "http://127.0.0.1:$port/admin/faults")" ]'
check "and all is well" answers 200 Sequence PutRecord "$put"

# ---- the clock -------------------------------------------------------------------------

ahead() { # SPAN
    page '"ahead_ms":' /admin/clock -d "+$1"
}
iterator orders shardId-000000000000
check "the clock goes ahead" ahead 299s
check "an iterator is good for 5 minutes" answers 200 Records GetRecords "{\"ShardIterator\":\"$iterator\"}"
check "a little more" ahead 3s
check "then no more" answers 400 ExpiredIteratorException GetRecords "{\"ShardIterator\":\"$iterator\"}"
records() { # of the shard now
    iterator orders "$1"
    ask GetRecords "{\"ShardIterator\":\"$iterator\"}"
    grep -oc '"Data"' "$work/out"
}
check "the records are there" [ "$(records shardId-000000000000)$(records shardId-000000000001)" != 00 ]
check "a day passes" ahead 24h
check "they are gone" [ "$(records shardId-000000000000)$(records shardId-000000000001)" = 00 ]
scale() { # SHARDS
    ask UpdateShardCount "{\"StreamName\":\"orders\",\"TargetShardCount\":$1,\"ScalingType\":\"UNIFORM_SCALING\"}"
    grep -q TargetShardCount "$work/out" &&
        until answers 200 ACTIVE DescribeStreamSummary '{"StreamName":"orders"}'; do kill -0 "$server" || return; done
}
ten_times() {
    for _ in 1 2 3 4 5; do scale 3 && ahead 1s && scale 2 && ahead 1s || return; done
}
check "ten changes of shards in a day" ten_times
check "not eleven" eval '! scale 3; grep -q LimitExceeded "$work/out"'
check "another day" ahead 24h
check "again" scale 3
check "the clock does not go back" page 'ahead only' /admin/clock -d -5m
check "nor without a sign" page 'ahead only' /admin/clock -d 5m

# ---- who may ask -----------------------------------------------------------------------

machine=$(hostname -I 2> /dev/null | cut -d ' ' -f 1)
status() { # PATH CURL-ARGUMENT...
    curl -sS --max-time 20 -o "$work/out" -w '%{http_code}' "${@:2}" "http://127.0.0.1:$port$1"
}
check "no page of the web" [ "$(status /admin/faults -H 'Origin: http://x')" = 403 ]
check "no name that resolves to us" [ "$(status /admin/clock -H 'Host: evil.example')" = 403 ]
check "nobody behind a proxy" [ "$(status /admin/clock -H 'X-Forwarded-For: 1.2.3.4')" = 403 ]
check "nothing else is there" [ "$(status /admin/x)" = 404 ]
check "nor in other ways" [ "$(status /admin/clock -X DELETE)" = 405 ]

# ---- the audit log ---------------------------------------------------------------------

check "ends" stop
audit=$work/audit.log
check "the log is its owner's" [ "$(stat -c %a "$audit")" = 600 ]
check "each line is whole" eval '! grep -vq "^{\"eventVersion\":.*}$" "$audit"'
check "it has who, what and where" grep -qE \
    '"accessKeyId":"AKIDTEST".*"eventName":"PutRecord","awsRegion":"us-east-1","sourceIPAddress":"127.0.0.1","userAgent":"curl/.*"requestParameters":{"streamName":"orders"}' "$audit"
check "it has what was refused" grep -q '"errorCode":"ResourceNotFoundException"' "$audit"
check "it has what was asked" grep -q '"eventName":"UpdateShardCount".*"targetShardCount":3' "$audit"
check "it has no data, keys, iterators" eval '! grep -qE "secret-|$secret_data|shardIterator\"|Signature" "$audit"'

# ---- what is off -----------------------------------------------------------------------

start --metrics off --admin off
check "no metrics" [ "$(status /metrics)" = 403 ]
check "no admin" [ "$(status /admin/faults)" = 403 ]
check "ends again" stop
if [ -n "$machine" ]; then
    start --address 0.0.0.0
    elsewhere() { # PATH
        curl -sS --max-time 20 -o "$work/out" -w '%{http_code}' "http://$machine:$port$1"
    }
    check "metrics are for this machine" [ "$(elsewhere /metrics)" = 403 ]
    check "and say how to change that" grep -q -- '--metrics on' "$work/out"
    check "admin always is" [ "$(elsewhere /admin/faults)" = 403 ]
    check "its health is for all" [ "$(elsewhere /health)" = 200 ]
    check "ends at last" stop
fi

# ---- a faster clock --------------------------------------------------------------------

start --clock-rate 3600 --streams fast
iterator fast shardId-000000000000
expires() {
    until answers 400 ExpiredIteratorException GetRecords "{\"ShardIterator\":\"$iterator\"}"; do
        kill -0 "$server" || return
    done
}
check "an iterator's five minutes are a moment" expires
check "the end" stop
