#!/usr/bin/env bash
# millrace serve, as any client sees it: every operation over HTTP/1.1, HTTP/2 and TLS; what it refuses
# and in which words; a polite end; and after a SIGKILL every acknowledged record.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh
# shellcheck source=tests/support/serving.sh
. tests/support/serving.sh
mkfifo "$work/stream"

# say WHAT BODY CURL-ARGUMENT...: asks as a client does; the status to $work/status, the answer to
# $work/out
say() {
    : > "$work/out" # curl leaves it alone when nothing is answered
    curl -sS -k --max-time 20 -o "$work/out" -w '%{http_code}' -d "$2" \
        -H 'Content-Type: application/x-amz-json-1.1' -H 'X-Amz-Date: 20261122T100000Z' \
        -H 'Authorization: AWS4-HMAC-SHA256 Credential=K/20261122/eu-west-3/kinesis/aws4_request, SignedHeaders=host, Signature=0' \
        -H "X-Amz-Target: Kinesis_20131202.$1" "${@:3}" > "$work/status" 2> "$work/err"
}

# answers STATUS TEXT WHAT BODY CURL-ARGUMENT...
answers() {
    say "${@:3}" "http://127.0.0.1:$port/"
    [ "$(cat "$work/status")" = "$1" ] && { [ -z "$2" ] || grep -qF -- "$2" "$work/out"; }
}

# ---- every operation -------------------------------------------------------------------

# does TEXT WHAT BODY: over $url, with $how
does() {
    local text=$1
    shift
    say "$@" "${how[@]}" "$url"
    [ "$(cat "$work/status")" = 200 ] && grep -q -- "$text" "$work/out"
}

# silent WHAT BODY: the same, and nothing is answered
silent() {
    say "$@" "${how[@]}" "$url"
    [ "$(cat "$work/status")" = 200 ] && [ ! -s "$work/out" ]
}

hears_of_the_record() {
    local listener

    curl -sSN -k "${how[@]}" "$url" -H 'Content-Type: application/x-amz-json-1.1' \
        -H 'X-Amz-Target: Kinesis_20131202.SubscribeToShard' -H 'X-Amz-Date: 20261122T100000Z' \
        -H 'Authorization: AWS4-HMAC-SHA256 Credential=K/20261122/eu-west-3/kinesis/aws4_request, SignedHeaders=host, Signature=0' \
        -d "{\"ConsumerARN\":\"$consumer\",\"ShardId\":\"shardId-000000000000\",\"StartingPosition\":{\"Type\":\"TRIM_HORIZON\"}}" \
        > "$work/stream" 2> "$work/err" &
    listener=$!
    head -c 500 "$work/stream" > "$work/events"
    kill $listener
    wait $listener 2> /dev/null
    grep -qa initial-response "$work/events" && grep -qa dGVzdGRhdGE= "$work/events"
}

every_operation() { # NAME
    local s="\"StreamName\":\"$1\"" arn="arn:aws:kinesis:eu-west-3:000000000000:stream/$1"
    local a="\"StreamARN\":\"$arn\"" r="\"ResourceARN\":\"$arn\"" iterator consumer

    check "$1: CreateStream" silent CreateStream "{$s,\"ShardCount\":2}"
    check "$1: DescribeStream" does '"EndingHashKey":"170141183460469231731687303715884105727"' \
        DescribeStream "{$s}"
    check "$1: DescribeStreamSummary" does '"OpenShardCount":2' DescribeStreamSummary "{$a}"
    check "$1: ListStreams" does "\"$1\"" ListStreams '{}'
    check "$1: ListShards" does '"ShardId":"shardId-000000000001"' ListShards "{$s}"
    check "$1: PutRecord" does '"ShardId":"shardId-000000000000"' \
        PutRecord "{$s,\"PartitionKey\":\"123\",\"Data\":\"dGVzdGRhdGE=\"}"
    check "$1: PutRecords" does '"FailedRecordCount":0' PutRecords \
        "{$s,\"Records\":[{\"PartitionKey\":\"123\",\"Data\":\"\"},{\"PartitionKey\":\"a\",\"Data\":\"AA==\"}]}"
    check "$1: GetShardIterator" does ShardIterator GetShardIterator \
        "{$s,\"ShardId\":\"shardId-000000000000\",\"ShardIteratorType\":\"TRIM_HORIZON\"}"
    iterator=$(member ShardIterator < "$work/out")
    check "$1: GetRecords" does '"Data":"dGVzdGRhdGE=",.*"PartitionKey":"123"' GetRecords \
        "{\"ShardIterator\":\"$iterator\"}"
    check "$1: GetRecords, quotes around the iterator" does '"NextShardIterator"' GetRecords \
        "{\"ShardIterator\":\"\\\"$iterator\\\"\"}"
    check "$1: RegisterStreamConsumer" does CREATING RegisterStreamConsumer \
        "{$a,\"ConsumerName\":\"c\"}"
    consumer=$(member ConsumerARN < "$work/out")
    check "$1: DescribeStreamConsumer" does '"ConsumerName":"c"' DescribeStreamConsumer \
        "{\"ConsumerARN\":\"$consumer\"}"
    check "$1: ListStreamConsumers" does '"ConsumerName":"c"' ListStreamConsumers "{$a}"
    check "$1: SubscribeToShard" hears_of_the_record
    check "$1: DeregisterStreamConsumer" silent DeregisterStreamConsumer \
        "{\"ConsumerARN\":\"$consumer\"}"
    check "$1: AddTagsToStream" silent AddTagsToStream "{$s,\"Tags\":{\"team\":\"red\"}}"
    check "$1: ListTagsForStream" does '"Value":"red"' ListTagsForStream "{$s}"
    check "$1: RemoveTagsFromStream" silent RemoveTagsFromStream "{$s,\"TagKeys\":[\"team\"]}"
    check "$1: TagResource" silent TagResource "{$r,\"Tags\":{\"team\":\"blue\"}}"
    check "$1: ListTagsForResource" does '"Value":"blue"' ListTagsForResource "{$r}"
    check "$1: UntagResource" silent UntagResource "{$r,\"TagKeys\":[\"team\"]}"
    check "$1: IncreaseStreamRetentionPeriod" silent IncreaseStreamRetentionPeriod \
        "{$s,\"RetentionPeriodHours\":48}"
    check "$1: DecreaseStreamRetentionPeriod" silent DecreaseStreamRetentionPeriod \
        "{$s,\"RetentionPeriodHours\":24}"
    check "$1: EnableEnhancedMonitoring" does '"DesiredShardLevelMetrics":\["IncomingBytes"\]' \
        EnableEnhancedMonitoring "{$s,\"ShardLevelMetrics\":[\"IncomingBytes\"]}"
    check "$1: DisableEnhancedMonitoring" does '"DesiredShardLevelMetrics":\[\]' \
        DisableEnhancedMonitoring "{$s,\"ShardLevelMetrics\":[\"ALL\"]}"
    check "$1: StartStreamEncryption" silent StartStreamEncryption \
        "{$s,\"EncryptionType\":\"KMS\",\"KeyId\":\"alias/aws/kinesis\"}"
    check "$1: StopStreamEncryption" silent StopStreamEncryption \
        "{$s,\"EncryptionType\":\"KMS\",\"KeyId\":\"alias/aws/kinesis\"}"
    check "$1: PutResourcePolicy" silent PutResourcePolicy \
        "{$r,\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[]}\"}"
    check "$1: GetResourcePolicy" does 2012-10-17 GetResourcePolicy "{$r}"
    check "$1: DeleteResourcePolicy" silent DeleteResourcePolicy "{$r}"
    check "$1: SplitShard" silent SplitShard \
        "{$s,\"ShardToSplit\":\"shardId-000000000000\",\"NewStartingHashKey\":\"85070591730234615865843651857942052864\"}"
    check "$1: MergeShards" silent MergeShards \
        "{$s,\"ShardToMerge\":\"shardId-000000000002\",\"AdjacentShardToMerge\":\"shardId-000000000003\"}"
    check "$1: UpdateShardCount" does '"TargetShardCount":4' UpdateShardCount \
        "{$s,\"TargetShardCount\":4,\"ScalingType\":\"UNIFORM_SCALING\"}"
    check "$1: UpdateMaxRecordSize" silent UpdateMaxRecordSize "{$a,\"MaxRecordSizeInKiB\":2048}"
    check "$1: UpdateStreamMode" silent UpdateStreamMode \
        "{$a,\"StreamModeDetails\":{\"StreamMode\":\"ON_DEMAND\"}}"
    check "$1: UpdateStreamRecordDistributionStrategy" silent \
        UpdateStreamRecordDistributionStrategy "{$a,\"RecordDistributionStrategy\":\"AUTO\"}"
    check "$1: DescribeLimits" does '"ShardLimit":20000' DescribeLimits '{}'
    check "$1: DescribeAccountSettings" does MinimumThroughputBillingCommitment \
        DescribeAccountSettings '{}'
    check "$1: ListChannels is refused plainly" answers 400 Exception ListChannels '{}'
    check "$1: DeleteStream" silent DeleteStream "{$s}"
}

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 \
    -subj /CN=localhost 2> "$work/err"
start --limits off --state-delay 0 --tls-cert "$work/cert.pem" --tls-key "$work/key.pem"
check "says where it listens" grep -q "https://127.0.0.1:$port (http, too)" "$work/err.serve"
check "and what to try" grep -q "export AWS_ENDPOINT_URL=https://127.0.0.1:$port" "$work/err.serve"
url=http://127.0.0.1:$port/ how=(--http1.1)
every_operation http1
how=(--http2-prior-knowledge)
every_operation http2
url=https://127.0.0.1:$port/ how=(--http1.1)
every_operation tls-http1
how=(--http2)
every_operation tls-http2

# ---- what it refuses -------------------------------------------------------------------

anonymous() { # METHOD CURL-ARGUMENT...
    curl -sS --max-time 20 -i -o "$work/out" -X "$1" "${@:2}" "http://127.0.0.1:$port/"
}

json='Content-Type: application/x-amz-json-1.1' list='X-Amz-Target: Kinesis_20131202.ListStreams'
check "no stream" answers 400 \
    '{"__type":"ResourceNotFoundException","message":"Stream none under account 000000000000 not found."}' \
    DescribeStream '{"StreamName":"none"}'
check "a bad name" answers 400 '1 validation error detected: Value' DescribeStream \
    '{"StreamName":"no!"}'
check "a wrong type" answers 400 \
    '"Message":"class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"' \
    DescribeStream '{"StreamName":1}'
check "no JSON" answers 400 '{"__type":"SerializationException"}' DescribeStream '{'
check "nothing" answers 400 '{"__type":"SerializationException"}' DescribeStream ''
check "no such operation" answers 400 '{"__type":"UnknownOperationException"}' Dance '{}'
check "no signature" eval "anonymous POST -d '{}' -H '$json' -H '$list' &&
    grep -q '\"MissingAuthenticationTokenException\",\"message\":\"Missing Authentication Token\"' '$work/out'"
check "half a signature" eval "anonymous POST -d '{}' -H '$json' -H '$list' -H 'Authorization: A B' &&
    grep -q \"requires 'Credential' parameter. Authorization header requires 'Signature'\" '$work/out'"
check "CBOR is answered in CBOR" eval "anonymous POST -d '{}' -H '$list' \
    -H 'Content-Type: application/x-amz-cbor-1.1' && grep -qai '^content-type: application/x-amz-cbor-1.1' '$work/out'"
check "a page" eval "anonymous GET && grep -q '<AccessDeniedException>' '$work/out'"
check "a browser may ask" eval "anonymous OPTIONS -H 'Origin: http://x' \
    -H 'Access-Control-Request-Headers: x-amz-target' &&
    grep -qi '^access-control-allow-headers: x-amz-target' '$work/out'"
check "health" [ "$(curl -sS "http://127.0.0.1:$port/health")" = '{"status":"ok"}' ]
# Bytes as they are: HEAD-AND-BODY; the answer to $work/out
bytes() {
    { exec 9<> "/dev/tcp/127.0.0.1/$port" && printf '%b' "$1" >&9 && timeout 20 cat <&9 > "$work/out"
        exec 9>&-; } 2> "$work/err"
}

# refused KIND STATUS BYTES: and the server says so in one line
refused() {
    bytes "$3" && head -n 1 "$work/out" | grep -q " $2 " &&
        [ "$(grep -c "kind=$1 " "$work/err.serve")" = 1 ]
}

deep=$(printf '[%.0s' {1..5000})
check "two lengths" refused LENGTH_TWICE 400 \
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'
check "a length and chunks" refused LENGTH_AND_CODING 400 \
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
check "a body over 16 MiB" refused BODY_BYTES 413 \
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16777217\r\n\r\n'
check "absurd nesting" answers 400 '{"__type":"SerializationException"}' PutRecords "{\"Records\":$deep"
check "a member twice" answers 400 '{"__type":"SerializationException"}' DescribeStream \
    '{"StreamName":"a","StreamName":"b"}'
check "no UTF-8" answers 400 '{"__type":"SerializationException"}' DescribeStream \
    "$(printf '{"StreamName":"\377"}')"
check "a number out of range" answers 400 'failed to satisfy constraint' ListStreams '{"Limit":1e99}'
check "after all that it serves" answers 200 StreamNames ListStreams '{}'
check "an end when asked for" stop
check "a certificate needs a key" ends 2 millrace serve --tls-cert "$work/cert.pem"
check "a port is a number below 65536" ends 2 millrace serve --port 65536

# ---- limits ----------------------------------------------------------------------------

start --state-delay 0
check "a stream with limits" answers 200 '' CreateStream '{"StreamName":"l","ShardCount":1}'
head -c 1000000 /dev/zero | base64 -w 0 > "$work/zeros"
{ printf '{"StreamName":"l","PartitionKey":"k","Data":"' && cat "$work/zeros" && printf '"}'; } > "$work/big"
check "1 MB in a second" answers 200 SequenceNumber PutRecord "@$work/big"
check "but not 2 MB" answers 400 \
    'ProvisionedThroughputExceededException' PutRecord "@$work/big"
check "stops again" stop

# ---- SIGKILL ---------------------------------------------------------------------------

acknowledged=3000
sequence_numbers() {
    grep -oE '"SequenceNumber":"[0-9]+"' | grep -oE '[0-9]+'
}

all_there() {
    [ -z "$(comm -23 "$work/promised" <(sort "$work/got"))" ]
}

mkfifo "$work/acks"
start --limits off --state-delay 0
check "a stream to be killed" answers 200 '' CreateStream '{"StreamName":"k","ShardCount":1}'
curl -sS -Z --parallel-immediate -w '\n' -d '{"StreamName":"k","PartitionKey":"k","Data":"eA=="}' \
    -H "$json" -H 'X-Amz-Target: Kinesis_20131202.PutRecord' -H 'X-Amz-Date: 20261122T100000Z' \
    -H 'Authorization: A Credential=K/20261122/eu-west-3/kinesis/aws4_request, SignedHeaders=host, Signature=0' \
    "http://127.0.0.1:$port/?[1-9000]" > "$work/acks" 2> "$work/err" &
loader=$!
exec 3< "$work/acks"
mapfile -t -n $acknowledged -u 3 lines
kill -9 "$server"
wait "$server" 2> /dev/null
# What it had written when it died counts; half an answer is no acknowledgement.
{ printf '%s\n' "${lines[@]}" && cat <&3; } | sequence_numbers | sort > "$work/promised"
exec 3<&-
kill $loader 2> /dev/null
wait $loader 2> /dev/null
start --limits off --state-delay 0
check "starts again after a SIGKILL" grep -q 'recovered after a crash' "$work/err.serve"
answers 200 '' GetShardIterator \
    '{"StreamName":"k","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}'
iterator=$(member ShardIterator < "$work/out")
check "and reads" answers 200 '"Records":[{' GetRecords "{\"ShardIterator\":\"$iterator\"}"
sequence_numbers < "$work/out" > "$work/got"
check "records were acknowledged" [ "$(wc -l < "$work/promised")" -ge $acknowledged ]
check "every one of them is there (L1)" all_there
check "in order (L2)" sort -c "$work/got"
check "each once" [ -z "$(uniq -d "$work/got")" ]
check "stops for the last time" stop
