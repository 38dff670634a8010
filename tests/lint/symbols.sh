#!/usr/bin/env bash
# tests/lint/symbols.sh FOLDER LIBRARY...
# Every global name of an archive begins with mr_; a shared library exports what its version script
# (made from its public header, and of what the other libraries take) lists, all of it and nothing else.
set -euo pipefail

folder=$1
shift
bad=0

for library in "$@"; do
    names=$(nm -A --extern-only --defined-only "$folder/$library.a" | grep -v ' __\?[a-z]*san' |
        awk '$NF !~ /^mr_/ && NF >= 3 { print $1 " " $NF }')
    if [ -n "$names" ]; then
        printf 'global names without mr_:\n%s\n' "$names" >&2
        bad=1
    fi

    if ! diff <(sed -n 's/^\(mr_.*\);$/\1/p' "$folder/$library.map" | sort) \
        <(nm -D --defined-only "$folder/$library.so" | awk '$2 ~ /[TDBR]/ { sub(/@.*/, "", $3); print $3 }' | sort) >&2; then
        echo "$library.so: the header declares '<' that is not defined, or '>' is exported besides" >&2
        bad=1
    fi
done
exit $bad
