#!/usr/bin/env bash
# What takes a day on AWS, within a minute: retention, an iterator's five minutes, the daily limits, by
# setting the clock ahead; and the AWS CLI's own retry with backoff against faults. AWS_ENDPOINT_URL says
# where millrace serves, with limits.
set -uo pipefail
stream=lab-time-$1 admin=$AWS_ENDPOINT_URL/admin

check() { # NAME COMMAND...
    if "${@:2}"; then echo "ok - $stream: $1"; else echo "not ok - $stream: $1"; fi
}
k() { aws kinesis "$@" 2>&1; }
ahead() { curl -sS "$admin/clock" -d "+$1" > /dev/null; }
faults() { printf '%s\n' "$@" | curl -sS "$admin/faults" --data-binary @- > /dev/null; }
iterator() {
    k get-shard-iterator --stream-name "$stream" --shard-id shardId-000000000000 \
        --shard-iterator-type TRIM_HORIZON --query ShardIterator --output text
}
has() { # TEXT COMMAND...
    local said
    said=$("${@:2}") || :
    [[ $said = *"$1"* ]] || { echo "$said" && return 1; }
}

k create-stream --stream-name "$stream" --shard-count 1
k wait stream-exists --stream-name "$stream"

# ---- retention -------------------------------------------------------------------------
k put-record --stream-name "$stream" --partition-key k --data first > /dev/null
ahead 23h
k put-record --stream-name "$stream" --partition-key k --data second > /dev/null
check "after 23 hours a record is there" has '"Records": [' k get-records --shard-iterator "$(iterator)"
count() { k get-records --shard-iterator "$(iterator)" --query 'length(Records)' --output text; }
check "both are" has 2 count
ahead 2h
check "after 25 only the younger one" has 1 count

# ---- iterators -------------------------------------------------------------------------
old=$(iterator)
ahead 280s
check "an iterator is good for 280 seconds, and the time this takes" has '"Records": [' k get-records --shard-iterator "$old"
ahead 30s
check "and not for 310" has ExpiredIteratorException k get-records --shard-iterator "$old"

# ---- daily limits ----------------------------------------------------------------------
mode() { k update-stream-mode --stream-arn "$arn" --stream-mode-details StreamMode="$1"; }
arn=$(k describe-stream-summary --stream-name "$stream" --query StreamDescriptionSummary.StreamARN --output text)
mode ON_DEMAND
k wait stream-exists --stream-name "$stream"
mode PROVISIONED
k wait stream-exists --stream-name "$stream"
check "a third change of mode in a day is refused" has LimitExceededException mode ON_DEMAND
ahead 24h
check "a day later it is not" mode ON_DEMAND
k wait stream-exists --stream-name "$stream"

# ---- retries ---------------------------------------------------------------------------
put() { AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=$1 k put-record --stream-name "$stream" --partition-key k --data x; }
hits() { curl -sS "$admin/faults" | sed -E 's/.*"hit":([0-9]+).*/\1/'; }
faults 'operation=PutRecord,count=2,error=ProvisionedThroughputExceededException'
check "two refusals in three attempts are nobody's business" has SequenceNumber put 3
check "it was refused twice" has 2 hits
faults 'operation=PutRecord,error=ProvisionedThroughputExceededException'
check "three are" has 'reached max retries: 2' put 3
check "it tried three times" has 3 hits
faults 'operation=PutRecord,count=1,error=InternalFailure'
check "an error of the server is tried again" has SequenceNumber put 3
faults 'operation=PutRecord,count=1,disconnect=after'
check "so is a connection that was cut" has SequenceNumber put 3
check "... and what was done already is done twice" has '"Records": [' k get-records --shard-iterator "$(iterator)"
faults 'operation=PutRecord,error=ValidationException'
check "a mistake of the caller's is not" has ValidationException put 3
check "it tried once" has 1 hits
curl -sS -X DELETE "$admin/faults"
