#!/usr/bin/env bash
# L1: the AWS documentation's lab of basic stream operations, as it is printed there.
set -uo pipefail

say() { # NAME CONDITION...
    if "${@:2}"; then echo "ok - lab, CLI: $1"; else
        echo "not ok - lab, CLI: $1"
        printf '%s\n' "${out:-}" | head -n 20
    fi
}

has() { grep -qF -- "$1" <<< "$out"; }

aws kinesis create-stream --stream-name Foo
out=$(aws kinesis describe-stream-summary --stream-name Foo)
say "the stream is CREATING" has '"StreamStatus": "CREATING"'
say "on demand" has '"StreamMode": "ON_DEMAND"'
while out=$(aws kinesis describe-stream-summary --stream-name Foo) && has CREATING; do :; done
say "then ACTIVE, with four shards" has '"OpenShardCount": 4'
out=$(aws kinesis list-streams)
say "it is listed" has '"Foo"'
out=$(aws kinesis put-record --stream-name Foo --partition-key 123 --data testdata)
say "a record is put" has '"SequenceNumber": "4'
shard=$(sed -nE 's/.*"ShardId": "(.*)".*/\1/p' <<< "$out")
# The iterator stays in its JSON quotes.
iterator=$(aws kinesis get-shard-iterator --shard-id "$shard" --shard-iterator-type TRIM_HORIZON \
    --stream-name Foo | sed -nE 's/.*"ShardIterator": (.*)/\1/p')
out=$(aws kinesis get-records --shard-iterator "$iterator")
# Version 2 takes --data as base64, and the lab's word happens to be some.
case $(aws --version) in aws-cli/1*) data=dGVzdGRhdGE= ;; *) data=testdata ;; esac
say "and read with an iterator in quotes" has "\"Data\": \"$data\""
say "with its key" has '"PartitionKey": "123"'
iterator=$(sed -nE 's/.*"NextShardIterator": "([^"]*)".*/\1/p' <<< "$out")
out=$(aws kinesis get-records --shard-iterator "$iterator")
say "then an empty page" has '"Records": []'
aws kinesis delete-stream --stream-name Foo
out=$(aws kinesis describe-stream-summary --stream-name Foo 2>&1)
say "DELETING" has DELETING
while out=$(aws kinesis describe-stream-summary --stream-name Foo 2>&1); do :; done
say "then gone" has 'Stream Foo under account 000000000000 not found'
