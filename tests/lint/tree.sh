#!/usr/bin/env bash
# The top level holds these names, hidden files and what .gitignore names; nothing else.
set -euo pipefail

bad=0
for name in *; do
    case $name in
    Makefile | core | producer | consumer | tools | tests | README.md) ;;
    build | compile_commands.json) ;;
    *)
        echo "$name: does not belong at the top level" >&2
        bad=1
        ;;
    esac
done
exit $bad
