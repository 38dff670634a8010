#!/usr/bin/env bash
# The top level holds these names and hidden files, nothing else.
set -euo pipefail

bad=0
while read -r name; do
    case $name in
    Makefile | core | producer | consumer | tools | tests | README.md | .*) ;;
    *)
        echo "$name: does not belong at the top level" >&2
        bad=1
        ;;
    esac
done < <(git ls-files | cut -d/ -f1 | sort -u)
exit $bad
