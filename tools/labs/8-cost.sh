#!/usr/bin/env bash
# title: The cost of a design
# about: A fleet sends flights by origin. How many shards does that need, what is throttled, what does
#   it cost a month, provisioned or on demand? First by hand, then from the records themselves.
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

step "20,000 real flights, by origin"
run "millrace create flights --shards 2"
run "millrace replay flights.ndjson flights --key-field origin --speed max -q"
run "millrace shards flights"

step "By hand: a design for 3,000 records of 600 bytes a second"
say "  by records: 3,000 / 1,000 a shard             = 3 shards" \
    "  by bytes:   3,000 * 600 B = 1.8 MB / 1.05 MB  = 1.7, so 2 shards" \
    "  needed: the larger of both, if the keys spread evenly"
look "Provisioned (us-east-1, November 2026): 0.015 USD an hour a shard, 0.014 USD for a million PUT" \
    "payload units of 25 KB. On demand: 0.04 USD an hour a stream, 0.08 USD for each GB in, with each" \
    "record as whole KB, and 0.04 for each GB out."

step "A month of 730 hours"
awk 'BEGIN {
    records = 3000 * 3600 * 730; gib = 1024 * 1024 * 1024
    in_gb = records * 1024 / gib; out_gb = records * 600 / gib
    printf "  provisioned: 3 shards %6.2f + puts %8.2f            = %8.2f USD\n", 3 * 0.015 * 730,
        records / 1e6 * 0.014, 3 * 0.015 * 730 + records / 1e6 * 0.014
    printf "  on demand:   stream  %7.2f + in %10.2f + out %5.2f = %8.2f USD\n", 0.04 * 730, in_gb * 0.08,
        out_gb * 0.04, 0.04 * 730 + in_gb * 0.08 + out_gb * 0.04
    printf "  aggregated, 40 records in a unit of 25 KB: puts %.2f instead of %.2f USD\n",
        records / 40 / 1e6 * 0.014, records / 1e6 * 0.014
}'
look "At a steady load the puts cost more than the shards: aggregate (on demand saves most by it: a" \
    "record of 600 bytes is paid as 1,024). On demand pays for peaks."

step "From the records: do the keys spread?"
run "millrace tail flights -F '%k\n' | sort | uniq -c | sort -rn | head -n 3"
look "The busiest airport alone has a share of all: with N shards its shard gets at least that share." \
    "A key's share times the load must stay below one shard, or it is throttled however many you buy."

step "Or ask: the same traffic a million times as fast, for two choices of the key"
run "millrace keys flights.ndjson --speed 1000000x -k origin \\
    -k origin+destination 2> talk | sed '/^Throttled/,\$d'"
look "The verdict comes first. millrace keys FILE --html PAGE draws it; --advise says where to split."

top=$(millrace tail flights -F '%k\n' | sort | uniq -c | sort -rn | awk 'NR == 1 { print $1 }')
limit=$((20000 * 1000 / top))
ask "The busiest airport has $top of 20,000 records. At which total of records a second does it alone reach 1,000?" "$limit" \
    "1,000 / ($top / 20,000). Beyond that, no number of shards helps: the key has to be split."
