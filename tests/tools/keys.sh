#!/usr/bin/env bash
# `millrace keys`: the verdict, exit codes, bad input, and a stream that is resharded as it advises.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

flights=tools/labs/data/flights.ndjson

first_is() { # TEXT: the verdict begins so
    sed '1,/^$/d; q' "$work/out" | grep -qF -- "$1"
}

field() { # PATH VALUE: of the JSON on stdout
    grep -qF -- "\"$1\":$2" "$work/out"
}

fits() { # what was printed: 80 columns
    ! LC_ALL=C.UTF-8 grep -qE '.{81}' "$work/out"
}

check "compares keys" ends 0 millrace keys $flights -k origin -k destination -k origin+destination
check "says first what to do" first_is "Take origin with 1 shard"
check "in 80 columns" fits
check "four keys, one of them salted" ends 0 \
    millrace keys $flights -k origin -k destination -k origin+destination -k 'origin#rand(8)' --speed 1000000x
check "in 80 columns, too" fits
check "names long keys" ends 0 millrace keys tools/labs/data/earthquakes.ndjson -k place -k net
check "below each other" fits
check "keeps a budget" ends 0 millrace keys $flights -k origin --max-throttled 0.1%
check "exits 3 when no number of shards keeps it" ends 3 \
    millrace keys $flights -k origin --speed 100000000x --max-throttled 0.1%
check "says that none does" first_is "No key here keeps the budget"
check "names the hot key and the salt" grep -q "no number of *shards helps" <(tr '\n' ' ' < "$work/out")
check "prints JSON" ends 0 millrace keys $flights -k origin --json
check "counts lines" field lines 20000
check "has 220 origins" field keys 220
check "the page is one file" ends 0 millrace keys $flights -k origin --html "$work/keys.html"
check "the page has its data" grep -q '"best":"origin"' "$work/keys.html"
check "a page that cannot be written" ends 1 millrace keys $flights -k origin --html "$work/no/keys.html"

printf '%s\n' '{"time":2,"u":{"id":"a"}}' 'x' '' '{"time":2}' '{"time":1,"u":{"id":"b"}}' > "$work/mixed"
check "goes on behind bad lines" ends 0 millrace keys "$work/mixed" -k u.id
check "names their numbers" says "line 2"
check "totals add up" says "5 lines read = 2 looked at + 2 rejected + 1 skipped"
check "counts times that go backwards" says "earlier time"
check "--strict stops at the first" ends 1 millrace keys "$work/mixed" -k u.id --strict
check "and names it" says "line 2"
printf '%s\n' '{"u":"a"}' '{"u":"b"}' > "$work/timeless"
check "asks for times" ends 1 millrace keys "$work/timeless" -k u
check "says how to go on" says "--rate"
check "takes a rate instead" ends 0 millrace keys "$work/timeless" -k u --rate 10
check "reads a pipe" ends 0 millrace keys - -k origin < $flights
check "reads gzip" ends 0 millrace keys - -k origin < <(gzip -c $flights)
check "gzip cut short: what came before counts" ends 0 \
    millrace keys - -k origin < <(gzip -c $flights | head -c 100000)
check "and it is said" says "cut short"
check "an expression that is none" ends 2 millrace keys $flights -k 'origin#rand(x)'
check "a stream that is none" ends 4 millrace keys nothing

# A stream with one shard, of which two hot keys fill more than one: as fast as the machine puts them.
millrace create hot --shards 1
for _ in {1..5}; do
    awk 'BEGIN { for (i = 0; i < 4000; i++) print (i % 2 ? "left" : "right") ":x" }'
done | millrace put hot -K : -q
check "advises on a stream" ends 0 millrace keys hot --advise
check "as AWS says it" grep -q '^aws kinesis split-shard --stream-name hot --shard-to-split shardId-000000000000 ' "$work/out"
check "as we say it" grep -qE '^millrace split hot 0 --at [0-9]+$' "$work/out"
check "applies it" ends 0 millrace keys hot --advise --apply
check "the hot keys are apart" [ "$(millrace where hot left right --json | grep -o '"shard_id":"[^"]*"' | sort -u | wc -l)" = 2 ]
