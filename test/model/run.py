#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Checks the models of the protocol, lib/protocol.pml (a stream) and lib/attach.pml (the attempts to
continue a session), with spin: that they hold within several small bounds, and that spin notices
each rule that is broken on purpose.

    test/model/run.py               # skipped with a line if spin is not installed: test/run.sh
    test/model/run.py --required    # then it fails: test/run.sh --ci
    test/model/run.py --large       # on demand: larger bounds, below
    test/model/run.py --trail BREAK_REPEAT      # the steps that lead to a violation

Needs spin and gcc. Two checks run at a time; all take less than two minutes on two cores. The large
ones hold, too: "all, without resets" has 7,032,638 states (40 s, 1.0 GB), "resets both ways" has
14,530,129 (55 s, 1.9 GB).
"""
import argparse
import concurrent.futures
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

LIB = Path(__file__).resolve().parents[2] / "lib"
DEPTH = 200000  # of the search; a longer one is an error, not a pass


class Check(NamedTuple):
    name: str
    bounds: dict
    broken: str = ""  # what is broken on purpose
    model: str = "protocol.pml"

    @property
    def defines(self):
        return [f"-D{name}={value}" for name, value in self.bounds.items()] + (
            [f"-D{self.broken}"] if self.broken else [])  # fmt: skip


REATTACH = {"N0": 2, "N1": 0, "MOST": 2, "CUTS": 1, "YIELDS": 0}
BOTH_WAYS = {"N0": 1, "N1": 1, "MOST": 1, "CUTS": 1, "YIELDS": 0}
TWO_CUTS = {"N0": 1, "N1": 0, "MOST": 1, "CUTS": 2, "YIELDS": 0}
RESETS = {"N0": 1, "N1": 0, "MOST": 1, "CUTS": 1, "RESETS": 1, "YIELDS": 0}
YIELDS = {"N0": 4, "N1": 0, "CUTS": 0, "YIELDS": 2}
YIELD_CUT = {"N0": 2, "N1": 0, "CUTS": 1, "YIELDS": 1}
WINDOW = {"N0": 4, "N1": 1, "INITIAL": 2, "ACK": 2, "CUTS": 0, "YIELDS": 0}

EARLY = {"N0": 2, "N1": 0, "INITIAL": 2, "MOST": 2, "CUTS": 1, "YIELDS": 0, "EARLY": 1}
EARLY_TWICE = {"N0": 1, "N1": 0, "MOST": 1, "CUTS": 2, "YIELDS": 0, "EARLY": 1}
EARLY_RESET = RESETS | {"EARLY": 1}

ATTEMPTS = {"ATTEMPTS": 6}

HOLDS = [
    Check("credit", WINDOW),
    Check("yield", YIELDS),
    Check("re-attach", REATTACH),
    Check("re-attach, both ways", BOTH_WAYS),
    Check("re-attach twice", TWO_CUTS),
    Check("re-attach and yield", YIELD_CUT),
    Check("re-attach and reset", RESETS),
    Check("early bytes", EARLY),
    Check("early bytes, re-attach twice", EARLY_TWICE),
    Check("early bytes and reset", EARLY_RESET),
    Check("attempts and secrets", ATTEMPTS, model="attach.pml"),
]
LARGE = [
    Check("all, without resets", {"N0": 3, "N1": 1, "CUTS": 1, "YIELDS": 1}),
    Check("resets both ways", {"N0": 1, "N1": 1, "CUTS": 1, "RESETS": 2, "YIELDS": 0}),
    Check("many attempts", {"ATTEMPTS": 8}, model="attach.pml"),
]
BROKEN = [
    Check("a credit repeats the one before", YIELDS, "BREAK_REPEAT"),
    Check("a yield does not wait for acknowledgements", YIELDS, "BREAK_YIELD_SOON"),
    Check("a yield holds against a later grant", YIELDS, "BREAK_YIELD_STALE"),
    Check("a sender goes on behind what it has sent", REATTACH, "BREAK_RESUME"),
    Check("a sender forgets what has not arrived", REATTACH, "BREAK_KEEP"),
    Check("data before the stream was mentioned", REATTACH, "BREAK_SOON"),
    Check("an end is sent again", REATTACH, "BREAK_END_AGAIN"),
    Check("an answer that may be lost is not repeated", REATTACH, "BREAK_AGREED"),
    Check("an end is not confirmed", WINDOW, "BREAK_CONFIRM"),
    Check("a repeated handshake asks again", REATTACH, "BREAK_ASK_AGAIN"),
    Check("early bytes are sent again too soon", EARLY, "BREAK_EARLY_SOON"),
    Check("an early byte proves the answer", EARLY, "BREAK_EARLY_AGREED"),
    Check("an answer within the account comes without a credit", EARLY, "BREAK_ACCOUNT"),
    Check("early bytes that did not arrive are taken for lost", EARLY, "BREAK_EARLY_UNHEARD"),
    Check("acknowledgements later than a sender waits", WINDOW | {"ACK": 3, "KEEP": 2}),
] + [
    Check(name, ATTEMPTS, broken, "attach.pml")
    for name, broken in (
        ("an older attempt takes over", "BREAK_EPOCH"),
        ("an attempt is replayed", "BREAK_ONCE"),
        ("an older attempt begins a new session", "BREAK_NEW"),
        ("the last two secrets, instead of confirmed and offered", "BREAK_TWO"),
        ("a proof with the offered secret does not confirm it", "BREAK_USE"),
        ("a secret is kept behind its successor's confirmation", "BREAK_WIPE"),
        ("a word on another connection confirms", "BREAK_LATE_WORD"),
        ("an agent speaks before it has heard the hello", "BREAK_SOON"),
        ("an agent hears the hello of an attempt it gave up", "BREAK_GIVE_UP"),
    )
]


def verify(check, directory):
    """What pan says of it."""
    subprocess.run(["spin", "-a", *check.defines, str(LIB / check.model)], cwd=directory, check=True,
                   capture_output=True, text=True)  # fmt: skip
    subprocess.run(["gcc", "-O1" if check.broken == "" else "-O0", "-w", "-DSAFETY", "-DVECTORSZ=512", "-o", "pan", "pan.c"],
                   cwd=directory, check=True)  # fmt: skip
    return subprocess.run(["./pan", f"-m{DEPTH}", "-n"], cwd=directory, check=False,
                          capture_output=True, text=True).stdout  # fmt: skip


def judge(check, must_hold):
    """Whether the check ended as it must, and a line about it."""
    with tempfile.TemporaryDirectory() as directory:
        output = verify(check, directory)
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    if errors is None or "max search depth too small" in output or "out of memory" in output:
        return False, f"{check.name}: not finished\n{output}"
    found = re.search(r"pan:\d*:? *(.*) \(at depth", output)
    what = found[1] if found else "no violation"
    right = (errors[1] == "0") == must_hold
    why = f"{int(states[1]):,} states, {what}" if states else what
    return right, f"{'' if right else 'WRONG: '}{check.name}: {why}"


def show_trail(name):
    check = next((c for c in HOLDS + LARGE + BROKEN if name in (c.name, c.broken)), None)
    if check is None:
        sys.exit(f"run.py: no check {name}")
    with tempfile.TemporaryDirectory() as directory:
        verify(check, directory)
        if not list(Path(directory).glob("*.trail")):
            sys.exit("no violation")
        subprocess.run(["spin", "-k", f"{check.model}.trail", "-p", "-g", *check.defines, str(LIB / check.model)],
                       cwd=directory, check=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description="Checks the models of the protocol.")
    parser.add_argument("--required", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trail", metavar="CHECK")
    arguments = parser.parse_args()
    if shutil.which("spin") is None:
        print("not run: the models of the protocol need spin (apt-get install spin)")
        sys.exit(1 if arguments.required else 0)
    if arguments.trail:
        show_trail(arguments.trail)
        return
    checks = [(check, True) for check in (LARGE if arguments.large else HOLDS)]
    checks += [] if arguments.large else [(check, False) for check in BROKEN]
    right = True
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for holds, line in pool.map(lambda pair: judge(*pair), checks):
            print(line, flush=True)
            right = right and holds
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
