# SPDX-License-Identifier: MIT
"""Scenes with an emulated link between the near and the far place."""

import contextlib
import dataclasses

from .link import SYSCTLS, Link, Unavailable
from .processes import Failure, Place
from .scenes import Scene

RATE_MBIT = 1000


@dataclasses.dataclass
class Distant(Scene):
    """The link, of a round trip and a loss, stands while a figure is measured."""

    program: object = None
    rtt_ms: float = 0
    loss: float = 0
    congestion: str = None  # control; None: the machine's

    @contextlib.contextmanager
    def standing(self):
        link = Link(self.program, delay_ms=self.rtt_ms / 2, rate_mbit=RATE_MBIT, loss=self.loss,
                    congestion=self.congestion)  # fmt: skip
        with link:
            yield dataclasses.replace(self, near=place_at(link, "near"), far=place_at(link, "far"))
            check_link(link.statistics())


def check_link(statistics):
    """Fails if the link lost packets beyond the loss and the queue that were asked for."""
    faults = [(end, why) for end in ("near", "far") for why in ("overflow", "refused")]
    lost = {f"{end}, {why}": statistics[end][why] for end, why in faults
            if statistics[end].get(why)}  # fmt: skip
    if lost:
        raise Failure(f"the emulated link did not keep up: {lost}")


def place_at(link, end):
    return Place(link.address(end), ("nsenter", f"--net={link.namespace(end)}"))


def why_not(program):
    """The reason why no link can be built here, or an empty string."""
    try:
        with Link(program):
            return ""
    except (Unavailable, OSError) as reason:
        return f"distances: {reason}"


def sysctls():
    return ", ".join(f"{name} = {value}" for name, value in SYSCTLS.items()) + "."
