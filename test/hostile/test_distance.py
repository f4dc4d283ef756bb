# SPDX-License-Identifier: MIT
"""A server and an agent far from each other: windows grow where the round trip asks for it, and what
they took of the memory budget comes back, from an open tunnel too that has fallen silent."""
import queue
import socket
import threading
import time

import pytest

from arena import STREAM_COST, Baseline
from client import Client
from payload import blocks
from processes import wait_until
from sites import Site

DELAY = 0.02
PIECE = 1 << 18
DATA = b"".join(blocks(PIECE))


class Relay:
    """Bytes to its address come to `target` DELAY later, and the same back; so does their end."""

    def __init__(self, target):
        self.target = target.rpartition(":")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self._start(self._accept)

    @staticmethod
    def _start(function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self):
        near, _ = self.listener.accept()
        far = socket.create_connection((self.target[0], int(self.target[2])))
        self.listener.close()
        for source, sink in (near, far), (far, near):
            under_way = queue.SimpleQueue()
            self._start(self._take, source, under_way)
            self._start(self._deliver, under_way, sink)

    @staticmethod
    def _take(source, under_way):
        data = b"?"
        while data:
            try:
                data = source.recv(PIECE)
            except ConnectionResetError:
                data = b""
            under_way.put((time.monotonic() + DELAY, data))

    @staticmethod
    def _deliver(under_way, sink):
        data = b"?"
        while data:
            due, data = under_way.get()
            time.sleep(max(0, due - time.monotonic()))
            try:
                sink.sendall(data) if data else sink.shutdown(socket.SHUT_WR)
            except OSError:  # it has gone; so will the other side
                pass


@pytest.fixture
def far_apart(world):
    server = world.quick_server(ping=300)
    relay = Relay(server.address)
    agent = world.quick_agent(f"ws://{relay.address}", ping=300)
    server.wait_for("agent .* up from")
    agent.wait_for("connected to")
    return server, agent


def source(connection):
    """Sends a piece for each byte that comes."""
    while connection.recv(1):
        connection.sendall(DATA)


def sink(connection):
    """Answers each piece with a byte."""
    left = PIECE
    while data := connection.recv(left):
        assert data == DATA[PIECE - left :][: len(data)]
        left -= len(data)
        if left == 0:
            connection.sendall(b"!")
            left = PIECE


def download(client):
    client.send(b"?")
    assert client.read_exactly(PIECE) == DATA


def upload(client):
    client.send(DATA)
    assert client.read_exactly(1) == b"!"


@pytest.mark.parametrize("serve, transfer", [(source, download), (sink, upload)])
def test_windows(world, far_apart, serve, transfer):
    baseline = Baseline(*far_apart)
    server, agent = far_apart
    client = Client(server.address).open(world.site(Site(serve)).address)
    for _ in range(2):
        wait_until(lambda: transfer(client) or all(
            process.stats()["budget_used"] > STREAM_COST + PIECE for process in far_apart),
            "windows of more than 256 KiB")  # fmt: skip
        wait_until(lambda: all(process.stats()["budget_used"] == STREAM_COST
                               for process in far_apart), "what was lent is back")  # fmt: skip
    client.close()
    baseline.wait()
