#!/usr/bin/env bash
# consume: a program per shard gets every record, whatever it does wrong; group: what was read is shown,
# and set elsewhere. Records are of 12 bytes, see tests/support/processor.sh.
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh

processor=tests/support/processor.sh

# stamped FIRST COUNT: records of 10 keys, each counting its own
stamped() {
    awk -v first="$1" -v count="$2" 'BEGIN {
        for (i = first; i < first + count; i++) printf "k%d:%02d %08d\n", i % 10, i % 10, i / 10 }'
}

# put_to STREAM FIRST COUNT: with a newline in each
put_to() {
    stamped "$2" "$3" | awk -F: '{ printf "{\"partition_key\":\"%s\",\"data\":\"%s\\n\"}\n", $1, $2 }' |
        millrace put "$1" -i json -q
}

# reach LOG COUNT: waits for so many records
reach() {
    touch "$1"
    [ "$(timeout 60 tail -n +1 -f "$1" 2> /dev/null | head -n "$2" | wc -l)" = "$2" ]
}

# consumes COUNT LOG ARGUMENT...: a worker until so many have come; its exit code is 0
consumes() {
    local count=$1 log=$2 worker

    shift 2
    "$MILLRACE" consume --failover 1s "$@" > "$work/out" 2> "$work/err" &
    worker=$!
    reach "$log" "$count" || { kill -9 $worker; return 1; }
    kill -TERM $worker
    wait $worker
}

# whole LOG COUNT: of each of the 10 keys all, in order; what comes again is not looked at
whole() {
    awk -v count="$2" '
        $2 == next_of[$1] + 0 { next_of[$1]++; sum++ }
        $2 > next_of[$1] { exit bad = 1 }
        END { exit bad || sum != count }' "$1"
}

lags() { # what group show says, one JSON line a shard
    millrace group show "$1" --json | member lag_ms | sort -u
}

millrace create s --shards 2 2> "$work/err"
put_to s 0 1000
check "a worker" consumes 1000 "$work/a" s -a app --json "$processor" "$work/a"
check "counts" [ "$(member record_count < "$work/out")" = 1000 ]
check "no program failed" [ "$(member restart_count < "$work/out")" = 0 ]
check "every record came, in order" whole "$work/a" 1000
check "once" [ "$(wc -l < "$work/a")" = 1000 ]
check "each program is told of the end" [ "$(grep -c shutdownRequested "$work/a.actions")" = 2 ]
check "and that it has no lease any more" [ "$(grep -c leaseLost "$work/a.actions")" = 2 ]
check "no checkpoint was refused" [ ! -e "$work/a.refused" ]
check "there is no lag" [ "$(lags app)" = 0 ]
put_to s 1000 10
check "there is lag" [ "$(lags app | sort -n | tail -n 1)" -gt 0 ]
check "lists the application" ends 0 millrace group ls --json
check "with its shards, which nobody has" grep -q '"shard_count":2,"ended_count":0,"owned_count":0' "$work/out"
millrace split s 0 2> "$work/err" > "$work/out"
put_to s 1010 990
check "goes on behind the checkpoint, through a split" consumes 2000 "$work/a" s -a app "$processor" "$work/a"
check "every record came" whole "$work/a" 2000
check "none twice" [ "$(wc -l < "$work/a")" = 2000 ]
check "one shard ended" [ "$(grep -c shardEnded "$work/a.actions")" = 1 ]
check "which group knows" eval 'millrace group ls --json | grep -q "\"ended_count\":1"'
check "in words" ends 0 millrace group show app
check "too" grep -q 'SHARD_END' "$work/out"
check "the directory is whole" ends 0 millrace check

# ---- programs that fail

for trouble in dies nonsense silent hangs late talks; do
    patience=()
    [ $trouble != hangs ] || patience=(--timeout 2s)
    check "$trouble" consumes 2000 "$work/$trouble" s -a "$trouble" "${patience[@]}" "$processor" "$work/$trouble" $trouble
    check "$trouble: every record came" whole "$work/$trouble" 2000
    case $trouble in
    dies) check "said" says 'exited with 3' ;;
    nonsense)
        check "said, its talk" says 'no message: this is no JSON'
        check "and what was wrong" says "it answered another action, 'initialize'"
        ;;
    hangs) check "said" says 'it did not answer in time' ;;
    late) check "talk is no fault" says '0 restarts of the program' ;;
    talks)
        check "the first ten lines are shown" [ "$(grep -c 'no message: talk' "$work/err")" = 10 ]
        check "that there are more is said" says 'more such lines, not shown until it answers'
        ;;
    esac
done
check "a program that is not there" ends 2 millrace consume s -a x ./no-such-program
check "is named" says './no-such-program'
check "no stream" ends 4 millrace consume streem -a x true
check "no application" ends 2 millrace consume s true
check "is asked for" says '-a NAME'
check "a bad time" ends 2 millrace consume s -a x --failover never true

# ---- reset

check "to the beginning" ends 0 millrace group reset app --to start
check "all of it again" consumes 4000 "$work/a" s -a app "$processor" "$work/a"
check "in order" whole <(tail -n 2000 "$work/a") 2000
check "to the end" ends 0 millrace group reset app --to latest
put_to s 2000 10
check "nothing but what came since" consumes 4010 "$work/a" s -a app "$processor" "$work/a"
check "is there" [ "$(tail -n 10 "$work/a" | sort)" = "$(stamped 2000 10 | cut -d : -f 2 | sort)" ]
check "to a time before all" ends 0 millrace group reset app --to -1h
check "is all of it" consumes 6020 "$work/a" s -a app "$processor" "$work/a"
check "in order again" whole <(tail -n 2010 "$work/a") 2010
check "an application that is not there" ends 4 millrace group reset nobody --to start
check "has a next step" says 'millrace group ls'
check "a moment that is none" ends 2 millrace group reset app --to yesterday
check "leases of the engine" consumes 2010 "$work/e" s -a inside -l engine "$processor" "$work/e"
check "are found, too" ends 0 millrace group show inside --json
check "and reset there" ends 0 millrace group reset inside --to start --leases engine

# ---- properties files

sed 's/^ *//' > "$work/good.properties" << END
    # of a kit
    executableName = $processor $work/p
    streamArn: arn:aws:kinesis:us-east-5:000000000000:stream/s
    streamName = other
    applicationName=kit
    AwsCredentialsProvider = DefaultCredentialsProvider
    initialPositionInStream = TRIM_HORIZON
    retrievalMode = POLLING
    failoverTimeMillis = 2000
    failoverTimeMilis = 2000
    metricsLevel = NONE
END
check "a properties file" consumes 2010 "$work/p" -p "$work/good.properties"
check "every record came by it" whole "$work/p" 2010
check "an unknown key has its line" says ':10: note: unknown key failoverTimeMilis, passed over: did you mean failoverTimeMillis?'
check "a contradiction, too" says 'streamArn counts'
printf 'applicationName = x\nretrievalMode = SOMETIMES\nmaxRecords = many\n' > "$work/bad.properties"
check "a bad one" ends 2 millrace consume -p "$work/bad.properties"
check "says what is missing" says 'executableName is missing'
check "what is wrong" says ':3: maxRecords is a number from 1 to 10000'
check "and how often" says 'has 4 faults'
check "both ways at once" ends 2 millrace consume -p "$work/good.properties" s true
check "a missing file" ends 4 millrace consume -p "$work/none.properties"
