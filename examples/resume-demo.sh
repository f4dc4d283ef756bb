#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that a tunnel outlives its WebSocket: a download goes through a server and an agent, whose
# connection is cut every two seconds; what stands before the server (HAProxy or nginx, if one of
# them is installed) is killed once, too. The checksum at the end is right. Needs the programs of
# the README's build or of quickstart.sh, python3 and curl; no root.
#
#     resume-demo.sh [MIB [SECONDS]]    the size of the download (200), about how long it takes (20)
set -u

mib=${1:-200} seconds=${2:-20}
case "$mib$seconds" in *[!0-9]* | '') echo "usage: $0 [MIB [SECONDS]]" >&2; exit 2 ;; esac

cd "$(dirname "$0")/.."
. examples/demo.sh

PATH=$PATH:/usr/sbin
build=${WSTUNNEL_BUILD:-}
for build in ${build:+"$build"} build build-quickstart; do
    [ ! -x "$build/examples/wstunnel-server" ] || break
done
[ -x "$build/examples/wstunnel-server" ] ||
    die "no programs in build/ or build-quickstart/: run ./examples/quickstart.sh --once first"
for tool in python3 curl sha256sum; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done

# -- A site, a server, what stands before it, a link that can be cut, an agent ---------------------
# The site sends so slowly that it takes some time, and tells the checksum beforehand.
cat >"$dir/site.py" <<'PY'
import hashlib, http.server, random, sys, time
size, seconds = int(sys.argv[1]) << 20, int(sys.argv[2])
block = random.Random(size).randbytes(1 << 20)
blocks = [block[i * 7919 % len(block):] + block[:i * 7919 % len(block)] for i in range(size >> 20)]
digest = hashlib.sha256(b"".join(blocks)).hexdigest()
class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        start = time.monotonic()
        for i, block in enumerate(blocks):
            self.wfile.write(block)
            time.sleep(max(0, start + seconds * (i + 1) / len(blocks) - time.monotonic()))
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
print("listening on", server.server_address[1], digest, flush=True)
server.serve_forever()
PY

# The link: passes connections on to an address, and cuts all of them at SIGUSR1.
cat >"$dir/link.py" <<'PY'
import asyncio, signal, sys
host, port = sys.argv[1].rsplit(":", 1)
links = set()
async def copy(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
async def link(reader, writer):
    try:
        onward = await asyncio.open_connection(host, int(port))
    except OSError:
        writer.transport.abort()
        return
    links.update(ends := {writer, onward[1]})
    try:
        await asyncio.gather(copy(reader, onward[1]), copy(onward[0], writer))
    except OSError:
        pass
    links.difference_update(ends)
    for end in ends:
        end.transport.abort()
def cut():
    for writer in links:
        writer.transport.abort()
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, cut)
    server = await asyncio.start_server(link, "127.0.0.1", 0)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
PY

python3 "$dir/site.py" "$mib" "$seconds" >"$dir/site.log" 2>&1 &
pids+=($!)
wait_for "$dir/site.log" 'listening on' $!
read -r _ _ site_port digest <"$dir/site.log"
say "Private site:  http://127.0.0.1:$site_port, $mib MiB, SHA-256 ${digest:0:16}..."

start_server "$build"
say "Server:        $address"

# Before it, in TCP mode. A port that was free a moment ago is taken: neither can be asked for one.
front_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start_front() {
    case "$front_kind" in
    HAProxy) haproxy -db -f "$dir/front.conf" >>"$dir/front.log" 2>&1 & ;;
    nginx) nginx -p "$dir" -e stderr -c "$dir/front.conf" >>"$dir/front.log" 2>&1 & ;;
    esac
    front=$!
    pids+=($front)
    for _ in $(seq 200); do
        (: <"/dev/tcp/127.0.0.1/$front_port") 2>/dev/null && return 0
        kill -0 "$front" 2>/dev/null || break
        sleep 0.05
    done
    cat "$dir/front.log" >&2
    die "$front_kind does not listen"
}
front_kind=none
if command -v haproxy >/dev/null; then
    front_kind=HAProxy
    cat >"$dir/front.conf" <<CONF
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
listen front
    bind 127.0.0.1:$front_port
    server wstunnel $address
CONF
elif command -v nginx >/dev/null; then
    front_kind=nginx
    cat >"$dir/front.conf" <<CONF
daemon off;
master_process off;
pid $dir/front.pid;
error_log stderr;
events { }
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    server {
        listen 127.0.0.1:$front_port;
        location = /websocket {
            proxy_pass http://$address;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection upgrade;
        }
    }
}
CONF
fi
way=$address
if [ "$front_kind" != none ]; then
    start_front
    way=127.0.0.1:$front_port
    say "Front proxy:   $way ($front_kind)"
fi

python3 "$dir/link.py" "$way" >"$dir/link.log" 2>&1 &
link=$!
pids+=($link)
wait_for "$dir/link.log" 'listening on' $link
link_port=$(sed -n 's/^listening on //p' "$dir/link.log")
# Who is cut off again and again waits longer and longer before it comes back: not here.
echo '{"limits": {"backoff_min_ms": 100, "backoff_max_ms": 500}}' >"$dir/agent.json"
"$build/examples/wstunnel-agent" --config "$dir/agent.json" --name demo --allow "127.0.0.1:$site_port" \
    "ws://127.0.0.1:$link_port" 2>"$dir/agent.log" &
agent=$!
pids+=($agent)
wait_for "$dir/agent.log" 'connected to' $agent
say "Agent:         'demo' has dialled in by a link that will be cut: 127.0.0.1:$link_port"

# -- The download ---------------------------------------------------------------------------------
say "curl --proxytunnel --proxy http://$address http://127.0.0.1:$site_port/"
curl --silent --show-error --proxytunnel --proxy "http://$address" --noproxy '' \
    --output "$dir/download" "http://127.0.0.1:$site_port/" &
curl=$!
pids+=($curl)

size=$((mib << 20)) cuts=0 seen=0 step=0
progress() { # progress TEXT: a line with a bar
    local got=0 filled bar
    [ ! -f "$dir/download" ] || got=$(wc -c <"$dir/download")
    filled=$((40 * got / size))
    bar=$(printf '%*s' "$filled" '' | tr ' ' '#')
    printf '    %-40s %4d of %d MiB   %s\n' "$bar" $((got >> 20)) "$mib" "$1"
}
resumed() { grep -c 'resumed after' "$dir/agent.log"; }
while kill -0 "$curl" 2>/dev/null; do
    sleep 0.5
    step=$((step + 1))
    if [ "$(resumed)" -gt "$seen" ]; then
        seen=$(resumed)
        progress "$(grep -o 'resumed after.*' "$dir/agent.log" | tail -n 1)"
    fi
    # Each two seconds, if the agent is back.
    [ $((step % 4)) -eq 0 ] && [ "$seen" -eq "$cuts" ] && kill -0 "$curl" 2>/dev/null || continue
    if [ "$cuts" -eq 2 ] && [ "$front_kind" != none ]; then
        kill -KILL "$front"
        wait "$front" 2>/dev/null
        progress "$front_kind is killed, and is started again"
        start_front
    else
        kill -USR1 "$link"
        progress "the link is cut"
    fi
    cuts=$((cuts + 1))
done
wait "$curl"
status=$?
[ "$status" -eq 0 ] || { cat "$dir/server.log" "$dir/agent.log" >&2; die "curl failed ($status)"; }
progress "done"

say "What server and agent say at the first cut:"
sed -n 's/^/    server  /; /suspended\|resumed/p' "$dir/server.log" | head -n 2
sed -n 's/^/    agent   /; /lost\|resumed/p' "$dir/agent.log" | head -n 2
got=$(sha256sum <"$dir/download" | cut -d' ' -f1)
[ "$got" = "$digest" ] || die "the checksum is wrong: $got"
[ "$(resumed)" -gt 0 ] || die "the session was never resumed"
say "$cuts cuts, $(resumed) times resumed, one download: SHA-256 ${got:0:16}... is right"
