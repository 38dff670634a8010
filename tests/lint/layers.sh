#!/usr/bin/env bash
# Includes point downwards only, and into another folder only through its door. This is the table
# of layers; millrace.h, the engine's own header, is open to all.
set -euo pipefail

# What a file may include, as patterns. A folder's own headers are always allowed.
allowed() {
    local low='base/* os/* millrace.h'

    case $1 in
    core/millrace-remote.h) echo 'millrace.h' ;;
    core/millrace.h | core/base/*) echo 'base/* millrace.h' ;;
    core/os/*) echo "$low" ;;
    core/log/*) echo "$low log/*" ;;
    core/stream/*) echo "$low log/log.h stream/*" ;;
    core/service/*) echo "$low stream/stream.h service/*" ;;
    core/wire/*) echo "$low service/service.h wire/* millrace-remote.h" ;;
    core/engine.c) echo "$low log/log.h stream/stream.h service/service.h" ;;
    producer/*) echo "$low service/service.h wire/wire.h wire/aggregate.h millrace-producer.h" ;;
    consumer/*) echo "$low service/service.h wire/wire.h wire/aggregate.h wire/post.h \
        millrace-consumer.h" ;;
    tools/*) echo "$low log/log.h stream/stream.h service/service.h service/access.h service/figures.def \
        wire/wire.h wire/sign.h wire/origin.h millrace-remote.h millrace-producer.h millrace-consumer.h" ;;
    tests/*) echo '*' ;;
    esac
}

# may_include FILE HEADER
may_include() {
    local pattern patterns

    [ ! -e "$(dirname "$1")/$2" ] || return 0 # its own folder's
    case $1 in
    tools/*) [ ! -e "tools/$2" ] || return 0 ;;
    esac
    read -ra patterns <<< "$(allowed "$1")"
    for pattern in "${patterns[@]}"; do
        # shellcheck disable=SC2053 # a pattern
        [[ $2 != $pattern ]] || return 0
    done
    return 1
}

set -f
bad=0
while IFS=: read -r file line text; do
    header=${text#*\"}
    header=${header%%\"*}
    if ! may_include "$file" "$header"; then
        echo "$file:$line: the layers do not allow \"$header\" here" >&2
        bad=1
    fi
done < <(find core producer consumer tools tests -name '*.[ch]' -exec \
    grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + 2> /dev/null)
exit $bad
