#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the programs for any Linux of this architecture: static, with musl and all that they stand on.
#
#   static.sh SOURCES TREE OUT
#
# SOURCES has the unpacked source packages of Debian or Ubuntu, as `apt-get source` leaves them: libuv1,
# cjson, mbedtls, and wslay or aria2 (which has a copy of it, for archives that lack wslay's). TREE is
# libwstunnel, OUT/bin gets the programs. Needs musl-tools, cmake, make, meson, ninja, pkg-config.
set -eu
[ $# = 3 ] || { echo "usage: $0 SOURCES TREE OUT" >&2; exit 2; }
sources=$(realpath "$1") tree=$(realpath "$2")
mkdir -p "$3"
out=$(realpath "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
jobs=$(getconf _NPROCESSORS_ONLN)
flags='-Os -fstack-protector-strong -ffunction-sections -fdata-sections'
mkdir -p "$root/include/wslay" "$root/include/cjson" "$root/lib/pkgconfig"
source_of() { # source_of NAME: its directory
    for directory in "$sources/$1"-*/; do
        [ ! -d "$directory" ] || { echo "$directory"; return; }
    done
}

# musl-gcc sees no headers but musl's; the kernel's are the same for all.
ln -s /usr/include/linux /usr/include/asm-generic "$root/include/"
ln -s "/usr/include/$(gcc -dumpmachine)/asm" "$root/include/asm"

# compile LIBRARY FILE... [-OPTION...]
compile() {
    library=$1
    shift
    (mkdir "$work/$library" && cd "$work/$library" &&
        musl-gcc $flags -I"$root/include" -c "$@" && ar rc "$root/lib/lib$library.a" ./*.o)
}

cjson=$(source_of cjson)
cp "$cjson/cJSON.h" "$root/include/cjson/"
compile cjson "$cjson/cJSON.c"

wslay=$(source_of wslay)
[ -n "$wslay" ] || wslay=$(source_of aria2)/deps/wslay
cp "$wslay"/lib/includes/wslay/*.h "$root/include/wslay/"
[ -e "$root/include/wslay/wslayver.h" ] ||
    echo '#define WSLAY_VERSION "1.1.1"' >"$root/include/wslay/wslayver.h" # its configure makes it
compile wslay "$wslay"/lib/*.c -I"$wslay/lib/includes" -DHAVE_ARPA_INET_H -DHAVE_NETINET_IN_H

cmake -S "$(source_of libuv1)" -B "$work/libuv" -DCMAKE_C_COMPILER=musl-gcc -DBUILD_TESTING=OFF \
    -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$flags -I$root/include" >/dev/null
cmake --build "$work/libuv" --parallel "$jobs" --target uv_a >/dev/null
cp -r "$(source_of libuv1)"/include/* "$root/include/"
cp "$work"/libuv/libuv*.a "$root/lib/libuv.a"

cp -r "$(source_of mbedtls)" "$work/mbedtls"
make -C "$work/mbedtls/library" -j"$jobs" CC=musl-gcc CFLAGS="$flags" static >/dev/null
cp "$work"/mbedtls/library/*.a "$root/lib/"
cp -r "$work/mbedtls/include/." "$root/include/"

for library in libuv:uv:1.44 libcjson:cjson:1.7.15; do
    IFS=: read -r name file version <<PC
$library
PC
    printf 'Name: %s\nDescription: %s\nVersion: %s\nLibs: -L%s -l%s\nCflags: -I%s\n' \
        "$name" "$name" "$version" "$root/lib" "$file" "$root/include" >"$root/lib/pkgconfig/$name.pc"
done
export PKG_CONFIG_LIBDIR="$root/lib/pkgconfig" CC=musl-gcc
export CFLAGS="$flags -I$root/include" LDFLAGS="-static -L$root/lib -Wl,--gc-sections"
# musl-gcc links static programs to fixed addresses, so they are not position-independent.
meson setup "$work/build" "$tree" --buildtype=plain -Doptimization=s -Ddefault_library=static \
    -Db_pie=false -Dtests=disabled -Dsystemd_unit_dir=no >"$work/log" || { cat "$work/log"; exit 1; }
ninja -C "$work/build" examples/wstunnel-server examples/wstunnel-agent >"$work/log" ||
    { cat "$work/log"; exit 1; }
mkdir -p "$out/bin"
for program in wstunnel-server wstunnel-agent; do
    strip -o "$out/bin/$program" "$work/build/examples/$program"
done
