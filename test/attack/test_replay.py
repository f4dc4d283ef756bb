# SPDX-License-Identifier: MIT
"""An agent's token in the hands of somebody else, at another address: it is said aloud, with both
addresses, and what runs through the true agent goes on."""
import secrets

import pytest

from client import Answer, Client
from netns import Machine
from peers import Peer, as_agent
from processes import PATIENCE, TOKEN, wait_until
from pyagent import COMPLETED, HELLO, upgrade_request
from scene import serve
from sites import Site, echo

OTHER_TOKEN = "tok-of-paris"


@pytest.fixture(scope="module")
def thief():
    machine = Machine()
    yield machine
    machine.close()


class Scene:
    """A server that knows two agents; berlin is here, and a tunnel through it is open."""

    def __init__(self, world, tmp_path):
        self.server = serve(world, tmp_path, "--insecure-open", listen="0.0.0.0:0",
                            agents=[{"name": "berlin", "token": TOKEN},
                                    {"name": "paris", "token": OTHER_TOKEN}])  # fmt: skip
        token = tmp_path / "token"
        token.write_text(TOKEN)
        self.address = f"127.0.0.1:{self.server.port}"
        self.site = world.site(Site(echo))
        self.agent = world.agent(self.server.url, "--name", "berlin", "--token-file", token)
        self.up = self.server.wait_for(r"agent berlin \((\w+)\) up from (127\.0\.0\.1:\d+)")
        self.tunnel = world.client(self.address).open(self.site.address)
        self.check()

    def check(self):
        data = secrets.token_bytes(16)
        self.tunnel.send(data)
        assert self.tunnel.read_exactly(16) == data
        self.agent.wait_for("connected to")
        assert len(self.agent._matches("connected to")) == 1

    def dial(self, machine=None, token=TOKEN):
        """An agent's connection, before its hello."""
        if machine is None:
            client = Client(self.address)
        else:
            client = Client.__new__(Client)
            client.socket, client.buffer = machine.socket(), bytearray()
            client.socket.settimeout(PATIENCE)
            client.socket.connect((machine.server, self.server.port))
        field = f"Authorization: Bearer {token}\r\n"
        client.send(upgrade_request("a", "wstunnel.v1.json", fields=field))
        assert Answer(client.read_head()).status == 101
        host, port = client.socket.getsockname()
        return Peer(client, is_client=True), f"{host}:{port}"


@pytest.fixture
def scene(world, tmp_path):
    return Scene(world, tmp_path)


def warning(server, *parts):
    """The warning about them; it is there already."""
    (line,) = [line for line in server.lines if all(part in line for part in parts)]
    assert " warn " in line
    return line


def test_beside_the_true_one(scene, thief):
    """Another instance of the name is a twin: it may be given new tunnels, never those that are open."""
    peer, place = scene.dial(thief)
    peer.put(as_agent(name="berlin", max_streams=1000))
    assert peer.hear()["method"] == HELLO
    peer.sync()
    scene.server.wait_for(f"agent berlin at {place} has the name and the credentials of the one at"
                          f" {scene.up[2]}")  # fmt: skip
    warning(scene.server, place, scene.up[2])
    scene.check()
    client = Client(scene.address)  # to the one with the fewest streams
    client.send(f"CONNECT {scene.site.address} HTTP/1.1\r\n\r\n".encode())
    peer.say(COMPLETED, id=peer.hear()["id"])
    assert client.read_answer().status == 200
    client.close()
    peer.client.close()
    scene.server.wait_for(r"agent berlin .* down")
    scene.check()


INSTANCE = "0123456789abcdef" * 2


def victim(scene):
    """A second agent of that name, here, whose instance is known."""
    peer, place = scene.dial()
    peer.put(as_agent(name="berlin", instance=INSTANCE, epoch=5))
    assert peer.hear()["method"] == HELLO
    return peer, place


def test_in_its_place(scene, thief):
    """Only who knows the instance too, 128 random bits that an agent tells its server alone, can take
    over from it. The one that is replaced is told, and whose the tunnels are does not change."""
    true, here = victim(scene)
    peer, place = scene.dial(thief)
    peer.put(as_agent(name="berlin", instance=INSTANCE, epoch=6))
    assert peer.hear()["method"] == HELLO
    scene.server.wait_for(f"agent berlin at {place} takes over from the one at {here}")
    warning(scene.server, place, here)
    assert true.closed() == (1000, "replaced")
    scene.check()
    peer.client.close()


def test_one_more_session(scene, thief):
    """As another connection of the same instance."""
    true, here = victim(scene)
    peer, place = scene.dial(thief)
    peer.put(as_agent(name="berlin", instance=INSTANCE, epoch=5, conn=1))
    assert peer.hear()["method"] == HELLO
    scene.server.wait_for(f"agent berlin at {place} adds to the sessions of the one at {here}")
    warning(scene.server, place, here)
    true.sync()
    scene.check()
    peer.client.close()
    true.client.close()


@pytest.mark.parametrize("epoch", [0, 4, 5])
def test_an_older_epoch(scene, thief, epoch):
    """Replayed late: refused, nothing happens to the true one."""
    true, _ = victim(scene)
    peer, _ = scene.dial(thief)
    peer.put(as_agent(name="berlin", instance=INSTANCE, epoch=epoch))
    assert peer.closed() == (1008, "this agent has a connection with that epoch or a higher one")
    true.sync()
    scene.check()
    true.client.close()


def test_with_the_token_of_another(scene, thief):
    """It names nobody but its own agent."""
    peer, _ = scene.dial(thief, OTHER_TOKEN)
    peer.put(as_agent(name="berlin"))
    assert peer.closed() == (1008, "these credentials are those of an agent of another name")
    scene.check()


def test_from_the_same_address(scene):
    """A twin on the same machine is nobody's worry."""
    peer, _ = scene.dial()
    peer.put(as_agent(name="berlin"))
    assert peer.hear()["method"] == HELLO
    peer.sync()
    wait_until(lambda: len(scene.server._matches("agent berlin .* up from")) == 2, "the twin")
    assert not scene.server._matches(" warn .*agent berlin")
    scene.check()
    peer.client.close()
