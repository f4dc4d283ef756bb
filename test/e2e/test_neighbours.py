# SPDX-License-Identifier: MIT
"""One user takes all it can of what users share; the others are served all the same. Without names,
a user is an address: the greedy one comes from 127.0.0.2."""
import os
import time

import pytest

from client import Answer, Client, connect_from, reset
from configuration import OK, Config, basic
from processes import BUILD, OPEN, PASSWORD, PATIENCE, TOKEN, USER, wait_until
from sites import Deaf

GREEDY, OTHERS = "127.0.0.2", "127.0.0.1"
CONNECT = "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n{1}\r\n"


def connect_behind(source, header):
    """As connect_from, and begins with the header of a proxy."""

    def connect(address):
        sock = connect_from(source)(address)
        sock.sendall(header)
        return sock

    return connect


def status_line(client):
    return Answer(client.read_head()).status_line


class Crowd:
    """The connections of one user; `fields` of its requests by which it logs in."""

    def __init__(self, address, connect, fields):
        self.address, self.connect, self.clients = address, connect, []
        self.fields = fields

    def ask(self, destination):
        client = Client(self.address, self.connect)
        client.send(CONNECT.format(destination, self.fields).encode())
        self.clients.append(client)
        return client

    def open(self, destination):
        """The answer's status line."""
        return status_line(self.ask(destination))

    def open_all(self, destination, most):
        """Opens tunnels until one is refused: how many, and the refusal."""
        for count in range(most):
            line = self.open(destination)
            if " 200 " not in line:
                self.clients.pop().close()
                return count, line
        return most, None

    def leave(self):
        for client in self.clients:
            reset(client.socket)
        self.clients.clear()


@pytest.fixture
def silent(world):
    """A destination that swallows SYNs."""
    return world.site(Deaf())


@pytest.fixture
def crowd():
    """A function that makes crowds, which leave with the test, before the site ends."""
    crowds = []

    def make(server, source=OTHERS, header=b"", fields=""):
        crowds.append(Crowd(server.address, connect_behind(source, header), fields))
        return crowds[-1]

    yield make
    for one in crowds:
        one.leave()


@pytest.fixture
def tunnel(world, tmp_path):
    """A function that starts a server with these limits, and an agent: the server's address."""

    def start(limits):
        config = Config(tmp_path / "server.json", limits=limits)
        server = world.server("--config", config.path)
        world.served_by(server, "berlin")
        return server

    return start


def expect_served(crowd, site, count=20):
    assert [crowd.open(site.address) for _ in range(count)] == [f"HTTP/1.1 {OK}"] * count
    for client in crowd.clients:
        client.send(b"hello")
        assert client.read_exactly(5) == b"hello"


def served_again(crowd, site, most, at_least):
    """What the greedy one had is free again, soon after it has left."""
    deadline = time.monotonic() + PATIENCE
    while crowd.open_all(site.address, most)[0] < at_least:
        assert time.monotonic() < deadline
        crowd.leave()


@pytest.mark.parametrize(
    "limits, resource",
    [({"memory_budget": 200 * 24576}, "memory budget"), ({"max_streams": 200}, "streams")],
)
def test_idle_tunnels(tunnel, crowd, echo_site, limits, resource):
    """Each reserves 24 KiB of memory."""
    server = tunnel(limits)
    greedy, others = crowd(server, GREEDY), crowd(server)
    count, refusal = greedy.open_all(echo_site.address, 200)
    assert 180 <= count < 195
    assert refusal == f"HTTP/1.1 429 Your share of the {resource} is used up"
    expect_served(others, echo_site, 5)
    greedy.leave()
    served_again(greedy, echo_site, 180, 170)


def test_quotas(tunnel, crowd, echo_site):
    server = tunnel({"max_user_streams": 3})
    for source in GREEDY, OTHERS:
        assert crowd(server, source).open_all(echo_site.address, 9)[0] == 3


def test_dials_to_a_silent_host(tunnel, crowd, echo_site, silent):
    """An agent opens 256 connections at a time, two thirds of them for one user; what the user wants
    beyond waits for its turn."""
    server = tunnel({"dial_timeout_ms": 5000})
    greedy, others = crowd(server, GREEDY), crowd(server)
    asked = [greedy.ask(silent.address) for _ in range(300)]
    expect_served(others, echo_site, 60)
    assert {status_line(client) for client in asked} <= {
        "HTTP/1.1 504 Agent did not answer in time",
        "HTTP/1.1 429 Your share of connections the agent is opening is used up",
    }


def test_more_at_once_than_the_share(tunnel, crowd, echo_site):
    server = tunnel({})
    one = crowd(server)
    asked = [one.ask(echo_site.address) for _ in range(600)]
    assert {status_line(client) for client in asked} == {"HTTP/1.1 200 Connection established"}


@pytest.fixture
def far(world):
    """A server, and an agent whose name servers answer only for names that begin with "good"."""
    hangs = BUILD / "test" / "hangnames.so"
    if not hangs.exists():
        pytest.skip("hangnames is not built here")
    server = world.server()
    agent = world.run([world.program("wstunnel-agent"), "--name", "far", *OPEN, server.url],
                      env=os.environ | {"LD_PRELOAD": str(hangs)})  # fmt: skip
    server.wait_for("agent far .* up from")
    yield server, agent
    agent.kill()  # its threads never end


def expect_good_names(others, site):
    """Names of a known zone, and of zones that nobody has asked for before."""
    lines = {others.open(f"good.{zone}{number}.test:{site.port}")
             for number in range(5) for zone in ("known", f"new{len(others.clients)}-")}  # fmt: skip
    assert lines == {f"HTTP/1.1 {OK}"}


# Of the agent's 256 threads one zone has half; a user has 171 of the names that are being opened.
@pytest.mark.parametrize(
    "form, names, hanging",
    [("hang{}.slow.test", 150, 128), ("hang.slow{}.test", 64, 64), ("hang.slow{}.test", 250, 171)],
)
def test_names_that_hang(crowd, far, echo_site, form, names, hanging):
    """Of one zone, or of many: those of others are looked up, known ones and new ones."""
    server, agent = far
    greedy, others = crowd(server, GREEDY), crowd(server)
    for number in range(names):
        greedy.ask(form.format(number) + ":1")
    wait_until(lambda: agent.output.count(", forever") >= hanging, "look-ups")
    for _ in range(2):
        expect_good_names(others, echo_site)
    assert agent.output.count(", forever") == hanging
    greedy.leave()


def test_names_that_hang_given_up(crowd, far, echo_site):
    """The user does not wait for the answer: new ones, again and again."""
    server, agent = far
    greedy, others = crowd(server, GREEDY), crowd(server)
    for turn in range(6):
        for number in range(64):
            greedy.ask(f"hang.slow{turn}-{number}.test:1")
        # The server has read them all: the last one's look-up has begun, or it waits for its turn.
        wait_until(lambda: agent.output.count(", forever") >= min(64 * (turn + 1), 171), "look-ups")
        greedy.leave()
        expect_good_names(others, echo_site)
    assert agent.output.count(", forever") == 171


SHARED = b"PROXY TCP4 192.0.2.7 203.0.113.1 4711 443\r\n"  # what a proxy says of all of them


@pytest.mark.parametrize("name", ["carol", "nobody{}"])
def test_wrong_passwords(world, tmp_path, crowd, echo_site, name):
    """For one user, or for names that nobody has, from the address of other users."""
    users = [{"name": one, "password": PASSWORD} for one in (USER, "bob", "carol")]
    (tmp_path / "token").write_text(TOKEN)
    config = Config(tmp_path / "server.json", users=users)
    server = world.server("--config", config.path, "--agent-token-file", tmp_path / "token",
                          "--trust", "127.0.0.1", "--listen", "127.0.0.1:0",
                          listen="127.0.0.1:0,proxy")  # fmt: skip
    url = "ws://" + server.wait_for(r"listening on (\S+:\d+)", 2)[1]
    world.agent(url, "--token-file", tmp_path / "token")
    server.wait_for("agent .* up from")

    def user(name, password):
        return crowd(server, header=SHARED, fields=basic(name, password))

    others = [user(one, PASSWORD) for one in (USER, "bob")]
    for one in others:
        expect_served(one, echo_site, 1)
    for number in range(200):
        guesser = user(name.format(number), f"guess {number}")
        guesser.ask(echo_site.address)
        if number % 10 == 0:
            for one in others:
                expect_served(one, echo_site, 1)
    assert " 429 " in status_line(guesser.clients[0])
    for one in others:
        expect_served(one, echo_site)
