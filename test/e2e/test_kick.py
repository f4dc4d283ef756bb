# SPDX-License-Identifier: MIT
"""Open tunnels and a new configuration: those of removed users end, those that a rule denies now if
the configuration says so; all others go on."""
import contextlib
import json

import pytest

from configuration import Config, basic, reload
from sites import Deaf, Site
from socks import SocksClient

ALICE, BOB = ({"name": name, "password": f"{name}'s"} for name in ("alice", "bob"))
BYE = "the user no longer exists"


def answer_slowly(connection):
    """The begin of a response to each request, and its rest when that is asked for."""
    with contextlib.suppress(ConnectionError):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
        connection.recv(1)


def be_silent(connection):
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


@pytest.fixture
def slow_site(world):
    return world.site(Site(answer_slowly))


@pytest.fixture
def start(world, tmp_path):
    """A function that starts a server with a configuration, and an agent."""

    def run(*options, **members):
        config = Config(tmp_path / "server.json", **{"users": [ALICE, BOB], **members})
        server = world.server("--config", config.path, *options,
                              listen="127.0.0.1:0,connect,agents,socks")  # fmt: skip
        world.served_by(server, "one")
        return server, config

    return run


def tunnel(world, server, user, destination):
    client = world.client(server)
    fields = basic(user["name"], user["password"])
    client.send(f"CONNECT {destination} HTTP/1.1\r\n{fields}\r\n".encode())
    assert client.read_answer().status == 200
    return client


def works(client):
    client.send(b"hello")
    return client.read_exactly(5) == b"hello"


def test_removed_user(world, start, echo_site):
    server, config = start()
    alices = [tunnel(world, server, ALICE, echo_site.address) for _ in range(10)]
    bobs = tunnel(world, server, BOB, echo_site.address)
    config.change(server, users=[BOB])
    assert all([client.is_reset() for client in alices])
    assert works(bobs)
    server.wait_for(rf"tunnel \d+ over: destination not allowed: {BYE} by the server", count=10)
    assert server.output.count(BYE) == 10


def test_events(world, start, echo_site):
    server, config = start("--log-format", "json")
    client = tunnel(world, server, ALICE, echo_site.address)
    config.change(server, users=[BOB])
    assert client.is_reset()
    line = server.wait_for('.*"event":"stream_close".*')[0]
    event = json.loads(line)
    assert (event["user"], event["destination"]) == ("alice", echo_site.address)
    assert (event["status"], event["reason"]) == ("WST_EDENIED", BYE)
    assert event["ended_by"] == "server"


def test_each_kind_of_flow(world, start, echo_site, slow_site):
    """By SOCKS5, a forwarded request that is being answered, and a port; not only CONNECT."""
    port = {"listen": "127.0.0.1:0", "destination": echo_site.address, "user": "alice"}
    server, config = start(ports=[port])
    at_port = world.client(server.wait_for(r"port (127\.0\.0\.1:\d+)")[1])
    assert works(at_port)
    socks = SocksClient(server.address)
    world.clients.append(socks)
    socks.open_by_socks(echo_site.address, "alice", "alice's")
    assert works(socks)
    forwarded = world.client(server)
    fields = basic("alice", "alice's")
    forwarded.send(f"GET http://{slow_site.address}/ HTTP/1.1\r\n{fields}\r\n".encode())
    forwarded.read_head()
    assert forwarded.read_exactly(5) == b"first"
    config.change(server, users=[BOB], ports=None)
    assert at_port.is_reset()
    assert socks.is_reset()
    assert forwarded.is_reset()


def test_response_that_has_not_begun(world, start):
    """Its client is told."""
    site = world.site(Site(be_silent))
    server, config = start()
    client = world.client(server)
    fields = basic("alice", "alice's")
    client.send(f"GET http://{site.address}/ HTTP/1.1\r\n{fields}\r\n".encode())
    server.wait_for("tunnel 1 open")
    config.change(server, users=[BOB])
    answer = client.read_answer()
    assert answer.status_line == "HTTP/1.1 403 No longer allowed"


def test_flow_that_waits_for_its_destination(world, start, echo_site):
    """A dial under way is broken off, and its client told."""
    deaf = Deaf()
    try:
        server, config = start()
        client = world.client(server)
        fields = basic("alice", "alice's")
        client.send(f"CONNECT {deaf.address} HTTP/1.1\r\n{fields}\r\n".encode())
        tunnel(world, server, BOB, echo_site.address)  # the request before it has been read, too
        reload(server)  # nothing has changed: the dial goes on
        assert "refused" not in server.output
        config.change(server, users=[BOB])
        assert client.read_answer().status_line == "HTTP/1.1 403 No longer allowed"
        server.wait_for("refused: 403 No longer allowed")
    finally:
        deaf.close()


def test_tightened_rule(world, start, echo_site):
    """Open tunnels stay unless the configuration says otherwise."""
    rules = [{"deny": "*", "users": "alice"}, {"allow": "127.0.0.1"}]
    server, config = start(rules=rules[1:])
    alices, bobs = (tunnel(world, server, user, echo_site.address) for user in (ALICE, BOB))
    config.change(server, rules=rules)
    assert works(alices)
    config.change(server, kick="all")
    assert alices.is_reset()
    assert works(bobs)
    server.wait_for(r"tunnel \d+ over: destination not allowed: Denied by rule 1 of the server")
    config.change(server, rules=[{"allow": "10.0.0.0/8"}])
    assert bobs.is_reset()
    server.wait_for(r"tunnel \d+ over: .*: No rule of the server allows it by the server")


def test_rule_for_the_address_of_a_name(world, start, echo_site):
    server, config = start(kick="all", rules=[{"allow": ["localhost", "127.0.0.1"]}])
    client = tunnel(world, server, ALICE, f"localhost:{echo_site.port}")
    config.change(server, rules=[{"deny": "127.0.0.0/8"}, {"allow": "*"}])
    assert client.is_reset()


@pytest.mark.parametrize("way", ["configuration", "option"])
def test_none(world, start, echo_site, way):
    server, config = start(*(["--kick", "none"] if way == "option" else []),
                           **({"kick": "none"} if way == "configuration" else {}))  # fmt: skip
    client = tunnel(world, server, ALICE, echo_site.address)
    config.change(server, users=[BOB])
    assert works(client)
    assert BYE not in server.output


def test_other_changes(world, start, echo_site):
    """A new password, and rules that allow less but not less than is used, end nothing."""
    server, config = start(kick="all")
    client = tunnel(world, server, ALICE, echo_site.address)
    config.change(server, users=[BOB, {**ALICE, "password": "another"}],
                  rules=[{"allow": "127.0.0.1"}])  # fmt: skip
    assert works(client)


def test_faulty_configuration(world, start, echo_site):
    server, config = start()
    client = tunnel(world, server, ALICE, echo_site.address)
    config.write(**{**config.members, "users": [BOB], "kick": "everybody"})
    reload(server, "configuration not reloaded: nothing has changed")
    assert works(client)
