# SPDX-License-Identifier: MIT
"""The lag of the programs' event loops: how long their turns are during a measurement.

At SIGUSR1 a program logs how many turns its loop has taken, how many of them took longer than 1 ms,
and the longest one since the last such report.
"""

import re
import signal

REPORT = re.compile(r"loop: (\d+) turns, (\d+) above 1 ms, .* since the last report (\d+) us")
ENDS = ("server", "agent")
FIGURES = {f"{end}_{figure}": f"{end}, {words}" for end in ENDS
           for figure, words in (("turn", "longest turn (ms)"),
                                 ("long", "turns over 1 ms (%)"))}  # fmt: skip


def turns_of(process):
    """Returns (turns, longer ones, the longest one since the last call in µs)."""
    start = len(process.said())
    process.popen.send_signal(signal.SIGUSR1)
    return tuple(map(int, process.wait_for(REPORT, start=start).groups()))


class Loops:
    """The loops of a server and an agent from now on."""

    def __init__(self, processes):
        self.processes = processes
        self.before = [turns_of(process) for process in processes]

    def figures(self):
        """The figures by name, as FIGURES lists them."""
        found = {}
        for end, process, before in zip(ENDS, self.processes, self.before):
            turns, longer, peak_us = turns_of(process)
            found[f"{end}_turn"] = peak_us / 1000
            found[f"{end}_long"] = 100 * (longer - before[1]) / max(1, turns - before[0])
        return found
