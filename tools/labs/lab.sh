# shellcheck shell=bash
# lab.sh - what the labs share; `millrace lab run` runs them. MILLRACE names the program; LAB_ANSWER is
# the answer to check, LAB_FAST says not to wait.
set -euo pipefail

work=$(mktemp -d)
trap 'finish $?' EXIT
trap 'exit 130' INT TERM
labs=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$(basename "$0" .sh)
name=${name#*-}
export MILLRACE_DATA=data # shown in places: short however long TMPDIR is
unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_KINESIS
cd "$work"
ln -s "$labs"/data/*.ndjson . # flights, earthquakes

is_terminal=
[ ! -t 0 ] || [ ! -t 1 ] || [ "${TERM:-dumb}" = dumb ] || is_terminal=1
bold='' green='' yellow='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' green=$'\e[32m' yellow=$'\e[33m' dim=$'\e[2m' plain=$'\e[0m'
fi

finish() {
    local code=$1
    # shellcheck disable=SC2046 # a list
    kill $(jobs -p) 2> /dev/null || true
    rm -rf "$work"
    [ "$code" != 130 ] || printf '\n'
    exit "$code"
}

millrace() {
    "$MILLRACE" "$@"
}

# A terminal's width, at most that of a book; 80 where there is no terminal.
width=$(tput cols 2> /dev/null || echo 80)
[ "$width" -le 80 ] || width=80

wrap() { # LINES...: as one paragraph each
    printf '%s\n' "$@" | fold -s -w $((width - 1)) | sed 's/ $//'
}

say() { # LINES...: as they are
    printf '%s\n' "$@"
}

look() { # TEXT...: what to look at
    printf '\n%s' "$yellow"
    wrap "$*"
    printf '%s' "$plain"
}

pause() {
    if [ -n "$is_terminal" ] && [ -z "${LAB_FAST:-}" ] && [ -z "${LAB_ANSWER:-}" ]; then
        printf '\n%s-- Enter goes on, ^C ends --%s' "$dim" "$plain"
        read -r _ || true
        printf '\e[1A\r\e[K'
    fi
}

step_number=0
step() { # TITLE
    [ $step_number = 0 ] || pause
    step_number=$((step_number + 1))
    printf '\n%s%d. %s%s\n' "$bold" $step_number "$1" "$plain"
}

# run LINE: prints a command as one would type it, and runs it.
run() {
    printf '%s$ %s%s\n' "$green" "$1" "$plain"
    eval "$1" 2>&1 || true
}

field() { # NAME: that member of each line of millrace's JSON on stdin
    sed -E "s/.*\"$1\":\"?([^,\"}]*).*/\1/"
}

is_right() { # ANSWER EXPECTED: a number, or any of several words with | between them
    local answer=${1,,} word
    answer=${answer//[[:space:],]/}
    while IFS= read -r word; do
        [ "$answer" != "${word,,}" ] || return 0
    done < <(tr '|' '\n' <<< "$2")
    return 1
}

# ask QUESTION EXPECTED EXPLANATION...: the last of a lab.
ask() {
    local question=$1 expected=$2 answer tries
    shift 2
    pause
    printf '\n%s' "$bold"
    wrap "Question: $question"
    printf '%s' "$plain"
    if [ -n "${LAB_ANSWER:-}" ]; then
        if is_right "$LAB_ANSWER" "$expected"; then
            printf '%s%s is right.%s\n' "$green" "$LAB_ANSWER" "$plain"
            wrap "$*"
            return 0
        fi
        printf '%s is not right.\n' "$LAB_ANSWER"
        return 1
    fi
    for ((tries = 0; tries < 3; tries++)); do
        [ -n "$is_terminal" ] || break
        printf '> '
        read -r answer || break
        if is_right "$answer" "$expected"; then
            printf '%sRight.%s\n' "$green" "$plain"
            wrap "$*"
            return 0
        fi
        [ $tries = 2 ] || printf 'Not quite. Look again.\n'
    done
    printf 'Answer: %s%s%s, which millrace lab run %s --answer %s says is right.\n' \
        "$bold" "${expected%%|*}" "$plain" "$name" "${expected%%|*}"
    wrap "$*"
}
