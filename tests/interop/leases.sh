#!/usr/bin/env bash
# Leases in DynamoDB, against a stand-in that others wrote (dynalite): the contract test of all lease
# stores, run once more with this one. Needs O; the stand-in is installed below it, once.
#
#     make interop T=leases
set -uo pipefail

folder=$O/interop
[ "${O#/}" != "$O" ] || folder=$PWD/$O/interop
server='' said=$(mktemp)
trap '[ -z "$server" ] || kill "$server"; rm -f "$said"' EXIT

[ -d "$folder/node_modules/dynalite" ] ||
    npm install --silent --no-fund --no-audit --prefix "$folder" dynalite || exit

# shellcheck disable=SC2016 # JavaScript
env -C "$folder" node -e '
    const server = require("dynalite")({ createTableMs: 50 })
    server.listen(0, "127.0.0.1", () => console.log(server.address().port))' > "$said" &
server=$!
until [ -s "$said" ]; do kill -0 $server || exit; done

make -s "$O/tests/unit/test_lease_store" &&
    MR_DYNAMODB=http://127.0.0.1:$(cat "$said") "$O/tests/unit/test_lease_store" 2>&1 |
    sed -nE 's/^\[       OK \] (.*)/ok - dynalite: \1/p; s/^\[  FAILED  \] ([a-z_]+)$/not ok - dynalite: \1/p; /ERROR|LINE/p'
exit "${PIPESTATUS[0]}"
