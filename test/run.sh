#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what the tests need, builds, runs everything; the last line is "N passed, N failed".
#
#   ./test/run.sh          unit tests and fuzz corpora under ASan and UBSan; end-to-end tests; real
#                          clients across network namespaces (as root); hostile conditions; attacks
#   ./test/run.sh --ci     the same with warnings as errors, both compilers, TSan where threads meet,
#                          a bounded fuzz run, OpenSSL as the TLS engine, the programs of 0.1.0,
#                          built from history, with those of today, and checks of the installed
#                          library, the packages and the quickstart
#
# Four lanes of steps run beside each other, since most suites wait more than they compute. A step
# prints its lines when it is over, and how many seconds it took. What failed is listed at the end.
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
    install gcc g++ libc6-dev make meson dpkg-dev ninja-build pkg-config libuv1-dev libwslay-dev \
        libcjson-dev libmbedtls-dev libcmocka-dev python3 python3-pytest curl openssl nginx-light git \
        systemd python3-prometheus-client
    # Another HTTP parser: a library since Debian 13, the C files of it in a package before.
    if apt-cache show libllhttp-dev >/dev/null 2>&1; then
        install libllhttp-dev
    else
        install node-llhttp
    fi
    if [ "$ci" = yes ]; then
        install abigail-tools clang clang-format cmake debhelper doxygen fish libssl-dev lintian \
            mmdebstrap musl-tools spin valgrind zsh
        # The sanitizers' and the fuzzer's run-time belongs to the version of clang.
        [ -e "$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" ] ||
            install "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    fi
else
    say "no apt-get here: assuming that a C compiler, meson, ninja, pkg-config, libuv, wslay, cJSON,
    mbedTLS, cmocka, python3 with pytest, curl, openssl and nginx are installed"
fi
getent hosts localhost >/dev/null || die "the name 'localhost' is not known here: see /etc/hosts"

# -- Steps ---------------------------------------------------------------------------------------
# A step is a name and one of the functions build, unit, suite and check, which leave in $verdict what
# came of it. Steps run in lanes beside each other: each prints its lines when it is over, and adds its
# result to a file, since a lane is a process of its own.
work=$(mktemp -d)
results=$work/results # lines "count PASSED FAILED" and "name STEP: TEST"
: >"$results"

show() { flock "$work/lock" cat; } # prints its input in one piece

step() { # step NAME FUNCTION [ARGUMENT...]
    local name=$1 begun=$SECONDS verdict= log
    shift
    log=$(mktemp "$work/log.XXXXXX")
    printf '... %s\n' "$name" | show
    "$@" >"$log" 2>&1
    { cat "$log"; printf '==> %s: %s (%d s)\n' "$name" "$verdict" "$((SECONDS - begun))"; } | show
}

count() { # count PASSED FAILED [TEST...]: the result of the step, and which tests failed
    printf 'count %d %d\n' "$1" "$2" >>"$results"
    [ "$2" -gt 0 ] || return 0
    shift 2
    if [ $# -gt 0 ]; then
        printf "name $name: %s\n" "$@"
    else
        printf 'name %s\n' "$name"
    fi >>"$results"
}

configure() { # configure DIR OPTION...: a missing cmocka is an error
    local dir=$1
    shift
    set -- -Dtests=enabled "$@"
    [ -f "$dir/build.ninja" ] && meson configure "$dir" "$@" >/dev/null && return
    meson setup "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; return 1; }
    rm -f "$dir.log"
}

build() { # build DIR [OPTION...] [-- TARGET...]: counts only if it fails
    local dir=$1 options=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift
    # At a low priority: suites with clocks in them run meanwhile.
    if ! configure "$dir" "${options[@]}"; then
        verdict=FAILED
    elif ! nice -n 10 ninja -C "$dir" "$@" >"$dir/build.log" 2>&1; then
        tail -n 60 "$dir/build.log"
        verdict=FAILED
    else
        verdict=built
        : >"$work/$dir.built"
        return
    fi
    count 0 1
    : >"$work/$dir.failed"
}

await() { # await DIR: waits until a lane has built it; false: it could not
    until [ -e "$work/$1.built" ]; do
        if [ -e "$work/$1.failed" ] || [ -e "$work/builds.over" ]; then
            return 1
        fi
        sleep 0.5
    done
}

unit() { # unit DIR [meson test arguments]
    local dir=$1 log=$1/test.log ok bad status tests
    shift
    meson test -C "$dir" --no-rebuild --print-errorlogs -t 3 --suite libwstunnel "$@" \
        >"$log" 2>&1
    status=$?
    [ "$status" -eq 0 ] || grep -v '^ *[0-9]*/[0-9]* .* OK ' "$log"
    sed -n 's/^ *[0-9]*\/[0-9]* \(.*[^ ]\) *SKIP .*/not run: \1/p' "$log"
    ok=$(awk '/^Ok:/ { n += $NF } END { print n + 0 }' "$log")
    bad=$(awk '/^(Fail|Timeout|Unexpected Pass):/ { n += $NF } END { print n + 0 }' "$log")
    [ "$bad" -gt 0 ] || bad=$((status != 0 || ok == 0))
    mapfile -t tests < <(sed -nE \
        's/^ *[0-9]+\/[0-9]+ (.*[^ ]) +(FAIL|TIMEOUT|ERROR|UNEXPECTEDPASS) .*/\1/p' "$log" | sort -u)
    count "$ok" "$bad" "${tests[@]}"
    verdict="$ok passed, $bad failed"
}

suite() { # suite DIR SUITE [pytest arguments]: the suite against the programs built in DIR
    local dir=$1 suite=$2 log=$1/${name//[^a-zA-Z0-9]/-}.log summary ok bad status tests
    shift 2
    WSTUNNEL_BUILD=$PWD/$dir python3 -B -m pytest -p no:cacheprovider -q -rfEs "$@" "test/$suite" \
        >"$log" 2>&1
    status=$?
    if [ "$status" -eq 0 ]; then grep '^SKIPPED' "$log"; else cat "$log"; fi
    summary=$(grep -E '^[0-9a-z, ]+ in [0-9.]+s' "$log" | tail -n 1)
    ok=$(grep -oE '[0-9]+ passed' <<<"$summary" | awk '{ n += $1 } END { print n + 0 }')
    bad=$(grep -oE '[0-9]+ (failed|error)' <<<"$summary" | awk '{ n += $1 } END { print n + 0 }')
    [ "$bad" -gt 0 ] || bad=$((status != 0))
    mapfile -t tests < <(sed -nE '/^(FAILED|ERROR) test\// { s/^[A-Z]+ //; s/\] - .*/]/; s/^([^[ ]*) - .*/\1/; p }' "$log")
    count "$ok" "$bad" "${tests[@]}"
    verdict=${summary%% in *}
    [ -n "$verdict" ] || verdict=FAILED
}

check() { # check COMMAND...: one test; status 77: it could not run here, and has said why
    local status=0
    "$@" || status=$?
    case $status in
    0) count 1 0; verdict=passed ;;
    77) verdict="not run" ;;
    *) count 0 1; verdict=FAILED ;;
    esac
}

lanes=()
lane() { # lane FUNCTION: runs it beside the others, in a process group of its own
    set -m
    {
        trap 'exit 130' INT
        trap ': >"$work/$1.over"' EXIT
        "$1"
        exit 0
    } </dev/null &
    set +m
    lanes+=("$!:$1")
}

end_lanes() {
    trap '' HUP INT TERM
    local lane
    for lane in "${lanes[@]}"; do kill -INT -- "-${lane%%:*}" 2>/dev/null; done
    wait
    rm -rf "$work"
    exit 130
}
trap end_lanes HUP INT TERM

join() { # waits for all lanes
    local lane name
    for lane in "${lanes[@]}"; do
        name="lane of ${lane#*:}"
        wait "${lane%%:*}" || count 0 1 "ended early"
    done
    lanes=()
}

finish() { # prints which tests failed, and the last line
    local passed failed
    read -r passed failed < <(awk '$1 == "count" { p += $2; f += $3 } END { print p + 0, f + 0 }' "$results")
    printf '==> all (%d s)\n' "$SECONDS"
    [ "$failed" -eq 0 ] || printf '==> failed:\n'
    sed -n 's/^name /    /p' "$results"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    rm -rf "$work"
    exit $((failed > 0))
}

# -- What runs -----------------------------------------------------------------------------------
werror=() model=()
if [ "$ci" = yes ]; then
    werror=(--werror) model=(--required)
else
    export SOAK_SECONDS=${SOAK_SECONDS:-20}
fi
sanitizers=(-Db_sanitize=address,undefined -Db_lundef=false)
release=(--buildtype=release -Doptimization=2)
programs=(examples/wstunnel-{server,agent} test/{legs,quick,hangnames.so})
threads=(resolver resolver_hook lookup_threads dial)
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# What computes. The other lanes mostly wait, and so leave it the processor.
builds() {
    step "build: sanitizers" build build-asan "${sanitizers[@]}" "${werror[@]}"
    await build-asan && step "unit tests and corpora: sanitizers" unit build-asan
    step "unit tests and corpora: release" unit build-release
    [ "$ci" = no ] || step "build: programs with OpenSSL" \
        build build-openssl-release -Dtls=openssl "${release[@]}" --werror -- "${programs[@]}"
    step "model of the protocol" check nice -n 10 python3 -B test/model/run.py "${model[@]}"
    [ "$ci" = yes ] || return
    CC=clang step "build: clang, fuzzers" build build-clang -Dfuzz=true "${sanitizers[@]}" --werror
    step "build: OpenSSL, sanitizers" build build-openssl -Dtls=openssl "${sanitizers[@]}" --werror
    await build-openssl && step "unit tests: OpenSSL as the TLS engine" unit build-openssl
    step "build: no talk, no admin" build build-no-talk -Dtalk=false -Dadmin=false -Dexamples=false --werror
    await build-no-talk && step "unit tests: without the talk's protocol and operators" unit build-no-talk
    step "build: ThreadSanitizer" build build-tsan -Db_sanitize=thread -Db_lundef=false --werror -- \
        "${threads[@]/#/test/unit/test_}"
    await build-tsan && step "unit tests: threads, under ThreadSanitizer" unit build-tsan "${threads[@]}"
    # Last: by then the suites are over, and each has a processor for its 20 seconds.
    await build-clang && step "fuzzers" check python3 -B test/fuzz/run.py build-clang --seconds 20
}

users() {
    step "end-to-end tests, one half" suite build-release e2e --part 1/2
    [ "$ci" = yes ] || return
    await build-asan && E2E_BYTES=16777216 \
        step "end-to-end tests: sanitizers, smaller transfers" suite build-asan e2e
}

visitors() {
    step "end-to-end tests, the other half" suite build-release e2e --part 2/2
    step "real clients across two network namespaces" suite build-release clients
    step "the benchmarks' emulated link and reports" suite build-release bench
    [ "$ci" = yes ] || return
    step "laboratory" check python3 -B test/bench/run.py --quick build-release
    await build-openssl-release &&
        step "end-to-end tests: OpenSSL" suite build-openssl-release e2e -k tls
}

enemies() {
    step "hostile conditions" suite build-release hostile
    step "attacks" suite build-release attack
    [ "$ci" = yes ] || return
    # Where 0.1.0 cannot be built its suite is skipped: this is the check that fails.
    step "build of 0.1.0, from history" check nice -n 10 python3 -B test/compat/released.py
    step "the programs of 0.1.0 with those of today" suite build-release compat
    step "format" check test/format.sh
    step "binary interface" check python3 -B test/abi.py check
    step "binary interface: breaks are noticed" check python3 -B test/abi.py selftest
    step "API reference" check python3 -B test/reference.py check
    step "API reference: faults are noticed" check python3 -B test/reference.py selftest
    step "hardening: flags from outside" check python3 -B test/hardened.py overrides
    step "installed library" check test/installed.sh --required
    step "quickstart" check examples/quickstart.sh --once
    if command -v apt-get >/dev/null; then
        step "Debian packages" check test/debian.sh
        step "static programs with musl" check timeout 900 test/static.sh
    fi
    step "demonstration of resuming" check env WSTUNNEL_BUILD=build-release examples/resume-demo.sh 40 9
    step "instruction counts" check counts
    await build-openssl-release && step "attacks: OpenSSL" suite build-openssl-release attack -k tls
    await build-asan && SOAK_SECONDS=20 \
        step "hostile conditions: sanitizers" suite build-asan hostile -k "soak or loss or resume"
}

counts() {
    nice -n 10 ninja -C build-release test/counts >build-release/counts.log 2>&1 ||
        { cat build-release/counts.log; return 1; }
    python3 -B test/counts/counts.py build-release
}

client_programs() {
    step "programs that the suites drive" install_clients
}

install_clients() {
    ./test/clients/install.sh
    verdict="what could be had is installed"
}

lane client_programs
# With unwind tables: test/hostile/failmalloc.c asks who allocates.
step "build: release" build build-release "${release[@]}" -Dc_args=-fasynchronous-unwind-tables \
    "${werror[@]}"
join
await build-release || finish
lane builds
lane users
lane visitors
lane enemies
join
finish
