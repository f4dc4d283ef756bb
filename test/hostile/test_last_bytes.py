# SPDX-License-Identifier: MIT
"""The last bytes before an end are never lost, and what is cut off never looks complete."""
import collections
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from arena import Baseline
from client import LINGER_RESET, Client
from payload import blocks
from processes import wait_until
from sites import Site, read_all

WINDOW = 32768  # what goes ahead on a stream, and what is kept while dialling
SIZES = [1, 2, 100, 1459, 1461, 4095, 4096, 4097, 16383, 16384, 16385, WINDOW - 1, WINDOW, WINDOW + 1,
         65535, 65537, 3 * WINDOW + 1]  # fmt: skip
THREADS = 16


def payload(n):
    return b"".join(blocks(n))


@pytest.fixture
def tunnel(world):
    server, agent = world.quick_tunnel()
    baseline = Baseline(server, agent)
    yield server
    for client in world.clients:
        client.close()
    baseline.wait()


def many(function, items):
    """A function of each, several at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, items))


def test_site_speaks_and_closes(world, tunnel):
    """close() right behind the last byte, as inetd services do; the client has not said a word."""
    sizes = iter(SIZES * 20)
    lock = threading.Lock()

    def serve(connection):
        with lock:
            n = next(sizes)
        connection.sendall(payload(n))

    site = world.site(Site(serve))

    def fetch(_):
        client = Client(tunnel.address)
        data = client.open(site.address).read_to_end()
        client.close()
        assert data == payload(len(data))
        return len(data)

    received = collections.Counter(many(fetch, SIZES * 20))
    assert received == collections.Counter(SIZES * 20)


def test_client_speaks_and_closes(world, tunnel):
    received = []
    site = world.site(Site(lambda connection: received.append(read_all(connection))))

    def say(n):
        client = Client(tunnel.address).open(site.address)
        client.send(payload(n))
        client.close()

    many(say, SIZES * 20)
    wait_until(lambda: len(received) == len(SIZES * 20), "all arrived")
    assert collections.Counter(map(len, received)) == collections.Counter(SIZES * 20)
    for data in received:
        assert data == payload(len(data))


def test_client_says_all_with_its_request(world, tunnel):
    """CONNECT, bytes and FIN before any answer; the answer to them still comes back, complete."""

    def serve(connection):
        data = read_all(connection)
        connection.sendall(len(data).to_bytes(4, "big") + data)

    site = world.site(Site(serve))

    def ask(n):
        client = Client(tunnel.address)
        client.send(f"CONNECT {site.address} HTTP/1.1\r\n\r\n".encode() + payload(n))
        client.end()
        assert client.read_answer().status == 200
        assert client.read_to_end() == n.to_bytes(4, "big") + payload(n)
        client.close()

    many(ask, SIZES * 10)


def test_end_in_the_packet_of_the_last_bytes(world, tunnel):
    """TCP_CORK holds both back until the FIN is there too."""

    def serve(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        connection.sendall(b"got " + read_all(connection))
        connection.shutdown(socket.SHUT_WR)

    site = world.site(Site(serve))

    def ask(i):
        client = Client(tunnel.address).open(site.address)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        client.send(b"%d" % i)
        client.end()
        assert client.read_to_end() == b"got %d" % i
        client.close()

    many(ask, range(300))


def test_each_end_waits_for_the_other(world, tunnel):
    """Ping-pong of single bytes, many rounds, and the last one counts."""

    def serve(connection):
        while byte := connection.recv(1):
            connection.sendall(byte)

    site = world.site(Site(serve))

    def play(_):
        client = Client(tunnel.address).open(site.address)
        for i in range(50):
            client.send(bytes([i]))
            assert client.read_exactly(1) == bytes([i])
        client.end()
        assert client.read_to_end() == b""
        client.close()

    many(play, range(THREADS * 4))


# -- Resets


def test_site_closes_with_bytes_unread(world, tunnel):
    """The kernel makes a reset of that, and so it must arrive."""

    def serve(connection):
        connection.sendall(b"no")
        connection.recv(1)

    site = world.site(Site(serve))

    def ask(_):
        client = Client(tunnel.address).open(site.address)
        assert client.read_exactly(2) == b"no"
        try:
            client.send(payload(100_000))
            return client.is_reset()
        except ConnectionError:
            return True
        finally:
            client.close()

    assert all(many(ask, range(50)))


def end_of(connection):
    """How it ends, for the site."""
    try:
        read_all(connection)
        return "end"
    except ConnectionResetError:
        return "reset"


@pytest.mark.parametrize("n", [0, 1, WINDOW, 3_000_000])
def test_client_resets_behind_data(world, tunnel, n):
    """The site sees no FIN, whatever was on its way."""
    seen = []

    def serve(connection):
        connection.sendall(b"hello")
        seen.append(end_of(connection))

    site = world.site(Site(serve))

    def say(_):
        client = Client(tunnel.address).open(site.address)
        client.read_exactly(5)
        client.send(payload(n))
        client.reset()

    many(say, range(20))
    wait_until(lambda: len(seen) == 20, "all over")
    assert seen == ["reset"] * 20


def test_site_resets_when_the_client_has_ended(world, tunnel):
    """One direction is at its end: the other one is reset all the same."""

    def serve(connection):
        assert read_all(connection) == b"question"
        connection.sendall(b"ans")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)

    site = world.site(Site(serve))

    def ask(_):
        client = Client(tunnel.address).open(site.address)
        client.send(b"question")
        client.end()
        reset = client.is_reset()
        client.close()
        return reset

    assert all(many(ask, range(50)))


def test_client_resets_when_the_site_has_ended(world, tunnel):
    seen = []

    def serve(connection):
        connection.sendall(b"all")
        connection.shutdown(socket.SHUT_WR)
        seen.append(end_of(connection))

    site = world.site(Site(serve))

    def ask(_):
        client = Client(tunnel.address).open(site.address)
        assert client.read_to_end() == b"all"
        client.send(b"half of what I")
        client.reset()

    many(ask, range(50))
    wait_until(lambda: len(seen) == 50, "all over")
    assert seen == ["reset"] * 50


def test_client_resets_behind_its_request(world, tunnel):
    """With early bytes or without: the site sees a reset, or nobody."""
    seen = []
    site = world.site(Site(lambda connection: seen.append(end_of(connection))))

    def ask(i):
        client = Client(tunnel.address)
        client.send(f"CONNECT {site.address} HTTP/1.1\r\n\r\n".encode() + payload(i % 3 * 1000))
        client.reset()

    many(ask, range(200))
    Client(tunnel.address).open(site.address).reset()  # the last in the site's queue
    wait_until(lambda: "reset" in seen, "the last one")
    assert set(seen) == {"reset"}
