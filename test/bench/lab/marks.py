# SPDX-License-Identifier: MIT
"""The project's goals, as ratios to other subjects in the same run.

A mark takes the ratio of ours to the other subject in each round; the median counts.
"""

import dataclasses

from .neighbours import noises
from .peers import PEERS
from .results import median, spread
from .scenes import RELAYS
from .sections import LOSSES, LOSSY, ROUND_TRIPS

WSTUNNEL = "wstunnel (Rust)"
PEER_NAMES = tuple(PEERS)


@dataclasses.dataclass(frozen=True)
class Mark:
    """`of` is (section, measure, figure); `least` or `most` bounds the ratio, or the value. Without
    a bound the ratio is shown without a verdict."""

    title: str
    of: tuple
    against: tuple = ()  # one subject, or with `best` the best of several; (): our value itself
    least: float = None
    most: float = None
    best: bool = False
    over: tuple = ()  # as `of`: the ratio is to this figure of ours, which `against` describes

    def values(self, results, ours):
        if self.over:
            return results.quotients((*self.of, ours), (*self.over, ours))
        if not self.against:
            return results.of(*self.of, ours)
        other = self.best_of(results) if self.best else self.against[0]
        return results.ratios(*self.of, ours, other)

    def best_of(self, results):
        """The subject with the least median; only for figures of which less is better."""
        measured = [(median(results.of(*self.of, name)), name) for name in self.against]
        return min((pair for pair in measured if pair[0] is not None), default=(None, ""))[1]

    def limit(self):
        if self.least is None and self.most is None:
            return ""
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"

    def verdict(self, values):
        middle = median(values)
        if self.least is None and self.most is None:
            return ""
        met = middle >= self.least if self.least is not None else middle <= self.most
        return "met" if met else "**missed**"

    def line(self, results, ours):
        values = self.values(results, ours)
        against = "the best peer" if self.best else (self.against or ("as it is",))[0]
        if not results.of(*self.of, ours):
            return f"| {self.title} | {against} | {self.limit()} | – | **failed** |"
        if not values:
            return f"| {self.title} | {against} | {self.limit()} | – | not measured |"
        return (f"| {self.title} | {against} | {self.limit()} | {spread(values, 2)} | "
                f"{self.verdict(values)} |")  # fmt: skip


def transfer_marks(section, streams, others, title):
    """`others`: pairs of a subject and the least ratio to it."""
    return [Mark(f"{title}, {count} stream{'s' * (count > 1)} {way}",
                 (section, f"{way}{count}", "rate"), (other,), least=least)
            for count in streams for way in ("down", "up") for other, least in others]  # fmt: skip


def cpu_marks(section, streams, others, title, most=1):
    return [Mark(f"{title}, CPU, {count} stream{'s' * (count > 1)} {way}",
                 (section, f"{way}{count}", "cpu"), (other,), most=most)
            for count in streams for way in ("down", "up") for other in others]  # fmt: skip


def limit_marks():
    """Against the least that one masked connection for all streams costs."""
    streams = (1, 8, 64)
    return [*transfer_marks("plain", streams, (("one connection", 0.95),), "plain"),
            *cpu_marks("plain", streams, ("one connection",), "plain", most=None)]  # fmt: skip


def relay_marks(programs):
    return [Mark(f"through {program} at the {at}, {way}",
                 (f"relay-{program}", f"{at}-{way}1", "rate"), ("straight",), least=0.5)
            for program in programs for at in ("carrier", "client", "origin")
            for way in ("down", "up")
            if at != "origin" or program == "socat"]  # fmt: skip


def distance_marks(round_trips, losses):
    far = [Mark(f"{rtt} ms, {loss} % loss, {way}", ("distance", f"{rtt}ms-{loss}-{way}", "rate"),
                ("straight",), least=0.95)
           for rtt in round_trips for loss in losses for way in ("down", "up")]  # fmt: skip
    key = "{}ms-{}-down8".format(*LOSSY)
    far.append(Mark("8 streams by 4 connections, {} ms, {} % loss, CUBIC".format(*LOSSY),
                    ("distance", f"{key}-by4", "rate"), ("ours by 1",), least=3,
                    over=("distance", f"{key}-by1", "rate")))  # fmt: skip
    return far + [Mark(f"8 MiB at 100 ms, {loss} % loss", ("distance", f"100ms-{loss}-8mib", "next"),
                       ("straight",), most=1) for loss in losses]  # fmt: skip


def neighbour_marks():
    """Beside nothing the ratio is that of the machine's own noise, and has no bound."""
    marks = []
    for key, (title, _, _) in noises("").items():
        marks += [Mark(f"beside {title}: {what} p99", ("neighbours", key, f"{figure}_ratio"),
                       most=None if key == "nothing" else 3)
                  for figure, what in (("echo", "echo"), ("connect", "connections"))]  # fmt: skip
        marks.append(Mark(f"beside {title}: connections served, %", ("neighbours", key, "served"),
                          least=100))  # fmt: skip
    return marks


def own_marks():
    """The ratios of a figure of ours to another one of ours."""
    library = [Mark(f"wss, {words}1 stream down", ("tls", "down1", figure), ("mbedTLS alone",),
                    least=least, over=("tls", "library", figure))
               for figure, words, least in (("rate", "", 0.9), ("cpu", "CPU, ", None))]  # fmt: skip
    return library + [Mark(f"64 streams {way}", ("plain", f"{way}64", "rate"), ("ours at 8",),
                           least=1, over=("plain", f"{way}8", "rate"))
                      for way in ("down", "up")]  # fmt: skip


def all_marks():
    latencies = [
        Mark(f"echo, {q}", ("plain", "echo", q), ("HAProxy",), most=1) for q in ("p50", "p99")
    ]
    beside = ("plain", "beside")
    return [
        *transfer_marks("plain", (1,), ((WSTUNNEL, 1.1), ("bare relays", 0.95)), "plain"),
        *cpu_marks("plain", (1,), (WSTUNNEL, "bare relays"), "plain"),
        *transfer_marks("plain", (8, 64), ((WSTUNNEL, 1.2),), "plain"),
        *limit_marks(),
        *relay_marks([relay.program for relay in RELAYS]),
        *latencies,
        Mark("echo p99 beside a download", (*beside, "p99"), PEER_NAMES, most=0.2, best=True),
        Mark("echo p99 beside a download, µs", (*beside, "p99"), most=1000),
        Mark("that download to itself alone", (*beside, "kept"), least=0.9),
        Mark("connections, one at a time", ("plain", "visit1", "rate"), ("HAProxy",), least=1),
        Mark("connections, 64 at a time", ("plain", "visit64", "rate"), ("HAProxy",), least=1.1),
        Mark("an idle tunnel, KiB", ("plain", "idle", "each"), most=4),
        Mark("one of very many idle tunnels, KiB", ("crowd", "crowd", "each"), most=4),
        *distance_marks(ROUND_TRIPS, LOSSES),
        *transfer_marks("tls", (1, 8), ((WSTUNNEL, 1.1),), "wss"),
        *cpu_marks("tls", (1, 8), (WSTUNNEL,), "wss"),
        Mark("library, KiB", ("own", "size", "library"), most=450),
        Mark("start-up, ms", ("own", "startup", "server"), most=10),
        *own_marks(),
        *neighbour_marks(),
    ]


def table(results, ours):
    lines = ["| what | against | mark | measured | |", "|---|---|---|---|---|"]
    lines += [mark.line(results, ours) for mark in all_marks() if results.tried(*mark.of, ours)]
    return "\n".join(lines)
