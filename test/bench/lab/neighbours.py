# SPDX-License-Identifier: MIT
"""What one user meets while another one takes all it can."""

import base64
import contextlib
import dataclasses
import sys
import time
from pathlib import Path

from .bench import Load
from .measures import Figure, Measure, rate_of
from .processes import Failure, Place
from .scenes import Scene
from .subjects import Ours, listening

USERS = {"quiet": "quiet:one secret", "noisy": "noisy:another secret"}
AGENTS_TOKEN = "laboratory" * 4  # of more than 32 bytes: it has no limit of failures


def login(user):
    """The field of a request by which a user logs in."""
    return f"Proxy-Authorization: Basic {base64.b64encode(USERS[user].encode()).decode()}"


class Shared(Ours):
    """The programs of a build, with two users who must log in: the first way is that of the quiet one,
    the second that of the noisy one."""

    def __init__(self, name, build):
        super().__init__(name, build, "connect")

    def start(self, group, scene, targets):
        users = group.write("users", "".join(f"{user}\n" for user in USERS.values()))
        token = group.write("token", AGENTS_TOKEN)
        server = group.start(
            scene.near, self.programs / "wstunnel-server", "--user-file", users,
            "--agent-token-file", token, "--listen", f"{scene.near.address}:0,connect,agents")  # fmt: skip
        address = listening(server)
        agent = group.start(
            scene.far, self.programs / "wstunnel-agent", "--proxy", "none",
            "--token-file", token, *self.opens(), f"ws://{address}")  # fmt: skip
        server.wait_for(" up from ", 30)
        return [server, agent], [dataclasses.replace(way, field=login(user)) for way, user in
                                 zip(self.ways(server, address, targets), USERS)]  # fmt: skip


class Named(Scene):
    """The agent reaches origins by names; the servers of other names never answer."""

    def origin(self, address):
        return f"good.test:{address.rpartition(':')[2]}"


# -- Noises --------------------------------------------------------------------------------------


class Nothing:
    """No noise: how much the figures differ by themselves."""

    @contextlib.contextmanager
    def made(self, running, seconds):
        yield


@dataclasses.dataclass(frozen=True)
class Crowd:
    """Connections by noise.py. `evidence`: of what it must have counted, at least one."""

    kind: str
    rate: float  # connections a second
    streams: int  # open at a time
    evidence: tuple = ()

    @contextlib.contextmanager
    def made(self, running, seconds):
        way = running.ways[1]
        load = Load(running.scene.near, [
            sys.executable, "-B", Path(__file__).with_name("noise.py"), self.kind, "--user",
            USERS["noisy"], "--to", way.to, "--streams", self.streams, "--rate", self.rate,
            way.address])  # fmt: skip
        try:
            load.first_line()
            yield
            load.end_input()
            self.check(load.first_line())
        finally:
            load.stop()

    def check(self, counts):
        """Fails if the noise was none."""
        missing = [name for name in self.evidence if not counts.get(name)]
        if missing or not counts["started"]:
            raise Failure(f"noise of {self.kind} without {', '.join(missing)}: {counts}")


@dataclasses.dataclass(frozen=True)
class Transfers:
    """Downloads and uploads; `rate` in bytes a second each way (None: as fast as they go)."""

    streams: int  # each way
    rate: float = None

    LEAD = 0.2

    @contextlib.contextmanager
    def made(self, running, seconds):
        options = {"rate": self.rate} if self.rate else {}
        loads = [running.load(what, 1, streams=self.streams, seconds=seconds + 4 * self.LEAD,
                              **options) for what in ("get", "put")]  # fmt: skip
        try:
            time.sleep(self.LEAD)
            yield
            if any(load.popen.poll() is not None for load in loads):
                raise Failure("the transfers have ended before the others")
            for load in loads:
                rate_of(load.first_line(), self.streams)
        finally:
            for load in loads:
                load.stop()


def noises(library):
    """Noises by key, with their titles and scenes. `library`: hangnames, for the agent."""
    named = Named(far=Place(prefix=("env", f"LD_PRELOAD={library}")))
    return {
        "nothing": ("nothing", Scene(), Nothing()),
        "idle": ("idle tunnels, as many as one user gets", Scene(),
                 Crowd("hold", 3000, 20000, ("held",))),
        "bulk": ("transfers of 50 MB/s each way", Scene(), Transfers(16, 50e6)),
        "flood": ("transfers as fast as they go", Scene(), Transfers(16)),
        "connections": ("500 connections a second", Scene(), Crowd("visit", 500, 100, ("visits",))),
        "silent": ("dials to a silent host", Scene(), Crowd("silent", 300, 300, ("open",))),
        "names": ("names that hang", named, Crowd("names", 300, 300, ("open",))),
        "passwords": ("200 wrong passwords a second", Scene(), Crowd("passwords", 200, 100, ("407",))),
        "heads": ("heads that never end", Scene(), Crowd("heads", 1000, 1000, ("open",))),
    }  # fmt: skip


# -- The measure ---------------------------------------------------------------------------------


def ratio(title):
    return Figure(title, "", 2, less=True)


def time_of(title):
    return Figure(title, "µs", less=True, plotted=False)


class Neighbour(Measure):
    """Echoes and new connections of one user: alone; while another user makes noise elsewhere, through
    programs of its own, which shows what the noise takes of the machine; and beside that noise."""

    figures = {
        "echo_p50": time_of("echo, p50"),
        "echo_p99": time_of("echo, p99"),
        "echo_ratio": ratio("echo, p99 / alone"),
        "echo_shared": ratio("echo, p99 / noise elsewhere"),
        "connect_p99": time_of("connections, p99"),
        "connect_ratio": ratio("connections, p99 / alone"),
        "connect_shared": ratio("connections, p99 / noise elsewhere"),
        "served": Figure("connections served", "%", 2, plotted=False),
    }
    origins = 2
    MOST = 100000  # connections; time ends them

    def __init__(self, key, title, scene, noise):
        super().__init__(key, title, scene)
        self.noise = noise

    def run(self, bench, subject):
        with bench.open(subject, self.scene, self.origins) as elsewhere:
            self.elsewhere = elsewhere
            return super().run(bench, subject)

    def measure(self, bench, running):
        seconds = bench.amounts.seconds
        alone = self.observe(running, seconds)
        if alone["served"] != 100:
            raise Failure(f"alone, {alone['served']:.2f} % of the connections are served")
        found = {}
        for name, at in (("shared", self.elsewhere), ("ratio", running)):
            with self.noise.made(at, 2 * seconds):
                found[name] = self.observe(running, seconds)
        beside = found["ratio"]
        for what in "echo", "connect":
            p99 = f"{what}_p99"
            beside[f"{what}_ratio"] = beside[p99] / alone[p99]
            beside[f"{what}_shared"] = beside[p99] / found["shared"][p99]
        return beside

    def observe(self, running, seconds):
        echo = running.load("echo", seconds=seconds).result()
        visits = running.load("visit", seconds=seconds, count=self.MOST, lenient=True).result()
        if visits["complete"] == 0:
            raise Failure(f"none of {visits['failed']} connections was served")
        every = visits["complete"] + visits["failed"]
        return {"echo_p50": echo["p50_us"], "echo_p99": echo["p99_us"],
                "connect_p99": visits["p99_us"], "served": 100 * visits["complete"] / every}  # fmt: skip
