#!/usr/bin/env bash
# Real clients against millrace serve: AWS CLI v1 and v2, boto3, the AWS SDKs for JavaScript v3 and Java v2,
# over plain connections and TLS; the labs and the papercuts. Needs MILLRACE and O; T picks scripts by
# name. The clients are installed below O, once; but version 2 of the CLI, which no registry has, is the
# machine's, if it has one.
set -uo pipefail

here=$PWD/tests/interop clients=$PWD/$O/interop
[ "${O#/}" = "$O" ] || clients=$O/interop
work=$(mktemp -d)
server='' names=()
trap '[ -z "$server" ] || kill -9 "$server" 2> /dev/null; rm -rf "$work"' EXIT

install_clients() {
    mkdir -p "$clients"
    [ -x "$clients/venv/bin/aws" ] || {
        echo "installing awscli and boto3"
        python3 -m venv "$clients/venv" && "$clients/venv/bin/pip" -q install awscli boto3 || return
    }
    [ -d "$(echo "$clients"/venv/lib/*/site-packages/aws_kinesis_agg)" ] || {
        echo "installing aws-kinesis-agg"
        "$clients/venv/bin/pip" -q install aws-kinesis-agg six || return # it forgets to ask for six
    }
    [ -d "$clients/kclpy/amazon_kclpy" ] || { # its sources, with the sample; installing it brings Java's
        echo "fetching amazon_kclpy"
        mkdir -p "$clients/kclpy" && "$clients/venv/bin/pip" -q download --no-deps --no-binary :all: \
            -d "$clients/kclpy" amazon_kclpy && tar xf "$clients"/kclpy/*.tar.gz -C "$clients/kclpy" \
            --strip-components 1 && chmod +x "$clients/kclpy/samples/sample_kclpy_app.py" || return
    }
    [ -d "$clients/node_modules/aws-kcl" ] || {
        echo "installing aws-kcl"
        npm install --silent --no-fund --no-audit --prefix "$clients" aws-kcl || return
    }
    [ -d "$clients/node_modules/@aws-sdk/client-kinesis" ] || {
        echo "installing @aws-sdk/client-kinesis"
        npm install --silent --no-fund --no-audit --prefix "$clients" @aws-sdk/client-kinesis || return
    }
    [ "$clients/java/installed" -nt "$here/pom.xml" ] || {
        echo "installing the AWS SDK for Java"
        rm -rf "$clients/java"
        mvn -B -q -f "$here/pom.xml" -Dmaven.repo.local="$clients/maven" -DincludeScope=runtime \
            -Dstyle.color=never -DoutputDirectory="$clients/java" dependency:copy-dependencies || return
        touch "$clients/java/installed"
    }
    [ "$clients/kafka/installed" -nt "$here/kafka/pom.xml" ] || {
        echo "installing Apache Kafka"
        rm -rf "$clients/kafka"
        mvn -B -q -f "$here/kafka/pom.xml" -Dmaven.repo.local="$clients/maven" -DincludeScope=runtime \
            -Dstyle.color=never -DoutputDirectory="$clients/kafka" dependency:copy-dependencies || return
        touch "$clients/kafka/installed"
    }
}

# Some know the endpoint only as an argument, and read --data as base64 unless told otherwise.
make_cli2() {
    [[ $(/usr/bin/aws --version 2>&1) = aws-cli/2* ]] || return
    mkdir -p "$work/cli2"
    # shellcheck disable=SC2016 # it is for the script
    printf '#!/bin/sh\nexec /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"\n' > "$work/cli2/aws"
    chmod +x "$work/cli2/aws"
    printf '[default]\ncli_binary_format = raw-in-base64-out\n' > "$work/cli2/config"
}

# start ARGUMENT...: a server on a free port, http and https
start() {
    local line

    "$MILLRACE" serve --port 0 --json --tls-cert "$work/cert.pem" --tls-key "$work/key.pem" "$@" \
        > "$work/said" 2>> "$work/log" &
    server=$!
    read -r line < "$work/said"
    port=$(sed -E 's/.*"port":([0-9]+).*/\1/' <<< "$line")
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port
}

stop() { # SIGNAL
    kill "-$1" "$server"
    wait "$server" 2> /dev/null
    server=''
}

picked() { # NAME
    [[ $1 = *"${T:-}"* ]]
}

# run NAME COMMAND...: one script, whose lines count; so does its end
run() {
    names+=("$1")
    picked "$1" || return 0
    "${@:2}" > "$work/out" 2>&1 < /dev/null || echo "not ok - $1: ended with $?" >> "$work/out"
    grep -v '^ok' "$work/out"
    echo "$1: $(grep -c '^ok' "$work/out") ok"
    cat "$work/out" >> "$work/all"
}

# run2 NAME COMMAND...: the same, where aws is version 2
run2() {
    [ ! -x "$work/cli2/aws" ] || PATH=$work/cli2:$PATH run "$@"
}

install_clients || exit
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 \
    -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2> "$work/log" || exit
keytool -importcert -noprompt -alias millrace -file "$work/cert.pem" -keystore "$work/trust.p12" \
    -storetype PKCS12 -storepass millrace 2> "$work/log" || exit
trust=(-Djavax.net.ssl.trustStore="$work/trust.p12" -Djavax.net.ssl.trustStorePassword=millrace)
make_cli2 || echo "there is no AWS CLI v2 here (Debian: awscli): left out"
mkfifo "$work/said"
touch "$work/all"
export PATH=$clients/venv/bin:$PATH MILLRACE MILLRACE_DATA=$work/data
export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
export PYTHONDONTWRITEBYTECODE=1 AWS_PAGER='' AWS_CA_BUNDLE=$work/cert.pem NODE_EXTRA_CA_CERTS=$work/cert.pem NODE_NO_WARNINGS=1
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_CONFIG_FILE

run signing python "$here/signing.py" "$MILLRACE"
run keys-page python "$here/keys_page.py"
if picked aggregates; then
    ${CC:-cc} -std=c11 -D_GNU_SOURCE -Icore -o "$work/aggregate" "$here/aggregate.c" "$O/libmillrace.a" \
        -lzstd -lxxhash -pthread || exit
    run aggregates python "$here/aggregates.py" "$work/aggregate"
fi

start --limits off
for scheme in http https; do
    url=$scheme://127.0.0.1:$port
    run "boto3-$scheme" python "$here/operations.py" "$url" "boto3-$scheme"
    run "js-$scheme" env -C "$clients" node "$here/operations.mjs" "$url" "js-$scheme"
    run "java-$scheme" java "${trust[@]}" -cp "$clients/java/*" "$here/operations.java" "$url" "java-$scheme"
    run "cli-$scheme" env AWS_ENDPOINT_URL="$url" "$here/cli.sh" "cli-$scheme"
    run2 "cli2-$scheme" env AWS_ENDPOINT_URL="$url" AWS_CONFIG_FILE="$work/cli2/config" \
        "$here/cli.sh" "cli2-$scheme"
done
run kcl-python env PYTHONPATH="$clients/kclpy" PATH="$clients/kclpy/samples:$PATH" \
    "$here/kcl.sh" kcl-python kclpysample "$clients/kclpy/samples/sample.properties"
cat > "$work/kcl_node.properties" << END
executableName = node $here/kcl_app.cjs
streamName = kcl-node
applicationName = NodeKCLSample
AwsCredentialsProvider = DefaultCredentialsProvider
processingLanguage = nodejs/18
initialPositionInStream = TRIM_HORIZON
regionName = us-east-1
END
run kcl-node env NODE_PATH="$clients/node_modules" "$here/kcl.sh" kcl-node kcl-node "$work/kcl_node.properties"
run papercuts python "$here/papercuts.py" "http://127.0.0.1:$port"
run papercuts-shards python "$here/papercuts_shards.py" "http://127.0.0.1:$port"
run lab-reshard python "$here/lab_reshard.py" "http://127.0.0.1:$port"
run lab-demo-put "$here/lab_demo.sh" put
if picked kill; then
    python "$here/kill.py" put "http://127.0.0.1:$port" "$work/acknowledged" &
    loader=$!
    until [ "$(wc -l < "$work/acknowledged" || echo 0)" -ge 2000 ]; do kill -0 $loader || break; done 2> /dev/null
    stop KILL
    wait $loader
    start --limits off
    run kill python "$here/kill.py" look "http://127.0.0.1:$port" "$work/acknowledged"
fi
run2 lab-demo2-put "$here/lab_demo.sh" put Demo2Stream
stop TERM
run lab-demo-tail "$here/lab_demo.sh" tail
run2 lab-demo2-tail "$here/lab_demo.sh" tail Demo2Stream
start --state-delay 0
run papercuts-limits python "$here/papercuts_limits.py" "http://127.0.0.1:$port"
stop TERM
start --state-delay 5000
run lab-cli "$here/lab_cli.sh"
run2 lab-cli2 "$here/lab_cli.sh"
stop TERM

start --state-delay 50 --metrics on
run prometheus "$here/prometheus.sh" "$work"
run lab-time-1 "$here/lab_time.sh" 1
run2 lab-time-2 env AWS_CONFIG_FILE="$work/cli2/config" "$here/lab_time.sh" 2
stop TERM

write_users() { # who may call, as a file of serve --auth
    (umask 077 && cat > "$work/users.json" << 'END'
{"users": [
  {"name": "root", "keys": [{"id": "AKIDROOT", "secret": "root-secret"}],
   "policies": [{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]},
  {"name": "alice", "keys": [{"id": "AKIDALICE", "secret": "alice-secret"},
                             {"id": "ASIASESSION", "secret": "session-secret", "token": "a+token/="}],
   "policies": [{"Statement": {"Effect": "Allow", "Action": "kinesis:Put*",
                               "Resource": "arn:aws:kinesis:us-east-1:*:stream/test-*"}}]}
]}
END
    )
}
write_users
start --state-delay 0 --limits off --auth "$work/users.json"
for scheme in http https; do
    url=$scheme://127.0.0.1:$port
    run "auth-boto3-$scheme" python "$here/auth.py" "$url" "boto3-$scheme"
    run "auth-js-$scheme" env -C "$clients" node "$here/auth.mjs" "$url" "js-$scheme"
    run "auth-cli-$scheme" env AWS_ENDPOINT_URL="$url" "$here/auth_cli.sh" "cli-$scheme"
    run2 "auth-cli2-$scheme" env AWS_ENDPOINT_URL="$url" AWS_CONFIG_FILE="$work/cli2/config" \
        "$here/auth_cli.sh" "cli2-$scheme"
done
stop TERM

run leases "$here/leases.sh"
run kafka "$here/kafka/audit.sh" "$clients/kafka"

passed=$(grep -c '^ok' "$work/all") failed=$(grep -c '^not ok' "$work/all")
echo "$passed passed, $failed failed"
[ "$passed" != 0 ] || [ "$failed" != 0 ] || echo "nothing has such a name; there are: ${names[*]}" >&2
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
