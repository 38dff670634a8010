#!/usr/bin/env bash
# Every lab runs as it is: in a pipe, in a terminal of 80x24, without colours; its question has an
# answer that is checked; and it leaves nothing behind.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh
export MILLRACE_LABS=$PWD/tools/labs TMPDIR=$work/tmp
mkdir "$TMPDIR"

lacks() { # TEXT FILE
    ! grep -qF -- "$1" "$2"
}

check "lists them" ends 0 millrace lab list
mapfile -t labs < <(sed -nE 's/^[0-9]+  ([a-z-]+) .*/\1/p' "$work/out")
check "there are eight" [ ${#labs[@]} = 8 ]
check "for programs" [ "$(millrace lab list --json | grep -c '"title"')" = 8 ]

declare -A right=([put-get]=1 [ordering]=0 [hot-shard]=5 [resharding]=2 [fan-out]=5 [checkpoints]=7
    [throttling]=1000 [cost]=18132)

# terminal NAME KEYS COMMAND: runs it in a terminal of 80x24 where KEYS are typed
terminal() {
    # shellcheck disable=SC2059 # with escapes
    (printf "$2") | script -qec "stty rows 24 cols 80; TERM=xterm $3" /dev/null 2> "$work/$1.err" > "$work/$1"
}

# plain FILE: what one sees; a line that is written anew is another
plain() {
    sed -E $'s/\r\e\\[K/\\\n/g; s/\e\\[[0-9;]*[a-zA-Z]//g; s/\r//g' "$work/$1"
}

shows() { # FILE PATTERN
    plain "$1" | grep -q -- "$2"
}

is_narrow() { # FILE: 80 columns
    ! plain "$1" | LC_ALL=C.UTF-8 grep -E '.{81}'
}

is_low() { # FILE: what is shown between two pauses is a screen
    plain "$1" | awk '/^-- Enter goes on/ { lines = 0 } ++lines > 25 { exit 1 }'
}

# All at once, each in its own directory: in a pipe; in a terminal, where Enter is pressed at each pause,
# then a wrong answer is given and the right one; in one without colours.
keys_of() { # LAB
    printf '\\n%.0s' $(seq "$(grep -c '^step ' tools/labs/?-"$1".sh)")
    printf 'nonsense\\n%s\\n' "${right[$1]}"
}
for lab in "${labs[@]}"; do
    { "$MILLRACE" lab run "$lab" > "$work/$lab.pipe" 2> "$work/$lab.pipe.err" < /dev/null; echo $? > "$work/$lab.pipe.code"; } &
    { terminal "$lab.tty" "$(keys_of "$lab")" "env -u NO_COLOR '$MILLRACE' lab run $lab"; echo $? > "$work/$lab.tty.code"; } &
    { terminal "$lab.dull" "" "env NO_COLOR=1 '$MILLRACE' lab run $lab --answer ${right[$lab]}"; echo $? > "$work/$lab.dull.code"; } &
done
wait
for lab in "${labs[@]}"; do
    for way in pipe tty dull; do
        check "$lab runs: $way" [ "$(cat "$work/$lab.$way.code")" = 0 ]
        check "$lab says nothing went wrong: $way" [ ! -s "$work/$lab.$way.err" ]
        check "$lab shows commands: $way" shows "$lab.$way" '^\$ millrace '
        check "$lab asks: $way" shows "$lab.$way" '^Question: '
        check "$lab has lines of 80 columns: $way" is_narrow "$lab.$way"
    done
    check "$lab answers where nobody can" grep -qE "^Answer: ${right[$lab]}, which millrace lab run $lab --answer" "$work/$lab.pipe"
    check "$lab has no escapes in a pipe" lacks $'\e' "$work/$lab.pipe"
    check "$lab has colours in a terminal" grep -q $'\e\[1m' "$work/$lab.tty"
    check "$lab shows a screen at a time" is_low "$lab.tty"
    check "$lab waits for Enter" grep -q 'Enter goes on' "$work/$lab.tty"
    check "$lab knows a wrong answer" grep -q 'Not quite' "$work/$lab.tty"
    check "$lab knows the right one" shows "$lab.tty" 'Right\.$'
    check "$lab heeds NO_COLOR" [ "$(grep -c $'\e\[[0-9;]*m' "$work/$lab.dull")" = 0 ]
    check "$lab checks --answer" shows "$lab.dull" "^${right[$lab]} is right\.$"
    check "$lab is explained" ends 0 millrace lab show "$lab"
    check "$lab has a title and a text" [ "$(grep -c . "$work/out")" -ge 4 ]
    check "$lab: in 80 columns" is_narrow out
    check "$lab: no more than that" lacks shellcheck "$work/out"
done
check "another answer is not right" ends 1 millrace lab run checkpoints --answer 77
check "by its number" ends 0 millrace lab run 6 --answer ' 7 '

check "a lab that is none" ends 4 millrace lab run put-gte
check "is guessed" says "did you mean 'put-get'?"
check "no lab" ends 2 millrace lab run
check "a word that is none" ends 2 millrace lab go put-get
check "labs that are not there" ends 4 env MILLRACE_LABS="$work/none" "$MILLRACE" lab list
check "nothing is left behind" [ -z "$(ls "$TMPDIR")" ]
