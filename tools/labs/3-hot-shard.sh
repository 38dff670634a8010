#!/usr/bin/env bash
# title: The hot shard: ten service names over fifteen shards
# about: Ten services log into a stream with fifteen shards, each under its name. There is capacity for
#   15,000 records a second, they send 6,000 - and are throttled. An exam question; here it happens.
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

step "Fifteen shards take 15,000 records a second - do they?"
run "millrace create logs --shards 15"
run "millrace gen logs --keys 10 --key 'service-{{key}}' --rate 6000 \\
    --duration 2s --limits -q --json > sent.json"
say "put:       $(field generated_count < sent.json), in two seconds" "stored:    $(field stored_count < sent.json)" \
    "throttled: $(field rejected_count < sent.json)"
look "6,000 a second is well below 15,000. Yet records were refused."

step "Where did they go?"
run "millrace shards logs"
look "Look at LOAD: which shards took anything at all?"

step "Why?"
run "millrace where logs service-{0..9} | grep 'is in' | sort -k 4"
look "Ten keys are ten points on the hash ring. Some fall into the same shard, many shards get none." \
    "For ten keys at random over fifteen shards one expects 15 * (1 - (14/15)^10) = 7.5 used shards."

step "A key with more values: the same load, the service and one of 100 instances"
run "millrace create better --shards 15"
run "millrace gen better --keys 1000 --key 'service-{{key}}' --rate 6000 \\
    --duration 1s --limits -q --json > better.json"
say "put:       $(field generated_count < better.json), in one second" "throttled: $(field rejected_count < better.json)"

used=$(millrace shards logs --json | field record_count | awk '$1 > 0' | wc -l)
ask "How many of the fifteen shards did the ten service names use?" "$used" \
    "More shards would not have helped: a key never leaves its shard. More keys do." \
    "Order is then kept for each instance, no longer for each service: that is the price."
