#!/usr/bin/env bash
# L2: the course lab of three records of one user. millrace reads them afterwards: $1 is what to run, $2
# the stream, if it is not the lab's own.
set -uo pipefail

stream=${2:-DemoStream} binary=()

same() { # NAME WANTED GOT
    if [ "$2" = "$3" ]; then echo "ok - lab, $stream: $1"; else
        printf 'not ok - lab, %s: %s\n    wanted: %s\n    got: %s\n' "$stream" "$1" "$2" "$3"
    fi
}

if [ "${1:-}" = put ]; then
    [[ $(aws --version) = aws-cli/1* ]] || binary=(--cli-binary-format raw-in-base64-out)
    aws kinesis create-stream --stream-name "$stream" --shard-count 1
    aws kinesis wait stream-exists --stream-name "$stream"
    for text in 'user signup' 'user login' 'user logout'; do
        aws kinesis put-record --stream-name "$stream" --partition-key user1 --data "$text" \
            "${binary[@]}" > /dev/null
    done
    same "one shard" shardId-000000000000 "$(aws kinesis describe-stream --stream-name "$stream" \
        --query 'StreamDescription.Shards[].ShardId' --output text)"
    iterator=$(aws kinesis get-shard-iterator --stream-name "$stream" --shard-id shardId-000000000000 \
        --shard-iterator-type TRIM_HORIZON --query ShardIterator --output text)
    same "records in order, decoded by hand" 'user signup,user login,user logout,' \
        "$(aws kinesis get-records --shard-iterator "$iterator" --query 'Records[].[Data]' --output text |
            while read -r data; do base64 -d <<< "$data" && printf ,; done)"
else # the server has ended: its directory is ours
    same "millrace tail prints them decoded" 'user signup,user login,user logout,' \
        "$(env -u AWS_ENDPOINT_URL "$MILLRACE" tail "$stream" -F '%v,')"
fi
