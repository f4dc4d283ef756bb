# SPDX-License-Identifier: MIT
"""The measures: each is a load and the figures that it yields.

A measure runs one load on one subject in one scene and returns its figures by name. The load
generators check every byte and count; a fault raises Failure and yields no figure.
"""

import dataclasses
import time

from .lag import Loops
from .processes import Failure

GIB = 1 << 30
ABREAST = 64


@dataclasses.dataclass(frozen=True)
class Figure:
    """`less`: less is better. `cost`: a cost of the processes between client and origin, which
    a straight connection does not have."""

    title: str
    unit: str
    digits: int = 0
    less: bool = False
    cost: bool = False
    plotted: bool = True


RATE = Figure("", "MB/s")
CPU = Figure("CPU", "s/GiB", 2, less=True, cost=True)


class Measure:
    """`key` names it in results and on the command line; `figures` by name, in order."""

    figures = {}
    origins = 1

    def __init__(self, key, title, scene):
        self.key, self.title, self.scene = key, title, scene

    def suits(self, subject):
        """Whether it can be taken of a subject."""
        return self.scene is None or self.scene.suits(subject)

    def run(self, bench, subject):
        """The figures of `figures`, and those of the loops if the subject reports them."""
        with bench.open(subject, self.scene, self.origins) as running:
            loops = Loops(running.processes if subject.tells_turns else [])
            figures = self.measure(bench, running)
            return {**figures, **loops.figures()}

    def measure(self, bench, running):
        raise NotImplementedError


def rate_of(result, streams):
    if result["complete"] != streams or result["bytes"] == 0:
        raise Failure(f"{result['complete']} of {streams} streams, {result['bytes']} bytes")
    return result["bytes"] / 1e6 / result["seconds"]


class Bulk(Measure):
    """The throughput of a number of streams in a fixed time; `what` is get or put."""

    figures = {"rate": RATE, "cpu": CPU}

    def __init__(self, key, title, scene, what, streams=1):
        super().__init__(key, title, scene)
        self.what, self.streams = what, streams

    def measure(self, bench, running):
        seconds = self.seconds(bench)
        cpu = running.cpu_s()
        result = running.load(self.what, streams=self.streams, seconds=seconds,
                              timeout=seconds + 60).result()  # fmt: skip
        rate = rate_of(result, self.streams)
        return {"rate": rate, "cpu": (running.cpu_s() - cpu) * GIB / result["bytes"]}

    @staticmethod
    def seconds(bench):
        return bench.amounts.seconds


class FarBulk(Bulk):
    """The same over a distance, where a transfer takes longer to reach its rate."""

    figures = {"rate": RATE}

    @staticmethod
    def seconds(bench):
        return bench.amounts.far_seconds


class Shares(Measure):
    """The throughput of several downloads of one size, until the last has arrived: where a connection is
    so slow that those of a fixed time would take minutes to empty the buffers on the way."""

    figures = {"rate": RATE}

    def __init__(self, key, title, scene, streams, size):
        super().__init__(key, title, scene)
        self.streams, self.size = streams, size

    def measure(self, bench, running):
        result = running.load("get", streams=self.streams, bytes=self.size, timeout=180).result()
        return {"rate": rate_of(result, self.streams)}


class Download(Measure):
    """The time of a download of one size, from connect() on: the tunnel's first, and the next."""

    figures = {"first": Figure("the first", "s", 3, less=True),
               "next": Figure("the next", "s", 3, less=True)}  # fmt: skip

    def __init__(self, key, title, scene, size):
        super().__init__(key, title, scene)
        self.size = size

    def measure(self, bench, running):
        return {name: self.seconds(running) for name in self.figures}

    def seconds(self, running):
        result = running.load("get", bytes=self.size).result()
        rate_of(result, 1)
        return result["seconds"]


class Echo(Measure):
    """64 bytes to the origin and back, one at a time, on one connection."""

    figures = {"p50": Figure("p50", "µs", less=True), "p99": Figure("p99", "µs", less=True)}

    def measure(self, bench, running):
        result = running.load("echo", seconds=bench.amounts.seconds).result()
        return {"p50": result["p50_us"], "p99": result["p99_us"]}


class Beside(Measure):
    """The same during a download from another origin through the same agent, and the rate of that
    download compared with one just before that ran alone."""

    figures = {"p50": Figure("p50", "µs", less=True), "p99": Figure("p99", "µs", less=True),
               "bulk": Figure("its bulk", "MB/s"),
               "kept": Figure("its bulk / alone", "", 2)}  # fmt: skip
    origins = 2
    LEAD = 0.3  # of the transfer, before and behind the echoes

    def measure(self, bench, running):
        seconds = bench.amounts.seconds
        alone = rate_of(running.load("get", seconds=seconds).result(), 1)
        bulk = running.load("get", seconds=seconds + 2 * self.LEAD)
        time.sleep(self.LEAD)
        echo = running.load("echo", 1, seconds=seconds).result()
        beside = rate_of(bulk.result(), 1)
        return {
            "p50": echo["p50_us"],
            "p99": echo["p99_us"],
            "bulk": beside,
            "kept": beside / alone,
        }


class VisitsBeside(Measure):
    """Short connections, one at a time, during a download from another origin."""

    figures = {"rate": Figure("", "/s"), "p99": Figure("p99", "µs", less=True),
               "bulk": Figure("its bulk", "MB/s")}  # fmt: skip
    origins = 2
    MOST = 100_000  # connections in that time

    def measure(self, bench, running):
        seconds = bench.amounts.seconds
        bulk = running.load("get", seconds=seconds + 2 * Beside.LEAD)
        time.sleep(Beside.LEAD)
        visits = running.load("visit", 1, seconds=seconds, count=self.MOST).result()
        return {
            "rate": visits["complete"] / visits["seconds"],
            "p99": visits["p99_us"],
            "bulk": rate_of(bulk.result(), 1),
        }


class Visits(Measure):
    """Short connections: the origin sends one byte and closes. `abreast` are open at a time."""

    figures = {"rate": Figure("", "/s"), "cpu": Figure("CPU", "ms each", 2, less=True, cost=True)}

    def __init__(self, key, title, scene, abreast):
        super().__init__(key, title, scene)
        self.abreast = abreast

    def measure(self, bench, running):
        count, cpu = bench.amounts.visits, running.cpu_s()
        result = running.load("visit", count=count, streams=self.abreast).result()
        if result["complete"] != count:
            raise Failure(f"{result['complete']} of {count} connections")
        return {"rate": count / result["seconds"], "cpu": (running.cpu_s() - cpu) * 1000 / count}


class FirstAnswer(Measure):
    """How long a client waits, from connect() on, for the first byte of an answer."""

    figures = {"time": Figure("", "ms", 1, less=True)}
    COUNT = 20

    def measure(self, bench, running):
        return {"time": running.load("visit", count=self.COUNT).result()["p50_us"] / 1000}


class Idle(Measure):
    """The memory of tunnels that are idle after 64 bytes each way."""

    figures = {"each": Figure("", "KiB each", 1, less=True, cost=True)}

    def count(self, bench):
        return bench.amounts.tunnels

    def measure(self, bench, running):
        count, before = self.count(bench), running.rss_kib()
        load = running.load("hold", streams=count)
        try:
            if load.first_line()["complete"] != count:
                raise Failure(f"fewer than {count} tunnels")
            return {"each": (running.rss_kib() - before) / count}
        finally:
            load.stop()


class Crowd(Idle):
    """Idle tunnels, as many as the default limits promise to one user."""

    figures = {"each": Figure("", "KiB each", 1, less=True, plotted=False)}

    def count(self, bench):
        return bench.amounts.crowd
