# SPDX-License-Identifier: MIT
"""Leaving: by a signal what is open may finish, by a second one nothing is waited for."""
import hashlib
import signal

import pytest

from cuts import CuttingRelay
from payload import blocks
from pyagent import upgrade_request
from sites import Site

SIZE = 50_000_000  # more than all buffers on the way hold


@pytest.fixture
def download(world):
    """A site whose answer does not fit into the buffers on the way: open until it is read."""
    return world.site(Site(send_much))


def send_much(connection):
    try:
        for block in blocks(SIZE):
            connection.sendall(block)
    except ConnectionError:
        pass


def is_all(received):
    """Whether nothing of the answer is missing, doubled or out of place."""
    digest = hashlib.sha256()
    for block in blocks(SIZE):
        digest.update(block)
    return hashlib.sha256(received).digest() == digest.digest()


def test_server_drains(world, download):
    server, agent = world.tunnel()
    client = world.client(server).open(download.address)
    waiting = world.client(server)
    waiting.send(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert waiting.read_answer().status == 200
    server.terminate()
    server.wait_for("leaving")
    agent.wait_for("the server takes no more streams")
    with pytest.raises(ConnectionRefusedError):
        world.client(server)
    answer = waiting.connect(download.address)
    assert answer.status_line == "HTTP/1.1 503 Server is shutting down"
    assert is_all(client.read_to_end())
    client.close()
    server.wait_exit(0)
    agent.wait_for("next attempt in")


class Apart:
    """A server where agents have an address of their own, by which they come through a relay; a
    download is under way when the server begins to drain."""

    def __init__(self, world, download, *options, roles="agents"):
        self.world = world
        self.server = world.server("--listen", f"127.0.0.1:0,{roles}", *options,
                                   listen="127.0.0.1:0,connect")  # fmt: skip
        self.for_agents = self.server.wait_for(r"listening on ([\d.:]+)", 2)[1]
        self.relay = world.site(CuttingRelay(self.for_agents))
        self.agent = world.agent(self.relay.url)
        self.server.wait_for("agent .* up from")
        self.client = world.client(self.server).open(download.address)
        self.received = self.client.read_exactly(100_000)
        self.server.terminate()
        self.server.wait_for("leaving")
        self.agent.wait_for("the server takes no more streams")

    def read(self, n):
        self.received += self.client.read_exactly(n)

    def finishes(self):
        """The rest comes, and the server has nothing more to wait for."""
        self.received += self.client.read_to_end()
        assert is_all(self.received)
        self.client.close()
        self.server.wait_exit(0)

    def is_open_to(self, address):
        try:
            self.world.client(address)
        except ConnectionRefusedError:
            return False
        return True


def test_agent_comes_back(world, download):
    """Its connection is cut while the server drains. Nobody else is let in meanwhile, and a new
    server can have the clients' address."""
    apart = Apart(world, download)
    for n in range(1, 6):
        apart.relay.cut()
        apart.server.wait_for("agent .* suspended", n)
        apart.agent.wait_for("which leaves, resumed after", n)
        apart.read(1_000_000)
    assert not apart.is_open_to(apart.server.address)
    other = world.client(apart.for_agents)
    other.send(upgrade_request(apart.for_agents, "wstunnel.v1.json"))
    answer = other.read_answer()
    assert (answer.status, answer.fields["Retry-After"]) == (503, "5")
    world.server(listen=f"{apart.server.address},connect")
    assert apart.is_open_to(apart.for_agents)
    apart.finishes()
    assert not apart.is_open_to(apart.for_agents)


def test_agent_comes_back_from_silence(world, download):
    """Neither side is told that nothing goes through any more."""
    apart = Apart(world, download)
    apart.relay.freeze()
    apart.agent.wait_for("which leaves, resumed after")
    apart.finishes()


def test_agent_stays_away(world, download):
    """The server waits for it as long as ever, and for nothing more."""
    apart = Apart(world, download, "--resume-grace", "2")
    apart.relay.shut()
    apart.server.wait_for("agent .* suspended")
    apart.server.wait_exit(0)
    assert apart.client.is_reset()


@pytest.mark.parametrize("roles", ["agents,health", "agents,connect"])
def test_agent_cannot_come_back(world, download, roles):
    """Where others are served, too, the address is closed for a new server to take it."""
    apart = Apart(world, download, roles=roles)
    successor = world.server(listen=f"{apart.for_agents},{roles}")
    apart.relay.cut()
    assert apart.client.is_reset()
    apart.server.wait_exit(0)
    successor.wait_for("agent .* up from")


def test_agent_drains(world, download):
    server, agent = world.tunnel()
    client = world.client(server).open(download.address)
    agent.terminate()
    server.wait_for("takes no more streams")
    refused = world.client(server).connect(download.address)
    assert refused.status_line == "HTTP/1.1 503 Agent is shutting down"
    assert is_all(client.read_to_end())
    client.close()
    agent.wait_exit(0)
    server.wait_for("agent .* down: .*drained")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_to_wait_for(world, number):
    server, agent = world.tunnel()
    agent.signal(number)
    agent.wait_exit(0)
    server.signal(number)
    server.wait_exit(0)


@pytest.mark.parametrize("who", ["server", "agent"])
def test_second_signal(world, download, who):
    """It leaves at once, and what is cut off does not look complete. An agent that leaves so may be
    gone before it could say that it will not come back."""
    server = world.server("--resume-grace", "1")
    agent = world.served_by(server, "one")
    client = world.client(server).open(download.address)
    client.read_exactly(1)
    leaving = {"server": server, "agent": agent}[who]
    leaving.terminate()
    leaving.wait_for("leaving: finishing what is open")
    leaving.terminate()
    leaving.wait_exit(128 + signal.SIGTERM)
    assert client.is_reset()


def test_drain_deadline(world, download):
    """After 30 s what is still open is broken off, as that and not as an end. Both at once."""
    server, _ = world.tunnel()
    other_server, agent = world.tunnel()
    clients = [world.client(each).open(download.address) for each in (server, other_server)]
    for client in clients:
        client.read_exactly(1)
    server.terminate()
    agent.terminate()
    server.wait_exit(0)
    agent.wait_exit(0)
    assert [client.is_reset() for client in clients] == [True, True]
