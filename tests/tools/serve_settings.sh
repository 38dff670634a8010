#!/usr/bin/env bash
# What serve is told: by options, the environment and a file, in this order; what is unknown or contradicts
# itself is refused with its line; streams at start, certificates made here, and SIGHUP.
# shellcheck disable=SC2016 # what is for eval
set -uo pipefail
# shellcheck source=tests/support/cases.sh
. tests/support/cases.sh
# shellcheck source=tests/support/serving.sh
. tests/support/serving.sh

conf=$work/serve.conf

# ---- what is refused -------------------------------------------------------------------

# refuses TEXT LINE...: a file of these lines
refuses() {
    printf '%s\n' "${@:2}" > "$conf"
    ends 2 "$MILLRACE" serve --config "$conf" && says "$1"
}
check "no file" ends 4 "$MILLRACE" serve --config "$work/none"
check "an unknown setting, with its line and what was meant" \
    refuses "$conf, line 3: there is no setting 'prot': did you mean port?" '# mine' '' 'prot = 1'
check "a line that is no setting" refuses 'line 1: no setting: write name = value' 'port 4567'
check "a setting without a value" refuses 'line 1: port needs a value: N' 'port ='
check "a setting twice" refuses 'line 3: port is set on line 1 already' 'port = 1' 'loops = 2' 'port = 2'
check "a value of the wrong kind" refuses "line 2: port takes a number, not 'x'" '' 'port = x'
check "a word that is none" refuses "line 1: limits takes on|off, not 'of'" 'limits = of'
check "a number out of range" refuses 'line 2: port is 0 to 65535' '' 'port = 65536'
check "a certificate without its key" refuses 'line 1: tls-cert alone is not enough' 'tls-cert = a.pem'
check "a contradiction" refuses 'line 2: tls-cert contradicts tls = self-signed' \
    'tls = self-signed' 'tls-cert = a.pem' 'tls-key = b.pem'
check "a fault that is none" refuses 'line 1: fault: a rule says what happens' 'fault = every=3'
check "a stream's bad name" refuses "line 1: streams: 'a b' is no name" 'streams = a b:1'
check "an account that is none" refuses 'line 1: account-id has 12 digits' 'account-id = 1'
check "a file of files" refuses "there is no setting 'config'" 'config = x'
check "the environment is named" eval \
    'MILLRACE_PORT=x ends 2 "$MILLRACE" serve && says "MILLRACE_PORT: port takes a number"'
check "an option is named" eval 'ends 2 "$MILLRACE" serve --clock-rate 0 && says "--clock-rate is 1 to 3600"'

# ---- which counts ----------------------------------------------------------------------

serves_at() { # ADDRESS
    grep -q "serving Kinesis at http://$1:$port" "$work/err.serve"
}
printf '# a comment\n\taddress = 127.0.0.2  \r\nstate-delay=0\nstreams = orders:4, clicks\n' > "$conf"
check "no blanks in a list" refuses "' clicks' is no name" 'streams = orders:4, clicks'
printf '# a comment\n\taddress = 127.0.0.2  \r\nstate-delay=0\nstreams = orders:4,clicks\ndata = %s\n' \
    "$work/elsewhere" > "$conf"
MILLRACE_DATA='' start --config "$conf"
check "the file counts" serves_at 127.0.0.2
check "... with its data directory" [ -e "$work/elsewhere/LOCK" ]
check "... and its streams" grep -q 'made stream orders with 4 shards' "$work/err.serve"
check "ends" stop
MILLRACE_ADDRESS=127.0.0.3 start --config "$conf"
check "the environment counts more" serves_at 127.0.0.3
check "... for the data directory, too" [ -e "$MILLRACE_DATA/LOCK" ]
check "ends again" stop
MILLRACE_CONFIG=$conf MILLRACE_ADDRESS=127.0.0.3 start --address 127.0.0.1
check "an option counts most" serves_at 127.0.0.1
check "streams that are there are not made again" eval '! grep -q "made stream" "$work/err.serve"'
check "they take records" answers 200 SequenceNumber PutRecord \
    '{"StreamName":"orders","Data":"AAAA","PartitionKey":"k"}'
check "with their shards" answers 200 '"OpenShardCount":4' DescribeStreamSummary '{"StreamName":"orders"}'
check "ends once more" stop
check "the file that help writes is taken" eval \
    'millrace help serve -o config > "$conf" && start --config "$conf" && stop'

# ---- certificates ----------------------------------------------------------------------

tls=$MILLRACE_DATA-tls
trusts() { # NAME
    curl -sS --max-time 20 --cacert "$tls/ca.pem" --resolve "$1:$port:127.0.0.1" \
        "https://$1:$port/health" > "$work/out" 2> "$work/err" && grep -q ok "$work/out"
}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/another.key" \
    -out "$work/another.pem" -days 2 -subj "/CN=another" 2> "$work/err"
start --tls self-signed
check "it says how to trust it" grep -q "export AWS_CA_BUNDLE=$tls/ca.pem" "$work/err.serve"
for name in localhost 127.0.0.1 "$(uname -n)"; do
    check "the certificate is good for $name" trusts "$name"
done
check "but for no other" eval '! trusts example.org'
check "the key is its owner's" [ "$(stat -c %a "$tls/server.key")" = 600 ]
check "the authority's key is nowhere" eval '[ "$(ls "$tls")" = "$(printf "ca.pem\nserver.key\nserver.pem")" ]'
check "the authority is for these names only" grep -q 'DNS:localhost' \
    <(openssl x509 -in "$tls/ca.pem" -noout -ext nameConstraints)
own() { # COMMAND...: our own client over TLS
    env MILLRACE_DATA="$work/none" AWS_ENDPOINT_URL="https://127.0.0.1:$port" "$@"
}
check "our client, told of the authority, trusts it" ends 0 own AWS_CA_BUNDLE="$tls/ca.pem" "$MILLRACE" create secure --shards 2
check "it puts" ends 0 own AWS_CA_BUNDLE="$tls/ca.pem" "$MILLRACE" put secure --key k 'over TLS'
check "and reads" [ "$(own AWS_CA_BUNDLE="$tls/ca.pem" "$MILLRACE" tail secure 2> "$work/err")" = 'over TLS' ]
check "not told, it refuses" ends 1 own "$MILLRACE" list
check "and says why" says certificate
check "told of another authority, too" ends 1 own AWS_CA_BUNDLE="$work/another.pem" "$MILLRACE" list
check "and says why" says certificate
check "told of none that is there, too" ends 1 own AWS_CA_BUNDLE="$work/none.pem" "$MILLRACE" list
check "plain HTTP goes on" page '"status":"ok"' /health
check "ends with TLS" stop
cp "$tls/ca.pem" "$work/ca.before"
start --tls self-signed
check "the second time it is there" cmp "$tls/ca.pem" "$work/ca.before"
check "and is not told again" eval '! grep -q AWS_CA_BUNDLE "$work/err.serve"'
check "ends with TLS again" stop

# ---- SIGHUP ----------------------------------------------------------------------------

make_cert() { # NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" \
        -out "$work/cert.pem" -days 2 -subj "/CN=$1" 2> "$work/err"
}
shown() { # the name on the certificate of a new connection
    openssl s_client -connect "127.0.0.1:$port" < /dev/null 2> /dev/null | sed -n 's/^subject=.*CN = *//p'
}
# health: asked over the connection that is open
health() {
    local line found=1

    printf 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n' >&"${tls_client[1]}"
    while read -rt 10 line <&"${tls_client[0]}"; do
        [[ $line != *'"status":"ok"'* ]] || { found=0 && break; }
    done
    return $found
}

make_cert first
start --tls-cert "$work/cert.pem" --tls-key "$work/key.pem" --audit "$work/audit.log"
coproc tls_client { exec openssl s_client -quiet -connect "127.0.0.1:$port" 2> /dev/null; }
check "a connection over TLS is open" health
make_cert second
mv "$work/audit.log" "$work/audit.old"
kill -HUP "$server"
has_said 1 'certificate read again'
check "a new connection has the new certificate" [ "$(shown)" = second ]
check "the old connection is still open" health
ask ListStreams '{}'
check "the audit log is written where it belongs" grep -q ListStreams "$work/audit.log"
echo nonsense > "$work/cert.pem"
kill -HUP "$server"
has_said 1 'the certificate stays as it was'
check "a certificate that is none changes nothing" [ "$(shown)" = second ]
check "and drops nobody" health
# shellcheck disable=SC2154 # of coproc
kill "$tls_client_PID" 2> /dev/null
check "ends after all that" stop
