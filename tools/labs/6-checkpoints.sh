#!/usr/bin/env bash
# title: Checkpoints and a killed worker
# about: A worker reads records, works on them and notes now and then how far it has come. It is killed
#   in the middle; the next begins at the note. What is done twice, what is lost?
# shellcheck source=tools/labs/lab.sh
. "$(dirname "$0")/lab.sh"

# worker NAME CHECKPOINT_EVERY DIES_AFTER: reads on from the checkpoint; "work" is what it did
cat > worker << 'END'
name=$1 every=$2 dies_after=$3
from=start
[ ! -s checkpoint ] || from=seq:$(cat checkpoint)
"$MILLRACE" tail orders --from "$from" -F '%s %v\n' | {
    count=0
    while read -r sequence data; do
        [ "$from" != "seq:$sequence" ] || continue # the checkpoint itself is done
        echo "$name $data" >> work
        count=$((count + 1))
        [ $((count % every)) != 0 ] || { echo "$sequence" > checkpoint.new && mv checkpoint.new checkpoint; }
        [ $count != "$dies_after" ] || kill -9 $BASHPID
    done
}
END

step "100 orders, and a worker that notes its place after every 10"
run "millrace create orders"
run "seq -f 'order-%g' 100 | millrace put orders --key shop -q"
run "bash worker anna 10 37 2> /dev/null || echo 'anna was killed'"
run "tail -n 2 work; echo; cut -c 1-25 checkpoint | sed 's/\$/.../'"
look "She had done 37 orders. Her last note was after the 30th."

step "The next worker begins behind the note"
run "bash worker ben 10 0"
run "grep ben work | head -n 2"

step "What happened to the orders?"
run "cut -d ' ' -f 2 work | sort | uniq -c | awk '{ print \$1 }' | sort | uniq -c > times"
awk '{ print $1 " orders were done " ($2 == 1 ? "once" : "twice") }' times
look "Nothing was lost: a record counts as done only when a note says so." \
    "Some were done twice: by anna after her last note, and by ben again. That is at least once." \
    "Work that must not be done twice has to be made idempotent, or to note its place with its result."

twice=$(cut -d ' ' -f 2 work | sort | uniq -d | wc -l)
ask "How many orders were done twice?" "$twice" \
    "37 done, 30 noted. A note after every record would make it 0 or 1 - and costs a write for each." \
    "Noted before the work instead of after it, they would have been lost instead: at most once."
