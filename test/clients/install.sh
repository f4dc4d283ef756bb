#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the clients that test/clients drives, and the proxies and the database of test/e2e and
# test/hostile: Debian or Ubuntu packages, and one npm package, with its hash, into
# ${WSTUNNEL_CLIENTS:-~/.cache/wstunnel-clients}. Says what it installs. None of them is a must: what
# cannot be had is named, and its tests will be skipped.
#
#   ./test/clients/install.sh [--list]     --list: only say what would be installed
set -u
cd "$(dirname "$0")"

list=no
case "${1:-}" in
'') ;;
--list) list=yes ;;
*) echo "usage: $0 [--list]" >&2; exit 2 ;;
esac

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
export DEBIAN_FRONTEND=noninteractive PATH=$PATH:/usr/sbin:/usr/local/go/bin

# -- Packages --------------------------------------------------------------------------------------
packages=(iproute2 nginx-light openssl curl wget git openssh-client openssh-server netcat-openbsd
    apt-utils python3-requests python3-aiohttp python3-socks chromium chromium-driver
    tinyproxy-bin microsocks dante-server haproxy libnginx-mod-stream apache2-utils postgresql)
# Debian's other squid, without OpenSSL, will do if it is there.
command -v squid >/dev/null || packages+=(squid-openssl)
# Languages may have come another way than as a package.
command -v javac >/dev/null || packages+=(default-jdk-headless)
command -v go >/dev/null || packages+=(golang-go)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

have() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

install() {
    "${sudo[@]}" env DEBIAN_FRONTEND="$DEBIAN_FRONTEND" \
        apt-get install -y -qq -o DPkg::Lock::Timeout=300 \
        --no-install-recommends "$@" >/dev/null 2>&1
}

# Programs are wanted, not services: none of these is to start because it has been installed.
policy=/usr/sbin/policy-rc.d
forbid_services() {
    [ ! -e "$policy" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod 755 "$policy"
    trap '"${sudo[@]}" rm -f "$policy"' EXIT
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    missing=()
    for p in "${packages[@]}"; do
        have "$p" || missing+=("$p")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        echo "installing packages: ${missing[*]}"
        if [ "$list" = no ]; then
            forbid_services
            "${sudo[@]}" apt-get update -qq >/dev/null 2>&1
            if ! install "${missing[@]}"; then
                for p in "${missing[@]}"; do # whichever can be had
                    install "$p" || echo "not installed: $p"
                done
            fi
        fi
    fi
else
    echo "not installed: ${packages[*]} (no apt-get here)"
fi

# -- undici ----------------------------------------------------------------------------------------
modules=${WSTUNNEL_CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/wstunnel-clients}
if ! cmp -s package-lock.json "$modules/installed"; then
    echo "installing undici from npm into $modules"
    if [ "$list" = no ]; then
        mkdir -p "$modules" && cp package.json package-lock.json "$modules" &&
            (cd "$modules" && npm ci --silent --no-audit --no-fund --ignore-scripts) >/dev/null &&
            cp package-lock.json "$modules/installed" || echo "not installed: undici"
    fi
fi
exit 0
