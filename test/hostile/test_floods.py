# SPDX-License-Identifier: MIT
"""Peers that send without end. What is kept for them is bounded; who wants answers and does not
read them is thrown out; nobody else notices."""
import base64
import secrets
import threading

import pytest

from arena import KIB, SLACK, check_memory, forget_peak
from client import Client
from peers import AgentScene, Frame, ServerScene, as_agent, dial, hello, text
from processes import wait_until
from pyagent import COMPLETED, HANDSHAKE, HELLO, PING, PONG
from sites import Site, echo

ROUNDS = 2000
SESSION = 20 * KIB  # of memory that an allocator may keep

# Each wants an answer, and what is said of it if nobody reads the answers.
WANTING = {
    "WebSocket pings": (lambda: Frame(0x89, b"x" * 125), "more pings than we can answer"),
    "pings": (lambda: text({"method": PING, "seq": 1}), "too many pings"),
}
# These want none.
IGNORED = {
    "WebSocket pongs": Frame(0x8A, b"x" * 125),
    "pongs": text({"method": PONG, "seq": 1}),
    "the future": text('{"method":99,"x":"%s"}' % ("x" * 4000)),
    "the future in binary": Frame(0x82, b"\x63" + b"x" * 4000),
}


class Opens:
    """Streams that are refused: each with a new id."""

    def __init__(self):
        self.id = -1

    def __call__(self):
        self.id += 2
        return text({"method": HANDSHAKE, "id": self.id, "dest": "example.test:80"})


def flood(peer, make):
    """Does not read, until it is thrown out."""
    try:
        while True:
            peer.put(*(make() for _ in range(200)))
    except ConnectionError:
        pass


def flood_all(peers, makes):
    threads = [threading.Thread(target=flood, args=pair) for pair in zip(peers, makes)]
    for thread in threads:
        thread.start()
    return threads


def check_peak(process, before, floods):
    """Of each: a batch that is being sent (carrier.c), and what it came in."""
    check_memory(process, before, SLACK / 2 + floods * 256 * KIB, "VmHWM")


def test_server_whose_answers_are_not_read(world):
    scene = ServerScene(world, world.site(Site(echo)))
    wanting = WANTING | {"opens": (Opens(), "too many opens whose refusals are not read")}
    peers = []
    for name in wanting:
        peers.append(dial(scene.server))
        peers[-1].put(as_agent(name=name.replace(" ", "-")))
        assert peers[-1].hear()["method"] == HELLO
    forget_peak(scene.server)
    threads = flood_all(peers, (make for make, _ in wanting.values()))
    while any(thread.is_alive() for thread in threads):
        scene.check()
    for name, (_, why) in wanting.items():
        scene.server.wait_for(f"agent {name.replace(' ', '-')} .* down: {why}")
    check_peak(scene.server, scene.before, len(peers))
    scene.finish()


def test_agents_whose_answers_are_not_read(world):
    site = world.site(Site(echo))
    scenes = [AgentScene(world, site) for _ in WANTING]
    peers = []
    for scene in scenes:
        peers.append(scene.listener.open())
        peers[-1].put(hello())
        assert peers[-1].hear()["method"] == HELLO
        forget_peak(scene.agent)
    threads = flood_all(peers, (make for make, _ in WANTING.values()))
    for thread in threads:
        thread.join()
    for scene, (_, why) in zip(scenes, WANTING.values()):
        scene.agent.wait_for(f"{why}; next attempt")
        check_peak(scene.agent, scene.before, 1)
        scene.check()


@pytest.mark.parametrize("name", WANTING)
def test_answers_that_are_read(world, name):
    """However many: each ping has its answer, from server and agent."""
    server = ServerScene(world, world.site(Site(echo)))
    agent = AgentScene(world, server.site)
    at_server, at_agent = dial(server.server), agent.listener.open()
    at_server.put(as_agent())
    at_agent.put(hello())
    for peer in (at_server, at_agent):
        assert peer.hear()["method"] == HELLO
        peer.sync()
        batch = [WANTING[name][0]() for _ in range(10)]
        for _ in range(ROUNDS // 10):
            peer.put(*batch)
            for frame in batch:
                opcode, payload = peer.receive()
                if name == "pings":
                    assert (opcode, payload) == (1, b'{"method":9,"seq":1}')
                else:
                    assert (opcode, payload) == (10, frame.payload)
        peer.client.close()
    server.finish()
    agent.check()
    agent.check_memory()


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_ignored(world, name):
    server = ServerScene(world, world.site(Site(echo)))
    agent = AgentScene(world, server.site)
    encoding = "binary" if "binary" in name else "json"
    at_server, at_agent = dial(server.server, encoding), agent.listener.open(encoding)
    at_server.put(as_agent())
    at_agent.put(hello())
    for peer in (at_server, at_agent):
        peer.put(*[IGNORED[name]] * ROUNDS)
        peer.sync()
        peer.client.close()
    server.finish()
    agent.check()
    agent.check_memory()


def test_too_many_sessions(world):
    """Further agents are refused; the honest one is not."""
    scene = ServerScene(world, world.site(Site(echo)))
    peers = []
    for i in range(1023):  # the honest one is the 1024th
        peers.append(dial(scene.server))
        peers[-1].put(as_agent(name=f"liar-{i}"))
    for peer in peers:
        peer.hear()
        peer.sync()
    with pytest.raises(AssertionError, match="503 Too many agents"):
        dial(scene.server)
    scene.check()
    scene.check_memory(1024 * SESSION)
    for peer in peers:
        peer.client.close()
    scene.finish(more=1024 * SESSION)


def test_data_that_nobody_asked_for(world):
    """A stream in both directions at once, of which only one side reads: nothing is kept beyond a
    window, and the stream goes on when the other side reads too."""
    scene = ServerScene(world, world.site(Site(echo)))
    peer = dial(scene.server)
    peer.put(as_agent(max_streams=10))
    assert peer.hear()["method"] == HELLO
    peer.sync()
    client = Client(scene.server.address)
    client.send(f"CONNECT {scene.site.address} HTTP/1.1\r\n\r\n".encode())
    stream = peer.hear()["id"]
    peer.say(COMPLETED, id=stream)
    assert client.read_answer().status == 200
    data = secrets.token_bytes(1 << 20)
    sending = threading.Thread(target=client.send, args=(data,))
    sending.start()
    received = b""
    while len(received) < 32768:  # all that the liar's hello has granted
        message = peer.hear()
        assert message["method"] == 3
        received += base64.b64decode(message["data"])
    peer.sync()  # no more of it comes
    assert received == data[:32768]
    assert scene.server.stats()["streams"] == 2
    scene.check()
    peer.say(5, id=stream, received=32768, credit=1 << 40)
    while len(received) < len(data):
        message = peer.hear()
        received += base64.b64decode(message["data"])
        peer.say(5, id=stream, received=len(received), credit=1 << 40)
    assert received == data
    sending.join()
    client.close()
    peer.client.close()
    wait_until(lambda: scene.server.stats()["streams"] == 1, "gone")
    scene.finish()
