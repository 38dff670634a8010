#!/usr/bin/env bash
# tests/lint/cover.sh FOLDER: the share of lines run by the tests, file by file, from a BUILD=cover.
set -euo pipefail

find "$1" -path "*/tests/*" -prune -o -name '*.gcda' -exec gcov -n {} + 2> /dev/null |
    awk '
        /^File / { file = $2; gsub(/\047/, "", file) }
        /^Lines executed:/ && file ~ /^(core|producer|consumer|tools)\// {
            split($2, share, /[:%]/)
            covered[file] = share[2]
            lines[file] = $NF
        }
        /^$/ { file = "" }
        END {
            for (file in covered) {
                printf "%6.1f %% of %5d  %s\n", covered[file], lines[file], file
                sum += covered[file] * lines[file] / 100
                total += lines[file]
            }
            if (total)
                printf "%6.1f %% of %5d  all\n", 100 * sum / total, total
        }' | sort -k4
