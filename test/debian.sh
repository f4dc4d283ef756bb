#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the Debian packages from this tree (examples/deploy/debian), has lintian look at them, installs
# them in a fresh minimal system, uses a tunnel there as the units would, and purges them. As root, on
# Debian or Ubuntu, with debhelper, lintian and mmdebstrap. The minimal system comes from the archive
# that apt uses here, and is kept for the next run in ~/.cache/wstunnel. Exits with 77 if
# neither is there.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
root=$work/root
pids=()
finish() {
    [ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap finish EXIT
die() { printf 'debian.sh: %s\n' "$*" >&2; exit 1; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 60 "$work/log"; die "failed: $*"; }; }
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
[ "$(id -u)" = 0 ] || die "must be root, to make a minimal system"

# -- Build ---------------------------------------------------------------------------------------
tree=$work/libwstunnel
mkdir "$tree"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$tree"
cp -r "$tree/examples/deploy/debian" "$tree/debian"
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" meson.build)
grep -q "^libwstunnel ($version)" "$tree/debian/changelog" || die "debian/changelog is not of version $version"
(cd "$tree" && DEB_BUILD_OPTIONS="parallel=2 noautodbgsym" quietly nice -n 5 dpkg-buildpackage -b -us -uc)
debs=("$work"/*.deb)
[ "${#debs[@]}" = 3 ] || die "not three packages: ${debs[*]}"
quietly lintian --fail-on error,warning --display-info --tag-display-limit 0 "$work"/*.changes
cat "$work/log"

# -- A minimal system, with what the packages depend on ------------------------------------------
mapfile -t needed < <(for deb in "${debs[@]}"; do dpkg-deb -f "$deb" Depends; done |
    tr ',' '\n' | sed 's/[|(:].*//; s/ //g' | grep -v '^libwstunnel' | sort -u)
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/wstunnel
minimal=$cache/$suite-$(printf '%s\n' "${needed[@]}" | cksum | cut -d' ' -f1).tar
if [ ! -f "$minimal" ]; then
    mkdir -p "$cache"
    sources=()
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] || sources+=("$file")
    done
    apt-get -o APT::Update::Error-Mode=any update >"$work/log" 2>&1 || {
        tail -n 5 "$work/log"
        echo "not run further: the archive that apt uses cannot be reached"
        exit 77
    }
    quietly mmdebstrap --variant=essential --dpkgopt=force-unsafe-io --include="$(IFS=,; echo "${needed[*]}")" \
        "$suite" "$minimal.new.tar" "${sources[@]}"
    mv "$minimal.new.tar" "$minimal"
fi
mkdir "$root"
tar -xf "$minimal" -C "$root" --exclude='./dev/*'
[ -e "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3

# -- Install -------------------------------------------------------------------------------------
(cd "$root" && find . -xdev | sort) >"$work/before"
mkdir "$root/tmp/packages"
cp "${debs[@]}" "$root/tmp/packages/"
quietly inside sh -c 'dpkg --force-unsafe-io -i /tmp/packages/*.deb'
inside dpkg --audit
for path in bin/wstunnel-server bin/wstunnel-agent share/man/man1/wstunnel-server.1.gz include/wstunnel/server.h \
    share/bash-completion/completions/wstunnel-agent share/zsh/vendor-completions/_wstunnel-server \
    share/fish/vendor_completions.d/wstunnel-agent.fish; do
    [ -s "$root/usr/$path" ] || die "/usr/$path is missing"
done
[ "$(inside stat -c '%a %U %G' /etc/wstunnel /etc/wstunnel/server.json /etc/wstunnel/agent.json | tr '\n' ';')" = \
    '750 root wstunnel;640 root wstunnel;640 root wstunnel;' ] || die "not the owners and modes of /etc/wstunnel"

# -- A tunnel, with the commands of the units ----------------------------------------------------
command_of() { # command_of PROGRAM: of its unit
    sed -n 's/^ExecStart=//p' "$root/lib/systemd/system/$1.service"
}
wait_for() { # wait_for FILE TEXT: until the line is there
    for _ in $(seq 300); do
        grep -q -- "$2" "$1" 2>/dev/null && return 0
        sleep 0.1
    done
    cat "$1"
    die "did not see '$2'"
}
cat >"$root/etc/wstunnel/server.json" <<'JSON'
{
  "listen": "127.0.0.1:0",
  "users": [{"name": "alice", "password": "secret of alice"}],
  "agents": [{"name": "berlin", "token": "secret-of-berlin"}]
}
JSON
read -ra command < <(command_of wstunnel-server)
[ "${command[*]}" = '/usr/bin/wstunnel-server --config /etc/wstunnel/server.json' ] || die "${command[*]}"
chroot --userspec=wstunnel:wstunnel "$root" "${command[@]}" 2>"$work/server.log" &
pids+=($!)
wait_for "$work/server.log" 'listening on'
address=$(sed -n 's/.*listening on //p' "$work/server.log" | head -n 1)
echo 'Hello from the private site.' >"$work/hello"
python3 -u -m http.server --bind 127.0.0.1 --directory "$work" 0 >"$work/site.log" 2>&1 &
pids+=($!)
wait_for "$work/site.log" 'Serving HTTP on'
site=127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/site.log")
cat >"$root/etc/wstunnel/agent.json" <<JSON
{"url": "ws://$address", "name": "berlin", "rules": [{"allow": "$site"}]}
JSON
printf 'secret-of-berlin' >"$root/etc/wstunnel/agent.token"
chmod 600 "$root/etc/wstunnel/agent.token"
read -ra command < <(command_of wstunnel-agent)
mkdir "$root/tmp/credentials" # as LoadCredential= of the unit makes it
cp "$root/etc/wstunnel/agent.json" "$root/tmp/credentials/"
cp "$root/etc/wstunnel/agent.token" "$root/tmp/credentials/token"
chroot "$root" "${command[@]//%d//tmp/credentials}" 2>"$work/agent.log" &
pids+=($!)
wait_for "$work/agent.log" 'connected to'
answer=$(curl --silent --show-error --max-time 20 --noproxy '' --proxytunnel --proxy "http://$address" \
    --proxy-user 'alice:secret of alice' "http://$site/hello")
[ "$answer" = 'Hello from the private site.' ] || die "curl got: $answer"
kill "${pids[@]}"
wait
pids=()

# -- Upgrade, removal, purge ---------------------------------------------------------------------
quietly inside sh -c 'dpkg --force-unsafe-io -i /tmp/packages/*.deb'
grep -q 'secret of alice' "$root/etc/wstunnel/server.json" || die "an upgrade has undone the configuration"
quietly inside dpkg --force-unsafe-io --remove wstunnel libwstunnel-dev libwstunnel1
grep -q 'secret of alice' "$root/etc/wstunnel/server.json" || die "a removal has lost the configuration"
rm "$root/etc/wstunnel/agent.token" # which no package has brought
quietly inside dpkg --force-unsafe-io --purge wstunnel libwstunnel-dev libwstunnel1
rm -r "$root/tmp/packages" "$root/tmp/credentials"
(cd "$root" && find . -xdev | sort) >"$work/after"
# What dpkg and adduser write for themselves; the user stays, as his number must not be used again.
left=$(comm -13 "$work/before" "$work/after" | grep -v -e '^\./etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)-$' \
    -e '^\./run/' -e '^\./var/lib/dpkg/' -e '^\./var/cache/' -e '^\./var/log/' -e '^\./etc/\.pwd\.lock$' || true)
[ -z "$left" ] || die "left after the purge: $left"
echo "built, lintian-clean, installed, used and purged: ${debs[*]##*/}"
