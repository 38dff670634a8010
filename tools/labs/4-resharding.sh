#!/usr/bin/env bash
# title: Split and merge
# about: A shard is full: split it. Two are idle: merge them. No record moves; the old shards are
#   closed, stay readable until retention forgets them, and say what became of them.
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

step "Two shards take 5,000 flights, by origin"
run "millrace create flights --shards 2"
run "head -n 5000 flights.ndjson | millrace put flights --key-field origin -q"
run "millrace shards flights"

step "Split shard 0 in the middle of its range"
run "millrace split flights 0"
look "Two new shards; shard 0 is closed. What is put from now on goes to its children."

step "5,000 more, then merge the cold half with its neighbour"
run "sed -n '5001,10000p' flights.ndjson |
    millrace put flights --key-field origin -q"
run "millrace merge flights 1 3"
run "millrace shards flights"
look "LINEAGE tells what each shard was made of → what it became."

step "The hash space, after each change"
run "millrace shards flights --history"

step "Is every flight still there, and each airport's in order?"
millrace tail flights -F '%k\t%v\n' | LC_ALL=C sort -s -t $'\t' -k 1,1 > found
head -n 10000 flights.ndjson | sed -E 's/.*"origin":"([^"]*)".*/\1\t&/' | LC_ALL=C sort -s -t $'\t' -k 1,1 > put
run "cmp put found && echo 'all 10,000, and in order for each key'"
look "A reader takes a child only when it has read its parents to the end: that keeps the order."

open=$(millrace shards flights --open --json | wc -l)
ask "How many shards are open now?" "$open" \
    "A split makes 1 into 2, a merge 2 into 1. You pay for open shards; closed ones only keep records."
