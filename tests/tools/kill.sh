#!/usr/bin/env bash
# L1: what was acknowledged before a SIGKILL is there afterwards, round after round on one directory.
# A second process is told who has the directory.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

rounds=${ROUNDS:-5}
acknowledged=5000 # a round, at least
millrace create s --shards 5 2> "$work/err"
mkfifo "$work/records" "$work/acks"

none_missing() {
    [ "$(comm -23 <(sort "$work/promised") <(millrace tail s -F '%s\n' 2> "$work/err" | sort) | wc -l)" = 0 ]
}

: > "$work/promised"
for ((round = 1; round <= rounds; round++)); do
    awk 'BEGIN { for (;;) print "key" i++ % 97 ":record " i }' 2> /dev/null > "$work/records" &
    "$MILLRACE" put s -K : --json < "$work/records" > "$work/acks" 2> /dev/null &
    loader=$!
    exec 3< "$work/acks"
    mapfile -t -n $acknowledged -u 3 lines
    if [ "$round" = 1 ]; then
        check "a second process is refused" ends 1 millrace list
        check "and told who has it" says "$loader"
    fi
    kill -9 $loader
    wait $loader 2> /dev/null
    # What it had written when it died counts; half a line is no acknowledgement.
    { printf '%s\n' "${lines[@]}"; cat <&3; } | grep '}$' | member sequence_number >> "$work/promised"
    exec 3<&-
    check "round $round: recovers" ends 0 millrace status --json
    check "round $round: says so" says 'recovered after a crash'
    check "round $round: every acknowledged record is there (L1)" none_missing
    check "round $round: the directory is whole" ends 0 millrace check
done
check "records were acknowledged" [ "$(wc -l < "$work/promised")" -ge $((rounds * acknowledged)) ]
check "a key's records are in their order (L2)" eval \
    "millrace tail s --key key5 -F '%s %v\n' | sort -c"
check "and each is there once" [ "$(millrace tail s -F '%s\n' | sort | uniq -d | wc -l)" = 0 ]
