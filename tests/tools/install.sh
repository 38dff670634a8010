#!/usr/bin/env bash
# What `make install` puts down is all a user needs: a program compiled with nothing but the installed
# files links with the shared and with the static library and runs. `make uninstall` leaves no file.
set -uo pipefail

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
lib=$root/usr/lib

# try NAME COMMAND...
try() {
    local name=$1
    shift
    if "$@"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
    fi
}

# pc NAME: a variable of the installed millrace.pc, below $root
pc() {
    sed -n "s/^$1[:=] *//p" "$lib/pkgconfig/millrace.pc" |
        sed "s|\${prefix}|/usr|g; s|\${libdir}|$lib|g; s|\${includedir}|$root/usr/include|g"
}

no_file_left() {
    [ -z "$(find "$root/usr" ! -type d)" ]
}

cat > "$root/user.c" << 'END'
#include <millrace.h>

#include <stdio.h>

int main(void)
{
    mr_engine *engine;
    mr_error error;

    if (mr_engine_open(&engine, "data", NULL, &error) != MR_OK) {
        puts(error.message);
        return 1;
    }
    mr_engine_close(engine);
    return 0;
}
END

# shellcheck disable=SC2046,SC2086 # flags are lists
compile() { # OUTPUT LIBS...
    local output=$1
    shift
    ${CC:-cc} ${TEST_CFLAGS:-} $(pc Cflags) -o "$output" "$root/user.c" "$@"
}

try "installs" make -s install DESTDIR="$root" PREFIX=/usr
try "the program runs" "$root/usr/bin/millrace" --version
try "has the man page" [ -s "$root/usr/share/man/man1/millrace.1" ]
try "has the completion" [ -s "$root/usr/share/bash-completion/completions/millrace" ]
unit=$root/usr/lib/systemd/system/millrace.service
try "has the systemd unit, for where it is installed" grep -qx 'ExecStart=/usr/bin/millrace serve' "$unit"
if command -v systemd-analyze > /dev/null; then
    sed "s|^ExecStart=|&$root|" "$unit" > "$root/millrace.service"
    cp "${unit%service}socket" "$root"
    verifies() {
        systemd-analyze verify --man=no "$root/millrace.service" "$root/millrace.socket" &> "$root/said" ||
            { cat "$root/said"; return 1; }
        ! grep -q "$root" "$root/said" || { cat "$root/said"; return 1; }
    }
    try "systemd takes the unit" verifies
    is_safe() {
        systemd-analyze security --offline=yes --threshold=20 --no-pager "$root/millrace.service" > "$root/said"
    }
    try "and thinks that it is safe" is_safe
fi
# shellcheck disable=SC2046 # flags are a list
try "links with the shared library" compile "$root/shared" $(pc Libs)
try "runs with the shared library" env -C "$root" LD_LIBRARY_PATH="$lib" ./shared
try "needs the library by its soname" grep -q 'libmillrace\.so\.[0-9]' \
    <(objdump -p "$root/shared")
# shellcheck disable=SC2046 # flags are a list
try "links with the static library" compile "$root/static" "$lib/libmillrace.a" $(pc Libs.private)
try "runs with the static library" env -C "$root" ./static
cat > "$root/remote.c" << 'END'
#include <millrace-remote.h>

int main(void)
{
    struct mr_remote_config config = MR_REMOTE_CONFIG_DEFAULT;
    mr_service *service;
    mr_error error;

    config.endpoint = "http://127.0.0.1:1";
    if (mr_service_connect(&service, &config, &error))
        return 1;
    mr_service_close(service);
    return 0;
}
END
# shellcheck disable=SC2046,SC2086 # flags are lists
try "a remote service links, too" ${CC:-cc} ${TEST_CFLAGS:-} $(pc Cflags) -o "$root/remote" \
    "$root/remote.c" "-L$lib" -lmillrace-remote -Wl,-rpath-link,"$lib" $(pc Libs)
try "and runs" env -C "$root" LD_LIBRARY_PATH="$lib" ./remote
needs() { # LIBRARY NAME
    objdump -p "$lib/$1.so" | grep -q "NEEDED.*$2"
}
try "the code is there once" needs libmillrace-remote 'libmillrace\.so'
try "the engine needs no network" eval '! needs libmillrace "curl\|ssl\|sqlite"'
try "uninstalls" make -s uninstall DESTDIR="$root" PREFIX=/usr
try "leaves no file behind" no_file_left
