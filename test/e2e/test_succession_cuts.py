# SPDX-License-Identifier: MIT
"""
Agents whose connection breaks when their server has been replaced: they reach the successor, which
hands them back to the process that has their tunnels.

./test/run.sh and --ci run all.
"""
import contextlib
import hashlib
import os
import signal

import pytest

from checked import Traffic
from configuration import Config, basic
from cuts import CuttingRelay
from payload import blocks
from processes import PASSWORD, TOKEN, wait_until
from sites import Site
from succession import is_gone, unix_names
from test_resume import Scene
from websocket import WebSocket

UP, BACK = "agent .* up from", r"which leaves, resumed after"
SIZE = 48_000_000  # more than all buffers on the way hold
LONG_MS = 600_000  # longer than any test waits
CLIENTS = "127.0.0.1:0,connect,health,plain"


@pytest.fixture(scope="session")
def ways(authority, identity):
    """How agents connect: options of a server and of its agents, and the scheme."""
    mine = authority.issue("one")
    files = "--cert", identity.certificate, "--key", identity.key
    trusting = "--ca", authority.certificate
    return {
        "plain": ((), (), "ws"),
        "tls": (files, trusting, "wss"),
        "certificate": ((*files, "--client-ca", authority.certificate),
                        (*trusting, "--cert", mine.certificate, "--key", mine.key), "wss"),
    }  # fmt: skip


class Crossing:
    """A server that can be replaced, and an agent that comes to it by a relay."""

    def __init__(self, world, line, directory, way=((), (), "ws")):
        server_options, agent_options, scheme = way
        self.world, self.directory = world, directory
        self.server = world.server(
            "--config", self.config("server", drain_timeout_ms=LONG_MS), "--insecure-open",
            "--listen", "127.0.0.1:0,agents,health", *server_options, listen=CLIENTS)  # fmt: skip
        self.relay = CuttingRelay(self.server.wait_for(r"listening on (\S+)", 2)[1])
        self.line = line(self.server)
        limits = self.config("agent", backoff_min_ms=10, backoff_max_ms=100)
        self.agent = world.agent(f"{scheme}://{self.relay.address}", "--name", "one",
                                 "--config", limits, *agent_options)  # fmt: skip
        self.server.wait_for(UP)

    def config(self, name, **limits):
        path = self.directory / f"{name}.json"
        Config(path, limits=limits)
        return path

    def succeed(self):
        self.line.succeed()
        self.server.wait_for(UP, len(self.line.pids))

    def cut(self):
        """The agent comes back to the first server."""
        times = len(self.agent._matches(BACK))
        self.relay.cut()
        self.agent.wait_for(BACK, times + 1)

    def is_over(self):
        wait_until(lambda: all(map(is_gone, self.line.pids[:-1])), "all but the last one are gone")
        assert "are lost" not in self.agent.output and "is lost" not in self.agent.output

    def end(self):
        for client in self.world.clients:
            client.close()
        self.agent.terminate()
        self.agent.hurry()
        self.agent.wait_exit()
        self.line.end()
        self.relay.close()


@pytest.fixture
def cross(world, line, tmp_path):
    """A function that makes a Crossing, which ends with the test."""
    made = []

    def cross(*arguments):
        made.append(Crossing(world, line, tmp_path, *arguments))
        return made[-1]

    yield cross
    for each in made:
        each.end()


@pytest.fixture
def traffic(world):
    """A function that makes tunnels through a server, in which every byte is checked."""
    made = []

    def traffic(server):
        made.append(Traffic(server.address, count=16))
        return made[-1]

    yield traffic
    for each in made:
        each.close()


# -- Tunnels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "tls", "certificate"])
def test_tunnels_go_on(cross, traffic, ways, way):
    """To the last byte, however often the connection breaks, and however the agent has shown who it
    is. New tunnels go through the successor."""
    crossing = cross(ways[way])
    before = traffic(crossing.server)
    crossing.succeed()
    after = traffic(crossing.server)
    for _ in range(4):  # both ways of being cut
        crossing.cut()
        before.wait_advance()
        after.wait_advance()
    before.break_off()
    crossing.cut()
    before.finish()
    crossing.is_over()
    after.wait_advance()
    after.finish()


def test_three_processes(cross, traffic):
    """Tunnels of the first and of the second one, whose agent reaches the third one."""
    crossing = cross()
    made = []
    for _ in range(2):
        made.append(traffic(crossing.server))
        crossing.succeed()
    for _ in range(2):
        times = len(crossing.agent._matches(BACK))
        crossing.relay.cut()
        crossing.agent.wait_for(BACK, times + 2)
        for each in made:
            each.wait_advance()
    for each in made:
        each.finish()
    crossing.is_over()


def test_bulk(world, cross):
    """A download that was begun before, with cuts while it is as fast as it can be."""
    def serve(connection):
        with contextlib.suppress(ConnectionError):
            for block in blocks(SIZE):
                connection.sendall(block)

    crossing = cross()
    client = world.client(crossing.server).open(world.site(Site(serve)).address)
    got = hashlib.sha256(client.read_exactly(1000))
    crossing.succeed()
    crossing.relay.every, crossing.relay.cuts_left = SIZE // 12, 8
    got.update(client.read_to_end())
    expected = hashlib.sha256()
    for block in blocks(SIZE):
        expected.update(block)
    assert got.hexdigest() == expected.hexdigest()
    assert crossing.relay.cuts_left < 8
    crossing.agent.wait_for(BACK)
    client.close()
    crossing.is_over()


# -- What goes wrong ------------------------------------------------------------------------------


def test_predecessor_is_killed(world, cross, echo_site):
    """The agent is told that its tunnels are lost, and serves the successor."""
    crossing = cross()
    old = world.client(crossing.server).open(echo_site.address)
    crossing.succeed()
    crossing.line.kill_first()
    assert old.is_reset()
    crossing.relay.cut()
    crossing.agent.wait_for("the way leads to another server than the one that leaves: 1 streams "
                            "are lost")  # fmt: skip
    client = world.client(crossing.server).open(echo_site.address)
    client.send(b"hello")
    assert client.read_exactly(5) == b"hello"


def test_successor_is_killed(world, cross, echo_site):
    """Then nobody brings the agent back, so the first process does not wait for it."""
    crossing = cross()
    old = world.client(crossing.server).open(echo_site.address)
    crossing.succeed()
    crossing.cut()
    os.kill(crossing.line.pids[1], signal.SIGKILL)
    assert old.is_reset()


def test_no_name(cross):
    """No other process can come by what the two have between them: it has no name."""
    crossing = cross()
    crossing.succeed()
    for pid in crossing.line.pids:
        assert not any(unix_names(pid))
    assert len(unix_names(crossing.line.pids[1])) > 0


# -- Who may --------------------------------------------------------------------------------------


@pytest.fixture
def stolen(world, line, tmp_path):
    """A session of an agent that is written by hand, whose connection is cut when its server has
    been replaced. The secrets of the session are known to everybody."""
    agents = [{"name": "*", "token": f"{tenant}-{TOKEN}", "tenant": tenant}
              for tenant in ("acme", "globex")]  # fmt: skip
    config = Config(tmp_path / "server.json", agents=agents, insecure_open=True,
                    users=[{"name": "alice", "password": PASSWORD, "tenant": "acme"}],
                    limits={"drain_timeout_ms": LONG_MS})  # fmt: skip
    server = world.server("--config", config.path)
    scene = Scene(world, server, token=f"acme-{TOKEN}",
                  client_fields=basic("alice", PASSWORD))  # fmt: skip
    processes = line(server)
    processes.succeed()
    scene.cut()
    try:
        yield scene
        scene.goes_on()
    finally:
        scene.leave()
    assert not any(secret in server.output for secret in scene.secrets)


def refuse(scene, **changes):
    thief = scene.attach(refused=True, **changes)
    assert thief.receive_close() == (1008, "server is shutting down")


def test_wrong_proof(stolen):
    refuse(stolen, session=stolen.field(secret="00" * 32, epoch=2), epoch=2)


def test_other_tenant(stolen):
    """It knows everything and may come, but as somebody else."""
    refuse(stolen, session=stolen.field(epoch=2), epoch=2,
           fields=f"Authorization: Bearer globex-{TOKEN}\r\n")  # fmt: skip


def test_forged_name(stolen):
    """A name that begins as those of the predecessor, but is of none of its sessions, leads to a new
    session at the successor."""
    field = stolen.field(epoch=2)
    forged = field.replace(stolen.sid, stolen.sid[:8] + "00" * 12)
    other = stolen.stranger(session=forged, epoch=2,
                            fields=f"Authorization: Bearer globex-{TOKEN}\r\n")  # fmt: skip
    assert other.hello["session"][:8] != stolen.sid[:8]


def test_no_token(stolen):
    thief = WebSocket(stolen.server.address, "wstunnel.v1.json", "/websocket",
                      f"Wstunnel-Session: {stolen.field(epoch=2)}\r\n")  # fmt: skip
    stolen.world.clients.append(thief)
    assert thief.answer.status == 401
