#!/usr/bin/env bash
# A promise has a number. It is made in a README below core, producer, consumer or tools/kafka ("- **L4** ...")
# or at the head of a module ("*     F1  ..."). Every promise is cited by a test that tries to break
# it, those of the READMEs also by the code that keeps them; and nobody cites one that is not made.
set -euo pipefail

mapfile -t folders < <(ls -d core producer consumer tools/kafka 2> /dev/null)

# Prints the numbers promised in READMEs, in modules.
in_readmes() {
    find "${folders[@]}" -name '*.md' -exec sed -nE 's/^[-|*[:space:]]*\*\*([A-Z][0-9]{1,2})\*\*.*/\1/p' {} +
}
in_modules() {
    grep -rhoE --include='*.[ch]' '^ \*  +[A-Z][0-9]{1,2}  +[^ ]' "${folders[@]}" | tr -cd 'A-Z0-9\n' |
        sed -E 's/^([A-Z][0-9]+).*/\1/'
}
readmes=$(in_readmes | sort -u)
modules=$(in_modules | sort -u)
promised=$(printf '%s\n%s\n' "$readmes" "$modules" | sed '/^$/d' | sort -u)
[ -n "$promised" ] || exit 0
letters=$(tr -cd 'A-Z\n' <<< "$promised" | sort -u | tr -d '\n')

# Prints "FILE:LINE NUMBER" of each citation in FOLDER...: in comments and strings, not the making of
# a promise itself, and not ranges of them: whoever looks for one by its number would not find it.
cited() {
    find "$@" -path tests/lint -prune -o \( -name '*.[ch]' -o -name '*.sh' \) -exec awk -v number="(^|[^A-Za-z0-9_%-])[$letters][0-9][0-9]?" '
        /^ \*  +[A-Z][0-9]+  +[^ ]/ || !/\/\*|^ *\*|\/\/|"|#/ { next }
        {
            text = $0
            gsub(/[A-Z][0-9]+-[A-Z][0-9]+/, "", text)
            while (match(text, number)) {
                name = substr(text, RSTART, RLENGTH)
                text = substr(text, RSTART + RLENGTH)
                sub(/^[^A-Z]*/, "", name)
                if (text !~ /^[A-Za-z0-9_]/)
                    print FILENAME ":" FNR, name
            }
        }' {} +
}
code=$(cited "${folders[@]}")
tests=$(cited tests)

bad=0
say() {
    echo "$*" >&2
    bad=1
}
has() { # LIST NUMBER
    grep -q " $2\$" <<< "$1"
}
for number in $readmes; do
    has "$code" "$number" || say "promise $number: no code says that it keeps it"
done
for number in $promised; do
    has "$tests" "$number" || say "promise $number: no test says that it tries to break it"
done
while read -r place number; do
    [ -z "$number" ] || grep -qx "$number" <<< "$promised" || say "$place: nobody promises $number"
done <<< "$code
$tests"
exit $bad
