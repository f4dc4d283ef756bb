# SPDX-License-Identifier: MIT
"""What a tunnel is like at its two ends: first bytes, half-close, reset, addresses."""
import socket
import subprocess
import threading

import pytest

from client import reset
from processes import wait_until
from sites import Deaf, Site, echo, read_all, read_exactly, reset_after


@pytest.fixture
def server(world):
    return world.tunnel()[0]


def test_answer_is_exactly_this(world, server, echo_site):
    client = world.client(server)
    client.send(f"CONNECT {echo_site.address} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert client.read_head() == b"HTTP/1.1 200 Connection established\r\n\r\n"
    client.send(b"ping")
    assert client.read_exactly(4) == b"ping"


def test_http_1_0_is_answered_in_kind(world, server, echo_site):
    client = world.client(server)
    client.send(f"CONNECT {echo_site.address} HTTP/1.0\r\n\r\n".encode())
    assert client.read_head() == b"HTTP/1.0 200 Connection established\r\n\r\n"


def test_head_in_pieces_with_bare_line_feeds(world, server, echo_site):
    client = world.client(server)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in f"CONNECT {echo_site.address} HTTP/1.1\nHost: x\n\n".encode():
        client.send(bytes([byte]))
    assert client.read_head() == b"HTTP/1.1 200 Connection established\r\n\r\n"


def test_bytes_behind_the_head_arrive(world, server, echo_site):
    client = world.client(server).open(echo_site.address, more=b"early bird")
    client.send(b" and worm")
    assert client.read_exactly(19) == b"early bird and worm"


def test_many_bytes_behind_the_head_arrive(world, server, echo_site):
    """More than is kept while the destination is being dialled."""
    data = bytes(range(256)) * 4096
    client = world.client(server)
    client.send(f"CONNECT {echo_site.address} HTTP/1.1\r\n\r\n".encode() + data[:500_000])
    assert client.read_answer().status == 200
    assert client.read_exactly(500_000) == data[:500_000]


def test_host_and_connection_mean_nothing(world, server, echo_site):
    """What counts is the target; and a tunnel ends when one of its ends does."""
    client = world.client(server)
    client.send(f"CONNECT {echo_site.address} HTTP/1.1\r\nHost: elsewhere.test:1\r\n"
                "Connection: close\r\n\r\n".encode())  # fmt: skip
    assert client.read_head() == b"HTTP/1.1 200 Connection established\r\n\r\n"
    for _ in range(3):
        client.send(b"ping")
        assert client.read_exactly(4) == b"ping"


def test_site_that_speaks_first(world, server):
    site = world.site(Site(lambda connection: (connection.sendall(b"220 hello\r\n"),
                                               read_all(connection))))  # fmt: skip
    client = world.client(server).open(site.address)
    assert client.read_exactly(11) == b"220 hello\r\n"


def test_client_ends_first(world, server):
    """FIN goes to the site, whose answer still comes back."""

    def serve(connection):
        connection.sendall(b"got " + read_all(connection))

    site = world.site(Site(serve))
    client = world.client(server).open(site.address)
    client.send(b"everything")
    client.end()
    assert client.read_to_end() == b"got everything"


def test_client_ends_with_its_request(world, server):
    """As nc -N does: bytes and FIN are there before the answer. That is no cancelling."""

    def serve(connection):
        connection.sendall(b"got " + read_all(connection))

    site = world.site(Site(serve))
    client = world.client(server)
    client.send(f"CONNECT {site.address} HTTP/1.1\r\n\r\neverything".encode())
    client.end()
    assert client.read_answer().status == 200
    assert client.read_to_end() == b"got everything"


def test_site_ends_first(world, server):
    received = []

    def serve(connection):
        connection.sendall(b"that was all")
        connection.shutdown(socket.SHUT_WR)
        received.append(read_all(connection))

    site = world.site(Site(serve))
    client = world.client(server).open(site.address)
    assert client.read_to_end() == b"that was all"
    client.send(b"thank you")
    client.close()
    site.close()
    world.sites.remove(site)
    assert received == [b"thank you"]


def test_reset_by_the_site_is_a_reset(world, server):
    site = world.site(Site(reset_after(b"half of ")))
    client = world.client(server).open(site.address)
    assert client.read_exactly(8) == b"half of "
    client.send(b"!")
    assert client.is_reset()


def test_reset_by_the_client_is_a_reset(world, server):
    seen = []

    def serve(connection):
        connection.sendall(b"hello")
        try:
            connection.recv(1)
            seen.append("end")
        except ConnectionResetError:
            seen.append("reset")

    site = world.site(Site(serve))
    client = world.client(server).open(site.address)
    client.read_exactly(5)
    client.reset()
    site.close()
    world.sites.remove(site)
    assert seen == ["reset"]


def test_reset_behind_much_data(world, server):
    """A truncated body never ends in FIN, however much is on its way."""

    def serve(connection):
        connection.recv(1)
        connection.sendall(bytes(3_000_000))
        reset(connection)

    site = world.site(Site(serve))
    for _ in range(20):
        assert world.client(server).open(site.address, more=b"!").is_reset()


def test_client_gone_while_dialling(world):
    """The agent stops dialling; it would not notice by itself for 10 s."""
    server, agent = world.tunnel("--log-level", "debug")
    deaf = world.site(Deaf())
    before = agent.descriptors()
    client = world.client(server)
    client.send(f"CONNECT {deaf.address} HTTP/1.1\r\n\r\n".encode())
    wait_until(lambda: agent.descriptors() > before, "dialling")
    client.reset()
    agent.wait_for(f"stream to {deaf.address}: .*cancelled")
    wait_until(lambda: agent.descriptors() == before, "not dialling")


@pytest.mark.parametrize("name", ["[::1]:%d", "::1:%d", "[::1]:%d]"])
def test_ipv6(world, server, name):
    """In brackets, without (apt), and with one too many (ncat)."""
    site = world.site(Site(echo, host="::1"))
    client = world.client(server).open(name % site.port, more=b"six")
    assert client.read_exactly(3) == b"six"


def test_names_are_resolved_by_the_agent(world, server, echo_site):
    client = world.client(server).open(f"localhost:{echo_site.port}", more=b"name")
    assert client.read_exactly(4) == b"name"


def test_unix_socket(world, tmp_path):
    path = tmp_path / "socket"
    server = world.server(listen=f"unix:{path}")
    assert server.address == f"unix:{path}"
    command = ["curl", "-sS", "--unix-socket", path, "http://localhost/healthz"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"ok\n"
    assert world.client(server).connect("example.test:80").status == 503
    server.stop()
    assert not path.exists()


def test_unix_socket_for_clients(world, echo_site, tmp_path):
    """Clients by a Unix socket, agents by TCP; each only what it offers."""
    path = tmp_path / "socket"
    server = world.server("--listen", f"unix:{path},connect", listen="127.0.0.1:0,agents")
    world.agent(server.url)
    server.wait_for("agent .* up from")
    client = world.client(f"unix:{path}").open(echo_site.address, more=b"local")
    assert client.read_exactly(5) == b"local"
    answer = world.client(server).connect(echo_site.address)
    assert answer.status_line == "HTTP/1.1 403 Clients are not served at this address"


def test_echo_of_much_data_both_ways(world, server):
    """Full duplex: neither direction waits for the other."""
    n = 20_000_000

    def serve(connection):
        sender = threading.Thread(target=connection.sendall, args=(bytes(n),))
        sender.start()
        read_exactly(connection, n)
        sender.join()

    site = world.site(Site(serve))
    client = world.client(server).open(site.address)
    sender = threading.Thread(target=client.send, args=(bytes(n),))
    sender.start()
    assert len(client.read_to_end()) == n
    sender.join()
