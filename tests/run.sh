#!/usr/bin/env bash
# Runs tests and sums up: tests/run.sh PROGRAM...   (make test calls it)
#
#   test_*          a cmocka program: counts its cases
#   fuzz_*_replay   gets the saved corpus of its target: counts as one
#   *.sh            a shell test: counts its lines "ok ..." and "not ok ...", or as one
#
# Each runs from the top of the tree with a fresh TMPDIR and a time limit, JOBS at a time; the output
# of one that fails is printed. The last line is "N passed, N failed".
set -uo pipefail

# count LOG: prints its "PASSED FAILED SKIPPED" cases. A case that began and never ended has failed.
count() {
    awk '
        /^\[ RUN      \]/ { failed += open; open = 1; next }
        open && /\[       OK \]/ { passed++; open = 0 }
        open && /\[  SKIPPED \]/ { skipped++; open = 0 }
        open && /\[  FAILED  \]/ { failed++; open = 0 }
        /^ok / { passed++ }
        /^not ok / { failed++ }
        END { print passed + 0, failed + open, skipped + 0 }' "$1"
}

# one PROGRAM: runs it, writes "PASSED FAILED SKIPPED" to its .sum and prints its line
one() {
    local test=$1 name log status=0 passed=0 failed=0 skipped=0 start=$EPOCHREALTIME args=()

    name=${test#"$O"/}
    name=${name#tests/}
    log=$O/log/${name//\//.}
    TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/millrace-test.XXXXXX")
    export TMPDIR
    if [[ $test = *_replay ]]; then
        args=("tests/fuzz/corpus/$(basename "${name%_replay}" | sed 's/^fuzz_//')")
        [ -d "${args[0]}" ] || args=()
    fi
    { timeout -k 10 "$TEST_TIMEOUT" "$test" "${args[@]}" > "$log" 2>&1 < /dev/null; } 2> /dev/null ||
        status=$?
    chmod -R u+rwX "$TMPDIR"
    rm -rf "$TMPDIR"

    if [[ $test != *_replay ]]; then
        read -r passed failed skipped < <(count "$log")
    fi
    if [ $status -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1 # it crashed, or ran out of time, between its cases
    elif [[ $test != *.sh && $test != *_replay ]] && [ $((passed + failed + skipped)) -eq 0 ]; then
        failed=1
        echo "$name: no test ran" >> "$log"
    elif [ $((passed + failed)) -eq 0 ]; then
        passed=1
    fi

    echo "$passed $failed $skipped" > "$log.sum"
    {
        if [ "$failed" -gt 0 ]; then
            echo "---- $name"
            tail -n 200 "$log"
            [ $status -ne 124 ] || echo "stopped after $TEST_TIMEOUT s"
            echo "---- $name: exit status $status, the whole output is in $log"
        fi
        awk -v name="$name" -v passed="$passed" -v failed="$failed" -v skipped="$skipped" \
            -v start="$start" -v end="$EPOCHREALTIME" 'BEGIN {
                printf "  %-34s %4d passed%s%s  %6.2f s\n", name, passed,
                    failed ? sprintf(", %d FAILED", failed) : "",
                    skipped ? sprintf(", %d skipped", skipped) : "", end - start }'
        sed -n 's/^## /    /p' "$log" # what it wants seen, even if it passes
    } > "$log.out"
    flock "$O/log" cat "$log.out"
}

export O=${O:-build/release}
export TEST_TIMEOUT=${TEST_TIMEOUT:-900}
export LC_ALL=C
if [ "${1:-}" = --one ]; then
    one "$2"
    exit
fi

mkdir -p "$O/log"
rm -f "$O"/log/*.sum
if [ $# -eq 0 ]; then
    echo "no test has such a name" >&2
    exit 2
fi
printf '%s\0' "$@" | xargs -0 -P "${JOBS:-$(nproc)}" -n 1 "$0" --one

count=$(find "$O/log" -name '*.sum' | wc -l)
cat /dev/null "$O"/log/*.sum 2> /dev/null | awk -v missing=$(($# - count)) '
    { passed += $1; failed += $2 }
    END { failed += missing; printf "%d passed, %d failed\n", passed, failed; exit failed > 0 }'
