# SPDX-License-Identifier: MIT
"""Slowloris on TLS: peers that begin a handshake and do not go on. There are fewer places for
handshakes than of these; all are given up in time, and others are served meanwhile."""
import socket
import ssl
import threading

import pytest

from client import Client
from scene import HEALTH, KIB, Scene, serve
from secure import SecureSocket
from sites import Site, echo

TIMEOUT_MS = 2000
PLACES = 64
PEERS = 200  # stalled peers at a time: a place is lost to them for a quarter of the time only
HANDSHAKE = 40 * KIB  # that one holds (README)
CONNECTION = 8 * KIB


@pytest.fixture(scope="module")
def scene(arena, authority, identity, tmp_path_factory):
    server = serve(arena, tmp_path_factory.mktemp("config"), cert=str(identity.certificate),
                   key=str(identity.key), log_level="debug",
                   limits={"tls_timeout_ms": TIMEOUT_MS, "max_handshakes": PLACES})  # fmt: skip
    scene = Scene(arena, server, arena.site(Site(echo)), authority)
    yield scene
    scene.finish(PLACES * HANDSHAKE)


def client_hello(context):
    """The first record of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def outcome(client):
    """What is answered, and how the connection ends."""
    try:
        return client.read_to_end(), "end"
    except ConnectionResetError:
        return bytes(client.buffer), "reset"


def connect_all(scene, count):
    return [Client(scene.server.address) for _ in range(count)]


def close_all(clients):
    for client in clients:
        client.close()


def test_nothing(scene):
    """Who says nothing holds no place; it is closed without a word."""
    clients = connect_all(scene, PEERS)
    scene.check()
    scene.check_memory(PEERS * CONNECTION)
    assert {outcome(client) for client in clients} == {(b"", "end")}
    close_all(clients)


BEGINNINGS = {
    "a byte": lambda hello: hello[:1],
    "the head of a record": lambda hello: hello[:5],
    "half a hello": lambda hello: hello[: len(hello) // 2],
    "all but a byte": lambda hello: hello[:-1],
    "a record of 16 KiB": lambda hello: b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + b"\x03" * 100,
}


def test_beginnings(scene):
    """Reset without a word when others need the place. Whoever comes behind them all gets a turn."""
    hello = client_hello(scene.context)
    clients = connect_all(scene, PEERS)
    for begin, group in zip(BEGINNINGS.values(), range(len(BEGINNINGS))):
        for client in clients[group :: len(BEGINNINGS)]:
            client.send(begin(hello))
    scene.check()
    scene.check_memory(PLACES * HANDSHAKE + PEERS * CONNECTION)
    assert {outcome(client) for client in clients} == {(b"", "reset")}
    scene.server.wait_for("debug .*TLS: too slow while others wait", PEERS - PLACES)
    close_all(clients)


def test_half_a_handshake(scene):
    """Each of them has had its answer, which costs the most, and says no more."""
    hello = client_hello(scene.context)
    clients = connect_all(scene, PEERS)
    for client in clients:
        client.send(hello)
    scene.check()
    scene.check_memory(PLACES * HANDSHAKE + PEERS * CONNECTION)
    answers = [outcome(client) for client in clients]
    assert {end for _, end in answers} == {"reset"}
    assert {answer[:1] for answer, _ in answers} <= {b"\x16", b""}
    assert any(answer for answer, _ in answers)
    close_all(clients)


def test_byte_by_byte(scene):
    """What trickles in does not put off the deadline: the last one that has a place is given up when
    its time is over, or earlier if others wait."""
    hello = client_hello(scene.context)
    clients, ended = connect_all(scene, PLACES), threading.Event()
    reset = set()  # those that sending has told of it: an error is told once

    def trickle():
        open_now = set(clients)
        for byte in hello:
            for client in list(open_now):
                try:
                    client.send(bytes([byte]))
                except ConnectionError as error:
                    open_now.discard(client)
                    if isinstance(error, ConnectionResetError):
                        reset.add(client)
            if not open_now or ended.wait(0.05):
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    scene.check()
    outcomes = {client: outcome(client)[1] for client in clients}
    ended.set()
    thread.join()
    assert all(client in reset or outcomes[client] == "reset" for client in clients)
    close_all(clients)


class Pieces(socket.socket):
    """Sends 7 bytes at a time."""

    def sendall(self, data):
        for i in range(0, len(data), 7):
            super().sendall(data[i : i + 7])


def test_in_pieces(scene):
    """All in time, if in small pieces: served."""
    pieces = Pieces()
    pieces.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces.connect(("127.0.0.1", scene.server.port))
    secure = SecureSocket(pieces, scene.context, "localhost")
    secure.sendall(HEALTH)
    assert secure.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    secure.close()


def test_a_stall_at_the_end(scene):
    """One that stalls while nobody waits has all of its time."""
    client = Client(scene.server.address)
    client.send(client_hello(scene.context)[:-1])
    assert outcome(client) == (b"", "reset")
    scene.server.wait_for("TLS: TLS handshake timed out")
    client.close()
