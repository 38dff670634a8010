#!/usr/bin/env bash
# What a README links to exists.
set -euo pipefail

bad=0
while IFS=: read -r file line target; do
    target=${target#](}
    target=${target%%[#)]*}
    case $target in
    '' | http://* | https://*) continue ;;
    esac
    if [ ! -e "$(dirname "$file")/$target" ]; then
        echo "$file:$line: links to $target, which is not there" >&2
        bad=1
    fi
done < <(find README.md core producer consumer tools tests -name '*.md' -exec grep -HnoE '\]\([^)]*\)' {} + 2> /dev/null)
exit $bad
