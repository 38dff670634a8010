#!/usr/bin/env bash
# L5: a changed byte anywhere in a stopped directory is found and its file named, and the rest stays
# readable. A directory that is whole is found to be whole.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

millrace create s --shards 2 2> "$work/err"
millrace put s --key-field origin --quiet < tools/labs/data/flights.ndjson
check "finds nothing in a whole directory" ends 0 millrace check
check "says what it read" grep -q '20,000 records' "$work/out"
check "for programs" grep -q '"damage_count":0}$' <(millrace check --json)
check "there is nothing to repair" ends 0 millrace check --repair
check "says so" says 'nothing to repair'
cp -r "$MILLRACE_DATA" "$work/backup"
check "a copy is a backup" diff <(millrace tail s) <(millrace -d "$work/backup" tail s)

# flip FILE OFFSET: changes one byte
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf '%b' "\\x$(printf %x $((byte ^ 0x10)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Bytes all over the files that hold records.
while read -r file; do
    size=$(stat -c %s "$file")
    for part in 0 1 13 37 50 71 99; do
        offset=$((size * part / 100))
        flip "$file" $offset
        check "sees byte $offset of ${file##*/} changed" ends 1 millrace check
        check "names ${file##*/}" grep -q "damage.*${file##*/}" "$work/out"
        flip "$file" $offset
    done
done < <(find "$MILLRACE_DATA" -name '*.seg' -o -name '*.segment' -o -path '*/s/*' -type f)
check "all bytes are right again" ends 0 millrace check

segment=$(find "$MILLRACE_DATA" -type f -size +100k ! -name 'journal*' | head -n 1)
check "there is a segment" [ -n "$segment" ]
flip "$segment" $(($(stat -c %s "$segment") / 2))
check "tail tells of the damage" ends 1 millrace tail s
check "names the file" says "${segment##*/}"
check "most stays readable" [ "$(wc -l < "$work/out")" -gt 15000 ]
check "but not all" [ "$(wc -l < "$work/out")" -lt 20000 ]
check "what is read is right" [ "$(comm -13 <(sort tools/labs/data/flights.ndjson) <(sort "$work/out") | wc -l)" = 0 ]

# ---- a journal damaged where its records were acknowledged, and not yet anywhere else

export MILLRACE_DATA=$work/crashed
millrace create s 2> "$work/err"
mkfifo "$work/records" "$work/acks"
"$MILLRACE" put s --key k --json < "$work/records" > "$work/acks" 2> /dev/null &
loader=$!
exec 4> "$work/records" 3< "$work/acks"
for ((i = 0; i < 10; i++)); do
    seq -f 'record %g of many' $((i * 100 + 1)) $((i * 100 + 100)) >&4
    mapfile -t -n 100 -u 3 lines
done
check "records are acknowledged while more may come" [ ${#lines[@]} = 100 ]
kill -9 $loader
wait $loader 2> /dev/null
exec 4>&- 3<&-
cp -r "$MILLRACE_DATA" "$work/copy"
check "finds nothing wrong after a crash" ends 0 millrace -d "$work/copy" check
check "all was there" [ "$(millrace -d "$work/copy" tail s 2> "$work/err" | wc -l)" = 1000 ]
flip "$MILLRACE_DATA/journal" 30000
check "sees the damage" ends 1 millrace check
check "names the journal" grep -q 'damage.*journal' "$work/out"
check "does not open over it" ends 1 millrace list
check "says what to do" says 'check --repair'
check "repairs" ends 0 millrace check --repair
check "says what it cost" says 'it cost the records from number'
millrace tail s > "$work/out"
check "most is there" [ "$(wc -l < "$work/out")" -gt 500 ]
check "what was damaged is not" [ "$(wc -l < "$work/out")" -lt 1000 ]
check "in its order" sort -c -k 2n "$work/out"
check "it is whole again" ends 0 millrace check
check "and takes records" ends 0 millrace put s --key k more

check "no directory" ends 4 millrace -d "$work/none" check
