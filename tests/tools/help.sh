#!/usr/bin/env bash
# Help, man page, completion and the program say the same; mistakes get an answer that helps.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

man=tools/man/millrace.1
mapfile -t commands < <(millrace help --complete | cut -f 1)

# section NAME: a command's part of the man page
section() {
    awk -v head=".SS millrace $1" '
        /^\.S[SH]/ { inside = $0 == head || index($0, head " ") == 1 }
        inside' "$man"
}

options_of() { # COMMAND: its own long options, as the program knows them
    comm -23 <(millrace help --complete "$1" | cut -f 1 | grep '^--' | sort) \
        <(printf -- '--data\n--endpoint\n--help\n--json\n--key-file\n--verbose\n')
}

same_options() { # COMMAND
    diff <(options_of "$1") <(section "$1" | sed 's/\\-/-/g' |
        sed -nE 's/^(\\fB-[A-Za-z]\\fR, )?\\fB(--[a-z-]+)\\fR.*/\2/p' | sort)
}

same_letters() { # COMMAND
    diff <(millrace help --complete "$1" | cut -f 1 | grep '^-[A-Za-z]' | grep -vx -e -d -e -h -e -v | sort) \
        <(section "$1" | sed 's/\\-/-/g' | sed -nE 's/^\\fB(-[A-Za-z])\\fR, .*/\1/p' | sort)
}

check "there are commands" [ ${#commands[@]} -ge 14 ]
check "the man page has the commands, in order" diff \
    <(printf '%s\n' "${commands[@]}") <(sed -nE 's/^\.SS millrace ([a-z]+).*/\1/p' $man)
check "the man page names the version of nothing else" grep -q '^\.TH MILLRACE 1' $man
for command in "${commands[@]}"; do
    check "the man page has the options of $command" same_options "$command"
    check "the man page has the letters of $command" same_letters "$command"
    check "$command explains itself" ends 0 millrace "$command" --help
    check "$command --help and help $command agree" diff "$work/out" <(millrace help "$command")
    check "the help of $command fits 80 columns" awk '/^[^ ]/ && length > 80 { exit 1 } length > 100 { exit 1 }' "$work/out"
    check "$command begins with examples" grep -q '^Examples$' <(sed -n '3,4p' "$work/out")
    # An example's command line is understood, up to what the shell does with it.
    while read -r line; do
        [[ $line = millrace* ]] && line=${line%%|*} || line=${line##*| }
        check "understood: $line" eval "${line%%[<>]*} --help > /dev/null"
    done < <(sed -nE '/^Examples/,/^Usage/s/^  (([a-z].*)?millrace .*)/\1/p' "$work/out")
done

check "the man page has the settings of serve as the program prints them" diff \
    <(sed '/^\.\\" What "millrace help serve -o man"/,/^\.\\" So far/!d; //d' $man) \
    <(millrace help serve -o man)
check "help lists the commands" ends 0 millrace help
for command in "${commands[@]}"; do
    check "help lists $command" grep -q "^  $command " "$work/out"
done
check "no command is a usage error" ends 2 millrace
check "says its version" ends 0 millrace --version
check "the version is the header's" prints "millrace $(sed -n 's/.*MR_VERSION "\(.*\)"/\1/p' core/millrace.h)"

check "guesses a command" ends 2 millrace tial
check "guesses a command aloud" says "did you mean 'millrace tail'?"
check "guesses an option" ends 2 millrace tail s --fomat x
check "guesses an option aloud" says "did you mean --format?"
check "guesses a word" ends 2 millrace tail s -o jsno
check "guesses a word aloud" says "did you mean 'json'?"
check "guesses for help" ends 2 millrace help taill
check "too few arguments" ends 2 millrace split s
check "too many arguments" ends 2 millrace list s
check "common options may stand before the command" ends 4 millrace --data "$work/none" list
check "a missing directory is named" says "$work/none"
check "a missing directory has a next step" says "millrace create"
check "nothing was made by looking" [ ! -e "$work/none" ]

check "makes the data directory and its parents" ends 0 millrace -d "$work/a/b/c" create flights
check "guesses a stream" ends 4 millrace -d "$work/a/b/c" tail fligths
check "guesses a stream aloud" says "did you mean 'flights'?"
check "says how to make it" says "millrace create fligths"
check "an existing stream" ends 1 millrace -d "$work/a/b/c" create flights
check "a missing shard" ends 4 millrace -d "$work/a/b/c" split flights 7
check "the missing shard has a next step" says "millrace shards flights"
check "a shard that is none" ends 2 millrace -d "$work/a/b/c" split flights x
check "a bad name" ends 1 millrace -d "$work/a/b/c" create 'a b'

check "the bash completion is bash" bash -n tools/completions/millrace
complete_to() { # EXPECTED WORD...
    local expected=$1
    shift
    # shellcheck disable=SC2034 # read by the completion
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    # shellcheck source=tools/completions/millrace
    . tools/completions/millrace
    _millrace
    [ "${COMPREPLY[*]}" = "$expected" ]
}
check "completes commands" complete_to "split" millrace sp
check "completes options of a command" complete_to "--key --key-field --key-separator --key-file" millrace put s --key
check "completes formats" complete_to "json" millrace tail s -o js
check "completes distributions" complete_to "hotset:" millrace gen s -D h
export MILLRACE_LABS=tools/labs
check "completes labs" complete_to "ordering" millrace lab run ord
