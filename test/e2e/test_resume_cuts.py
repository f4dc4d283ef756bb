# SPDX-License-Identifier: MIT
"""
Programs whose connection is cut, by a relay between them: tunnels go on, new requests wait, and only
what ends a session breaks its tunnels.

./test/run.sh and --ci run all, with 20 cuts in transfers of 64 MiB (E2E_BYTES bounds that, too). On
demand:

    RESUME_BYTES=1073741824 RESUME_CUTS=1000 WSTUNNEL_BUILD=build pytest test/e2e/test_resume_cuts.py
"""
import contextlib
import json
import os
import select
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from checked import Traffic
from client import Client
from cuts import CuttingRelay
from origin import Origin, ok
from payload import make_payload
from processes import wait_until
from sites import Site, read_all
from transfer import download, upload

BYTES = int(os.environ.get("RESUME_BYTES", min(1 << 26, int(os.environ.get("E2E_BYTES", 1 << 26)))))
CUTS = int(os.environ.get("RESUME_CUTS", 20))
LONG_MS = 600_000  # longer than any test waits
UP, DOWN = "agent .* up from", r"agent \S+ .*down"
SUSPENDED = r"agent one \(\w+\) suspended \((\d+) streams?\)"
RESUMED = r"agent one \(\w+\) resumed after [\d.]+ s from "


class Scene:
    """A server, a relay to it, and an agent that comes by the relay and soon again."""

    def __init__(self, world, directory, *server_options, agent_options=(), relay=(), limits=None):
        self.world, self.directory = world, directory
        self.server = world.server("--config", self.config("server", **(limits or {})),
                                   *server_options)  # fmt: skip
        self.relay = CuttingRelay(self.server.address, *relay)
        self.agent = self.start_agent("one", self.relay.url, *agent_options)
        # It knows its session: it has answered.
        assert world.client(self.server).connect("127.0.0.1:1").status in (403, 502)

    def traffic(self, count=16):
        return self.world.site(Traffic(self.server.address, count=count))

    def end(self):
        """Agents can come to the last, so that nobody waits for them."""
        for client in self.world.clients:
            client.close()
        for traffic in self.world.sites:
            if isinstance(traffic, Traffic):
                traffic.close()
        self.relay.open()
        try:
            for process in reversed(self.world.processes):
                if not process.judged:
                    process.stop()
        finally:
            self.relay.close()

    def config(self, name, **limits):
        path = self.directory / f"{name}.json"
        path.write_text(json.dumps({"limits": limits}))
        return path

    def start_agent(self, name, url, *options, **limits):
        limits = {"backoff_min_ms": 10, "backoff_max_ms": 100} | limits
        ups = self.server.output.count(" up from")
        agent = self.world.agent(url, "--name", name, "--config", self.config("agent", **limits),
                                 *options)  # fmt: skip
        self.server.wait_for(UP, ups + 1)
        return agent

    def shut(self):
        """The agent is cut off, and stays away; the server knows that."""
        times = len(self.server._matches(SUSPENDED))
        self.relay.shut()
        self.server.wait_for(SUSPENDED, times + 1)

    def open(self):
        times = len(self.server._matches(RESUMED))
        self.relay.open()
        self.server.wait_for(RESUMED, times + 1)

    def is_ready(self):
        return self.world.client(self.server).ask(b"GET /readyz HTTP/1.1\r\n\r\n").status == 200

    def ask(self, destination):
        """A CONNECT that the server has heard: it has answered another client since."""
        client = self.world.client(self.server)
        client.send(f"CONNECT {destination} HTTP/1.1\r\n\r\n".encode())
        for _ in range(2):
            self.world.client(self.server).ask(b"GET /healthz HTTP/1.1\r\n\r\n")
        return client

    def waits(self, client):
        return not select.select([client.socket], [], [], 0)[0]


@pytest.fixture
def begin(world, tmp_path):
    """A function that makes a Scene, which ends with the test."""
    scenes = []

    def begin(*server_options, **options):
        scenes.append(Scene(world, tmp_path, *server_options, **options))
        return scenes[-1]

    yield begin
    for scene in scenes:
        scene.end()


@pytest.fixture
def scene(begin):
    return begin()


def echoes(client, text=b"still here"):
    client.send(text)
    return client.read_exactly(len(text)) == text


# -- Tunnels --------------------------------------------------------------------------------------


def test_tunnels_go_on(scene):
    """64 of them: busy, idle, half-closed, and some that are ended or reset meanwhile."""
    traffic = scene.traffic(64)
    scene.shut()
    assert int(scene.server.wait_for(SUSPENDED)[1]) == 64
    scene.agent.wait_for(r"connection to \S+ lost \(64 streams wait\): .*; next attempt in")
    traffic.break_off()
    scene.open()
    scene.agent.wait_for(r"resumed after [\d.]+ s")
    traffic.wait_advance()
    scene.relay.cut()  # both ways of being cut, and this time the agent can come back at once
    scene.server.wait_for(RESUMED, 2)
    traffic.wait_advance()
    traffic.finish()
    assert " down" not in scene.server.output


@pytest.fixture(scope="session")
def payload(nginx):
    path = nginx.root / "resumed"
    digest = make_payload(path, BYTES)
    yield path, digest
    path.unlink()


@pytest.fixture
def cutting(begin):
    """All cuts come before the transfer is over, whatever is sent again."""
    return begin(relay=(BYTES * 3 // 4 // CUTS, CUTS))


def test_download(cutting, curl, nginx, payload):
    path, digest = payload
    assert download(curl(cutting.server, f"{nginx.https}/{path.name}")) == digest
    assert cutting.relay.cuts_left == 0
    cutting.server.wait_for(RESUMED, CUTS)
    assert " down" not in cutting.server.output


def test_upload(cutting, curl, payload, upload_site):
    path, digest = payload
    assert upload(curl(cutting.server, "--upload-file", path, upload_site.url)) == digest
    assert cutting.relay.cuts_left == 0
    cutting.server.wait_for(RESUMED, CUTS)
    assert " down" not in cutting.server.output


def test_recovery_works_again(world, begin, echo_site):
    """The server does not know that the connection is dead when the agent comes by another one. Its
    idea of when the first one is dead must not end the session, nor keep it from being resumed."""
    dead = {"dead_after_ms": 4000, "ping_interval_ms": 500}
    scene = begin(limits=dead)
    scene.agent.stop()
    agent = scene.start_agent("two", scene.relay.url, dead_after_ms=1000, ping_interval_ms=300)
    client = world.client(scene.server).open(echo_site.address)
    assert echoes(client)
    scene.relay.freeze()
    scene.server.wait_for(r"agent two \(\w+\) resumed")
    end = time.monotonic() + 2 * dead["dead_after_ms"] / 1000
    while time.monotonic() < end:
        assert echoes(client)
        select.select([client.socket], [], [], 0.1)
    scene.relay.cut()
    scene.server.wait_for(r"agent two \(\w+\) resumed", 2)
    assert echoes(client)
    assert "agent two" not in "".join(m.string for m in scene.server._matches(" down"))
    agent.wait_for("resumed after", 2)


def test_early_data_arrives_once(world, begin):
    """Requests through a port, of which up to 4 KiB go ahead of the agent's answer, while connections
    are cut: each is answered, and no destination has seen one twice."""
    seen, count = [], 400

    def answer(connection):
        try:
            request = read_all(connection)
        except ConnectionResetError:  # it was opened again, or elsewhere
            return
        seen.append(request)
        connection.sendall(request)

    def ask(n):
        request = b"%d " % n * (1500 if n % 20 == 0 else 10)
        with contextlib.closing(Client(address)) as client:
            client.send(request)
            client.end()
            return client.read_to_end() == request

    site = world.site(Site(answer))
    scene = begin("--port", f"0={site.address}", relay=(1500, 3 * CUTS))
    address = scene.server.wait_for(rf"port (\S+) leads to {site.address}")[1]
    with ThreadPoolExecutor(8) as clients:
        assert all(clients.map(ask, range(count)))
    assert len(seen) == len(set(seen)) == count
    assert scene.relay.cuts_left == 0
    scene.server.wait_for(RESUMED, 3 * CUTS)


# -- New requests meanwhile -----------------------------------------------------------------------


def test_request_waits(world, begin, echo_site):
    scene = begin(limits={"dial_timeout_ms": LONG_MS})
    world.client(scene.server).open(echo_site.address)  # a session with a stream is kept longer
    assert scene.is_ready()
    scene.shut()
    assert not scene.is_ready()
    client = scene.ask(echo_site.address)
    assert scene.waits(client)
    scene.open()
    assert client.read_answer().status == 200
    assert echoes(client)
    assert scene.is_ready()


def test_forwarded_request_waits(world, begin):
    """By a client whose connection to the origin, which is kept, is suspended, too."""
    scene = begin(limits={"dial_timeout_ms": LONG_MS})
    origin = world.site(Origin(lambda request, connection: connection.sendall(ok(b"hello"))))
    request = f"GET {origin.url}/ HTTP/1.1\r\nHost: {origin.address}\r\n\r\n".encode()
    client = world.client(scene.server)
    assert client.ask(request).body == b"hello"
    scene.shut()
    client.send(request)
    scene.ask("192.0.2.1:9")  # the server has heard both
    assert scene.waits(client)
    scene.open()
    assert client.read_answer().body == b"hello"


def test_request_has_waited_enough(world, begin, echo_site):
    scene = begin(limits={"dial_timeout_ms": 1000})
    tunnel = world.client(scene.server).open(echo_site.address)
    scene.shut()
    answer = scene.ask(echo_site.address).read_answer()
    assert answer.status_line == "HTTP/1.1 503 Agent is reconnecting"
    assert int(answer.fields["Retry-After"]) > 0
    scene.open()
    assert echoes(tunnel)


@pytest.mark.parametrize("name", ["one", "another"])
def test_request_goes_to_another_agent(world, begin, echo_site, name):
    """At once, whatever the names."""
    scene = begin(limits={"dial_timeout_ms": LONG_MS})
    tunnel = world.client(scene.server).open(echo_site.address)
    assert echoes(tunnel)
    other = scene.start_agent(name, scene.server.url)
    scene.shut()
    assert scene.is_ready()
    clients = [world.client(scene.server).open(echo_site.address) for _ in range(10)]
    other.wait_for(f"stream to {echo_site.address}: open", 10)
    scene.open()
    assert all(echoes(client) for client in [tunnel, *clients])


def test_kept_connection_of_an_agent_that_is_away(world, begin):
    """A client's next request is served by the other agent at once."""
    scene = begin(limits={"dial_timeout_ms": LONG_MS})
    origin = world.site(Origin(lambda request, connection: connection.sendall(ok(b"hello"))))
    request = f"GET {origin.url}/ HTTP/1.1\r\nHost: {origin.address}\r\n\r\n".encode()
    client = world.client(scene.server)
    assert client.ask(request).body == b"hello"
    scene.start_agent("other", scene.server.url)
    scene.shut()
    assert client.ask(request).body == b"hello"
    assert [request.connection for request in origin.requests] == [0, 1]
    scene.open()


def test_what_was_asked_goes_to_another_agent(begin, echo_site):
    """A connection that an agent was asked for has not begun: another agent is asked at once."""
    scene = begin(limits={"dial_timeout_ms": LONG_MS})
    scene.relay.freeze()
    client = scene.ask(echo_site.address)
    assert scene.waits(client)
    scene.start_agent("other", scene.server.url)
    scene.relay.cut()
    assert client.read_answer().status == 200
    assert echoes(client)


# -- What ends a session --------------------------------------------------------------------------


@pytest.mark.parametrize("server, agent", [((), ("--no-resume",)), (("--resume-grace", "0"), ())],
                         ids=["agent", "server"])  # fmt: skip
def test_no_resume(begin, server, agent):
    """If one of both does not want it, tunnels are reset with their connection, as ever."""
    scene = begin(*server, agent_options=agent)
    traffic = scene.traffic()
    scene.relay.shut()
    scene.server.wait_for(DOWN)
    traffic.see_resets()
    scene.agent.wait_for(r"server \S+: .*; next attempt in")
    scene.relay.open()
    scene.server.wait_for(UP, 2)
    assert "suspended" not in scene.server.output and "resumed" not in scene.agent.output
    again = scene.traffic()
    again.finish()


def test_grace(begin):
    """After it the server gives the tunnels up, and the agent, too."""
    scene = begin("--resume-grace", "1")
    traffic = scene.traffic()
    scene.shut()
    scene.server.wait_for(DOWN)
    traffic.see_resets()
    scene.relay.open()
    scene.server.wait_for(UP, 2)
    assert "resumed" not in scene.server.output


def test_grace_without_streams(begin):
    """No longer than a request would wait: nothing would be lost."""
    scene = begin("--resume-grace", "3600", limits={"dial_timeout_ms": 500})
    scene.shut()
    scene.server.wait_for(DOWN)


def test_agent_is_started_anew(begin):
    """On the same host, so that the old one will not come again: its tunnels do not wait for that."""
    scene = begin("--resume-grace", "3600")
    traffic = scene.traffic()
    scene.agent.kill()
    scene.server.wait_for(SUSPENDED)
    scene.start_agent("one", scene.relay.url)
    scene.server.wait_for(r"agent one \(\w+\).* down")
    traffic.see_resets()
    again = scene.traffic()
    again.finish()


def stop_at_once(program):
    """As by an operator who does not wait for what is open."""
    program.terminate()
    program.wait_for("leaving")
    program.terminate()
    program.wait_exit(128 + signal.SIGTERM)


def test_agent_leaves(begin):
    """It says so: nobody waits for it."""
    scene = begin("--resume-grace", "3600")
    traffic = scene.traffic()
    stop_at_once(scene.agent)
    scene.server.wait_for(DOWN)
    traffic.see_resets()
    assert "suspended" not in scene.server.output


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_server_is_started_anew(world, begin, how):
    scene = begin("--resume-grace", "3600")
    agent = scene.start_agent("direct", scene.server.url)
    scene.agent.stop()
    scene.server.wait_for("agent one .*down")
    traffic = scene.traffic()
    if how == "killed":
        scene.server.kill()
        agent.wait_for(r"lost \(16 streams wait\)")
    else:
        stop_at_once(scene.server)
        traffic.see_resets()
        assert "streams wait" not in agent.output
    server = world.server("--resume-grace", "3600", listen=scene.server.address)
    server.wait_for("agent direct .* up from")
    traffic.see_resets()
    assert "resumed" not in agent.output
    again = world.site(Traffic(server.address, count=16))
    again.finish()


def test_server_stops_while_the_agent_is_away(scene):
    """The agent could not come back to it: nobody waits for that."""
    traffic = scene.traffic()
    scene.shut()
    scene.server.stop()
    wait_until(lambda: all(tunnel.client.reader.done() for tunnel in traffic.tunnels), "told")
    assert {tunnel.client.how for tunnel in traffic.tunnels if tunnel.kind != "site ended"} == {"reset"}
    stop_at_once(scene.agent)  # it has not been told


def test_agent_stops_while_it_is_away(scene):
    """So do its destinations see it."""
    traffic = scene.traffic()
    scene.shut()
    stop_at_once(scene.agent)
    wait_until(lambda: all(tunnel.site.reader.done() for tunnel in traffic.tunnels), "told")
    assert {tunnel.site.how for tunnel in traffic.tunnels if tunnel.kind != "client ended"} == {"reset"}


# -- Neighbours -----------------------------------------------------------------------------------


def test_others_do_not_notice(begin):
    """While one agent comes and goes, tunnels through another one run as ever."""
    scene = begin()
    first = scene.traffic()
    scene.shut()
    scene.start_agent("other", scene.server.url)
    others = scene.traffic()
    scene.relay.open()
    for n in range(1, 6):
        scene.server.wait_for(RESUMED, n)
        scene.relay.cut()
    scene.server.wait_for(RESUMED, 6)
    first.wait_advance()
    others.finish()
    first.finish()
