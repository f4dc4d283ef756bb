# SPDX-License-Identifier: MIT
"""
What is cut never looks whole, as far as what stands between server and client lets that be told:
each listener, reached directly and through proxies, each way of asking, and each event that breaks
off what is under way. PROMISES is also a table of lib/SECURITY.md.

A scene is one event. Before it happens, a client of each kind has a part of an answer without a
length, which only the end of its connection would complete. All run in ./test/run.sh, in 15 s.
"""
import itertools
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from authority import Authority
from client import Client, reset
from fronts import LISTENERS, HaproxyHttp, HaproxyTcp, NginxStream
from netns import Machine
from processes import PATIENCE, wait_until
from proxies import own_address
from secure import SecureClient, client_context
from sites import Site
from socks import SocksClient
from world import World

# How a client is told: its connection is reset; TLS ends without close_notify; the last chunk is
# missing; or it is not told, but sees the same as behind a whole answer.
RESET, TLS, CHUNK, NOTHING = "reset", "no close_notify", "no last chunk", "nothing"

# What a client is told in a tunnel, and of the answer to a forwarded request: the same for every
# event; and what a destination is told if a client with a tunnel resets its connection.
PROMISES = {
    ("direct", "TCP"): (RESET, RESET, RESET),
    ("direct", "TLS"): (RESET, RESET, RESET),
    ("direct", "Unix"): (NOTHING, CHUNK, NOTHING),
    ("HAProxy, mode tcp", "TCP"): (NOTHING, CHUNK, RESET),
    ("HAProxy, mode tcp", "TLS"): (TLS, CHUNK, RESET),
    ("HAProxy, mode tcp", "Unix"): (NOTHING, CHUNK, NOTHING),
    ("HAProxy, mode http", "TCP"): (NOTHING, CHUNK, RESET),
    ("HAProxy, mode http", "TLS"): (NOTHING, CHUNK, NOTHING),
    ("HAProxy, mode http", "Unix"): (NOTHING, CHUNK, NOTHING),
    ("nginx stream", "TCP"): (NOTHING, CHUNK, NOTHING),
    ("nginx stream", "TLS"): (TLS, CHUNK, RESET),
    ("nginx stream", "Unix"): (NOTHING, CHUNK, NOTHING),
}
PATHS = {"direct": None, "HAProxy, mode tcp": HaproxyTcp, "HAProxy, mode http": HaproxyHttp,
         "nginx stream": NginxStream}  # fmt: skip

# A client of HTTP/1.0 knows no chunks: the end of its connection is that of the answer.
TUNNELS = ("CONNECT", "SOCKS5", "HTTP/1.0")
FORWARDED = "HTTP/1.1"
EVENTS = ("server killed", "agent killed", "origin resets", "network cut", "server stopped at once",
          "agent stopped at once")  # fmt: skip

PART = b"a part of the answer\n"
DEAD_MS = 1000  # after which a silent agent is taken for lost
GRACE_MS = 500  # after which it is given up

# curl's exit statuses.
CURL = {0: NOTHING, 18: CHUNK, 56: RESET}


class Origin:
    """Begins an answer that it does not end. `make` makes its sockets."""

    def __init__(self, make):
        self.listener = make()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.connections = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            connection.settimeout(PATIENCE)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + PART)

    def reset(self):
        while self.connections:
            reset(self.connections.pop())

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        self.reset()


class Uploads(Site):
    """Notes how the connection of each client ended; its first line is its name."""

    def __init__(self):
        self.ends = {}
        super().__init__(self._note)

    def _note(self, connection):
        name = read_line(connection)
        connection.sendall(b"hello\n")
        try:
            assert connection.recv(1) == b""
            self.ends[name] = NOTHING
        except ConnectionResetError:
            self.ends[name] = RESET


def read_line(connection):
    line = b""
    while not line.endswith(b"\n"):
        piece = connection.recv(1)
        assert piece, f"ended after {line!r}"
        line += piece
    return line.decode().rstrip("\n")


class Tunnel:
    """A client that sees how its connection ends."""

    def __init__(self, client, way, destination):
        self.client = client
        if way == "HTTP/1.0":
            client.send(f"GET http://{destination}/ HTTP/1.0\r\n\r\n".encode())
        elif way == "SOCKS5":
            SocksClient.open_by_socks(client, destination)
            client.send(b"GET / HTTP/1.0\r\n\r\n")
        else:
            client.open(destination, b"GET / HTTP/1.0\r\n\r\n")
        client.read_head()
        assert client.read_exactly(len(PART)) == PART

    def see_part(self):
        """The constructor has."""

    def end(self):
        try:
            assert self.client.read_to_end() == b""
            return NOTHING
        except ConnectionResetError:
            return RESET
        except ssl.SSLEOFError:
            return TLS
        finally:
            self.client.close()


class Curl:
    def __init__(self, address, listener, url, ca, output):
        scheme = "https" if listener == "TLS" else "http"
        # There is no proxy at a Unix socket for curl, but it can speak to one as to a proxy.
        reach = (["--unix-socket", address.removeprefix("unix:"), "--request-target", url]
                 if address.startswith("unix:")
                 else ["--proxy", f"{scheme}://{address}", "--proxy-cacert", ca])  # fmt: skip
        self.output = output
        self.popen = subprocess.Popen(
            ["curl", "--silent", "--show-error", "--no-buffer", "--noproxy", "", "--http1.1",
             "--max-time", str(PATIENCE), *reach, "--output", output, url],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def see_part(self):
        def seen():
            assert self.popen.poll() is None, self.popen.communicate()
            return self.output.exists() and self.output.read_bytes() == PART

        wait_until(seen, f"a part for {self.popen.args}")

    def end(self):
        _, said = self.popen.communicate(timeout=PATIENCE)
        assert self.output.read_bytes() == PART
        return CURL.get(self.popen.returncode, said)


class Scene:
    """A server with a listener of each kind, its agent with an origin beside it, perhaps on a
    machine of their own, and what stands before the listeners."""

    def __init__(self, directory, origin, machine=None):
        self.directory, self.origin, self.machine = directory, origin, machine
        self.world = World()
        self.missing = {}  # by path: why it is not there
        self.fronts, self.clients = [], {}
        authority = Authority(directory)
        self.ca, self.context = authority.certificate, client_context(authority)
        self.hosts = {path: own_address() for path in PATHS}
        names = ",".join(f"IP:{host}" for host in self.hosts.values())
        self.identity = authority.issue("server", f"DNS:localhost,IP:127.0.0.1,{names}")
        try:
            self._start_programs()
            self._start_fronts()
        except BaseException:
            self.close()
            raise

    def _start_programs(self):
        host = self.machine.server if self.machine else "127.0.0.1"
        limits = {"ping_interval_ms": DEAD_MS // 4, "dead_after_ms": DEAD_MS}
        grace = {"resume_grace_ms": GRACE_MS}
        server, agent = self.directory / "server.json", self.directory / "agent.json"
        server.write_text(json.dumps({"limits": limits | grace, "insecure_open": True}))
        agent.write_text(json.dumps({"rules": [{"allow": [self.origin.address]}]}))
        roles = "connect,socks"
        self.server = self.world.server(
            "--listen", f"127.0.0.1:0,{roles},tls",
            "--listen", f"unix:{self.directory}/server,{roles},plain",
            "--listen", f"{host}:0,agents,plain", "--config", server,
            "--cert", self.identity.certificate, "--key", self.identity.key,
            listen=f"127.0.0.1:0,{roles},plain",
        )  # fmt: skip
        *listeners, agents = (
            self.server.wait_for(r'listening on ([^\s"]+)', n + 1)[1] for n in range(4)
        )
        self.listeners = dict(zip(LISTENERS, listeners))
        self.agent = self.world.run(
            [*(self.machine.prefix if self.machine else ()), self.world.program("wstunnel-agent"),
             "--name", "one", "--config", agent, f"ws://{agents}"]
        )  # fmt: skip
        self.server.wait_for("agent one .* up from")

    def _start_fronts(self):
        self.addresses = {}
        for path, kind in PATHS.items():
            try:
                front = kind(self.hosts[path], self.listeners, self.ca, self.identity) if kind else None
            except pytest.skip.Exception as reason:
                self.missing[path] = str(reason)
                continue
            self.fronts += [front] if front else []
            self.addresses[path] = front.addresses if front else self.listeners

    def connect(self, path, listener):
        address = self.addresses[path][listener]
        if listener != "TLS":
            return Client(address)
        return SecureClient(address, self.context, address.rpartition(":")[0])

    def start_clients(self):
        for path, listener, way in itertools.product(self.addresses, LISTENERS, TUNNELS):
            if way == "SOCKS5" and path == "HAProxy, mode http":
                continue
            client = self.connect(path, listener)
            self.clients[path, listener, way] = Tunnel(client, way, self.origin.address)
        for number, (path, listener) in enumerate(itertools.product(self.addresses, LISTENERS)):
            self.clients[path, listener, FORWARDED] = Curl(
                self.addresses[path][listener], listener, f"http://{self.origin.address}/", self.ca,
                self.directory / f"curl{number}",
            )  # fmt: skip
        for client in self.clients.values():
            client.see_part()

    @staticmethod
    def stop_at_once(program):
        """As by an operator who does not wait for what is open."""
        program.terminate()
        program.wait_for("a second signal breaks it off")
        program.terminate()
        program.wait_exit(128 + signal.SIGTERM)

    def play(self, event):
        {
            "server killed": lambda: self.server.kill(),
            "agent killed": lambda: self.agent.kill(),
            "origin resets": lambda: self.origin.reset(),
            "network cut": lambda: self.machine.cut(),
            "server stopped at once": lambda: self.stop_at_once(self.server),
            "agent stopped at once": lambda: self.stop_at_once(self.agent),
        }[event]()

    def ends(self):
        """How it ended for each client; a text that is no promise if that went wrong."""
        ends = {}
        for key, client in self.clients.items():
            try:
                ends[key] = client.end()
            except Exception as error:
                ends[key] = repr(error)
        return ends

    def close(self):
        for front in self.fronts:
            front.close()
        self.origin.close()
        self.world.end()


@pytest.fixture(scope="module")
def scene(request, tmp_path_factory):
    """The event has happened: how that ended for each client, and what could not take part."""
    event = request.param
    machine = Machine() if event == "network cut" else None
    try:
        origin = Origin(machine.socket if machine else socket.socket)
        played = Scene(tmp_path_factory.mktemp("cuts"), origin, machine)
        try:
            played.start_clients()
            played.play(event)
            ends = played.ends()
            if machine:
                machine.mend()  # they can part in order
        finally:
            played.close()
    finally:
        if machine:
            machine.close()
    return ends, played.missing


@pytest.mark.parametrize("way", (*TUNNELS, FORWARDED))
@pytest.mark.parametrize("path, listener", PROMISES)
@pytest.mark.parametrize("scene", EVENTS, indirect=True)
def test_cut(scene, path, listener, way):
    ends, missing = scene
    if path in missing:
        pytest.skip(f"NOT TESTED: {path}: {missing[path]}")
    if way == "SOCKS5" and path == "HAProxy, mode http":
        assert (path, listener, way) not in ends  # it does not pass there
        return
    promise = PROMISES[path, listener][way == FORWARDED]
    assert ends[path, listener, way] == promise


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    """A client of each kind has reset its connection: how the destination's ended."""
    scene = Scene(tmp_path_factory.mktemp("uploads"), Uploads())
    try:
        clients = {}
        for path, listener in itertools.product(scene.addresses, LISTENERS):
            client = clients[path, listener] = scene.connect(path, listener)
            client.open(scene.origin.address, f"{path}/{listener}\n".encode())
            assert client.read_exactly(6) == b"hello\n"
        for client in clients.values():
            reset(client.tcp if isinstance(client, SecureClient) else client.socket)
        wait_until(lambda: len(scene.origin.ends) == len(clients), "all have ended")
    finally:
        scene.close()
    return scene


@pytest.mark.parametrize("path, listener", PROMISES)
def test_upload_cut(uploads, path, listener):
    if path in uploads.missing:
        pytest.skip(f"NOT TESTED: {path}: {uploads.missing[path]}")
    assert uploads.origin.ends[f"{path}/{listener}"] == PROMISES[path, listener][2]


def test_promises_are_documented():
    """The same table, row by row."""
    text = (Path(__file__).parents[2] / "lib" / "SECURITY.md").read_text()
    section = text.partition("## What is cut\n")[2].partition("\n## ")[0]
    rows = re.findall(
        r"^\| ([^|]+) \| (TCP|TLS|Unix) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, re.M
    )
    assert {(path, listener): promises for path, listener, *promises in rows} == {
        key: list(promises) for key, promises in PROMISES.items()
    }
    assert len(rows) == len(PROMISES)
    for event in EVENTS:
        assert event in section


# -- Unix sockets ---------------------------------------------------------------------------------


@pytest.fixture
def local(world, tmp_path):
    """A server with clients at a Unix socket, its agent, and a client with a tunnel to a site that
    does not read."""
    over = threading.Event()
    site = world.site(Site(lambda connection: over.wait(PATIENCE)))
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"rules": [{"allow": [site.address]}]}))
    address = f"unix:{tmp_path}/server"
    server = world.server("--listen", f"{address},connect", "--resume-grace", "0",
                          listen="127.0.0.1:0,agents")  # fmt: skip
    agent = world.served_by(server, "one", "--config", config)
    yield server, agent, world.client(address).open(site.address)
    over.set()


def send_until_full(sock):
    sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            sock.send(bytes(65536))
    sock.settimeout(PATIENCE)


@pytest.mark.parametrize("who", ["server", "agent"])
def test_unix_resets_if_bytes_are_unread(local, who):
    """The kernel has no other reset for Unix sockets than this: the side that closes has not read
    all. So an upload that is cut is seen to be."""
    server, agent, client = local
    send_until_full(client.socket)
    (server if who == "server" else agent).kill()
    assert client.is_reset()


@pytest.mark.parametrize("who", ["server", "agent"])
def test_unix_refuses_what_is_sent_later(local, who):
    """A client that reads sees an end; one that sends is told."""
    server, agent, client = local
    (server if who == "server" else agent).kill()
    assert client.read_to_end() == b""
    with pytest.raises(BrokenPipeError):
        client.send(b"more")


@pytest.mark.parametrize("who", ["server", "agent"])
def test_unix_with_tls(world, echo_site, tmp_path, who):
    """TLS tells where the socket cannot."""
    authority = Authority(tmp_path)
    identity = authority.issue("server")
    config = tmp_path / "agent.json"
    config.write_text(json.dumps({"rules": [{"allow": [echo_site.address]}]}))
    address = f"unix:{tmp_path}/server"
    server = world.server("--listen", f"{address},connect,tls", "--cert", identity.certificate,
                          "--key", identity.key, "--resume-grace", "0",
                          listen="127.0.0.1:0,agents,plain")  # fmt: skip
    agent = world.served_by(server, "one", "--config", config)
    client = SecureClient(address, client_context(authority))
    world.clients.append(client)
    client.open(echo_site.address, b"hello")
    assert client.read_exactly(5) == b"hello"
    (server if who == "server" else agent).kill()
    with pytest.raises(ssl.SSLEOFError):
        client.read_to_end()
