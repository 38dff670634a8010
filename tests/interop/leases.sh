#!/usr/bin/env bash
# Leases in DynamoDB, against a stand-in that others wrote (dynalite): the contract test of all lease
# stores, run once more with this one. Needs MILLRACE and O; the stand-in is installed below it, once.
#
#     make interop T=leases
set -uo pipefail

folder=$O/interop
[ "${O#/}" != "$O" ] || folder=$PWD/$O/interop
server='' said=$(mktemp) data=$(mktemp -d)
trap '[ -z "$server" ] || kill "$server"; rm -rf "$said" "$data"' EXIT

[ -d "$folder/node_modules/dynalite" ] ||
    timeout 300 npm install --silent --no-fund --no-audit --prefix "$folder" dynalite || {
    echo "not ok - npm could not install dynalite within 5 minutes: is its registry there?"
    exit 1
}

# shellcheck disable=SC2016 # JavaScript
env -C "$folder" node -e '
    const server = require("dynalite")({ createTableMs: 50 })
    server.listen(0, "127.0.0.1", () => console.log(server.address().port))' > "$said" &
server=$!
until [ -s "$said" ]; do kill -0 $server || exit; done

url=http://127.0.0.1:$(cat "$said")
make -s "$O/tests/unit/test_lease_store" &&
    MR_DYNAMODB=$url "$O/tests/unit/test_lease_store" 2>&1 |
    sed -nE 's/^\[       OK \] (.*)/ok - dynalite: \1/p; s/^\[  FAILED  \] ([a-z_]+)$/not ok - dynalite: \1/p; /ERROR|LINE/p'
status=${PIPESTATUS[0]}

tables() {
    curl -sS "$url" -d '{}' -H 'Content-Type: application/x-amz-json-1.0' --user a:b \
        --aws-sigv4 aws:amz:us-east-1:dynamodb -H 'X-Amz-Target: DynamoDB_20120810.ListTables'
}
before=$(tables)
export MILLRACE_DATA=$data AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b
"$MILLRACE" create s 2> /dev/null
answer=$("$MILLRACE" group show typo -s s --leases "$url" 2>&1)
if [[ $answer = *"no application typo"* && $before = *TableNames* && $(tables) = "$before" ]]; then
    echo "ok - dynalite: who only looks makes no table"
else
    echo "not ok - dynalite: who only looks makes no table: $answer"
fi
exit "$status"
