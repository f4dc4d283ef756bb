# SPDX-License-Identifier: MIT
"""Peers that begin and do not go on, in each phase: they are given up in time, with the answer that
belongs to it, while others are served."""
import select
import threading
import time

import pytest

from arena import Arena
from client import Client
from peers import AgentScene, Frame, ServerScene, as_agent, dial, hello, text
from processes import PATIENCE, wait_until
from pyagent import COMPLETED, HANDSHAKE, HELLO, RESET, upgrade_request
from sites import Deaf, Site, echo

TIMES = {"head": 500, "hello": 600, "dial": 700, "half": 800, "ping": 300, "dead": 1200}
TIMEOUT = "HTTP/1.1 408 Request Timeout"
IDLE, CONNECTION = 500, 8192
LATE = 2  # seconds that a busy machine may add


@pytest.fixture(scope="module")
def arena():
    world = Arena()
    yield world
    world.end()


# -- Towards a server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def at_server(arena):
    scene = ServerScene(arena, arena.site(Site(echo)), **TIMES)
    yield scene
    scene.finish(more=IDLE * CONNECTION)


def trickle(client, data, ended):
    """A byte at a time, for as long as anybody listens."""

    def send():
        try:
            for byte in data:
                client.send(bytes([byte]))
                if ended.wait(0.02):
                    break
        except (ConnectionError, TimeoutError):
            pass

    thread = threading.Thread(target=send)
    thread.start()
    return thread


CONNECT = b"CONNECT example.test:443 HTTP/1.1\r\n"
UPGRADE = upgrade_request("a", "wstunnel.v1.json")
HALF_HEADS = {
    "a letter": b"C",
    "a line": CONNECT,
    "all but the last byte": CONNECT + b"Host: example.test:443\r\n\r",
    "an upgrade": UPGRADE[:-2],
    "a forwarded request": b"GET http://example.test/ HTTP/1.1\r\nHost:",
}


def test_half_a_head(at_server):
    clients = [Client(at_server.server.address) for _ in HALF_HEADS]
    for client, head in zip(clients, HALF_HEADS.values()):
        client.send(head)
    at_server.check()
    for client in clients:
        assert client.read_answer().status_line == TIMEOUT
        assert client.read_to_end() == b""
        client.close()


@pytest.mark.parametrize("head", [CONNECT, b"GET / HTTP/1.1\r\n", UPGRADE[:-2]],
                         ids=["CONNECT", "GET", "upgrade"])  # fmt: skip
def test_head_byte_by_byte(at_server, head):
    """What comes does not put off the deadline."""
    client, ended, began = Client(at_server.server.address), threading.Event(), time.monotonic()
    sending = trickle(client, head + b"A: b\r\n" * 1000, ended)
    at_server.check()
    assert client.read_answer().status_line == TIMEOUT
    assert time.monotonic() - began < TIMES["head"] / 1000 + LATE
    ended.set()
    sending.join()
    client.close()


def test_many_that_say_nothing(at_server):
    """Closed without a word; meanwhile others are served, and little memory is used."""
    clients = [Client(at_server.server.address) for _ in range(IDLE)]
    at_server.check()
    at_server.check_memory(IDLE * CONNECTION)
    for client in clients:
        assert client.read_to_end() == b""
        client.close()


def test_forwarded_body_that_stalls(arena, at_server):
    """Nothing moves for `half`: the client is told, the origin does not take the half for all."""
    ends = []

    def serve(connection):
        try:
            while connection.recv(65536):
                pass
            ends.append("end")
        except ConnectionResetError:
            ends.append("reset")

    origin = arena.site(Site(serve))
    client = Client(at_server.server.address)
    client.send(f"POST http://{origin.address}/ HTTP/1.1\r\nHost: {origin.address}\r\n"
                "Content-Length: 100\r\n\r\nonly this".encode())  # fmt: skip
    at_server.check()
    answer = client.read_answer()
    assert answer.status_line == "HTTP/1.1 504 Connection to destination timed out"
    wait_until(lambda: ends == ["reset"], "reset at the origin")
    client.close()


def test_half_closed_and_silent(arena, at_server):
    """Neither end hears of it as an end, and nothing is kept."""
    seen = []

    def serve(connection):
        connection.sendall(b"hello")
        assert connection.recv(1) == b""
        poll = select.poll()
        poll.register(connection, 0)
        seen.append(poll.poll(PATIENCE * 1000)[0][1] & select.POLLERR)

    client = Client(at_server.server.address).open(arena.site(Site(serve)).address)
    assert client.read_exactly(5) == b"hello"
    client.end()
    at_server.check()
    assert client.is_reset()
    wait_until(lambda: seen == [select.POLLERR], "reset at the site")
    client.close()


HALF_OPENED = {
    "nothing": [],
    "half a frame head": [b"\x81"],
    "half a frame": [text("{}" + " " * 100).bytes(True)[:50]],
    "a fragment": [Frame(0x01, b"{").bytes(True)],
    "WebSocket pings": [Frame(0x89, b"").bytes(True)],
}


def begin(scene, *frames):
    """A connection for each way to begin and not to go on, behind these frames."""
    peers = {}
    for name, data in HALF_OPENED.items():
        label = "silent-" + name.replace(" ", "-")
        peers[label] = dial(scene.server)
        peers[label].put(*(frame(label) for frame in frames))
        peers[label].client.send(b"".join(data))
    return peers


def test_no_hello(at_server):
    """Peers that are not there: no close frame, a reset."""
    peers = begin(at_server)
    at_server.check()
    for peer in peers.values():
        assert peer.client.is_reset()
        peer.client.close()


def test_silence_behind_hello(at_server):
    peers = begin(at_server, lambda label: as_agent(name=label))
    at_server.check()
    for label, peer in peers.items():
        at_server.server.wait_for(f"agent {label} .* down: nothing received for too long")
        assert peer.client.is_reset()
        peer.client.close()


def test_noise_is_no_sign_of_life(at_server):
    """Only messages of the protocol are."""
    peers, ended = {}, threading.Event()
    for name, first in {"fragments": 0x00, "pings": 0x89, "pongs": 0x8A}.items():
        peer = peers[f"noise-{name}"] = dial(at_server.server)
        peer.put(as_agent(name=f"noise-{name}"), Frame(0x01))
        peer.noise = trickle(peer.client, Frame(first).bytes(True) * 10000, ended)
    at_server.check()
    for label, peer in peers.items():
        at_server.server.wait_for(f"agent {label} .* down: nothing received for too long")
        peer.noise.join()
        peer.client.close()


def test_no_answer_for_a_destination(at_server):
    peer = dial(at_server.server)
    peer.put(as_agent(max_streams=10))
    assert peer.hear()["method"] == HELLO
    peer.sync()
    client = Client(at_server.server.address)
    client.send(b"CONNECT example.test:443 HTTP/1.1\r\n\r\n")
    stream = peer.hear()["id"]
    assert client.read_answer().status_line == "HTTP/1.1 504 Agent did not answer in time"
    reset = peer.hear()
    assert (reset["method"], reset["id"], reset["error"]["code"]) == (RESET, stream, -32010)
    peer.say(COMPLETED, id=stream)  # too late
    peer.sync()
    client.close()
    peer.client.close()
    at_server.check()


def test_close_frame_that_is_not_answered(at_server):
    peer = dial(at_server.server)
    peer.put(text("[]"))
    while peer.receive()[0] != 8:
        pass
    at_server.check()
    assert peer.client.is_reset()
    peer.client.close()


# -- Towards an agent -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def at_agent(arena):
    times = {"connect": 600, "dial": 700, "ping": 300, "dead": 1200}
    scene = AgentScene(arena, arena.site(Site(echo)), **times)
    yield scene
    scene.check_memory()


def told(scene, why):
    """What the agent says of the attempt."""
    return f"{why}; next attempt in", len(scene.agent._matches(f"{why}; next attempt in")) + 1


def test_upgrade_that_is_not_answered(at_agent):
    expected = told(at_agent, "the upgrade was not answered in time")
    client, _ = at_agent.listener.accept()
    at_agent.agent.wait_for(*expected)
    client.close()
    at_agent.check()


def test_upgrade_answered_byte_by_byte(at_agent):
    expected = told(at_agent, "the upgrade was not answered in time")
    client, _ = at_agent.listener.accept()
    ended = threading.Event()
    sending = trickle(client, b"HTTP/1.1 101 Switching Protocols\r\n" + b"A: b\r\n" * 1000, ended)
    at_agent.agent.wait_for(*expected)
    ended.set()
    sending.join()
    client.close()
    at_agent.check()


def test_upgrade_answered_without_end(at_agent):
    client, _ = at_agent.listener.accept()
    expected = told(at_agent, "HTTP head too large")
    try:
        client.send(b"HTTP/1.1 101 Switching Protocols\r\n" + b"A: b\r\n" * 10000)
    except ConnectionError:
        pass
    at_agent.agent.wait_for(*expected)
    client.close()
    at_agent.check()


@pytest.mark.parametrize("data", [b"", Frame(0x81, b"{" * 90).bytes(False)[:50],
                                  Frame(0x89).bytes(False)],
                         ids=["nothing", "half a frame", "WebSocket pings"])  # fmt: skip
def test_server_without_hello(at_agent, data):
    expected = told(at_agent, "no hello in time")
    peer = at_agent.listener.open()
    peer.client.send(data)
    at_agent.agent.wait_for(*expected)
    assert peer.client.is_reset()
    peer.client.close()
    at_agent.check()


def test_server_that_falls_silent(at_agent):
    """What it has asked for is dropped."""
    expected = told(at_agent, "nothing received for too long")
    peer = at_agent.listener.open()
    peer.put(hello())
    peer.say(HANDSHAKE, id=2, dest=at_agent.site.address)
    at_agent.agent.wait_for(*expected)
    wait_until(lambda: at_agent.agent.stats()["streams"] == 0, "nothing left")
    peer.client.close()
    at_agent.check()


def test_destination_that_does_not_answer(arena, at_agent):
    deaf = arena.site(Deaf())
    peer = at_agent.listener.open()
    peer.put(hello())
    assert peer.hear()["method"] == HELLO
    peer.say(HANDSHAKE, id=2, dest=deaf.address)
    assert peer.hear()["error"]["code"] == -32005
    peer.client.close()
    at_agent.check()
