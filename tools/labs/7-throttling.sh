#!/usr/bin/env bash
# title: Throttling and exponential backoff
# about: A shard takes 1,000 records or 1 MiB a second. What comes above is refused, each record by
#   itself. Trying again at once makes it worse; pauses that double, with some chance in them, do not.
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

figures() { # FILE
    say "put $(field generated_count < "$1"), stored $(field stored_count < "$1"), lost $(field rejected_count < "$1"), refused $(field throttled_count < "$1") times, took $(field seconds < "$1") s"
}

step "2,500 records in one second for one shard"
run "millrace create orders"
run "millrace gen orders --rate 2500 --duration 1s --limits -q --json > once.json"
figures once.json
look "A shard begins with what it did not use in the second before, so about 2 seconds' worth got in." \
    "The rest is lost: PutRecords answered 200, and each refused record had its own error code."

step "The same, and refused records are tried again: after 0.1 s, 0.2 s, 0.4 s, ..."
run "millrace create again"
run "millrace gen again --rate 2500 --duration 1s --limits --retries 10 -q --json \\
    > retried.json"
figures retried.json
look "All are stored. It took longer: nobody gets more than 1,000 a second out of a shard." \
    "Each pause is random between half and all of its length, so that they do not all come at once." \
    "The order of the key is gone: a record that is tried again comes behind later ones."

step "More load than it can take, for good"
run "millrace create flood"
run "millrace gen flood --rate 4000 --duration 2s --limits --retries 2 -q --json \\
    > flood.json"
figures flood.json
look "Backoff bridges bursts. When the mean is above the limit, only more shards or fewer records help."

step "The same load on four shards"
run "millrace create wide --shards 4"
run "millrace gen wide --rate 4000 --duration 2s --limits --retries 4 -q --json \\
    > wide.json"
figures wide.json

ask "How many records a second does one shard take in the long run?" 1000 \
    "And 1 MiB a second, whatever comes first: of records over 1 KiB the bytes decide."
