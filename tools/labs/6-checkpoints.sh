#!/usr/bin/env bash
# title: Checkpoints and a killed worker
# about: A worker reads records, works on them and notes now and then how far it has come: a checkpoint.
#   It is killed in the middle; the next begins at the checkpoint. What is done twice, what is lost?
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

# As a program of the KCL's kits, by the same protocol; "work" is what it did. $PPID is the millrace
# consume that runs it.
cat > worker << 'END'
while read -r line; do
    action=$(cut -d '"' -f 4 <<< "$line")
    while [ "$action" = processRecords ] && read -r order sequence <&3; do
        echo "$WORKER $order" >> work
        case $order in
        order-*0)
            echo "{\"action\":\"checkpoint\",\"sequenceNumber\":\"$sequence\"}"
            read -r _
            ;;
        order-37) [ "$WORKER" != anna ] || kill -9 $PPID $$ ;;
        esac
        [ "$order" != order-100 ] || is_last=1
    done 3< <(grep -o '{"action":"record".*' <<< "$line" | sed 's/},{/\n/g' |
        sed -E 's/.*"data":"([^"]*)".*"sequenceNumber":"([^"]*)".*/\1 \2/' |
        while read -r data sequence; do echo "$(base64 -d <<< "$data") $sequence"; done)
    echo "{\"action\":\"status\",\"responseFor\":\"$action\"}"
    [ -z "$is_last" ] || kill -TERM $PPID
    is_last=''
done
END

step "100 orders, and a worker that notes its place after every 10"
run "millrace create orders"
run "seq -f 'order-%g' 100 | millrace put orders --key shop -q"
run "WORKER=anna millrace consume orders -a shop -w anna bash worker 2> died ||
    echo 'anna was killed'"
run "wc -l < work; tail -n 1 work"
look "A power cut: she is gone in the middle, with 37 orders done. Nobody could say goodbye."

step "What is known of her?"
run "millrace group show shop 2> said"
run "noted=\$(millrace group show shop --json 2> said | field checkpoint)"
run "millrace tail orders --from seq:\$noted -n 2 -F '%v\n'"
look "The lease of shard 0 is still hers, and has her checkpoint: it is after the 30th. Leases live in" \
    "a table outside of the worker: leases.db here, DynamoDB for the KCL."

step "The next worker takes the lease when it has been silent for a second"
run "WORKER=ben millrace consume orders -a shop -w ben --failover 1s bash worker \\
    2> said"
run "grep ben work | sed -n '1,2p; \$p'"
run "millrace group show shop"

step "What happened to the orders?"
run "cut -d ' ' -f 2 work | sort | uniq -c | awk '{ print \$1 }' | sort |
    uniq -c > times"
awk '{ print $1 " orders were done " ($2 == 1 ? "once" : "twice") }' times
look "Nothing was lost: a record counts as done only when a checkpoint says so." \
    "Some were done twice: by anna after her last checkpoint, and by ben again. That is at least once." \
    "Work that must not be done twice has to be made idempotent, or to note its place with its result."

twice=$(cut -d ' ' -f 2 work | sort | uniq -d | wc -l)
ask "How many orders were done twice?" "$twice" \
    "37 done, 30 noted. A checkpoint after every record would make it 0 or 1 - and costs a write for each." \
    "Noted before the work instead of after it, they would have been lost instead: at most once."
