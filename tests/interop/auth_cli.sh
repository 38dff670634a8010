#!/usr/bin/env bash
# The AWS CLI against serve --auth: right keys, wrong ones, policies; argument: a name. AWS_ENDPOINT_URL says
# where.
set -uo pipefail
name=$1 stream=test-$1

# try TEXT ID SECRET ARGUMENT...: one call, whose answer or refusal has the text
try() {
    local text=$1 said
    said=$(AWS_ACCESS_KEY_ID=$2 AWS_SECRET_ACCESS_KEY=$3 AWS_MAX_ATTEMPTS=1 aws kinesis "${@:4}" 2>&1)
    if [[ $said = *"$text"* && (-n $text || -z $said) ]]; then
        echo "ok - $name: $4: ${text:-done}"
    else
        echo "not ok - $name: $4: no '$text' in '$said'"
    fi
}

put=(put-record --stream-name "$stream" --data text --partition-key k)
try '' AKIDROOT root-secret create-stream --stream-name "$stream" --shard-count 1
try SequenceNumber AKIDALICE alice-secret "${put[@]}"
try AccessDeniedException AKIDALICE alice-secret delete-stream --stream-name "$stream"
try InvalidSignatureException AKIDALICE x "${put[@]}"
try UnrecognizedClientException AKIDX x "${put[@]}"
