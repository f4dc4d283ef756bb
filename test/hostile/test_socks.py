# SPDX-License-Identifier: MIT
"""SOCKS5 clients that are slow, too eager, or no SOCKS5 clients: each is told so in time, and costs
little, while others are served."""
import os
import random
import threading
import time

import pytest

from arena import KIB, SLACK, check_memory, memory
from processes import wait_until
from socks import EITHER, NO_LOGIN, REFUSED, WITH_LOGIN, SocksClient, login, reply, request

HEAD_MS, LATE = 500, 2  # the second: seconds that a busy machine may add
CROWD, CONNECTION = 500, 8 * KIB


class SocksScene:
    """A server that speaks SOCKS5 only, to users; an agent comes in elsewhere."""

    def __init__(self, world, tmp_path, site, *options):
        users = tmp_path / "users"
        users.write_text(f"{'u' * 127}:{'p' * 255}\nuser:word\n")
        limits = tmp_path / "server.json"
        limits.write_text('{"limits": {"head_timeout_ms": %d, "max_failures": 1000000}}' % HEAD_MS)
        self.site = site
        self.server = world.server("--config", limits, "--user-file", users,
                                   "--listen", "127.0.0.1:0,agents", *options,
                                   listen="127.0.0.1:0,socks")  # fmt: skip
        port = self.server.wait_for(r"listening on 127.0.0.1:(\d+)$")[1]
        self.agent = world.agent(f"ws://127.0.0.1:{port}")
        self.server.wait_for("agent .* up from")
        alone = self.server.descriptors()
        self.check()
        wait_until(lambda: self.server.descriptors() == alone, "nobody but the agent")
        self.descriptors, self.memory = self.server.descriptors(), memory(self.server)

    def connect(self):
        return SocksClient(self.server.address)

    def check(self):
        """Somebody is served."""
        client = self.connect().open_by_socks(self.site.address, "user", "word")
        client.send(b"ping")
        assert client.read_exactly(4) == b"ping"
        client.close()

    def finish(self):
        self.check()
        self.wait_until_alone()

    def wait_until_alone(self):
        wait_until(lambda: self.server.descriptors() == self.descriptors, "all clients are gone")


@pytest.fixture
def scene(world, tmp_path, echo_site):
    made = SocksScene(world, tmp_path, echo_site)
    yield made
    made.finish()


# What is said, all of it, and what is told until the end.
LOGGED_IN = WITH_LOGIN + login("user", "word")
SLOW = {
    "nothing": (b"", b""),
    "a byte": (b"\5", REFUSED),
    "half a greeting": (b"\5\2\0", REFUSED),
    "no login": (WITH_LOGIN, b"\5\2\1\1"),
    "half a name": (WITH_LOGIN + b"\1\4us", b"\5\2\1\1"),
    "half a password": (WITH_LOGIN + login("user", "word")[:-1], b"\5\2\1\1"),
    "no request": (LOGGED_IN, b"\5\2\1\0" + reply(1)),
    "half a request": (LOGGED_IN + request("a.test:1")[:-1], b"\5\2\1\0" + reply(1)),
}


@pytest.mark.parametrize("name", SLOW)
def test_slow_in_each_state(scene, name):
    says, told = SLOW[name]
    client, began = scene.connect(), time.monotonic()
    client.send(says)
    assert client.read_to_end() == told
    assert time.monotonic() - began < HEAD_MS / 1000 + LATE
    client.close()


def test_byte_by_byte(scene):
    """What comes does not put off the deadline: 255 methods, then a name, take longer than that."""
    client, began = scene.connect(), time.monotonic()

    def trickle():
        try:
            for byte in b"\5\xff" + b"\2" * 255 + b"\1\xff" + b"x" * 510:
                client.send(bytes([byte]))
                time.sleep(0.01)
        except OSError:
            pass

    writer = threading.Thread(target=trickle)
    writer.start()
    assert client.read_to_end() == REFUSED
    assert time.monotonic() - began < HEAD_MS / 1000 + LATE
    writer.join()
    client.close()


def test_single_bytes_are_served(scene):
    client = scene.connect()
    for byte in EITHER + login("user", "word") + request(scene.site.address) + b"ping":
        client.send(bytes([byte]))
    assert client.read_exactly(18) == b"\5\2\1\0" + reply(0) + b"ping"
    client.close()


def test_everything_at_its_longest(scene):
    client = scene.connect()
    client.send(b"\5\xff" + bytes(255))
    assert client.read_to_end() == REFUSED
    client = scene.connect()
    client.send(b"\5\xff" + b"\2" * 255 + login("u" * 127, "p" * 255) + request("a" * 255 + ":1"))
    assert client.read_to_end() == b"\5\2\1\0" + reply(4)  # no such name
    client = scene.connect()
    client.send(WITH_LOGIN + login(b"\xff" * 255, b"\xff" * 255))
    assert client.read_to_end() == b"\5\2\1\1"
    client.close()


def test_logins_by_the_thousand(scene):
    """Of 255 bytes each, all wrong."""
    for n in range(1000):
        client = scene.connect()
        client.send(WITH_LOGIN + login(f"{n:0255}", "p" * 255))
        assert client.read_to_end() == b"\5\2\1\1"
        client.close()
    check_memory(scene.server, scene.memory, SLACK)


def test_crowd_between_its_messages(scene):
    """Each has said something, and costs little for that."""
    says = [b"\5", WITH_LOGIN, WITH_LOGIN + b"\1\4us", LOGGED_IN]
    clients = [scene.connect() for _ in range(CROWD)]
    for n, client in enumerate(clients):
        client.send(says[n % len(says)])
    scene.check()
    check_memory(scene.server, scene.memory, SLACK + CROWD * CONNECTION)
    for client in clients:
        client.read_to_end()
        client.close()


def test_much_behind_what_is_refused(scene):
    """The client gets to read why, although it goes on."""
    client = scene.connect()
    client.send(LOGGED_IN + request(scene.site.address, command=2) + os.urandom(1 << 20))
    client.end()
    assert client.read_to_end() == b"\5\2\1\0" + reply(7)
    client.close()


def test_garbage(scene, seed):
    """What begins as SOCKS and goes on as chance has it."""
    chance = random.Random(seed)
    for _ in range(300):
        client = scene.connect()
        start = chance.choice([b"", b"\5", NO_LOGIN, WITH_LOGIN, LOGGED_IN, LOGGED_IN + b"\5\1\0"])
        client.send(start + chance.randbytes(chance.randrange(1, 600)))
        client.end()
        told = client.read_to_end()
        assert len(told) <= 200  # a few bytes; to what is no SOCKS, the answer of HTTP
        client.close()


def test_clients_that_vanish(scene):
    """By RST, after each byte of a conversation."""
    says = LOGGED_IN + request(scene.site.address) + b"ping"
    for n in range(len(says)):
        client = scene.connect()
        client.send(says[: n + 1])
        client.reset()
    scene.wait_until_alone()
