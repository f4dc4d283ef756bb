#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows the whole thing at work on this machine: builds the programs, starts a small private HTTPS
# site, a server and an agent, and fetches the site through them with curl. Stays up for your own
# curl until Ctrl-C; with --once it ends after the demonstration, with its status.
set -u

once=no
case "${1:-}" in
'') ;;
--once) once=yes ;;
*) echo "usage: $0 [--once]" >&2; exit 2 ;;
esac

cd "$(dirname "$0")/.."
. examples/demo.sh

# -- What is needed ------------------------------------------------------------------------------
packages=()
have() { command -v "$1" >/dev/null 2>&1; }
need() { # need PACKAGE: installed?
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' || packages+=("$1")
}
if have dpkg-query && have apt-get; then
    have cc || packages+=(gcc libc6-dev)
    have meson || packages+=(meson)
    have dpkg-architecture || packages+=(dpkg-dev) # meson asks it where libraries belong
    have ninja || packages+=(ninja-build)
    have pkg-config || packages+=(pkg-config)
    have curl || packages+=(curl)
    have openssl || packages+=(openssl)
    have python3 || packages+=(python3)
    for p in libuv1-dev libwslay-dev libcjson-dev libmbedtls-dev; do need "$p"; done
    if [ "${#packages[@]}" -gt 0 ]; then
        sudo=()
        [ "$(id -u)" = 0 ] || sudo=(sudo)
        say "Installing what is missing: ${packages[*]}"
        "${sudo[@]}" apt-get update -qq && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends \
            "${packages[@]}" >/dev/null ||
            die "apt-get failed; install by hand: ${packages[*]}"
    fi
else
    for tool in cc meson ninja pkg-config curl openssl python3; do
        have "$tool" || die "$tool is missing. This script installs packages on Debian and Ubuntu
only; elsewhere install: a C compiler, meson >= 1.0, ninja, pkg-config, curl, openssl, python3, and
the development files of libuv >= 1.44, wslay, cJSON and mbedTLS."
    done
fi

# -- Build ---------------------------------------------------------------------------------------
build=build-quickstart
say "Building in $build/"
if [ ! -f "$build/build.ninja" ]; then
    meson setup "$build" -Dtests=disabled >"${TMPDIR:-/tmp}/wstunnel-setup.$$" 2>&1 || {
        cat "${TMPDIR:-/tmp}/wstunnel-setup.$$" >&2
        die "meson setup failed"
    }
    rm -f "${TMPDIR:-/tmp}/wstunnel-setup.$$"
fi
if [ -t 1 ]; then # one line, which tells how far it is
    NINJA_STATUS='    %p of %t steps: ' ninja -C "$build" || die "the build failed"
else
    ninja -C "$build" >/dev/null || { ninja -C "$build"; die "the build failed"; }
fi

# -- A private HTTPS site, a server, an agent ----------------------------------------------------
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=intranet.test' \
    -addext 'subjectAltName=DNS:intranet.test,IP:127.0.0.1' \
    -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.log" ||
    { cat "$dir/openssl.log" >&2; die "openssl failed"; }
cat >"$dir/site.py" <<'PY'
import http.server, ssl, sys
class Site(http.server.BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    def do_GET(self):
        body = b"Hello from the private site. You came through the tunnel.\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening on", server.server_address[1], flush=True)
server.serve_forever()
PY
python3 "$dir/site.py" "$dir/cert.pem" "$dir/key.pem" >"$dir/site.log" 2>&1 &
pids+=($!)
wait_for "$dir/site.log" 'listening on' $!
site_port=$(sed -n 's/^listening on //p' "$dir/site.log")
say "Private site:  https://127.0.0.1:$site_port (only the agent's side would reach it)"

start_server "$build"
say "Server:        $address (an HTTP proxy for clients, /websocket for agents)"

"$build/examples/wstunnel-agent" --name demo --allow "127.0.0.1:$site_port" \
    "ws://$address" 2>"$dir/agent.log" &
agent=$!
pids+=($agent)
wait_for "$dir/agent.log" 'connected to' $agent
say "Agent:         'demo' has dialled ws://$address/websocket (and may reach the site: --allow)"

# -- The demonstration ---------------------------------------------------------------------------
say "curl --proxy http://$address https://127.0.0.1:$site_port/"
answer=$(curl --silent --show-error --max-time 20 --proxy "http://$address" --noproxy '' \
    --cacert "$dir/cert.pem" "https://127.0.0.1:$site_port/")
status=$?
[ "$status" -eq 0 ] || { cat "$dir/server.log" "$dir/agent.log" >&2; die "curl failed ($status)"; }
printf '    %s\n' "$answer"
case "$answer" in *'Hello from the private site'*) ;; *) die "not what the site says" ;; esac
for _ in $(seq 100); do # the last hop's lines come when the connections have closed
    grep -q 'over' "$dir/agent.log" && break
    sleep 0.05
done
say "What each hop saw:"
sed 's/^/    server  /' "$dir/server.log"
sed 's/^/    agent   /' "$dir/agent.log"

[ "$once" = yes ] && exit 0
say "Still up. Try, in another terminal (Ctrl-C here ends it):"
printf '    curl --proxy http://%s --noproxy "" -k https://127.0.0.1:%s/\n' "$address" "$site_port"
tail -n 0 -q -f "$dir/server.log" "$dir/agent.log" &
pids+=($!)
wait $server $agent
