#!/usr/bin/env bash
# The longest files and functions: where to look next. Advice, not a limit.
set -eu

mapfile -t files < <(find core producer consumer tools tests -name '*.[ch]' 2> /dev/null)

echo 'lines  file'
wc -l "${files[@]}" | grep -v ' total$' | sort -rn | sed 10q

echo
echo 'lines  function'
# A function begins with a line at the margin that opens its parameters and ends with a brace there.
for file in "${files[@]}"; do
    awk -v file="$file" '
        /^[a-z_].*\(/ { start = FNR; name = $0 }
        /^\{/ { open = start }
        /^\}/ && open {
            sub(/\(.*/, "", name)
            sub(/.*[ *]/, "", name)
            printf "%5d  %s (%s:%d)\n", FNR - open + 1, name, file, open
            open = 0
        }' "$file"
done | sort -rn | sed 15q
