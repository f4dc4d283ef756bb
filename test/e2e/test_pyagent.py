# SPDX-License-Identifier: MIT
"""Another implementation of the protocol serves curl through our server."""
import socket
import sys
from pathlib import Path

import pytest

from payload import make_payload
from sites import Closed, Site, read_all, reset_after
from transfer import download, upload

MIB = 1 << 20


@pytest.fixture
def echo():
    return Site(lambda connection: connection.sendall(read_all(connection)))


@pytest.fixture
def server(world, echo):
    world.site(echo)
    server = world.server("--port", f"0={echo.address}")
    pyagent = Path(__file__).with_name("pyagent.py")
    agent = world.run([sys.executable, pyagent, server.address])
    server.wait_for("agent python .* up from")
    server.agent = agent
    yield server
    server.stop()  # which closes the WebSocket, and the agent ends
    agent.wait_exit(0)


def test_curl(world, server, curl, nginx, upload_site):
    path = nginx.root / "medium"
    digest = make_payload(path, 4 * MIB)
    assert download(curl(server, f"{nginx.https}/{path.name}")) == digest
    assert upload(curl(server, "--upload-file", path, upload_site.url)) == digest


def test_errors(world, server):
    refused = world.client(server).connect(world.site(Closed()).address)
    assert refused.status_line == "HTTP/1.1 502 Connection refused by destination"
    nowhere = world.client(server).connect("255.255.255.255:80")
    assert nowhere.status_line == "HTTP/1.1 502 Destination unreachable"


def test_early_data(world, server, echo):
    """What a port's client sends at once goes ahead of the answer, and the rest behind it."""
    address = server.wait_for(rf"port (\S+) leads to {echo.address}")[1]
    for size in (1, 4096, 4097, 100_000) * 5:
        client = world.client(address)
        client.send(bytes(size))
        client.end()
        assert client.read_to_end() == bytes(size)
    server.agent.wait_for("early data: 4096")


def test_ends(world, server):
    """FIN each way, then resets each way, on one session."""

    def answer(connection):
        connection.sendall(b"got " + read_all(connection))
        connection.shutdown(socket.SHUT_WR)

    client = world.client(server).open(world.site(Site(answer)).address, more=b"all")
    client.end()
    assert client.read_to_end() == b"got all"

    client = world.client(server).open(world.site(Site(reset_after(b"half"))).address, more=b"!")
    assert client.is_reset()

    def see_reset(connection):
        connection.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)

    client = world.client(server).open(world.site(Site(see_reset)).address)
    client.read_exactly(5)
    client.reset()
