# SPDX-License-Identifier: MIT
"""
The talk's protocol: our programs with each other, and each with another implementation, once as the
protocol page has it and once with the habits of the talk's programs (talkpeer.py).
"""
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from payload import make_payload
from processes import PATIENCE, program, wait_until
from pyagent import BINARY, TEXT
from sites import Closed, Site, read_all, reset_after
from talkpeer import COMMUNICATION, COMPLETED, HANDSHAKE
from transfer import download, upload
from websocket import WebSocket

MIB = 1 << 20
TALK = ("--protocol", "talk")
PEER = [sys.executable, Path(__file__).with_name("talkpeer.py")]
UP = "agent 127.0.0.1 up from"


class PeerServer:
    """The other implementation's, in the place of a wstunnel-server."""

    def __init__(self, world, *options):
        self.process = world.run([*PEER, "server", *options])
        self.address = self.process.wait_for(r"listening on (\S+)$")[1]
        self.proxy = f"http://{self.address}"


def ours(world, *options):
    server = world.server(*TALK)
    world.agent(server.url, *TALK, *options)
    server.wait_for(UP)
    return server


def with_their_agent(world, *options):
    server = world.server(*TALK)
    world.run([*PEER, "agent", server.address, "4", *options])
    server.wait_for(UP)
    return server


def with_their_server(world, *options):
    server = PeerServer(world, *options)
    world.agent(f"ws://{server.address}", *TALK)
    server.process.wait_for("agent waits")
    return server


PAIRS = {
    "ours": ours,
    "their agent": with_their_agent,
    "their server": with_their_server,
    "original-like agent": lambda world: with_their_agent(world, "--as-the-original"),
    "original-like server": lambda world: with_their_server(world, "--as-the-original"),
}
PROPER = ["ours", "their agent", "their server"]  # those that end a tunnel


def pair(world, name):
    return PAIRS[name](world)


# -- Each with each -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_curl(world, curl, nginx, upload_site, name):
    path = nginx.root / "medium"
    digest = make_payload(path, 4 * MIB)
    server = pair(world, name)
    assert download(curl(server, f"{nginx.https}/{path.name}")) == digest
    assert upload(curl(server, "--upload-file", path, upload_site.url)) == digest


@pytest.mark.parametrize("name", PAIRS)
def test_refused(world, name):
    client = world.client(pair(world, name))
    answer = client.connect(world.site(Closed()).address)
    assert answer.status == 502
    if name == "ours":
        assert answer.status_line == "HTTP/1.1 502 Destination unreachable"
        assert b"closed by the peer: 1011 connection refused" in answer.body


@pytest.mark.parametrize("name", PROPER)
def test_site_ends(world, name):
    """All that it sent arrives, then FIN."""

    def serve(connection):
        connection.sendall(bytes(range(256)) * 8192)

    client = world.client(pair(world, name)).open(world.site(Site(serve)).address)
    assert client.read_to_end() == bytes(range(256)) * 8192


@pytest.mark.parametrize("name", PROPER)
def test_client_ends(world, name):
    received = []
    site = world.site(Site(lambda connection: received.append(read_all(connection))))
    client = world.client(pair(world, name)).open(site.address, more=b"early and ")
    client.send(b"late")
    client.end()
    wait_until(lambda: received == [b"early and late"], "FIN at the site")


@pytest.mark.parametrize("name", PROPER)
def test_reset_by_the_site(world, name):
    site = world.site(Site(reset_after(b"half of ")))
    client = world.client(pair(world, name)).open(site.address)
    assert client.read_exactly(8) == b"half of "
    client.send(b"!")
    assert client.is_reset()


@pytest.mark.parametrize("name", PROPER)
def test_reset_by_the_client(world, name):
    seen = []

    def serve(connection):
        connection.sendall(b"hello")
        try:
            seen.append(connection.recv(1))
        except ConnectionResetError:
            seen.append("reset")

    client = world.client(pair(world, name)).open(world.site(Site(serve)).address)
    client.read_exactly(5)
    client.reset()
    wait_until(lambda: seen, "what the site sees")
    assert seen == ["reset"]


# -- Ours with ours -------------------------------------------------------------------------------


@pytest.mark.parametrize("spare", ["1", "4"])
def test_more_at_once_than_are_spare(world, curl, nginx, tmp_path, spare):
    """They wait for the agent's next connections."""
    (nginx.root / "small").write_text("hello\n")
    config = tmp_path / "curl.config"
    config.write_text(f'url="{nginx.https}/small"\n' * 30)
    server = ours(world, "--spare-connections", spare)
    command = curl(server, "--parallel", "--parallel-immediate", "--config", config)
    result = subprocess.run(command, check=True, timeout=PATIENCE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)  # fmt: skip
    assert result.stdout == b"hello\n" * 30


def test_big(world, curl, nginx, upload_site):
    path = nginx.root / "large"
    digest = make_payload(path, 64 * MIB)
    server = ours(world)
    assert download(curl(server, f"{nginx.https}/{path.name}")) == digest
    assert upload(curl(server, "--upload-file", path, upload_site.url)) == digest
    path.unlink()


def test_a_slow_reader_gets_all(world):
    """The site has long ended when the client begins to read; nothing is lost, nobody swells."""
    size = 32 * MIB
    sent = []

    def serve(connection):
        connection.sendall(bytes(size))
        sent.append(size)

    server = ours(world)
    client = world.client(server).open(world.site(Site(serve)).address)
    client.read_exactly(1)
    assert not sent  # it is held up: what is on the way is bounded
    assert len(client.read_to_end()) == size - 1


def test_no_half_close(world):
    """Whoever ends first breaks off the other direction: that must not look like an end."""

    def serve(connection):
        connection.sendall(b"got " + read_all(connection))

    client = world.client(ours(world)).open(world.site(Site(serve)).address)
    client.send(b"everything")
    client.end()
    assert client.is_reset()


def test_agent_comes_back(world, echo_site):
    server = world.server(*TALK)
    agent = world.agent(server.url, *TALK)
    server.wait_for(UP)
    server.kill()
    agent.wait_for("next attempt in")
    again = world.server(*TALK, listen=server.address)
    again.wait_for(UP)
    client = world.client(again).open(echo_site.address, more=b"x")
    assert client.read_exactly(1) == b"x"


def test_agent_killed(world, echo_site):
    server = world.server(*TALK)
    agent = world.agent(server.url, *TALK)
    server.wait_for(UP)
    client = world.client(server).open(echo_site.address, more=b"x")
    client.read_exactly(1)
    agent.kill()
    assert client.is_reset()
    server.wait_for("agent 127.0.0.1 down")
    assert world.client(server).connect(echo_site.address).status == 503


def test_drain(world, echo_site):
    """An open tunnel goes on until it ends, at either program."""
    server = world.server(*TALK)
    agent = world.agent(server.url, *TALK)
    server.wait_for(UP)
    client = world.client(server).open(echo_site.address, more=b"x")
    client.read_exactly(1)
    agent.terminate()
    agent.wait_for("leaving")
    server.terminate()
    server.wait_for("leaving")
    client.send(b"still there")
    assert client.read_exactly(11) == b"still there"
    client.end()
    agent.wait_exit()
    server.wait_exit()


def test_client_leaves_during_the_dial(world):
    """Its connection is used up, and the agent makes another one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = world.server(*TALK)
        server_side = WebSocket(server.address, path="/websocket", protocol="other")
        assert server_side.is_open
        server.wait_for(UP)
        client = world.client(server)
        client.send(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert hear(server_side)["dest"] == f"127.0.0.1:{port}"
        client.reset()
        assert server_side.receive_close()[0] == 1001
        server_side.close()


# -- By hand --------------------------------------------------------------------------------------


def hear(websocket):
    opcode, payload = websocket.receive()
    assert opcode in (TEXT, BINARY)
    return json.loads(payload)


@pytest.fixture
def scripted(world):
    """Our server, an agent that says what it is told, and the server's question to it."""
    server = world.server(*TALK)
    agent = WebSocket(server.address, path="/websocket", protocol="other")
    world.clients.append(agent)
    assert agent.is_open
    assert "Sec-WebSocket-Protocol" not in agent.answer.fields
    server.wait_for(UP)
    client = world.client(server)
    client.send(b"CONNECT example.test:443 HTTP/1.1\r\n\r\nearly")
    return agent, client


def test_on_the_wire(scripted):
    """Byte for byte what the talk's programs write."""
    agent, client = scripted
    assert agent.receive() == (TEXT, b'{"method":1,"dest":"example.test:443","data":null}')
    agent.send(TEXT, b'{"method":2,"dest":"","data":null}')
    assert client.read_answer().status == 200
    assert agent.receive() == (BINARY, b'{"method":3,"dest":"","data":"ZWFybHk="}')
    for opcode in (TEXT, BINARY):  # either kind will do, and what is not needed may be missing
        agent.send(opcode, b' {"data": "aGk=", "method": 3, "more": []}\n')
    assert client.read_exactly(4) == b"hihi"
    agent.send(8, struct.pack(">H", 1000))
    agent.client.end()
    assert client.read_to_end() == b""


@pytest.mark.parametrize("data_len, code", [(32768, None), (32769, 1002), (40000, 1009)])
def test_largest_message(scripted, data_len, code):
    agent, client = scripted
    hear(agent)
    agent.send(TEXT, json.dumps({"method": COMPLETED}).encode())
    data = "A" * (-(-data_len // 3) * 4)
    data = data[: len(data) - (3 - data_len % 3) % 3] + "=" * ((3 - data_len % 3) % 3)
    agent.send(TEXT, json.dumps({"method": COMMUNICATION, "data": data}).encode())
    assert client.read_answer().status == 200
    if code is None:
        assert client.read_exactly(data_len) == bytes(data_len)
    else:
        assert client.is_reset()
        assert agent.receive_close()[0] == code


@pytest.mark.parametrize(
    "answer",
    [b"{}", b"x", b"[]", b'{"method":1}', b'{"method":3,"data":"aGk="}', b'{"method":2,"method":2}',
     b'{"method":4}', b'{"method":2}x', b""],
)  # fmt: skip
def test_wrong_answer(scripted, answer):
    agent, client = scripted
    hear(agent)
    agent.send(TEXT, answer)
    assert client.read_answer().status_line == "HTTP/1.1 502 Agent failed to connect"
    assert agent.receive_close()[0] == 1002


def test_agent_speaks_unasked(world):
    server = world.server(*TALK)
    agent = WebSocket(server.address, path="/websocket", protocol="other")
    world.clients.append(agent)
    agent.send(TEXT, json.dumps({"method": HANDSHAKE, "dest": "a:1"}).encode())
    assert agent.receive_close() == (1002, "message out of turn")


# -- Not together ---------------------------------------------------------------------------------


def test_our_other_protocol_is_refused(world):
    agent = world.agent(world.server(*TALK).url)
    agent.wait_for("the server answered 400 Another protocol is spoken here")


def test_refused_by_our_other_protocol(world):
    agent = world.agent(world.server().url, *TALK)
    agent.wait_for("the server answered 400 No subprotocol of ours")


@pytest.mark.parametrize(
    "name, options, complaint",
    [
        ("wstunnel-server", ["--protocol", "ftp"], "--protocol: must be wstunnel or talk"),
        ("wstunnel-agent", ["--protocol", "ftp", "ws://a.test"], "--protocol: must be wstunnel or talk"),
        ("wstunnel-agent", ["--spare-connections", "0", "ws://a.test"], "--spare-connections: must be an integer from 1 to 1000"),
        ("wstunnel-agent", ["--spare-connections", "4x", "ws://a.test"], "--spare-connections: must be an integer from 1 to 1000"),
    ],
)
def test_bad_options(name, options, complaint):
    result = subprocess.run([program(name), *options], capture_output=True, text=True)
    assert result.returncode == 2
    assert complaint in result.stderr
