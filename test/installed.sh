#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds as a newcomer does, on a machine that seems to have no cmocka, installs into an empty prefix,
# and uses what is there as a stranger would: the programs; the library from C and C++, shared and
# static, by pkg-config, by CMake, and as a part of projects of CMake and Meson, with the texts of the
# README.
#
#   --required    CMake and Doxygen must be there; else what needs them is skipped
set -eu
cd "$(dirname "$0")/.."
root=$PWD
required=no
[ "${1:-}" != --required ] || required=yes
dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
prefix=$dest/prefix
die() { printf 'installed.sh: %s\n' "$*" >&2; exit 1; }
quietly() { "$@" >"$dest/log" 2>&1 || { cat "$dest/log"; die "failed: $*"; }; }
says() { grep -q -- "$2" "$1" || { cat "$1"; die "$1 has no '$2'"; }; }

# block LANGUAGE TEXT: the block of the README in that language that has the text in it
block() {
    python3 -B - "$@" <<'PY'
import re, sys
language, text = sys.argv[1:]
blocks = re.findall(rf"^```{language}\n(.*?)^```", open("README.md").read(), re.M | re.S)
[found] = [block for block in blocks if text in block]
print(found)
PY
}

# -- Without cmocka ------------------------------------------------------------------------------
mkdir "$dest/pkgconfig"
for directory in $(pkg-config --variable pc_path pkg-config | tr : ' '); do
    for file in "$directory"/*.pc; do
        case "$file" in
        */cmocka.pc | */\*.pc) ;;
        *) ln -sf "$file" "$dest/pkgconfig/" ;;
        esac
    done
done
printf "[binaries]\ncmake = 'no-cmake-here'\n" >"$dest/native.ini"
newcomer() { PKG_CONFIG_LIBDIR=$dest/pkgconfig quietly meson "$@"; }
newcomer setup "$dest/build" --prefix "$prefix" --native-file "$dest/native.ini"
says "$dest/log" 'tests *: left out, without cmocka'
if PKG_CONFIG_LIBDIR=$dest/pkgconfig meson setup "$dest/refused" -Dtests=enabled \
    --native-file "$dest/native.ini" >"$dest/log" 2>&1; then
    die "tests that were asked for are left out"
fi
says "$dest/log" 'ERROR: .*cmocka was not found'
quietly nice -n 5 ninja -C "$dest/build"
newcomer install -C "$dest/build"

# -- Programs, units, manual pages ---------------------------------------------------------------
for program in wstunnel-server wstunnel-agent; do
    env -i "$prefix/bin/$program" --version
    says "$dest/build/examples/$program.service" "^ExecStart=$prefix/bin/$program "
    says "$dest/build/examples/$program.service" "[ :]$prefix/etc/wstunnel/"
    ! grep -n '@[a-z]*@' "$prefix/share/man/man1/$program.1" || die "$program.1 has a gap"
    says "$prefix/share/man/man1/$program.1" "$prefix/etc/wstunnel/"
    if pkg-config --exists systemd; then
        cmp "$dest/build/examples/$program.service" "$prefix/lib/systemd/system/$program.service"
    fi
done
says "$prefix/share/man/man5/wstunnel.json.5" "\"$prefix/etc/wstunnel/"

# -- The library, by pkg-config ------------------------------------------------------------------
pc=$(find "$prefix" -name libwstunnel.pc)
lib=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH=$(dirname "$pc")
twice=$(for kind in '' --static; do pkg-config $kind --libs libwstunnel | tr ' ' '\n' | grep . | sort | uniq -d; done)
twice+=$(pkg-config --print-requires --print-requires-private libwstunnel | sort | uniq -d)
[ -z "$twice" ] || die "libwstunnel.pc names twice: $twice"
cat >"$dest/user.c" <<'C'
#include <stdio.h>
#include <wstunnel/wstunnel.h>
int main(void) {
    puts(wst_version());
    return wst_strerror(WST_EPROTO) == NULL;
}
C
# shellcheck disable=SC2046
{
    cc -std=c11 -pedantic -Wall -Werror "$dest/user.c" -o "$dest/shared" $(pkg-config --cflags --libs libwstunnel)
    LD_LIBRARY_PATH=$lib "$dest/shared"
    g++ -std=c++11 -pedantic -Wall -Werror -x c++ "$dest/user.c" -o "$dest/cxx" $(pkg-config --cflags --libs libwstunnel)
    LD_LIBRARY_PATH=$lib "$dest/cxx"
    cc "$dest/user.c" -o "$dest/static" $(pkg-config --cflags libwstunnel) "$lib/libwstunnel.a" \
        $(pkg-config --static --libs libwstunnel | sed 's/-lwstunnel//')
    "$dest/static"
    block c 'int main(void)' >"$dest/readme.c"
    cc -Wall -Werror "$dest/readme.c" -o "$dest/readme" $(pkg-config --cflags --libs libwstunnel)
    for program in examples/gallery/*.c; do
        cc -Wall -Werror "$program" -o "$dest/gallery" $(pkg-config --cflags --libs libwstunnel)
    done
}

# -- The API reference ---------------------------------------------------------------------------
if command -v doxygen >/dev/null; then
    [ ! -e "$prefix/share/doc" ] || die "a reference that was not asked for"
    newcomer configure "$dest/build" -Dreference=enabled
    newcomer install -C "$dest/build"
    says "$prefix/share/doc/libwstunnel/html/server_8h.html" wst_server_new
elif [ "$required" = yes ]; then
    die "doxygen is missing"
fi

# -- As a part of another project ----------------------------------------------------------------
# A repository with this tree as it is here, for git to clone.
repository=$dest/repository
mkdir "$repository"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$repository"
git -C "$repository" init --quiet --initial-branch=main
git -C "$repository" add --all
git -C "$repository" -c user.name=test -c user.email=test@localhost commit --quiet -m tree
here() { sed "s|https://git.example/libwstunnel.git|file://$repository|"; }

mkdir -p "$dest/meson/subprojects"
cp "$dest/user.c" "$dest/meson/app.c"
block ini '[wrap-git]' | here >"$dest/meson/subprojects/libwstunnel.wrap"
{ printf "project('app', 'c')\n"; block meson "dependency('libwstunnel'"; } >"$dest/meson/meson.build"
PKG_CONFIG_PATH='' quietly meson setup "$dest/meson/build" "$dest/meson"
[ ! -e "$dest/meson/build/subprojects/libwstunnel/test" ] || die "a subproject builds its tests"
quietly nice -n 5 ninja -C "$dest/meson/build" app
"$dest/meson/build/app"

if ! command -v cmake >/dev/null; then
    [ "$required" = no ] || die "cmake is missing"
    echo "not run: CMake projects, since cmake is not installed"
    exit 0
fi

# project NAME LINE...: a project of CMake with an app of these lines, and the README's block NAME
project() {
    mkdir "$dest/$1"
    cp "$dest/user.c" "$dest/$1/app.c"
    {
        printf 'cmake_minimum_required(VERSION 3.16)\nproject(app C)\nadd_executable(app app.c)\n'
        block cmake "$1" | here
    } >"$dest/$1/CMakeLists.txt"
}
run_cmake() { # run_cmake NAME BUILD OPTION...: configures, builds, runs
    quietly cmake -S "$dest/$1" -B "$dest/$1/$2" "${@:3}"
    quietly nice -n 5 cmake --build "$dest/$1/$2" --parallel 2
    "$dest/$1/$2/app"
}
links() { readelf -d "$dest/$1/app" | grep -c 'NEEDED.*libwstunnel' || true; }
project find_package
run_cmake find_package shared "-DCMAKE_PREFIX_PATH=$prefix"
[ "$(links find_package/shared)" = 1 ]
cp -a "$prefix" "$dest/moved"
run_cmake find_package static "-DCMAKE_PREFIX_PATH=$dest/moved" -DWSTUNNEL_USE_STATIC_LIBS=ON
[ "$(links find_package/static)" = 0 ]
sed -i 's/wstunnel 0.1 /wstunnel 0.2 /' "$dest/find_package/CMakeLists.txt"
if cmake -S "$dest/find_package" -B "$dest/find_package/newer" "-DCMAKE_PREFIX_PATH=$prefix" >/dev/null 2>&1; then
    die "find_package takes an older version"
fi
project FetchContent
run_cmake FetchContent build
# Both builds have the same functions, and the same sources with the other engine and without the talk
# and the admin.
functions() { nm --defined-only "$1" | awk 'NF == 3 && $2 ~ /[TDBR]/ { print $3 }' | sort -u; }
functions "$lib/libwstunnel.a" >"$dest/meson.functions"
functions "$(find "$dest/FetchContent/build" -name libwstunnel.a)" >"$dest/cmake.functions"
[ "$(grep -c '^wst_' "$dest/meson.functions")" -gt 100 ]
cmp "$dest/meson.functions" "$dest/cmake.functions"
quietly meson setup "$dest/other" -Dtls=openssl -Dtalk=false -Dadmin=false -Dtests=disabled -Dexamples=false
quietly cmake -S lib -B "$dest/other/cmake" -DWSTUNNEL_TLS=openssl -DWSTUNNEL_TALK=OFF -DWSTUNNEL_ADMIN=OFF \
    -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
meson introspect --targets "$dest/other" | python3 -c '
import json, sys
files = {f for t in json.load(sys.stdin) for s in t["target_sources"] for f in s["sources"] if f.endswith(".c")}
print("\n".join(sorted(files)))' >"$dest/meson.sources"
python3 -c '
import json, sys
print("\n".join(sorted(each["file"] for each in json.load(open(sys.argv[1])))))' \
    "$dest/other/cmake/compile_commands.json" >"$dest/cmake.sources"
[ "$(grep -c /lib/ "$dest/meson.sources")" -gt 100 ]
cmp "$dest/meson.sources" "$dest/cmake.sources"
