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

# In a pipe, all at once: each in its own directory.
pids=()
for lab in "${labs[@]}"; do
    "$MILLRACE" lab run "$lab" > "$work/$lab.out" 2> "$work/$lab.err" < /dev/null &
    pids+=($!)
done
for i in "${!labs[@]}"; do
    lab=${labs[i]}
    wait "${pids[i]}"
    check "$lab runs" [ $? = 0 ]
    cp "$work/$lab.out" "$work/out"
    check "$lab says nothing went wrong" [ ! -s "$work/$lab.err" ]
    check "$lab shows commands" grep -q '^\$ millrace ' "$work/$lab.out"
    check "$lab asks" grep -q '^Question: ' "$work/$lab.out"
    check "$lab answers where nobody can" grep -qE "^Answer: [0-9a-z]+, which millrace lab run $lab --answer" \
        "$work/$lab.out"
    check "$lab has no colours in a pipe" lacks $'\e' "$work/$lab.out"
    check "$lab: nothing but commands is over 80 columns" \
        awk '/^[^$]/ && length > 80 { print; exit 1 }' "$work/$lab.out"
    check "$lab is explained" ends 0 millrace lab show "$lab"
    check "$lab has a title and a text" [ "$(grep -c . "$work/out")" -ge 4 ]
done

for lab in put-get ordering checkpoints; do
    answer=$(sed -nE 's/^Answer: ([0-9a-z]+),.*/\1/p' "$work/$lab.out")
    check "$lab: the answer is right" ends 0 millrace lab run $lab --answer "$answer"
    check "$lab: says so" grep -q 'is right\.$' "$work/out"
    check "$lab: another is not" ends 1 millrace lab run $lab --answer 77
done
check "by its number" ends 0 millrace lab run 6 --answer ' 7 '

# terminal KEYS COMMAND: runs it in a terminal of 80x24 where KEYS are typed
terminal() {
    # shellcheck disable=SC2059 # with escapes
    (printf "$1") | script -qec "stty rows 24 cols 80; TERM=xterm $2" /dev/null > "$work/out" 2> "$work/err"
}
check "in a terminal it waits, asks, and takes an answer" terminal '\n\n\n\n\nfive\n1\n' \
    "env -u NO_COLOR '$MILLRACE' lab run put-get"
check "with colours" grep -q $'\e\[1m' "$work/out"
check "waits for Enter" grep -q 'Enter goes on' "$work/out"
check "says what is wrong" grep -q 'Not quite' "$work/out"
check "says what is right" grep -q 'Right\.' "$work/out"
check "NO_COLOR is heeded in a terminal" terminal '1\n' "env NO_COLOR=1 '$MILLRACE' lab run put-get --fast"
check "there is none" [ "$(grep -c $'\e\[[0-9;]*m' "$work/out")" = 0 ]

check "a lab that is none" ends 4 millrace lab run put-gte
check "is guessed" says "did you mean 'put-get'?"
check "no lab" ends 2 millrace lab run
check "a word that is none" ends 2 millrace lab go put-get
check "labs that are not there" ends 4 env MILLRACE_LABS="$work/none" "$MILLRACE" lab list
check "nothing is left behind" [ -z "$(ls "$TMPDIR")" ]
