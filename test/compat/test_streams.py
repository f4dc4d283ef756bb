# SPDX-License-Identifier: MIT
"""Streams between two versions: bytes, half-close, resets, crowds, forwarded requests."""
import asyncio
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from crowd import storm
from mixed import OWN, UP, WIRES, limits_file
from origin import Origin, echo
from payload import blocks
from processes import wait_until
from sites import Closed, Deaf, Relay, Site, read_all, read_exactly, reset_after
from transfer import download, upload

MIB = 1 << 20
CROWD = 200
YIELD = b'"method":11'


class Recorder(Relay):
    """A relay that keeps a copy of what the server sends. A delay makes windows grow."""

    def __init__(self, address, delay=0):
        self.heard = bytearray()
        self.delay = delay
        super().__init__(address)

    def _copy(self, source, to):
        try:
            while data := source.recv(MIB):
                if source.getpeername() == self.target:
                    self.heard += data
                time.sleep(self.delay)
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


# -- Tunnels --------------------------------------------------------------------------------------


def test_subprotocol(world, wire):
    """The two versions agree on the protocol that the other tests mean, not on a fallback."""
    server = world.server_speaking(wire)
    relay = world.site(Recorder(server.address))
    world.agent(f"ws://{relay.address}", *WIRES[wire][1])
    wait_until(lambda: b"\r\n\r\n" in relay.heard, "the answer to the upgrade")
    chosen = re.search(rb"Sec-WebSocket-Protocol: (\S+)\r\n", relay.heard)
    names = {"binary": b"wstunnel.v1.bin", "json": b"wstunnel.v1.json"}
    assert (chosen[1] if chosen else None) == names.get(wire)


def test_first_bytes(world, wire, echo_site):
    server, _ = world.join(wire)
    client = world.client(server).open(echo_site.address, more=b"early bird")
    client.send(b" and worm")
    assert client.read_exactly(19) == b"early bird and worm"


def test_by_name(world, wire, echo_site):
    server, _ = world.join(wire)
    client = world.client(server).open(f"localhost:{echo_site.port}", more=b"ping")
    assert client.read_exactly(4) == b"ping"


def test_files(world, wire, curl, nginx, upload_site, big_file):
    """Down and up at the same time."""
    path, sha256 = big_file
    server, _ = world.join(wire)
    with ThreadPoolExecutor() as pool:
        down = pool.submit(download, curl(server, f"{nginx.https}/{path.name}"))
        up = pool.submit(upload, curl(server, "--upload-file", path, upload_site.url))
    assert (down.result(), up.result()) == (sha256, sha256)


@pytest.mark.parametrize("wire", ["binary", "talk"])
def test_a_slow_reader(world, wire):
    """A stream that fills its windows waits for its client and does not hold up another stream."""
    data = b"".join(blocks(8 * MIB))
    site = world.site(Site(lambda connection: connection.sendall(data)))
    server, _ = world.join(wire)
    slow = world.client(server).open(site.address)
    start = slow.read_exactly(1)
    quick = world.client(server).open(site.address)
    assert quick.read_to_end() == data
    assert start + slow.read_to_end() == data


def test_windows_are_given_back(world, tmp_path):
    """A stream falls silent after a transfer, and both senders yield the credit they do not use;
    the server's yields are readable in JSON. Then the stream carries the next transfer."""
    data, rounds = b"".join(blocks(2 * MIB)), 2

    def serve(connection):
        for _ in range(rounds):
            assert read_exactly(connection, len(data)) == data
            connection.sendall(data)

    site = world.site(Site(serve))
    pings = limits_file(tmp_path / "limits.json", ping_interval_ms=100)
    server = world.server(*pings)
    relay = world.site(Recorder(server.address, delay=0.01))
    world.agent(f"ws://{relay.address}", "--encoding", "json", *pings)
    server.wait_for(UP)
    client = world.client(server).open(site.address)
    for n in range(1, rounds + 1):
        client.send(data)
        assert client.read_exactly(len(data)) == data
        wait_until(lambda: relay.heard.count(YIELD) >= n, "credit given back")


# -- Ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", OWN)
def test_client_ends_first(world, wire):
    site = world.site(Site(lambda connection: connection.sendall(b"got " + read_all(connection))))
    server, _ = world.join(wire)
    client = world.client(server).open(site.address, more=b"every")
    client.send(b"thing")
    client.end()
    assert client.read_to_end() == b"got everything"


@pytest.mark.parametrize("wire", OWN)
def test_site_ends_first(world, wire):
    received = []

    def serve(connection):
        connection.sendall(b"that was all")
        connection.shutdown(socket.SHUT_WR)
        received.append(read_all(connection))

    site = world.site(Site(serve))
    server, _ = world.join(wire)
    client = world.client(server).open(site.address)
    assert client.read_to_end() == b"that was all"
    client.send(b"thank you")
    client.end()
    site.close()
    world.sites.remove(site)
    assert received == [b"thank you"]


def test_an_end_behind_much(world, wire):
    """An end does not overtake the bytes before it."""
    data = b"".join(blocks(2 * MIB))
    site = world.site(Site(lambda connection: connection.sendall(data)))
    server, _ = world.join(wire)
    assert world.client(server).open(site.address).read_to_end() == data


def test_talk_has_no_half_close(world):
    """The first end breaks off the other direction, which must not look like an end."""
    site = world.site(Site(lambda connection: connection.sendall(b"got " + read_all(connection))))
    server, _ = world.join("talk")
    client = world.client(server).open(site.address, more=b"everything")
    client.end()
    assert client.is_reset()


def test_reset_by_the_site(world, wire):
    site = world.site(Site(reset_after(b"half of ")))
    server, _ = world.join(wire)
    client = world.client(server).open(site.address)
    assert client.read_exactly(8) == b"half of "
    client.send(b"!")
    assert client.is_reset()


def test_reset_by_the_client(world, wire):
    def serve(connection):
        connection.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)

    server, _ = world.join(wire)
    client = world.client(server).open(world.site(Site(serve)).address)
    client.read_exactly(5)
    client.reset()


# -- Many -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", OWN)
def test_storm(world, wire):
    """Tunnels of every fate (crowd.py), all open at once; each gets its own bytes."""
    server, _ = world.join(wire)
    refused, deaf = world.site(Closed()).address, world.site(Deaf()).address
    asyncio.run(storm(server.address, 1, CROWD, refused, deaf))


def test_talk_many_at_once(world, echo_site):
    """The agent makes a connection for each client while the clients wait."""
    server, _ = world.join("talk", agent_options=("--spare-connections", "20"))
    clients = [world.client(server) for _ in range(CROWD)]
    for i, client in enumerate(clients):
        client.send(f"CONNECT {echo_site.address} HTTP/1.1\r\n\r\n{i:08}".encode())
    for i, client in enumerate(clients):
        assert client.read_answer().status == 200
        assert client.read_exactly(8) == b"%08d" % i


def test_talk_one_after_the_other(world, echo_site):
    """By default the agent has one spare connection and replaces it when a tunnel has taken it."""
    server = world.server("--protocol", "talk", "--log-level", "debug")
    world.agent(server.url, "--protocol", "talk")
    for n in range(1, 4):
        server.wait_for("agent 127.0.0.1 (up|has one more .*) from", n)
        client = world.client(server).open(echo_site.address, more=b"ping")
        assert client.read_exactly(4) == b"ping"


# -- Requests in absolute form --------------------------------------------------------------------


def test_forwarding(world, wire):
    """Several on one connection, with bodies of either framing."""
    origin = world.site(Origin(echo))
    server, _ = world.join(wire)
    client = world.client(server)
    head = f"%s {origin.url}/x HTTP/1.1\r\nHost: {origin.address}\r\n"
    assert client.ask((head % "GET" + "\r\n").encode()).body == b"GET /x "
    request = head % "POST" + "Content-Length: 4\r\n\r\nbody"
    assert client.ask(request.encode()).body == b"POST /x body"
    request = head % "PUT" + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n4\r\nmore\r\n0\r\n\r\n"
    assert client.ask(request.encode()).body == b"PUT /x bodymore"
    assert client.ask((head % "DELETE" + "\r\n").encode()).body == b"DELETE /x "


def test_forwarded_bodies(world, wire):
    """A body larger than the first windows, echoed by the site."""
    body = b"".join(blocks(2 * MIB))
    origin = world.site(Origin(echo))
    server, _ = world.join(wire)
    client = world.client(server)
    client.send(f"PUT {origin.url}/ HTTP/1.1\r\nHost: {origin.address}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode() + body)  # fmt: skip
    assert client.read_answer().body == b"PUT / " + body
