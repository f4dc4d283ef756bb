#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what the tests need, builds, runs everything; the last line is "N passed, N failed".
#
#   ./test/run.sh          unit tests and fuzz corpora under ASan and UBSan; end-to-end tests; real
#                          clients across network namespaces (as root); hostile conditions; attacks
#   ./test/run.sh --ci     the same with warnings as errors, both compilers, TSan where threads meet,
#                          a bounded fuzz run, OpenSSL as the TLS engine, the programs of 0.1.0,
#                          built from history, with those of today, and checks of the installed
#                          library and the quickstart
set -u
cd "$(dirname "$0")/.."

ci=no
case "${1:-}" in
'') ;;
--ci) ci=yes ;;
*) echo "usage: $0 [--ci]" >&2; exit 2 ;;
esac

say() { printf '==> %s\n' "$*"; }
die() { printf 'run.sh: %s\n0 passed, 1 failed\n' "$*"; exit 1; }

# -- What is needed ------------------------------------------------------------------------------
if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    have() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
    install() { # install PACKAGE...: those that are missing
        local missing=() sudo=()
        for p in "$@"; do have "$p" || missing+=("$p"); done
        [ "${#missing[@]}" -gt 0 ] || return 0
        [ "$(id -u)" = 0 ] || sudo=(sudo)
        say "installing: ${missing[*]}"
        "${sudo[@]}" apt-get update -qq
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" >/dev/null ||
            die "apt-get failed: ${missing[*]}"
    }
    install gcc g++ libc6-dev meson dpkg-dev ninja-build pkg-config libuv1-dev libwslay-dev \
        libcjson-dev libmbedtls-dev libcmocka-dev python3 python3-pytest curl openssl nginx-light git \
        systemd
    # Another HTTP parser: a library since Debian 13, the C files of it in a package before.
    if apt-cache show libllhttp-dev >/dev/null 2>&1; then
        install libllhttp-dev
    else
        install node-llhttp
    fi
    if [ "$ci" = yes ]; then
        install abigail-tools clang clang-format libssl-dev valgrind
        # The sanitizers' and the fuzzer's run-time belongs to the version of clang.
        [ -e "$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" ] ||
            install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    fi
else
    say "no apt-get here: assuming that a C compiler, meson, ninja, pkg-config, libuv, wslay, cJSON,
    mbedTLS, cmocka, python3 with pytest, curl, openssl and nginx are installed"
fi
getent hosts localhost >/dev/null || die "the name 'localhost' is not known here: see /etc/hosts"

passed=0
failed=0
step() { # step NAME COMMAND...: one counted check
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n' "$name"
    fi
}

setup() { # setup DIR OPTIONS...
    local dir=$1
    shift
    [ -f "$dir/build.ninja" ] && meson configure "$dir" "$@" >/dev/null && return
    meson setup "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; die "meson setup $dir failed"; }
    rm -f "$dir.log"
}

build() { # build DIR [TARGET]
    ninja -C "$@" >"$1/build.log" 2>&1 || { tail -n 60 "$1/build.log"; die "building $1 failed"; }
}

unit() { # unit DIR [meson test arguments]: adds up the tests that ran
    local dir=$1 log=$1/test.log ok bad
    shift
    meson test -C "$dir" --print-errorlogs --suite libwstunnel "$@" >"$log" 2>&1 ||
        grep -v '^ *[0-9]*/[0-9]* .* OK ' "$log"
    sed -n 's/^ *[0-9]*\/[0-9]* \(.*[^ ]\) *SKIP .*/not run: \1/p' "$log"
    ok=$(sed -n 's/^Ok: *\([0-9]*\).*/\1/p' "$log")
    bad=$(awk '/^(Fail|Timeout|Unexpected Pass):/ { n += $NF } END { print n + 0 }' "$log")
    [ -n "$ok" ] || { cat "$log"; ok=0 bad=1; }
    passed=$((passed + ok))
    failed=$((failed + bad))
    say "$dir: $ok passed, $bad failed"
}

pytests() { # pytests DIR SUITE [pytest arguments]: a suite against the programs built in DIR
    local dir=$1 suite=$2 log=$1/$2.log ok bad skipped
    shift 2
    WSTUNNEL_BUILD=$PWD/$dir python3 -B -m pytest -p no:cacheprovider -q -rs "$@" "test/$suite" \
        >"$log" 2>&1 || cat "$log"
    grep '^SKIPPED' "$log"
    ok=$(grep -oE '[0-9]+ passed' "$log" | tail -n 1 | cut -d' ' -f1)
    bad=$(grep -oE '[0-9]+ (failed|error)' "$log" | awk '{ n += $1 } END { print n + 0 }')
    skipped=$(grep -oE '[0-9]+ skipped' "$log" | tail -n 1)
    [ -n "$ok" ] || { ok=0; [ "$bad" -gt 0 ] || [ -n "$skipped" ] || { cat "$log"; bad=1; }; }
    passed=$((passed + ok))
    failed=$((failed + bad))
    say "$dir, $suite: $(tail -n 1 "$log")"
}

werror=()
[ "$ci" = no ] || werror=(--werror)
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

say "unit tests and corpora under AddressSanitizer and UndefinedBehaviorSanitizer"
setup build-asan -Db_sanitize=address,undefined -Db_lundef=false "${werror[@]}"
build build-asan
unit build-asan

say "end-to-end tests of the built programs"
setup build-release --buildtype=release -Doptimization=2 "${werror[@]}"
build build-release
unit build-release
./test/clients/install.sh
pytests build-release e2e

say "real clients across two network namespaces"
pytests build-release clients

say "hostile conditions"
pytests build-release hostile

say "the benchmarks' emulated link and reports"
pytests build-release bench

say "attacks"
pytests build-release attack

if [ "$ci" = yes ]; then
    say "0.1.0, built from history, with the programs of today"
    # Where it cannot be built the suite is skipped: this is the check that fails.
    step "build of 0.1.0" python3 -B test/compat/released.py
    pytests build-release compat
    say "clang"
    CC=clang setup build-clang --werror -Dfuzz=true -Db_lundef=false -Db_sanitize=address,undefined
    build build-clang
    for target in http http_body http_forward proxy socks tls ws codec session talk config; do
        say "fuzz: $target"
        mkdir -p "build-clang/corpus-$target"
        step "fuzz $target" "build-clang/test/fuzz/fuzz_$target" -max_total_time=15 -timeout=10 \
            -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
            "build-clang/corpus-$target" "test/fuzz/corpus/$target"
    done
    say "without the talk's protocol"
    setup build-no-talk -Dtalk=false -Dexamples=false --werror
    build build-no-talk
    unit build-no-talk
    say "OpenSSL as the TLS engine"
    setup build-openssl -Dtls=openssl -Db_sanitize=address,undefined -Db_lundef=false --werror
    build build-openssl
    unit build-openssl
    setup build-openssl-release -Dtls=openssl --buildtype=release -Doptimization=2 --werror
    build build-openssl-release
    pytests build-openssl-release e2e -k tls
    pytests build-openssl-release attack -k tls
    say "threads under ThreadSanitizer"
    setup build-tsan -Db_sanitize=thread -Db_lundef=false --werror
    build build-tsan
    unit build-tsan resolver resolver_hook lookup_threads dial
    say "the programs under the sanitizers, end to end, with smaller transfers"
    E2E_BYTES=16777216 pytests build-asan e2e
    SOAK_SECONDS=20 pytests build-asan hostile -k "soak or loss"
    build build-release test/counts
    step "instruction counts" python3 -B test/counts/counts.py build-release
    step "laboratory" python3 -B test/bench/run.py --quick build-release
    step "binary interface" python3 -B test/abi.py check
    step "binary interface: breaks are noticed" python3 -B test/abi.py selftest
    step "installed library" test/installed.sh
    step "quickstart" examples/quickstart.sh --once
    step "format" test/format.sh
fi

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
