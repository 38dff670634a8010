#!/usr/bin/env bash
# title: Shared reads against enhanced fan-out
# about: A shard gives 5 calls and 2 MiB a second to all that poll it together; a registered consumer
#   (enhanced fan-out) gets 2 MiB a second of its own, pushed to it. Measured with real readers.
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

step "One shard, 50 records a second; 1, 2 and 5 readers, a while each"
say "Shared readers poll every 200 ms, five times a second each. Fan-out is pushed."
run "millrace lab readers"
look "One reader may poll as often as that. Two share the five calls, so that in the long run half of" \
    "them are refused (ProvisionedThroughputExceededException); of five readers four fifths." \
    "With fan-out each reader gets all, at once."

step "What it costs (us-east-1, provisioned, November 2026)"
say "  fan-out: 0.015 USD an hour for a consumer and shard, 0.013 USD for a GB read" \
    "  five consumers on ten shards: 5 * 10 * 0.015 * 730 h = 547 USD a month" \
    "  the ten shards themselves:        10 * 0.015 * 730 h = 109 USD a month"
look "So: a second reader that can wait a second is free; five that cannot are not."

ask "How many consumers can poll one shard once a second each without being refused?" 5 \
    "Five calls a second are shared by all. (KCL polls once a second.) They also share 2 MiB a second:" \
    "at a full shard's 1 MiB/s in, only two of them can keep up."
