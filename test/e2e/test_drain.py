# SPDX-License-Identifier: MIT
"""Leaving: by a signal what is open may finish, by a second one nothing is waited for."""
import signal

import pytest

from sites import Site

SIZE = 50_000_000  # more than all buffers on the way hold


@pytest.fixture
def download(world):
    """A site whose answer does not fit into the buffers on the way: open until it is read."""
    return world.site(Site(send_much))


def send_much(connection):
    try:
        connection.sendall(bytes(SIZE))
    except ConnectionError:
        pass


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
    assert len(client.read_to_end()) == SIZE
    client.close()
    server.wait_exit(0)
    agent.wait_for("next attempt in")


def test_agent_drains(world, download):
    server, agent = world.tunnel()
    client = world.client(server).open(download.address)
    agent.terminate()
    server.wait_for("takes no more streams")
    refused = world.client(server).connect(download.address)
    assert refused.status_line == "HTTP/1.1 503 Agent is shutting down"
    assert len(client.read_to_end()) == SIZE
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
    """It leaves at once, and what is cut off does not look complete."""
    server, agent = world.tunnel()
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
