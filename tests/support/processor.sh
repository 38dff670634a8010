#!/usr/bin/env bash
# A record processor for tests, by the KCL's MultiLangDaemon protocol: LOG [TROUBLE]. Data is appended to
# LOG, a batch at a time, before it is checkpointed; data of a multiple of 3 bytes needs no padding
# in base64 and can be decoded as one. TROUBLE comes once, at the first records; "lazy" checkpoints only
# every fourth batch.
set -uo pipefail

log=$1 trouble=${2:-} batches=0 every=1
[ "$trouble" != lazy ] || every=4

checkpoint() {
    local answer

    printf '{"action":"checkpoint","sequenceNumber":null,"subSequenceNumber":null}\n'
    read -r answer
    [[ $answer = *'"error":null'* ]] || echo "$action $answer" >> "$log.refused"
}

while read -r line; do
    action=${line#'{"action":"'}
    action=${action%%'"'*}
    if [ "$action" = processRecords ] && [ -n "$trouble" ] && mkdir "$log.$trouble" 2> /dev/null; then
        case $trouble in
        dies) exit 3 ;;
        hangs) read -r line ;;
        nonsense) printf 'this is no JSON\n{"action":"dance"}\n\n{"action":"status","responseFor":"initialize"}\n' ;;
        talks) printf 'talk %s\n' {1..30} ;;
        silent) exec > /dev/null ;;
        late) printf 'some talk\n\n[1,2]\n' ;;
        esac
    fi
    case $action in
    processRecords)
        grep -o '"data":"[^"]*"' <<< "$line" | cut -d '"' -f 4 | base64 -d | flock "$log" tee -a "$log" > /dev/null
        batches=$((batches + 1))
        [ $((batches % every)) != 0 ] || checkpoint
        ;;
    shardEnded | shutdownRequested) checkpoint ;;
    esac
    echo "$action" >> "$log.actions"
    printf '\n{"action":"status","responseFor":"%s"}\n' "$action"
done
