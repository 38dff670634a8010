# shellcheck shell=bash
# cases.sh - what the shell tests of the program share. Sourced; needs MILLRACE.

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MILLRACE_DATA=$work/data NO_COLOR=1 LC_ALL=C

millrace() {
    "$MILLRACE" "$@"
}

# check NAME COMMAND...: one case; it passes when the command succeeds.
check() {
    local name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name: $*"
        sed 's/^/    /' "$work/out" "$work/err" 2> /dev/null | head -n 20
    fi
}

# ends CODE COMMAND...: runs it, output to $work/out and $work/err; succeeds when it exits so.
ends() {
    local wanted=$1 code=0
    shift
    "$@" > "$work/out" 2> "$work/err" || code=$?
    [ $code -eq "$wanted" ] || {
        echo "# exit code $code, not $wanted"
        return 1
    }
}

says() { # TEXT: stderr of the last ends() holds it
    grep -qF -- "$1" "$work/err"
}

prints() { # TEXT: stdout of the last ends() is it
    [ "$(cat "$work/out")" = "$1" ]
}

# member NAME: that member of each line of our own JSON on stdin
member() {
    sed -E "s/.*\"$1\":\"?([^,\"}]*).*/\1/"
}
