#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the library into an empty place and uses it from there as a stranger would: by pkg-config
# alone, from C and C++, shared and static.
set -eu
cd "$(dirname "$0")/.."
build=build-release
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
meson install -C "$build" --destdir "$dest" --quiet
prefix=$(meson introspect "$build" --buildoptions |
    python3 -c 'import json,sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
pc=$(find "$dest" -name libwstunnel.pc)
lib=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_SYSROOT_DIR=
flags() { pkg-config "$@" libwstunnel | sed "s| *-I$prefix| -I$dest$prefix|g; s|-L$prefix|-L$dest$prefix|g"; }
cat >"$dest/user.c" <<'C'
#include <stdio.h>
#include <wstunnel/wstunnel.h>
int main(void) {
    puts(wst_version());
    return wst_strerror(WST_EPROTO) == NULL;
}
C
# shellcheck disable=SC2046
cc -std=c11 -pedantic -Wall -Werror "$dest/user.c" -o "$dest/shared" $(flags --cflags --libs)
LD_LIBRARY_PATH=$lib "$dest/shared"
g++ -std=c++11 -pedantic -Wall -Werror -x c++ "$dest/user.c" -o "$dest/cxx" $(flags --cflags --libs)
LD_LIBRARY_PATH=$lib "$dest/cxx"
cc "$dest/user.c" -o "$dest/static" $(flags --cflags) "$lib/libwstunnel.a" \
    $(flags --static --libs | sed 's/-lwstunnel//')
"$dest/static"
for program in wstunnel-server wstunnel-agent; do
    LD_LIBRARY_PATH=$lib "$dest$prefix/bin/$program" --version
done
