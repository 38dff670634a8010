#!/usr/bin/env bash
# title: Ordering: what Kinesis keeps and a queue does not
# about: Departures from airports are put with the airport as partition key and read back. Beside it
#   the same records as an SQS standard queue may deliver them: nearly in order, some of them twice.
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

# disorder FILE: of "KEY<tab>NUMBER" lines: records before an earlier one, in all and within their keys
disorder() {
    awk -F '\t' '
        NR > 1 && $2 + 0 < most { all++ }
        $2 + 0 > most { most = $2 + 0 }
        $1 in last && $2 + 0 < last[$1] { keys++ }
        { last[$1] = $2 + 0; copies += seen[$2]++ > 0 }
        END { printf "%7d  %15d  %15d  %7d\n", NR, all, keys, copies }' "$1"
}

step "2,000 departures, numbered as they are put, on four shards"
head -n 2000 flights.ndjson | sed -E 's/.*"origin":"([^"]*)".*/\1/' | awk '{ print $1 ":" NR }' > departures
run "head -n 3 departures"
run "millrace create flights --shards 4"
run "millrace put flights -K : < departures"

step "Read shard by shard, as consumers do: each at its own pace"
for shard in 0 1 2 3; do
    millrace tail flights --shard $shard -F '%k\t%v\n'
done > stream
run "head -n 4 stream"
look "The first shard is read before the second: departure 1 may come after departure 1,900."

step "The same through a queue without order (SQS standard: at least once)"
awk -F : 'BEGIN { srand(1) } { print NR + int(rand() * 20) "\t" $1 "\t" $2
    if (rand() < 0.005) print NR + 40 "\t" $1 "\t" $2 }' departures | sort -s -n | cut -f 2,3 > queue
run "head -n 4 queue"
look "Each record is moved by up to 20 places, one in 200 comes twice: what its documentation allows."

step "Compare: how many records came behind one that was put later?"
printf '            records   out of order     within a key    twice\n'
printf '%-11s%s\n' stream "$(disorder stream)" queue "$(disorder queue)"
look "Both are out of order as a whole. The stream is in perfect order for each key; the queue broke" \
    "the order of single airports, and delivered some departures twice. (An SQS FIFO queue keeps the" \
    "order of a message group; but its messages are deleted as they are read.)"

ask "How many records of the stream are out of order within their partition key?" \
    "$(disorder stream | awk '{ print $3 }')" \
    "A key's records all go to one shard, and a shard is a sequence. Between shards there is no order:" \
    "what must stay in order needs the same key."
