# SPDX-License-Identifier: MIT
"""Agents that are away hold memory that others need: they keep at most half of it."""
import json

import pytest

from sites import Relay, Site, echo


class Gate(Relay):
    """A relay that can be shut and opened again."""

    is_shut = False

    @property
    def url(self):
        return f"ws://{self.address}"

    def _relay(self, connection):
        if not self.is_shut:
            super()._relay(connection)

    def shut(self):
        self.is_shut = True
        self.cut()

    def reopen(self):
        self.is_shut = False

MIB = 1 << 20
STREAM = 24 << 10  # what a stream takes at least


@pytest.fixture
def echo_site(world):
    return world.site(Site(echo))


def open_tunnels(world, server, site, count):
    return [world.client(server).open(site.address) for _ in range(count)]


def behind_a_gate(world, tmp_path):
    """A server with little memory, a relay, and an agent that comes by it."""
    config = tmp_path / "server.json"
    config.write_text(json.dumps({"limits": {"memory_budget": MIB}}))
    server = world.server("--config", config)
    relay = world.site(Gate(server.address))
    one = world.agent(relay.url, "--name", "one")
    server.wait_for("agent one .* up from")
    return server, relay, one


def check(tunnels):
    for tunnel in tunnels:
        tunnel.send(b"still there?")
    for tunnel in tunnels:
        assert tunnel.read_exactly(12) == b"still there?"


def test_suspended_sessions_make_room(world, tmp_path, echo_site):
    server, relay, one = behind_a_gate(world, tmp_path)
    lost = open_tunnels(world, server, echo_site, MIB // STREAM * 3 // 4)
    check(lost)
    relay.shut()
    server.wait_for("agent one .* suspended")
    world.served_by(server, "two")
    kept = open_tunnels(world, server, echo_site, MIB // STREAM * 3 // 4)
    server.wait_for("memory is needed: the suspended session of agent one .* ends")
    server.wait_for("agent one .* down: no memory")
    assert all(tunnel.is_reset() for tunnel in lost)
    check(kept)
    one.kill()  # it would keep its destinations for as long as the grace


def test_half_of_the_memory_is_theirs(world, tmp_path, echo_site):
    """Within it they are not touched: new clients are refused, and the others go on."""
    server, relay, one = behind_a_gate(world, tmp_path)
    waiting = open_tunnels(world, server, echo_site, MIB // STREAM // 3)
    relay.shut()
    server.wait_for("agent one .* suspended")
    world.served_by(server, "two")
    refused = None
    for _ in range(MIB // STREAM):
        answer = world.client(server).connect(echo_site.address)
        if answer.status != 200:
            refused = answer
            break
    assert refused is not None and refused.status in (429, 503)
    relay.reopen()
    server.wait_for("agent one .* resumed after")
    check(waiting)
    for tunnel in waiting:
        tunnel.close()
    one.stop()
    assert "memory is needed" not in server.output
