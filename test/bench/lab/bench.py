# SPDX-License-Identifier: MIT
"""The tools of a run: load generators around a subject, each figure with processes of its own."""

import contextlib
import dataclasses
import json
import subprocess
import tempfile
import time

from .processes import ENVIRONMENT, HERE, Failure, Group
from .subjects import listening


@dataclasses.dataclass(frozen=True)
class Amounts:
    """The amount of each load."""

    seconds: float = 2  # of a transfer or an echo
    visits: int = 5000  # connections
    tunnels: int = 1000  # idle, to measure memory
    crowd: int = 10000  # idle, as many as the default limits promise to one user
    far_seconds: float = 10  # of a transfer over a distance
    starts: int = 20  # of a program


QUICK = Amounts(seconds=0.2, visits=200, tunnels=200, crowd=1000, far_seconds=1, starts=3)


class Load:
    """A running load generator."""

    def __init__(self, place, argv):
        command = [*place.prefix, *(str(arg) for arg in argv)]
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=ENVIRONMENT)  # fmt: skip

    def first_line(self):
        """Its result. The load generator may run on."""
        line = self.popen.stdout.readline()
        if not line:
            raise Failure(self.popen.communicate()[1].strip() or "the load generator has ended")
        return json.loads(line)

    def result(self):
        try:
            return self.first_line()
        finally:
            self.stop()

    def end_input(self):
        """Tells a load generator that runs on to end."""
        self.popen.stdin.close()
        self.popen.stdin = None

    def stop(self):
        self.popen.kill()
        self.popen.communicate()


@dataclasses.dataclass
class Running:
    """A started subject, its origins, and a way to each origin."""

    bench: object
    scene: object
    group: Group
    processes: list
    ways: list

    def load(self, what, way=0, **options):
        """Starts a load generator: an option streams=8 is --streams 8, lenient=True is --lenient."""
        words = [word for name, value in options.items()
                 for word in ((f"--{name}",) if value is True else (f"--{name}", value))]  # fmt: skip
        return Load(self.scene.near, [self.bench.tools / "bench_load", what, *words,
                                      *self.ways[way].options()])  # fmt: skip

    def wait_until_open(self, seconds=20):
        """Returns when each way leads to its origin."""
        deadline = time.monotonic() + seconds
        for way in range(len(self.ways)):
            while True:
                try:
                    self.load("visit", way, count=1, timeout=5).result()
                    break
                except Failure as failure:
                    self.group.check_running()
                    if time.monotonic() > deadline:
                        raise Failure(f"no way to the origin: {failure}") from failure
                    time.sleep(0.02)

    def cpu_s(self):
        return sum(process.cpu_s() for process in self.processes)

    def rss_kib(self):
        return sum(process.rss_kib() for process in self.processes)


class Bench:
    """`tools` is the folder of the load generators; `amounts` how much they do."""

    def __init__(self, build, amounts, directory):
        self.build, self.tools, self.amounts = build, build / "test", amounts
        self.directory = directory

    @contextlib.contextmanager
    def open(self, subject, scene, origins=1):
        """A subject in a scene with new origins, ready to be measured."""
        with contextlib.ExitStack() as stack:
            place = stack.enter_context(scene.standing())
            group = stack.enter_context(self.group())
            yield self.start(group, subject, place.bind(group), origins)

    @contextlib.contextmanager
    def group(self):
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            group = Group(folder)
            try:
                yield group
            finally:
                group.stop()

    def start(self, group, subject, scene, count):
        address = (
            "127.0.0.1" if scene.far is scene.near or not subject.straight else scene.far.address
        )
        origins = [group.start(scene.far, self.tools / "bench_origin", f"{address}:0")
                   for _ in range(count)]  # fmt: skip
        targets = [listening(origin) for origin in origins]
        if subject.straight:
            processes, ways = subject.start(group, scene, targets)
        else:
            processes, ways = subject.start(group, scene, [scene.origin(at) for at in targets])
            ways = [scene.client(way) for way in ways]
        running = Running(self, scene, group, processes, ways)
        running.wait_until_open()
        return running


def check_spoiling(bench):
    """Checks that the load generators notice a wrong byte and an early end."""
    for harm in ("--spoil", "--cut"):
        for what in ("get", "put"):
            with bench.group() as group:
                refuse_harm(bench, group, harm, what)


def refuse_harm(bench, group, harm, what):
    origin = listening(group.start(HERE, bench.tools / "bench_origin", "127.0.0.1:0"))
    relay = group.start(HERE, bench.tools / "bench_relay", harm, 700000, f"127.0.0.1:0={origin}")
    load = Load(HERE, [bench.tools / "bench_load", what, "--bytes", 1 << 20, listening(relay)])
    try:
        load.result()
    except Failure:
        return
    raise SystemExit(f"bench_load {what} has not noticed {harm}")
