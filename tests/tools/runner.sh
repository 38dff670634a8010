#!/usr/bin/env bash
# tests/run.sh counts what ran, and does not take a crash, a hang or silence for success.
set -uo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# program NAME: writes a test program of the lines on stdin
program() {
    { echo '#!/bin/sh' && cat; } > "$work/$1"
    chmod +x "$work/$1"
}

# sums EXPECTED PROGRAM...
sums() {
    local expected=$1 name="${*:2} make $1" got
    shift
    got=$(env -u O O="$work" TEST_TIMEOUT=1 tests/run.sh "${@/#/$work/}" 2>&1 | tail -n 1)
    if [ "$got" = "$expected" ]; then
        echo "ok - $name"
    else
        echo "not ok - $name: $got"
    fi
}

program test_good << 'END'
echo '[ RUN      ] one'; echo '[       OK ] one'
echo '[ RUN      ] two'; echo '[  SKIPPED ] two'
echo '[ RUN      ] three'; echo 'noise'; echo '[       OK ] three'
echo '[  PASSED  ] 2 test(s).'; echo '[  SKIPPED ] 1 test(s), listed below:'; echo '[  SKIPPED ] two'
END
program test_bad << 'END'
echo '[ RUN      ] one'; echo '[       OK ] one'
echo '[ RUN      ] two'; echo '[  FAILED  ] two'
echo '[  FAILED  ] 1 test(s), listed below:'; echo '[  FAILED  ] two'
exit 1
END
program test_crashing << 'END'
echo '[ RUN      ] one'; echo '[       OK ] one'
echo '[ RUN      ] two'
kill -SEGV $$
END
program test_failing_late << 'END'
echo '[ RUN      ] one'; echo '[       OK ] one'
exit 3
END
program test_hanging << 'END'
echo '[ RUN      ] one'
exec sleep 60
END
program test_silent << 'END'
END
program fuzz_x_replay << 'END'
END
program fuzz_y_replay << 'END'
exit 1
END
program lines.sh << 'END'
echo 'ok - one'; echo 'not ok - two'; echo 'ok - three'
END
program whole.sh << 'END'
END
program untidy << 'END'
echo '[ RUN      ] one'
mkdir "$TMPDIR/left" && touch "$TMPDIR/left/behind" && chmod 0 "$TMPDIR/left"
echo "$TMPDIR" > "$O/where"
echo '[       OK ] one'
END

sums '2 passed, 0 failed' test_good
sums '1 passed, 1 failed' test_bad
sums '1 passed, 1 failed' test_crashing
sums '1 passed, 1 failed' test_failing_late
sums '0 passed, 1 failed' test_hanging
sums '0 passed, 1 failed' test_silent
sums '1 passed, 1 failed' fuzz_x_replay fuzz_y_replay
sums '2 passed, 1 failed' lines.sh
sums '1 passed, 0 failed' whole.sh
sums '0 passed, 1 failed' no_such_program
sums '5 passed, 2 failed' test_good test_bad lines.sh
sums '1 passed, 0 failed' untidy
if [ -e "$(cat "$work/where")" ]; then
    echo "not ok - leaves the temporary directory behind"
else
    echo "ok - removes the temporary directory"
fi
