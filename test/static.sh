#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Takes the steps of examples/deploy/Containerfile by hand: fetches the sources, builds both programs
# with musl, static, puts together the tree of the image, and uses a tunnel of programs that see
# nothing but that tree. As root, on Debian or Ubuntu, with the packages that the file installs. Exits
# with 77 if apt's archive cannot be reached.
set -eu
cd "$(dirname "$0")/.."
file=examples/deploy/Containerfile
work=$(mktemp -d)
pids=()
finish() {
    [ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap finish EXIT
die() { printf 'static.sh: %s\n' "$*" >&2; exit 1; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 60 "$work/log"; die "failed: $*"; }; }
step() { # step TEXT: the one RUN of the file that has the text in it, with this machine's paths
    local found
    found=$(sed -n 's/^RUN //p' "$file" | grep -F -- "$1") || die "no step '$1'"
    [ "$(wc -l <<<"$found")" = 1 ] || die "several steps '$1'"
    sed "s|/sources|$work/sources|g; s|/tree|$work/tree|g; s|/out|$work/out|g" <<<"$found"
}
[ "$(id -u)" = 0 ] || die "must be root, to enter the tree of the image"

# -- The steps of the first stage ----------------------------------------------------------------
# apt-get source needs an index of sources: one of its own, from the archives that apt uses here.
mkdir -p "$work/apt/sources" "$work/apt/lists" "$work/sources" "$work/tree"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -f "$list" ] || sed -n 's/^deb /deb-src /p' "$list" >>"$work/apt/sources/all.list"
done
for list in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/apt/sources/$(basename "$list")"
done
cat >"$work/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$work/apt/sources";
Dir::State::lists "$work/apt/lists";
APT::Sandbox::User "root";
CONF
export APT_CONFIG=$work/apt/apt.conf
timeout 120 apt-get -o APT::Update::Error-Mode=any update >"$work/log" 2>&1 || {
    tail -n 5 "$work/log"
    echo "not run: the archive that apt uses cannot be reached"
    exit 77
}
fetch=$(step 'apt-get source')
(cd "$work/sources" && quietly sh -ec "$fetch")
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work/tree"
build=$(step /static.sh)
quietly nice -n 5 sh -ec "$build"

# -- The tree of the image -----------------------------------------------------------------------
image=$work/image
while read -r _ _ from to; do
    mkdir -p "$image$(dirname "$to")"
    cp -r "$(sed "s|^/out|$work/out|" <<<"$from")" "$image$to"
done < <(grep '^COPY --from=build ' "$file")
[ "$(find "$image" -type f | wc -l)" = 3 ] || die "not two programs and the certificates"
for program in "$image"/bin/*; do
    ! readelf -l "$program" | grep -q INTERP || die "$program is not static"
done
uid=$(sed -n 's/^USER //p' "$file")
inside() { chroot --userspec="$uid" "$image" "$@"; }
inside /bin/wstunnel-server --version
read -r command < <(sed -n 's/^CMD //p' "$file" | tr -d '[],"')
# shellcheck disable=SC2086
inside /bin/$command | grep -q '^usage: wstunnel-server' || die "CMD: $command"

# -- A tunnel, over TLS --------------------------------------------------------------------------
wait_for() { # wait_for FILE TEXT: until the line is there
    for _ in $(seq 300); do
        grep -q -- "$2" "$1" 2>/dev/null && return 0
        sleep 0.1
    done
    cat "$1"
    die "did not see '$2'"
}
# As a container's runtime does: names, and mbedTLS's source of entropy where the C library is musl.
mkdir "$image/etc/wstunnel" "$image/dev"
printf '127.0.0.1 localhost site.test\n' >"$image/etc/hosts"
mknod -m 666 "$image/dev/urandom" c 1 9
quietly openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$image/etc/wstunnel/key.pem" \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out "$image/etc/wstunnel/cert.pem"
chown -R "$uid" "$image/etc/wstunnel"
chroot --userspec="$uid" "$image" /bin/wstunnel-server --listen 127.0.0.1:0 --cert /etc/wstunnel/cert.pem --key /etc/wstunnel/key.pem \
    2>"$work/server.log" &
pids+=($!)
wait_for "$work/server.log" 'listening on'
port=$(sed -n 's/.*listening on .*:\([0-9]*\).*/\1/p' "$work/server.log" | head -n 1)
mkdir "$work/site"
echo 'Hello from the private site.' >"$work/site/hello"
python3 -u -m http.server --bind 127.0.0.1 --directory "$work/site" 0 >"$work/site.log" 2>&1 &
pids+=($!)
wait_for "$work/site.log" 'Serving HTTP on'
site=site.test:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/site.log")
chroot --userspec="$uid" "$image" /bin/wstunnel-agent --ca /etc/wstunnel/cert.pem --allow "$site" --allow '127.0.0.1' "wss://localhost:$port" \
    2>"$work/agent.log" &
pids+=($!)
wait_for "$work/agent.log" 'connected to'
answer=$(curl --silent --show-error --max-time 20 --noproxy '' --proxytunnel --proxy "https://localhost:$port" \
    --proxy-cacert "$image/etc/wstunnel/cert.pem" "http://$site/hello") ||
    { cat "$work/server.log" "$work/agent.log"; die "curl failed"; }
[ "$answer" = 'Hello from the private site.' ] || die "curl got: $answer"
! grep -i 'assert\|segmentation' "$work/server.log" "$work/agent.log" || die "a program has failed"
echo "static programs of $(du -sk "$image/bin" | cut -f1) KiB, used in a tree of their own"
