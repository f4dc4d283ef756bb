# SPDX-License-Identifier: MIT
"""A second signal: the program is gone within a second, whatever its peers do, and what it cut off
does not look complete. The peers here never answer: stopped processes, clients that do not read,
handshakes that stay half done."""
import contextlib
import signal
import ssl
import time

import pytest

from processes import BUILD
from secure import SecureClient, client_context
from sites import Deaf, Site, read_all

AT_MOST = 1.0  # seconds from the second signal to the exit
LONG = bytes(100_000_000)  # more than all buffers on the way hold
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"


def send_much(connection):
    with contextlib.suppress(ConnectionError):
        connection.sendall(LONG)


def answer_at_length(connection):
    connection.recv(65536)
    connection.sendall(HEAD)
    send_much(connection)


def go_on_after_the_end(connection):
    """Sends on when the other side has ended: the tunnel stays half-closed."""
    with contextlib.suppress(ConnectionError):
        read_all(connection)
        while True:
            connection.sendall(b"still here")
            time.sleep(0.1)


def be_silent(connection):
    with contextlib.suppress(ConnectionError):
        read_all(connection)


@pytest.fixture
def download(world):
    return world.site(Site(send_much))


@pytest.fixture
def half_closed(world):
    return world.site(Site(go_on_after_the_end))


@pytest.fixture
def deaf():
    listener = Deaf()
    yield listener
    listener.close()


@pytest.fixture
def freeze(world):
    """A function that stops a process until the end of the test."""
    frozen = []

    def stop(process):
        process.signal(signal.SIGSTOP)
        frozen.append(process)

    yield stop
    for process in frozen:
        process.signal(signal.SIGCONT)


def open_download(world, server, site):
    """A tunnel whose client reads one byte, and then nothing any more."""
    client = world.client(server).open(site.address)
    client.read_exactly(1)
    return client


def leave_at_once(program):
    """Signals a program twice. Returns the seconds that it took to end after that."""
    program.terminate()
    program.wait_for("leaving: finishing what is open")
    begun = time.monotonic()
    program.terminate()
    program.popen.wait(10)
    took = time.monotonic() - begun
    program.wait_exit(128 + signal.SIGTERM)
    return took


def test_server_whose_agent_hangs(world, download, freeze):
    server, agent = world.tunnel()
    clients = [open_download(world, server, download) for _ in range(20)]
    freeze(agent)
    assert leave_at_once(server) < AT_MOST
    assert all([client.is_reset() for client in clients])


def test_agent_whose_server_hangs(world, download, freeze):
    """It cannot tell a server that reads nothing that it is gone for good: that one waits for it."""
    server = world.server("--resume-grace", "1")
    agent = world.served_by(server, "one")
    client = open_download(world, server, download)
    freeze(server)
    assert leave_at_once(agent) < AT_MOST
    server.signal(signal.SIGCONT)
    assert client.is_reset()


@pytest.mark.parametrize("who", ["server", "agent"])
def test_half_closed_tunnels(world, half_closed, freeze, who):
    """A server that reads nothing may miss that the agent is gone for good, and waits for it."""
    server = world.server("--resume-grace", "1")
    agent = world.served_by(server, "one")
    leaving, other = (server, agent) if who == "server" else (agent, server)
    clients = [world.client(server).open(half_closed.address) for _ in range(5)]
    for client in clients:
        client.end()
        client.read_exactly(1)  # the site has seen the end
    freeze(other)
    assert leave_at_once(leaving) < AT_MOST
    other.signal(signal.SIGCONT)
    assert all([client.is_reset() for client in clients])


def test_handshakes_under_way(world, identity, authority, download, freeze):
    server = world.server("--cert", identity[0], "--key", identity[1])
    agent = world.agent(server.secure_url, "--ca", authority.certificate)
    server.wait_for("agent .* up from")
    for _ in range(50):
        world.client(server).send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    client = SecureClient(server.address, client_context(authority))
    world.clients.append(client)
    client.open(download.address)
    client.read_exactly(1)
    freeze(agent)
    assert leave_at_once(server) < AT_MOST
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        client.read_to_end()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_agent_whose_server_is_silent(world, authority, scheme):
    """Its handshake with a server, of TLS or of the WebSocket, is under way."""
    silent = world.site(Site(be_silent))
    options = ["--ca", authority.certificate] if scheme == "wss" else []
    agent = world.agent(f"{scheme}://localhost:{silent.port}", *options)
    agent.wait_for("agent .* for")
    assert seconds_to_leave(agent) < AT_MOST


def test_agent_whose_server_is_deaf(world, deaf):
    agent = world.agent(f"ws://{deaf.address}")
    agent.wait_for("agent .* for")
    assert seconds_to_leave(agent) < AT_MOST


def test_agent_whose_destinations_are_deaf(world, deaf, freeze):
    server, agent = world.tunnel()
    for _ in range(20):
        world.client(server).send(f"CONNECT {deaf.address} HTTP/1.1\r\n\r\n".encode())
    freeze(server)
    assert seconds_to_leave(agent) < AT_MOST


def test_agent_whose_name_servers_are_silent(world):
    hangs = BUILD / "test" / "hangnames.so"
    if not hangs.exists():
        pytest.skip("hangnames is not built here")
    agent = world.run([world.program("wstunnel-agent"), "ws://name.example:1"],
                      env={"LD_PRELOAD": str(hangs)})  # fmt: skip
    agent.wait_for("looking up name.example, forever")
    assert seconds_to_leave(agent) < AT_MOST


def seconds_to_leave(program):
    """As leave_at_once, for a program that need not wait for anything: one signal may do."""
    begun = time.monotonic()
    program.terminate()
    with contextlib.suppress(Exception):
        program.popen.wait(0.2)
    if program.popen.poll() is None:
        begun = time.monotonic()
        program.terminate()
        program.popen.wait(10)
    took = time.monotonic() - begun
    status = program.popen.returncode
    assert status in (0, 128 + signal.SIGTERM)
    program.wait_exit(status)
    return took


def test_unix_sockets(world, download, freeze, tmp_path):
    server = world.server("--listen", f"unix:{tmp_path}/clients")
    agent = world.agent(server.url)
    server.wait_for("agent .* up from")
    clients = [open_download(world, f"unix:{tmp_path}/clients", download) for _ in range(5)]
    freeze(agent)
    assert leave_at_once(server) < AT_MOST
    for client in clients:
        assert len(client.read_to_end()) < len(LONG) - 1


def test_refused_clients_that_do_not_end(world):
    """The server lingers until they have read their refusal."""
    server = world.server()
    for _ in range(20):
        world.client(server).send(b"CONNECT a.example:1 HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
    server.wait_for("refused: 400", count=20)
    assert seconds_to_leave(server) < AT_MOST


def test_forwarded_response(world, freeze):
    site = world.site(Site(answer_at_length))
    server, agent = world.tunnel()
    client = world.client(server)
    client.send(f"GET http://{site.address}/ HTTP/1.1\r\nHost: {site.address}\r\n\r\n".encode())
    assert b"200" in client.read_head()
    freeze(agent)
    assert leave_at_once(server) < AT_MOST
    assert client.is_reset()


def test_third_signal(world, download, freeze):
    """It does not wait for anything."""
    server, agent = world.tunnel()
    client = open_download(world, server, download)
    freeze(agent)
    server.terminate()
    server.wait_for("leaving: finishing what is open")
    server.terminate()
    server.wait_for("breaking off")
    begun = time.monotonic()
    server.terminate()
    server.popen.wait(10)
    assert time.monotonic() - begun < 0.4
    server.wait_exit(128 + signal.SIGTERM)
    assert client.is_reset()
