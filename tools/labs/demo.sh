#!/usr/bin/env bash
# make demo: the main job on real data, in a directory of its own that is removed afterwards.
# MILLRACE names the program. What is said to be compared has been compared.
set -euo pipefail

program=$(realpath "${MILLRACE:-$(command -v millrace)}")
data=$(dirname "$(realpath "$0")")/data
work=$(mktemp -d)
export MILLRACE_DATA=$work/data
loader=
trap '[ -z "$loader" ] || kill "$loader" 2> /dev/null; rm -rf "$work"' EXIT

bold='' green='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' green=$'\e[32m' dim=$'\e[2m' plain=$'\e[0m'
fi

millrace() {
    "$program" "$@"
}

step=0
title() {
    step=$((step + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$plain"
}

# show LINE: prints a command as one would type it, and runs it in the data's folder.
show() {
    printf '%s$ %s%s\n' "$green" "$1" "$plain"
    (cd "$data" && eval "$1") 2>&1
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%sFAILED: %s%s\n' "$bold" "$*" "$plain"
    exit 1
}

# field NAME: that member of each line of our own JSON on stdin.
field() {
    sed -E "s/.*\"$1\":\"?([^,\"}]*).*/\1/"
}

group() { # 12345 as 12,345
    sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta' <<< "$1"
}

count() { # lines of a file, grouped
    group "$(wc -l < "$1")"
}

say "${bold}millrace: durable, ordered, sharded streams in a directory$plain"
say "${dim}on 20,000 flights within the US in 2001, and a week of earthquakes in 2018$plain"

title "Six shards take the first 10,000 flights; the partition key is the origin"
show "millrace create flights --shards 6"
show "head -n 10000 flights.ndjson | millrace put flights --key-field origin"
show "millrace shards flights"

title "Which keys make a shard hot, and where do they go?"
show "millrace tail flights -F '%k\n' | sort | uniq -c | sort -rn | head -n 4"
keys=$work/keys # "COUNT KEY", the hottest first
millrace tail flights -F '%k\n' | sort | uniq -c | sort -k1,1rn -k2 > "$keys"
show "millrace where flights $(awk 'NR == 1 { print $2 }' "$keys")"

title "Split the hottest shard where its load has its middle"
millrace shards flights --json > "$work/shards.json"
shards=$work/shards # "ID BYTES", in the order of the hash space
paste -d ' ' <(field shard_id < "$work/shards.json" | sed -E 's/.*-0*([0-9])/\1/') \
    <(field record_bytes < "$work/shards.json") > "$shards"
hot=$(sort -k2,2rn "$shards" | awk 'NR == 1 { print $1 }')
# The keys of that shard with their counts, in the order of their hashes: the one that is just behind
# half of the records begins the upper shard.
mapfile -t origins < <(awk '{ print $2 }' "$keys")
millrace where flights "${origins[@]}" --json > "$work/where.json"
at=$(paste -d ' ' <(field md5 < "$work/where.json") <(field hash_key < "$work/where.json") \
    <(field shard_id < "$work/where.json") <(awk '{ print $1 }' "$keys") |
    grep "shardId-0*$hot " | sort | awk '
        { hash[NR] = $2; sum[NR] = sum[NR - 1] + $4 }
        END { for (i = 2; i < NR && sum[i - 1] * 2 < sum[NR]; i++); print hash[i] }')
say "It is shard $hot. Half of its records have hash keys below this one:"
show "millrace split flights $hot --at $at"

title "Merge the two coldest neighbours"
read -r left right < <(awk -v hot="$hot" '
    $1 != hot && last != "" && (best == "" || $2 + bytes < best) {
        best = $2 + bytes
        pair = last " " $1
    }
    { last = $1 == hot ? "" : $1; bytes = $2 }
    END { print pair }' "$shards")
show "millrace merge flights $left $right"

title "5,000 more flights, then four equal shards, then the last 5,000"
show "sed -n '10001,15000p' flights.ndjson | millrace put flights --key-field origin"
show "millrace scale flights 4"
show "sed -n '15001,20000p' flights.ndjson | millrace put flights --key-field origin"
show "millrace shards flights"
say "The hash space, and which shard held what of it after each change:"
show "millrace shards flights --history"

title "Read all back: parents before children, each key in its order"
show "millrace tail flights -n 3 -F '%t %h %k\n'"
input=$data/flights.ndjson
sed -E 's/.*"origin":"([^"]*)".*/\1/' "$input" | paste - "$input" |
    LC_ALL=C sort -s -t $'\t' -k1,1 > "$work/expected"
millrace tail flights -F '%k\t%v\n' | LC_ALL=C sort -s -t $'\t' -k1,1 > "$work/found"
cmp "$work/expected" "$work/found" || fail "what was read is not what was put"
say "Compared with the input: $(count "$work/found") records, and those of each of $(count "$keys") keys in the"
say "order in which they were put, through split, merge and scale."

title "Raw against compressed"
show "millrace describe flights"

title "SIGKILL in the middle of a load"
show "millrace create quakes --shards 8"
say "${green}\$ millrace put quakes --key-field net --json < earthquakes... & kill -9 \$!$plain"
mkfifo "$work/pipe"
: > "$work/acknowledged"
while cat "$data/earthquakes.ndjson"; do :; done > "$work/pipe" 2> /dev/null &
"$program" put quakes --key-field net --json < "$work/pipe" > "$work/acknowledged" 2> /dev/null &
loader=$!
while [ "$(wc -l < "$work/acknowledged")" -lt 50000 ]; do
    kill -0 "$loader" 2> /dev/null || fail "the load ended early"
done
kill -9 "$loader"
wait "$loader" 2> /dev/null || true
loader=
# What had come out when it died; half a line is no acknowledgement.
grep '}$' "$work/acknowledged" | field sequence_number | LC_ALL=C sort > "$work/promised"
show "millrace describe quakes"
millrace tail quakes -F '%s\n' | LC_ALL=C sort > "$work/present"
missing=$(LC_ALL=C comm -23 "$work/promised" "$work/present" | wc -l)
[ "$missing" -eq 0 ] || fail "$missing acknowledged records are lost"
more=$(LC_ALL=C comm -13 "$work/promised" "$work/present" | wc -l)
say "Compared: all $(count "$work/promised") records acknowledged before the kill are there; so are"
say "$(group "$more") that were durable before they could be acknowledged."

title "Verify every checksum of the directory"
show "millrace check"

say
say "${bold}Try next${plain}, in your own directory (~/.local/share/millrace, or --data DIR):"
say "  alias millrace=$program"
cat << 'END'
  millrace create events --shards 2
  millrace put events --key me 'hello'         one record
  millrace tail events -o json                 what is in it
  millrace put events --key-field .user.id < your.ndjson
  millrace tail events --from -15m --grep error
  millrace bench                               how fast is it on your disk?
  millrace help                                all commands
END
