#!/usr/bin/env bash
# Encryption at rest: neither key nor data of an encrypted record is found in any file of the directory,
# while it is open, after a kill, after a close; nothing is lost over starts, stops, rotations and restarts;
# and a key file that is missing, open to others, damaged or of something else is told so.
# shellcheck disable=SC2016 # what is for eval
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh
# shellcheck source=tests/support/serving.sh
. tests/support/serving.sh

kms='{"StreamName":"s","EncryptionType":"KMS","KeyId":"alias/aws/kinesis"}'
encrypt() {
    ask StartStreamEncryption "$kms" && [ "$(cat "$work/status")" = 200 ]
}
decrypt() {
    ask StopStreamEncryption "$kms" && [ "$(cat "$work/status")" = 200 ]
}

# put KEY DATA: over the server if there is one, else into the directory
put() {
    millrace put s --key "$1" "$2" > "$work/out" 2> "$work/err" && echo "$1 $2" >> "$work/promised"
}

# hidden WORD...: no file of the directory holds a word, nor what base64 makes of it
hidden() {
    local word
    for word in "$@"; do
        printf '%s\n' "$word" "$(printf %s "$word" | base64)"
    done > "$work/words"
    grep -raoF -f "$work/words" "$MILLRACE_DATA" > "$work/found" || return 0
    sed 's/^/# /' "$work/found"
    return 1
}
shown() {
    grep -raqF -- "$1" "$MILLRACE_DATA"
}

all_there() {
    millrace tail s --from start -F '%k %v\n' > "$work/out" 2> "$work/err" &&
        diff <(sort "$work/promised") <(sort "$work/out") > "$work/diff"
}

# restart close|kill: what a step leaves is there in the next life
restart() {
    if [ "$1" = close ]; then
        stop
    else
        kill -9 "$server"
        wait "$server" 2> /dev/null
    fi
    server=''
    start --state-delay 0
}

: > "$work/promised"
millrace create s --shards 2 2> "$work/err"
start --state-delay 0
check "a plain record is put" put plainkey-01 plaindata-01
check "... and grep finds it: this test can fail" shown plaindata-01
check "no key file is made before one is needed" [ ! -e "$MILLRACE_KEY_FILE" ]

check "encryption starts" encrypt
check "the key file is its owner's alone" [ "$(stat -c %a "$MILLRACE_KEY_FILE")" = 600 ]
check "... and not in the data directory" [ -z "$(find "$MILLRACE_DATA" -name '*key*')" ]
check "the API says KMS" answers 200 '"EncryptionType":"KMS"' DescribeStreamSummary '{"StreamName":"s"}'
check "... and the key's name" answers 200 '"KeyId":"alias/aws/kinesis"' DescribeStreamSummary '{"StreamName":"s"}'
check "describe says it" grep -q '^  encrypted ' <(millrace describe s)
check "a record is put" put secretkey-01 secretdata-01
check "a put says KMS" answers 200 '"EncryptionType":"KMS"' PutRecord \
    '{"StreamName":"s","PartitionKey":"secretkey-02","Data":"c2VjcmV0ZGF0YS0wMg=="}'
echo "secretkey-02 secretdata-02" >> "$work/promised"
check "nothing of them is in the journal" hidden secretkey-0 secretdata-0 c2VjcmV0
check "they are read" all_there

secret=$(sed -n 's/^key [0-9a-f]* //p' "$MILLRACE_KEY_FILE")
number=2
for how in kill close kill; do
    for step in encrypt decrypt encrypt; do
        check "restart by $how" restart $how
        check "nothing is lost" all_there
        check "$step" $step
        number=$((number + 1))
        if [ $step = encrypt ]; then
            check "a record, hidden" put "secretkey-$number" "secretdata-$number"
        else
            check "a record, plain" put "plainkey-$number" "plaindata-$number"
            check "... it is" shown "plaindata-$number"
        fi
        check "restart by $how" restart $how
        check "nothing is lost after $step, put and $how" all_there
        check "nothing encrypted is found" hidden secretkey- secretdata-
    done
done
check "the server stops" stop
check "nothing is found in the closed directory" hidden secretkey- secretdata- c2VjcmV0
check "... nor the master key" hidden "$secret"
check "commands read it without a server" all_there
check "the directory is whole" ends 0 millrace check
check "... and was looked into" eval '! grep -q "not looked into" "$work/out" "$work/err"'

# ---- the command -----------------------------------------------------------------------

# Without a server and with one, which is told by the engine what it did in between.
check "millrace encrypt starts it in a directory" ends 0 millrace encrypt s
check "... and says what to keep" says "($MILLRACE_KEY_FILE)"
check "a record, hidden" put secretkey-70 secretdata-70
start --state-delay 0
check "a server knows it" answers 200 '"EncryptionType":"KMS"' DescribeStreamSummary '{"StreamName":"s"}'
check "millrace encrypt --off goes there" ends 0 millrace encrypt s --off
check "... and says it" says 'not encrypted; what is there stays as it is'
check "the server says so" answers 200 '"EncryptionType":"NONE"' DescribeStreamSummary '{"StreamName":"s"}'
check "a record, plain" put plainkey-70 plaindata-70
check "... it is" shown plaindata-70
check "on again, over the server" eval 'millrace encrypt s --json | grep -q "\"encrypted\":true"'
check "a record, hidden" put secretkey-71 secretdata-71
check "the server stops" stop
check "the directory knows it" grep -q '^  encrypted ' <(millrace describe s)
check "nothing is lost" all_there
check "nothing is found" hidden secretkey- secretdata-
check "a stream that is not there is not encrypted" ends 4 millrace encrypt nosuch

# ---- the key file ----------------------------------------------------------------------

# unreadable TEXT: reading and putting say it, and what to do; putting it right helps
unreadable() {
    ends 1 millrace tail s --from start && says "$1" &&
        ends 1 millrace put s --key k refused && says "$1"
}
mv "$MILLRACE_KEY_FILE" "$work/kept"
check "a missing key file is named" unreadable "the key file $work/keys is missing"
check "... with what to do" says 'put it back, or name it with --key-file'
check "other streams go on" eval 'ends 0 millrace create other && ends 0 millrace put other --key k data'
check "check looks at the checksums" ends 0 millrace check
check "... and says so" eval 'grep -q "encrypted blocks have good checksums and were not looked into" "$work/out" "$work/err"'
check "--key-file names another" ends 0 millrace --key-file "$work/kept" tail s --from start
cp "$work/kept" "$MILLRACE_KEY_FILE"
chmod 644 "$MILLRACE_KEY_FILE"
check "one that others may read is refused" unreadable 'chmod 600'
chmod 600 "$MILLRACE_KEY_FILE"
check "put right, all is there" all_there
sed -i 's/^key \(.\)/key 0/; s/^key 00/key 10/' "$MILLRACE_KEY_FILE"
check "a damaged one is refused" unreadable "is damaged in line 3: put the file back"

# Moved away: encryption started anew makes another, and goes on with it.
rm "$MILLRACE_KEY_FILE"
start --state-delay 0
check "another key file: what is encrypted cannot be read" answers 400 KMSNotFoundException PutRecord \
    '{"StreamName":"s","PartitionKey":"k","Data":"AAAA"}'
check "encryption starts again, with a new key" encrypt
check "a record under the new key" put secretkey-90 secretdata-90
check "the old ones are not skipped, but missed" eval '! all_there && says "lacks key"'
cat "$work/kept" >> "$MILLRACE_KEY_FILE"
check "both files in one: all is there, at once" all_there
check "the server stops" stop
check "all is there without it" all_there
check "nothing was found to the end" hidden secretkey- secretdata- "$secret"
check "no key is in what the server said" eval '! grep -qF -- "$secret" "$work/err.serve"'

# ---- a crash, and no key ---------------------------------------------------------------

start --state-delay 0
check "a last record" put secretkey-91 secretdata-91
kill -9 "$server"
wait "$server" 2> /dev/null
server=''
mv "$MILLRACE_KEY_FILE" "$work/kept"
check "what is to be recovered needs its key" ends 1 millrace list
check "... and says so" says 'to be recovered, is encrypted: the key file'
mv "$work/kept" "$MILLRACE_KEY_FILE"
check "with the key nothing is lost" all_there
check "the directory is whole" ends 0 millrace check
