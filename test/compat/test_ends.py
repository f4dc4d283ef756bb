# SPDX-License-Identifier: MIT
"""Drains, crashes, restarts and upgrades, and what they do to open streams."""
import socket
import threading
import time

import pytest

from mixed import HASTY, OWN, UP, WIRES, limits_file
from processes import PATIENCE, wait_until
from sites import Relay, Site

SIZE = 50_000_000  # more than all buffers between site and client hold
AGAIN = ["same version", "other version"]


@pytest.fixture
def download(world):
    """A site whose answer does not fit into the buffers: a stream to it stays open."""

    def send_much(connection):
        try:
            connection.sendall(bytes(SIZE))
        except ConnectionError:
            pass

    return world.site(Site(send_much))


@pytest.fixture
def hasty(tmp_path):
    """Options of an agent that reconnects at once."""
    return limits_file(tmp_path / "hasty.json", **HASTY)


def works(world, server, site):
    client = world.client(server).open(site.address, more=b"ping")
    assert client.read_exactly(4) == b"ping"
    return client


# -- Drains ---------------------------------------------------------------------------------------


def goes_on(client):
    """The stream carries more bytes, and an orderly end."""
    client.send(b"still there")
    client.end()
    assert client.read_to_end() == b"still there"
    client.close()


@pytest.mark.parametrize("wire", OWN)
def test_server_drains(world, wire, echo_site):
    """The agent learns of it, and open streams go on."""
    server, agent = world.join(wire)
    client = works(world, server, echo_site)
    waiting = world.client(server)
    assert waiting.ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 200
    server.terminate()
    server.wait_for("leaving")
    agent.wait_for("the server takes no more streams")
    answer = waiting.connect(echo_site.address)
    assert answer.status_line == "HTTP/1.1 503 Server is shutting down"
    goes_on(client)
    server.wait_exit()
    agent.wait_for("next attempt in")


@pytest.mark.parametrize("wire", OWN)
def test_agent_drains(world, wire, echo_site):
    """The server learns of it, and opens no more streams there."""
    server, agent = world.join(wire)
    client = works(world, server, echo_site)
    agent.terminate()
    server.wait_for("takes no more streams")
    answer = world.client(server).connect(echo_site.address)
    assert answer.status_line == "HTTP/1.1 503 Agent is shutting down"
    goes_on(client)
    agent.wait_exit()
    server.wait_for("agent .* down: .*drained")


def test_talk_drains(world, echo_site):
    server, agent = world.join("talk")
    client = works(world, server, echo_site)
    agent.terminate()
    agent.wait_for("leaving")
    server.terminate()
    server.wait_for("leaving")
    client.send(b"still there")
    assert client.read_exactly(11) == b"still there"
    client.end()
    agent.wait_exit()
    server.wait_exit()


@pytest.mark.parametrize("who", ["server", "agent"])
def test_second_signal(world, wire, who, download):
    """The program ends at once; a stream that it cuts off does not look complete."""
    server, agent = world.join(wire)
    client = world.client(server).open(download.address)
    client.read_exactly(1)
    leaving = {"server": server, "agent": agent}[who]
    leaving.terminate()
    leaving.wait_for("leaving: finishing what is open")
    leaving.terminate()
    leaving.wait_exit(128 + 15)
    assert client.is_reset()


# -- Crashes --------------------------------------------------------------------------------------


def test_agent_killed(world, wire, download):
    """The client sees that its download is incomplete."""
    server, agent = world.join(wire)
    client = world.client(server).open(download.address)
    client.read_exactly(1_000_000)
    agent.kill()
    assert client.is_reset()
    server.wait_for("agent .* down")
    assert world.client(server).connect(download.address).status == 503


def test_agent_killed_in_an_answer(world, wire):
    """The same for a forwarded answer that only the end of the connection delimits."""

    def answer(connection):
        connection.recv(65536)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(SIZE))
        except ConnectionError:
            pass

    site = world.site(Site(answer))
    server, agent = world.join(wire)
    client = world.client(server)
    client.send(f"GET http://{site.address}/ HTTP/1.0\r\n\r\n".encode())
    client.read_exactly(1_000_000)
    agent.kill()
    assert client.is_reset()


def test_server_killed(world, wire):
    """The site sees that an upload is incomplete."""
    seen, begun = [], threading.Event()

    def serve(connection):
        try:
            while connection.recv(65536):
                begun.set()
            seen.append("end")
        except ConnectionResetError:
            seen.append("reset")

    server, agent = world.join(wire)
    client = world.client(server).open(world.site(Site(serve)).address, more=bytes(100_000))
    assert begun.wait(PATIENCE)
    server.kill()
    wait_until(lambda: seen, "the end at the site")
    assert seen == ["reset"]
    client.close()
    agent.wait_for("next attempt in")


# -- Restarts and upgrades ------------------------------------------------------------------------


@pytest.mark.parametrize("again", AGAIN)
def test_server_restarted(world, wire, again, echo_site, hasty):
    server, agent = world.join(wire, agent_options=hasty)
    works(world, server, echo_site)
    server.kill()
    agent.wait_for("next attempt in")
    if again == "other version":
        world.exchange("wstunnel-server")
    second = world.server_speaking(wire, listen=server.address)
    second.wait_for(UP)
    works(world, second, echo_site)


@pytest.mark.parametrize("again", AGAIN)
def test_agent_restarted(world, wire, again, echo_site):
    server, agent = world.join(wire)
    works(world, server, echo_site)
    agent.kill()
    server.wait_for("agent .* down")
    if again == "other version":
        world.exchange("wstunnel-agent")
    world.agent_speaking(wire, server)
    server.wait_for(UP, 2)
    works(world, server, echo_site)


@pytest.mark.parametrize("wire", OWN)
def test_upgrade_without_a_gap(world, wire, echo_site):
    """Agents of both versions serve under one name; the second goes on when the first stops."""
    server, first = world.join(wire, agent_options=("--name", "twin"))
    world.exchange("wstunnel-agent")
    second = world.agent_speaking(wire, server, "--name", "twin")
    server.wait_for("agent twin .* up from", 2)
    clients = [works(world, server, echo_site) for _ in range(4)]
    for agent in (first, second):
        agent.wait_for(f"stream to {echo_site.address}: open", 2)
    for client in clients:
        client.send(b"pong")
        assert client.read_exactly(4) == b"pong"
    for client in clients:
        client.close()
    first.stop()
    server.wait_for("agent twin .* down")
    works(world, server, echo_site)


# -- Pings ----------------------------------------------------------------------------------------


class Silencer(Relay):
    """A relay that can lose all bytes from then on, unnoticed by either side."""

    def __init__(self, address):
        self.silent = set()
        super().__init__(address)

    def _copy(self, source, to):
        try:
            while data := source.recv(65536):
                if source not in self.silent:
                    to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def silence(self):
        """Later connections are not affected."""
        self.silent.update(self.open)


QUICK_PINGS = {"ping_interval_ms": 100, "dead_after_ms": 2000}


@pytest.fixture
def quick_pings(tmp_path):
    """Options of a server and an agent that give up a peer after two silent seconds."""
    return (limits_file(tmp_path / "server.json", **QUICK_PINGS),
            limits_file(tmp_path / "agent.json", **QUICK_PINGS, **HASTY))  # fmt: skip


def test_pings(world, echo_site, quick_pings):
    """Pings are answered: peers that have nothing else to send are not given up. An agent that gets
    no answer reconnects, and the server, which has noticed nothing, replaces the old session."""
    idle = [world.join(wire, *quick_pings) for wire in OWN]
    servers = [world.server_speaking(wire) for wire in OWN]
    relays = [world.site(Silencer(server.address)) for server in servers]
    for wire, relay in zip(OWN, relays):
        world.agent(f"ws://{relay.address}", *WIRES[wire][1], *quick_pings[1])
    for server in servers:
        server.wait_for(UP)
    idle_clients = [works(world, server, echo_site) for server, _ in idle]
    clients = [works(world, server, echo_site) for server in servers]
    for relay in relays:
        relay.silence()
    for server, client in zip(servers, clients):
        server.wait_for("agent .* reconnected from")
        assert client.is_reset()
        works(world, server, echo_site)
    time.sleep(0.5)
    for client, (server, agent) in zip(idle_clients, idle):
        goes_on(client)
        assert "down" not in server.output and "next attempt" not in agent.output
