#!/usr/bin/env bash
# The examples of the READMEs are true. A block "```c" whose first line is "/* example: NAME.c */"
# compiles as a user would compile it, without a warning, and runs in an empty folder, twice: it must
# not mind the data it left behind. A block "```sh" that begins with "# example: NAME.sh" runs in a
# fresh HOME, and no command of it fails; one that is for the AWS CLI runs where there is one.
# $1 picks a script by its name.
set -uo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archives=()
for name in millrace-producer millrace-consumer millrace; do
    [ ! -e "$O/lib$name.a" ] || archives+=("$O/lib$name.a")
done
mapfile -t readmes < <(find README.md core producer consumer -name README.md 2> /dev/null)

awk -v folder="$work" '
    /^```(c|sh)$/ { block = 1; next }
    /^```/ { if (file) close(file); file = ""; block = 0; next }
    block && /^(\/\*|#) example: [a-z0-9_-]+\.(c|sh)( \*\/)?$/ { file = folder "/" $3 }
    { block = 0 }
    file { print > file }' "${readmes[@]}"

# try NAME COMMAND...
try() {
    local name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
    fi
}

count=0
for source in "$work"/*.c; do
    [[ -e $source && -z ${1:-} ]] || continue
    count=$((count + 1))
    name=$(basename "$source" .c)
    # shellcheck disable=SC2086 # flags are a list
    try "example $name compiles" ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror ${TEST_CFLAGS:-} \
        -Icore -Iproducer -Iconsumer -o "$work/$name" "$source" "${archives[@]}" \
        -lzstd -lxxhash -lcrypto -pthread
    mkdir "$work/$name.run"
    try "example $name runs" env -C "$work/$name.run" "$work/$name"
    try "example $name runs again" env -C "$work/$name.run" "$work/$name"
done

# A port that was free a moment ago.
free_port() {
    local server line

    "$MILLRACE" --data "$work/port" serve --port 0 --json > "$work/said" 2> "$work/err" &
    server=$!
    read -r line < "$work/said"
    kill "$server" && wait "$server"
    sed -E 's/.*"port":([0-9]+).*/\1/' <<< "$line"
}

# What a script leaves in the background ends with it.
run() { # SCRIPT HOME
    # shellcheck disable=SC2016 # the other bash expands it
    env -u MILLRACE_DATA -u XDG_DATA_HOME -u AWS_ENDPOINT_URL MILLRACE_LABS=tools/labs HOME="$2" PATH="$work/bin:$PATH" bash -eu -o pipefail -c \
        'trap "kill \$(jobs -p) 2> /dev/null || true" EXIT; . "$0"' "$1"
}

mkdir "$work/bin"
mkfifo "$work/said"
ln -s "$MILLRACE" "$work/bin/millrace"
for script in "$work"/*.sh; do
    name=$(basename "$script")
    [[ -e $script && $name = *"${1:-}"* ]] || continue
    count=$((count + 1))
    if grep -q '^millrace serve' "$script"; then
        command -v aws > "$work/err" || continue
        port=$(free_port)
        sed -i "s/^millrace serve/& --port $port/; s/:4567/:$port/g" "$script"
    fi
    mkdir "$work/$name.home"
    try "example $name runs" run "$script" "$work/$name.home"
done
try "the READMEs hold examples" [ $count -gt 0 ]

# C++ users include the same headers.
for header in core/millrace.h producer/millrace-producer.h consumer/millrace-consumer.h; do
    [[ -e $header && -z ${1:-} ]] || continue
    try "$header is C++" "${CXX:-c++}" -std=c++17 -Icore -Wall -Wextra -pedantic -Werror \
        -fsyntax-only -x c++ $header
done
