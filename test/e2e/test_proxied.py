# SPDX-License-Identifier: MIT
"""
Clients' addresses told by real proxies: HAProxy and nginx's stream module by the PROXY header, HAProxy
and nginx in X-Forwarded-For. The tests run on one machine, whose own addresses nobody can claim. So
the client tells the proxy by the same protocol where it would come from, and the proxy, which
believes it, says so to the server in its own words.
"""
import base64
import contextlib
import socket
import ssl
import struct

import pytest

from client import Client
from processes import PASSWORD, TOKEN, USER, USER_BASIC
from proxies import Proxy, need, nginx_command
from secure import SecureSocket

AUTH = f"Proxy-Authorization: Basic {USER_BASIC}"
CLIENT = "192.0.2.7"
CLIENT6 = "2001:db8::7"


def says(source, port=4711):
    """The header by which the client tells where it comes from."""
    family, destination = ("TCP6", "2001:db8::1") if ":" in source else ("TCP4", "203.0.113.1")
    return f"PROXY {family} {source} {destination} {port} 443\r\n".encode()


def connect(destination, *fields):
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n{lines}\r\n".encode()


HAPROXY = """
defaults
    timeout connect 60s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    mode {mode}
listen front
    bind {address} accept-proxy
    {extra}
    server wstunnel {server} {sends}
"""


class Haproxy(Proxy):
    def __init__(self, server, sends, mode="tcp", extra=""):
        super().__init__(4445)
        text = HAPROXY.format(address=self.address, server=server, sends=sends, mode=mode, extra=extra)
        self.start([need("haproxy"), "-db", "-f", self.write("haproxy.cfg", text)])


NGINX_STREAM = """
    server {{
        listen {address} proxy_protocol;
        set_real_ip_from 127.0.0.0/8;
        proxy_protocol on;
        proxy_pass {server};
    }}
"""


class NginxStream(Proxy):
    def __init__(self, server):
        super().__init__(4446)
        stream = NGINX_STREAM.format(address=self.address, server=server)
        self.start(nginx_command(need("nginx"), self.directory, stream=stream))


def v1(start, server):
    return start(Haproxy, server, "send-proxy")


def v2(start, server):
    return start(Haproxy, server, "send-proxy-v2")


def v2_with_more(start, server):
    """TLVs, too."""
    return start(Haproxy, server, "send-proxy-v2 proxy-v2-options crc32c,unique-id",
                 extra="unique-id-format %[uuid()]")  # fmt: skip


def stream(start, server):
    return start(NginxStream, server)


FRONTS = [v1, v2, v2_with_more, stream]


class Guarded:
    """A server with users and an agent, and one more address for proxies."""

    def __init__(self, world, tmp_path, *options, listen="127.0.0.1:0,proxy", limits=""):
        token, users, config = (tmp_path / name for name in ("token", "users", "config.json"))
        token.write_text(TOKEN)
        users.write_text(f"{USER}:{PASSWORD}\nbob:{PASSWORD}-too\n")
        config.write_text(f'{{"limits": {{{limits}}}}}')
        self.server = world.server(
            "--listen", listen, "--agent-token-file", token, "--user-file", users,
            "--config", config, "--log-level", "debug", *options, listen="127.0.0.1:0,plain")  # fmt: skip
        self.token = token
        self.agent = world.agent(self.server.url, "--token-file", token)
        self.server.wait_for("agent .* up from")
        found = self.server.wait_for(r"listening on ([^\s\"]+:\d+) \(.*by proxies\)")
        self.address = found[1]


@pytest.fixture
def guarded(world, tmp_path):
    return Guarded(world, tmp_path, "--trust", "127.0.0.0/8")


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("source", [CLIENT, CLIENT6])
def test_by_header(world, start, echo_site, guarded, front, source):
    proxy = front(start, guarded.address)
    client = world.client(proxy.address)
    client.send(says(source) + connect(echo_site.address, AUTH) + b"ping")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.read_exactly(4) == b"ping"
    shown = f"\\[{source}\\]" if ":" in source else source
    guarded.server.wait_for(f"{shown}:4711 to {echo_site.address}")


@pytest.mark.parametrize("front", FRONTS)
def test_before_tls(world, start, tmp_path, echo_site, authority, identity, front):
    """The proxy passes TLS on."""
    guarded = Guarded(world, tmp_path, "--trust", "127.0.0.0/8", "--cert", identity.certificate,
                      "--key", identity.key, listen="127.0.0.1:0,proxy,tls")  # fmt: skip
    proxy = front(start, guarded.address)
    context = ssl.create_default_context(cafile=authority.certificate)
    raw = socket.create_connection((proxy.host, proxy.port), 60)
    raw.sendall(says(CLIENT))
    secure = SecureSocket(raw, context, "localhost")
    secure.sendall(connect(echo_site.address, AUTH) + b"ping")
    got = b""
    while not got.endswith(b"ping"):
        got += secure.recv(1000)
    assert got.startswith(b"HTTP/1.1 200 ")
    guarded.server.wait_for(f"{CLIENT}:4711")
    raw.close()


def test_health_checks(world, start, guarded):
    """HAProxy's own connections are LOCAL: they are answered, and the proxy's address counts."""
    proxy = start(Haproxy, guarded.address, "send-proxy-v2 check inter 100 check-send-proxy",
                  extra="option httpchk GET /readyz\n    http-check expect status 200")  # fmt: skip
    client = world.client(proxy.address)
    client.send(says(CLIENT) + b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    guarded.agent.terminate()
    proxy.process.wait_for("is DOWN, reason: Layer7 wrong status, code: 503")
    world.agent(guarded.server.url, "--token-file", guarded.token)
    proxy.process.wait_for("is UP, reason: Layer7 check passed, code: 200")
    assert "PROXY header" not in guarded.server.output


def test_without_header(world, guarded):
    client = world.client(guarded.address)
    client.send(connect("a.test:1", AUTH))
    assert client.is_reset()
    guarded.server.wait_for(r"connection from 127\.0\.0\.1:\d+: no PROXY header")


def test_not_trusted(world, tmp_path):
    guarded = Guarded(world, tmp_path, "--trust", "192.0.2.0/24")
    with contextlib.suppress(ConnectionResetError):  # which may be before we are told
        assert world.client(guarded.address).is_reset()
    guarded.server.wait_for(r"connection from 127\.0\.0\.1:\d+: not trusted to send a PROXY header")


def test_unix_socket(world, tmp_path, start, echo_site):
    """Where the proxy is on the same machine."""
    path = tmp_path / "socket"
    guarded = Guarded(world, tmp_path, "--trust", "unix:", "--listen", "127.0.0.1:0,proxy",
                      listen=f"unix:{path},proxy")  # fmt: skip
    proxy = start(Haproxy, f"unix@{path}", "send-proxy-v2")
    client = world.client(proxy.address)
    client.send(says(CLIENT) + connect(echo_site.address, AUTH))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    guarded.server.wait_for(f"{CLIENT}:4711")


# -- Forwarded, X-Forwarded-For -------------------------------------------------------------------


def by_haproxy(start, guarded):
    return start(Haproxy, guarded.server.address, "", mode="http", extra="option forwardfor")


def test_by_field(world, start, echo_site, guarded):
    """By HAProxy; a client's own words to the left of it mean nothing."""
    proxy = by_haproxy(start, guarded)
    client = world.client(proxy.address)
    client.send(says(CLIENT) + connect(echo_site.address, AUTH, "X-Forwarded-For: 6.6.6.6"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    guarded.server.wait_for(f"{CLIENT}:0 to {echo_site.address}")
    assert "6.6.6.6" not in guarded.server.output


@pytest.mark.parametrize("field", ["X-Forwarded-For: 192.0.2.9", "Forwarded: for=192.0.2.9"])
def test_by_others(world, tmp_path, echo_site, field):
    """From a peer that is not trusted both fields mean nothing."""
    guarded = Guarded(world, tmp_path, "--trust", "10.0.0.0/8")
    client = world.client(guarded.server)
    client.send(connect(echo_site.address, AUTH, field))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    guarded.server.wait_for(f"at 127.0.0.1:\\d+ to {echo_site.address}")
    assert "192.0.2.9" not in guarded.server.output


# -- Failures -------------------------------------------------------------------------------------


def answer_to(start_of, proxy, source, user, password):
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    client = Client(proxy.address)
    client.send(says(source) + connect(start_of, f"Proxy-Authorization: Basic {pair}"))
    status = int(client.read_head().split()[1])
    client.close()
    return status


def test_guesses_are_counted_by_client(world, tmp_path, start, echo_site):
    """One guesser behind the proxy, and users there."""
    guarded = Guarded(world, tmp_path, "--trust", "127.0.0.1",
                      limits='"max_failures": 3, "failure_window_ms": 3600000')  # fmt: skip
    proxy = v2(start, guarded.address)
    site = echo_site.address
    wrong = [answer_to(site, proxy, CLIENT, USER, f"guess {n}") for n in range(6)]
    assert wrong == [407, 407, 407, 429, 429, 429]
    assert answer_to(site, proxy, CLIENT, USER, PASSWORD) == 429
    assert answer_to(site, proxy, CLIENT, "bob", PASSWORD + "-too") == 200
    assert answer_to(site, proxy, "198.51.100.9", USER, PASSWORD) == 200
    guarded.server.wait_for(f"{CLIENT}:4711: too many failed attempts to authenticate")


def test_guesses_from_everywhere(world, tmp_path, start, echo_site):
    """4000 guesses at one user, of 1000 networks: hardly any is checked, and the user is served."""
    guarded = Guarded(world, tmp_path, "--trust", "127.0.0.1",
                      limits='"failure_window_ms": 3600000')  # fmt: skip
    site = echo_site.address
    header = struct.Struct("!12sBBH16s16sHH")
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    host, _, port = guarded.address.rpartition(":")
    pair = base64.b64encode(f"{USER}:wrong".encode()).decode()
    request = connect(site, f"Proxy-Authorization: Basic {pair}")

    def begin(source, message):
        client = Client(guarded.address)
        packed = socket.inet_pton(socket.AF_INET6, source)
        client.send(header.pack(signature, 0x21, 0x21, 36, packed, packed, 4711, 443) + message)
        return client

    right = connect(site, AUTH)
    home = begin("2001:db8:ffff::1", right)
    assert home.read_head().startswith(b"HTTP/1.1 200 ")
    home.close()
    counts = {}
    for first in range(0, 4000, 100):
        guesses = [begin(f"2001:db8:{n // 4:x}::1", request) for n in range(first, first + 100)]
        home = begin("2001:db8:ffff::2", right)
        assert home.read_head().startswith(b"HTTP/1.1 200 ")
        home.close()
        for guess in guesses:
            status = int(guess.read_head().split()[1])
            counts[status] = counts.get(status, 0) + 1
            guess.close()
    assert counts == {407: 40, 429: 3960}


# -- Where nobody must authenticate ---------------------------------------------------------------


def test_an_open_server_behind_a_proxy(world, start, echo_site):
    """On this machine only, and a proxy that opens it to the world."""
    server, _ = world.tunnel()
    proxy = start(Haproxy, server.address, "", mode="http", extra="option forwardfor")
    for request in (connect(echo_site.address),
                    f"GET http://{echo_site.address}/ HTTP/1.1\r\n"
                    f"Host: {echo_site.address}\r\n\r\n".encode(),
                    b"GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
                    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                    b"Sec-WebSocket-Protocol: wstunnel.v1.json\r\n\r\n"):  # fmt: skip
        client = world.client(proxy.address)
        client.send(says(CLIENT) + request)
        assert client.read_head().startswith(b"HTTP/1.1 403 Came by a proxy")
    client = world.client(proxy.address)
    client.send(says(CLIENT) + b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    world.client(server).open(echo_site.address)
