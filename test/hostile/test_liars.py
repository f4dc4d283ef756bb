# SPDX-License-Identifier: MIT
"""
Peers whose messages are well formed, but not true: an agent that lies to its server, a server that
lies to its agent. A lie ends the connection of the liar, with the reason, and what ran through it is
reset; what it had not answered yet goes to another agent.
"""
import base64

import pytest

from arena import Arena
from client import Client
from peers import AgentScene, ServerScene, as_agent, binary, dial, hello, text
from pyagent import (COMMUNICATION, COMPLETED, CREDIT, END, GOAWAY, HANDSHAKE, HELLO, PONG,
                     RESET)  # fmt: skip
from sites import Deaf, Site, echo

NEVER = "message about a stream that was never opened"
ACKNOWLEDGES = "credit acknowledges what was not sent, or takes back"
NUMBER = "a number is missing, malformed or out of range"
MAX = (1 << 53) - 1
DATA = base64.b64encode(b"hello").decode()
FRAME = base64.b64encode(bytes(16384)).decode()
TOO_MUCH = base64.b64encode(bytes(65537)).decode()


@pytest.fixture(scope="module")
def arena():
    world = Arena()
    yield world
    world.end()


@pytest.fixture(scope="module")
def at_server(arena):
    scene = ServerScene(arena, arena.site(Site(echo)))
    yield scene
    scene.finish()


@pytest.fixture(scope="module")
def at_agent(arena):
    scene = AgentScene(arena, arena.site(Site(echo)), streams=50)
    yield scene
    scene.check_memory()


# -- An agent -------------------------------------------------------------------------------------


def liar(scene, encoding="json"):
    """It has no streams, and so is asked next."""
    peer = dial(scene.server, encoding)
    peer.put(as_agent(max_streams=10, features=["yield"]))
    assert peer.hear()["method"] == HELLO
    peer.sync()
    return peer


def ask(scene, peer):
    """A client, and the id of its stream at the liar."""
    client = Client(scene.server.address)
    client.send(f"CONNECT {scene.site.address} HTTP/1.1\r\n\r\n".encode())
    message = peer.hear()
    assert message == {"method": HANDSHAKE, "id": message["id"], "dest": scene.site.address}
    return client, message["id"]


def m(method, **members):
    return {"method": method} | members


# Before it has answered: the client never notices.
UNANSWERED = {
    "data": (m(COMMUNICATION, data=DATA), "data before the stream was open"),
    "credit": (m(CREDIT, received=0, credit=99999), "credit before the stream was open"),
    "end": (m(END, offset=0), "end before the stream was open"),
    "completed another one": (m(COMPLETED, id=1 << 40), NEVER),
    "completed one of its own": (m(COMPLETED, id=1), NEVER),
    "reset another one": (m(RESET, id=1 << 40, error={"code": -32009}), NEVER),
    "opens with an id of ours": (m(HANDSHAKE, id=1 << 40, dest="a:1"),
                                 "opened a stream with an id of ours"),
    "reset without error": (m(RESET), "error is not an object"),
    **{f"error {error!r}": (m(COMPLETED, error=error), "error is not an object")
       for error in ("refused", 7, True, [], [{"code": -32001}])},
    **{f"error {error!r}": (m(COMPLETED, error=error), "error without a negative code")
       for error in ({}, {"code": 0}, {"code": 1}, {"code": "-32001"}, {"code": -1.5}, {"code": []},
                     {"code": -(1 << 53) - 1}, {"Code": -32001})},
    **{f"error text {len(str(t))}": (m(COMPLETED, error={"code": -32001, "message": t}),
                                     "error with a message that is no text or too long")
       for t in (7, ["x"], "x" * 257, "é" * 129, "x" * 3000)},
    **{f"address {a!r}"[:40]: (m(COMPLETED, address=a), "completed with a malformed address")
       for a in ("nonsense", "127.1", "127.0.0.1:80", "[::1]", "fe80::1%eth0", "1.2.3.4\n",
                 " 1.2.3.4", "::1::", "a" * 300, 7, [], {"ip": "1.2.3.4"})},
}  # fmt: skip


@pytest.mark.parametrize("name", UNANSWERED)
def test_agent_before_its_answer(at_server, name):
    message, why = UNANSWERED[name]
    peer = liar(at_server)
    client, stream = ask(at_server, peer)
    peer.put(text({"id": stream} | message))
    assert peer.closed() == (1002, why)
    assert client.read_answer().status == 200  # by the honest one
    client.send(b"whole")
    assert client.read_exactly(5) == b"whole"
    client.close()
    at_server.check()


# Behind its completed.
OPEN = {
    "completed twice": ([m(COMPLETED)], "answered a stream twice"),
    "completed, then failed": ([m(COMPLETED, error={"code": -32001})], "answered a stream twice"),
    "end at another place": ([m(END, offset=1)], "end at another offset than the data's"),
    "end before the data's": ([m(COMMUNICATION, data=DATA), m(END, offset=4)],
                              "end at another offset than the data's"),
    "end at 2^53": ([m(END, offset=1 << 53)], NUMBER),
    "end twice": ([m(END, offset=0)] * 2, "second end of a stream"),
    "data behind its end": ([m(END, offset=0), m(COMMUNICATION, data=DATA)],
                            "data behind the end of its stream"),
    "empty data": ([m(COMMUNICATION, data="")], "communication without data or with too much"),
    "more received than sent": ([m(CREDIT, received=5, credit=99999)], ACKNOWLEDGES),
    "all received": ([m(CREDIT, received=MAX, credit=MAX)], ACKNOWLEDGES),
    "an end received": ([m(CREDIT, received=1, credit=99999)], ACKNOWLEDGES),
    "credit taken back": ([m(CREDIT, received=0, credit=32767)], "credit was taken back"),
    "credit of 0": ([m(CREDIT, received=0, credit=0)], "credit was taken back"),
    "credit taken back later": ([m(CREDIT, received=0, credit=MAX),
                                 m(CREDIT, received=0, credit=MAX - 1)], "credit was taken back"),
    **{f"credit of {n:#x}": ([m(CREDIT, received=0, credit=n)], NUMBER)
       for n in (1 << 53, 1 << 63, 1 << 64, 1 << 200)},
    **{f"received {n}": ([m(CREDIT, received=n, credit=99999)], NUMBER)
       for n in (-1, 1 << 53, 0.5)},
    "credit for another one": ([m(CREDIT, id=1 << 40, received=0, credit=99999)], NEVER),
    "data of another one": ([m(COMMUNICATION, id=1 << 40, data=DATA)], NEVER),
    "end of another one": ([m(END, id=1 << 40, offset=0)], NEVER),
}  # fmt: skip


@pytest.mark.parametrize("name", OPEN)
def test_agent_behind_its_answer(at_server, name):
    messages, why = OPEN[name]
    peer = liar(at_server)
    client, stream = ask(at_server, peer)
    peer.put(*(text({"id": stream} | message) for message in [m(COMPLETED), *messages]))
    assert peer.closed() == (1002, why)
    assert client.read_answer().status == 200
    assert client.is_reset()
    client.close()
    at_server.check()


def test_agent_that_acknowledges_less_than_before(at_server):
    peer = liar(at_server)
    client, stream = ask(at_server, peer)
    peer.say(COMPLETED, id=stream)
    client.send(b"12345")
    assert peer.hear()["method"] == COMMUNICATION
    peer.say(CREDIT, id=stream, received=5, credit=99999)
    peer.say(CREDIT, id=stream, received=3, credit=99999)
    assert peer.closed() == (1002, ACKNOWLEDGES)
    client.close()


def test_agent_that_takes_back_the_end(at_server):
    peer = liar(at_server)
    client, stream = ask(at_server, peer)
    peer.say(COMPLETED, id=stream)
    client.send(b"12345")
    assert client.read_answer().status == 200
    client.end()
    while peer.hear()["method"] != END:
        pass
    peer.say(CREDIT, id=stream, received=6, credit=99999)
    peer.say(CREDIT, id=stream, received=5, credit=99999)
    assert peer.closed() == (1002, ACKNOWLEDGES)
    client.close()


@pytest.mark.parametrize("encoding", ["json", "binary"])
def test_agent_sends_beyond_its_credit(at_server, encoding):
    """To a client that does not read. What the server keeps is bounded, however much comes."""
    peer = liar(at_server, encoding)
    client, stream = ask(at_server, peer)
    peer.say(COMPLETED, id=stream)
    data = text(m(COMMUNICATION, id=stream, data=FRAME))
    if encoding == "binary":
        data = binary(bytes([COMMUNICATION, stream]) + bytes(16384))
    assert peer.flood(data.bytes(is_client=True)) == (1002, "more data than credit")
    assert client.is_reset()
    client.close()
    at_server.check()
    at_server.check_memory()


def test_agent_sends_too_much_at_once(at_server):
    peer = liar(at_server)
    client, stream = ask(at_server, peer)
    peer.say(COMPLETED, id=stream)
    peer.say(COMMUNICATION, id=stream, data=TOO_MUCH)
    assert peer.closed() == (1009, "more data than max_frame")
    assert client.is_reset()
    client.close()


def test_agent_sends_too_much_in_binary(at_server):
    """Data is handed on as it comes, but no more of it than a message may hold."""
    peer = liar(at_server, "binary")
    client, stream = ask(at_server, peer)
    peer.say(COMPLETED, id=stream)
    peer.put(binary(bytes([COMMUNICATION, stream]) + bytes(12288)))
    while peer.receive()[1][0] != CREDIT:  # a busy stream's window grows beyond a message
        pass
    peer.put(binary(bytes([COMMUNICATION, stream]) + bytes(65537)))
    assert peer.closed() == (1009, "more data than max_frame")
    assert client.is_reset()
    client.close()


# What is odd, but not an error: the liar is still there afterwards.
HARMLESS = {
    "unknown method": m(99, id=7),
    "unknown method of 2^53 - 1": m(MAX),
    "method 0": m(0),
    "unknown members": m(PONG, seq=1, a=[{"b": None}]),
    "pong for nothing": m(PONG, seq=MAX),
    "goaway for nothing": m(GOAWAY, last=MAX, error={"code": -32008}),
    "unknown error code": m(COMPLETED, error={"code": -(1 << 53) + 1}),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_agent_that_is_odd(at_server, name):
    peer = liar(at_server)
    client, stream = ask(at_server, peer)
    peer.put(text({"id": stream} | HARMLESS[name]))
    peer.sync()
    if name == "unknown error code":
        assert client.read_answer().status_line == "HTTP/1.1 502 Agent failed to connect"
    client.close()
    peer.client.close()
    at_server.check()


def test_agent_late_messages(at_server):
    """About streams that have finished: of any kind, and as wrong as can be, they are ignored."""
    peer = liar(at_server)
    client, stream = ask(at_server, peer)
    peer.say(COMPLETED, id=stream)
    assert client.read_answer().status == 200
    client.reset()
    while peer.hear()["method"] != RESET:
        pass
    for late in (m(COMPLETED), m(COMMUNICATION, data=DATA), m(CREDIT, received=MAX, credit=0),
                 m(END, offset=77), m(RESET, error={"code": -1})):  # fmt: skip
        peer.put(text({"id": stream} | late))
        peer.put(text({"id": stream - 2} | late) if stream > 2 else text(late | {"id": stream}))
    peer.sync()
    peer.client.close()


def test_agent_opens(at_server):
    """Each is refused, however many; ids must rise."""
    peer = liar(at_server)
    for i in range(1, 2001, 2):
        peer.say(HANDSHAKE, id=i, dest=at_server.site.address)
        refusal = peer.hear()
        assert (refusal["id"], refusal["error"]["code"]) == (i, -32006)
    peer.say(HANDSHAKE, id=1999, dest="a:1")
    assert peer.closed() == (1002, "opened a stream with an id that is not above the last")
    at_server.check()


def test_agent_without_name(at_server):
    peer = dial(at_server.server)
    peer.put(hello())
    assert peer.closed() == (1008, "an agent needs a name")


def test_agent_address_of_the_server(at_server):
    """A true one is no way to the server either."""
    peer = liar(at_server)
    client = Client(at_server.server.address)
    client.send(f"CONNECT example.test:{at_server.server.port} HTTP/1.1\r\n\r\n".encode())
    stream = peer.hear()["id"]
    peer.say(COMPLETED, id=stream, address="127.0.0.1")
    assert client.read_answer().status_line == "HTTP/1.1 403 The destination is this proxy"
    peer.client.close()
    client.close()


# -- A server -------------------------------------------------------------------------------------


def server(scene):
    peer = scene.listener.open()
    peer.put(hello())
    assert peer.hear()["method"] == HELLO
    peer.sync()
    return peer


# An agent's answers to what a server asks; behind each another stream works.
REFUSED = {
    "a destination without a port": ("example.test", -32602),
    "port 0": ("127.0.0.1:0", -32602),
    "port 65536": ("127.0.0.1:65536", -32602),
    "no host": (":80", -32602),
    "not an IPv4 address": ("127.1:80", -32602),
    "not an IPv6 address": ("[::g]:80", -32602),
    "a URL": ("http://127.0.0.1/", -32602),
    "a path": ("/etc/passwd", -32602),
    "user information": ("a@127.0.0.1:80", -32602),
    "cloud metadata": ("169.254.169.254:80", -32006),
    "cloud metadata, mapped": ("[::ffff:169.254.169.254]:80", -32006),
    "link-local": ("[fe80::1]:80", -32006),
    "broadcast": ("255.255.255.255:80", -32002),
    "a long name": ("a" * 64 + ":80", -32003),
}


@pytest.mark.parametrize("name", REFUSED)
def test_server_asks_for(at_agent, name):
    destination, code = REFUSED[name]
    peer = server(at_agent)
    peer.say(HANDSHAKE, id=2, dest=destination)
    answer = peer.hear()
    assert (answer["id"], answer["error"]["code"]) == (2, code)
    peer.client.close()
    at_agent.check()


def test_server_opens_beyond_the_limit(at_agent):
    """Thousands more than the agent takes: each is answered, and those that it has go on."""
    peer = server(at_agent)
    held = range(2, 102, 2)
    for i in held:
        peer.say(HANDSHAKE, id=i, dest=at_agent.site.address)
        assert "error" not in peer.hear()
    for i in range(102, 10102, 2):
        peer.say(HANDSHAKE, id=i, dest=at_agent.site.address)
        answer = peer.hear()
        assert (answer["id"], answer["error"]["code"]) == (i, -32007)
    assert at_agent.agent.stats()["streams"] == len(held)
    for i in held:
        peer.say(COMMUNICATION, id=i, data=DATA)
    answers = {i: [] for i in held}
    while not all(answers.values()):
        message = peer.hear()
        if message["method"] == COMMUNICATION:
            answers[message["id"]].append(message["data"])
    assert set(map(tuple, answers.values())) == {(DATA,)}
    at_agent.check_memory()
    peer.client.close()
    at_agent.check()


SERVER_LIES = {
    "an id of the agent's": ([m(HANDSHAKE, id=1, dest="a:1")],
        "opened a stream with an id of ours"),
    "an id twice": ([m(HANDSHAKE, id=4, dest="/"), m(HANDSHAKE, id=4, dest="/")],
                    "opened a stream with an id that is not above the last"),
    "ids that fall": ([m(HANDSHAKE, id=4, dest="/"), m(HANDSHAKE, id=2, dest="/")],
                      "opened a stream with an id that is not above the last"),
    "data of what was never opened": ([m(COMMUNICATION, id=2, data=DATA)], NEVER),
    "data of what the agent never opened": ([m(COMMUNICATION, id=1, data=DATA)], NEVER),
    "reset of what was never opened": ([m(RESET, id=2, error={"code": -32010})], NEVER),
    "credit of what was never opened": ([m(CREDIT, id=MAX, received=0, credit=0)], NEVER),
    "end of what was never opened": ([m(END, id=2, offset=0)], NEVER),
    "completed of what was never opened": ([m(COMPLETED, id=3)], NEVER),
    "second hello": ([m(HELLO, version=1, max_frame=1024, initial_credit=1, max_streams=0)],
                     "second hello"),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVER_LIES)
def test_server_lies(at_agent, name):
    messages, why = SERVER_LIES[name]
    peer = server(at_agent)
    peer.put(*map(text, messages))
    assert peer.closed() == (1002, why)
    at_agent.check()


# While the destination is being connected to (which never answers), and when it is open.
BEFORE = {
    "data": (m(COMMUNICATION, data=DATA), "data before the stream was open"),
    "credit": (m(CREDIT, received=0, credit=99999), "credit before the stream was open"),
    "end": (m(END, offset=0), "end before the stream was open"),
    "an answer": (m(COMPLETED), "answered an open of its own"),
}


@pytest.fixture(scope="module")
def deaf(arena):
    return arena.site(Deaf())


@pytest.mark.parametrize("name", BEFORE)
def test_server_before_the_answer(at_agent, deaf, name):
    message, why = BEFORE[name]
    peer = server(at_agent)
    peer.say(HANDSHAKE, id=2, dest=deaf.address)
    peer.put(text({"id": 2} | message))
    assert peer.closed() == (1002, why)
    at_agent.check()
    assert at_agent.agent.stats()["streams"] <= 1  # that of the check


@pytest.mark.parametrize("name", [name for name in OPEN if "completed" not in name])
def test_server_behind_the_answer(at_agent, name):
    messages, why = OPEN[name]
    peer = server(at_agent)
    peer.say(HANDSHAKE, id=2, dest=at_agent.site.address)
    assert peer.hear()["method"] == COMPLETED
    peer.put(*(text({"id": 2} | message) for message in messages))
    assert peer.closed() == (1002, why)
    at_agent.check()


def test_server_resets_of_finished_streams(at_agent):
    peer = server(at_agent)
    peer.say(HANDSHAKE, id=1000, dest="/")
    assert peer.hear()["error"]["code"] == -32602
    for i in range(2, 1002, 2):
        peer.say(RESET, id=i, error={"code": -32010})
    peer.sync()
    assert at_agent.agent.stats()["streams"] == 0
    peer.client.close()
    at_agent.check()
