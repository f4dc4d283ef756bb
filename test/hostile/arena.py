# SPDX-License-Identifier: MIT
"""The world of the hostile tests: programs that can be frozen, looked into and starved."""
import re
import signal
from pathlib import Path

from processes import BUILD, PATIENCE, Process, is_sanitized, wait_until
from world import Server, World

QUICK = str(BUILD / "test" / "quick")
KIB, MIB = 1 << 10, 1 << 20
ASK_AGAIN = 5  # seconds

# Memory that an allocator may keep though nothing is leaked: fragments, its own tables, and the pool
# of chunks (lib/pool.h: at most 512 KiB in each of 7 classes).
SLACK = 8 * MIB

# What a stream is charged (bufq.c and session.c): a first window of 12 KiB, and 4 KiB to be sent.
WINDOW = 12288
STREAM_COST = (WINDOW + 4096) + 2 * 4096

# What it borrows to keep a window of bytes that the peer has not confirmed.
SEND_LOAN = 2 * (WINDOW + WINDOW // 3)


class Probe(Process):
    """A running `quick`: its figures, and its memory."""

    def stats(self):
        """Asks again now and then, since a log that is not read fast enough drops lines."""
        seen = len(self._matches("stats ")) + 1
        with self.news:
            for _ in range(PATIENCE // ASK_AGAIN):
                self.signal(signal.SIGUSR1)
                if self.news.wait_for(
                    lambda: len(self._matches("stats ")) >= seen or self.ended, ASK_AGAIN
                ):
                    break
        line = self.wait_for(r"stats (.*)", seen)[1]
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}

    def freeze(self):
        self.signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.pid) == "T", "frozen")

    def thaw(self):
        self.signal(signal.SIGCONT)


class QuickServer(Server, Probe):
    pass


def _state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def memory(process, figure="VmRSS"):
    """In bytes: VmRSS is what it has now, VmHWM the most since forget_peak."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"{figure}:\s+(\d+) kB", status)[1]) * KIB


def forget_peak(process):
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def check_memory(process, before, bound, figure="VmRSS"):
    """That it has grown by no more than `bound` bytes."""
    grown = memory(process, figure) - before
    what = (f"{' '.join(process.argv[-9:])}: {figure} {before / MIB:.1f} MiB,"
            f" then {grown / MIB:+.1f} MiB (bound {bound / MIB:.1f})")  # fmt: skip
    print(what)
    assert is_sanitized(process) or grown <= bound, what


class Arena(World):
    def quick_server(self, listen="127.0.0.1:0", prefix=(), **options):
        argv = [*prefix, QUICK, "server", listen, *_numbers(options)]
        server = QuickServer(argv)
        self.processes.append(server)
        return server

    def quick_agent(self, url, name="quick", prefix=(), **options):
        agent = Probe([*prefix, QUICK, "agent", url, name, *_numbers(options)])
        self.processes.append(agent)
        return agent

    def quick_tunnel(self, **options):
        """Options that both have."""
        server = self.quick_server(**options)
        agent = self.quick_agent(server.url, **options)
        server.wait_for("agent .* up from")
        agent.wait_for("connected to")
        return server, agent

    def end(self):
        for process in self.processes:
            if not process.judged:
                process.signal(signal.SIGCONT)
        super().end()


def _numbers(options):
    return [f"{name}={value}" for name, value in options.items()]


class Baseline:
    """What a program has when nothing runs through it, to be compared with later."""

    NAMES = ("streams", "sessions", "agents", "connections", "pending", "chunks", "handles",
             "budget_used")  # fmt: skip

    def __init__(self, *processes):
        self.processes = list(processes)
        for process in processes:  # a pong may still wait for the end of a turn of the loop
            wait_until(lambda p=process: p.stats()["chunks"] == 0, "idle")
        self.before = [self._look(process) for process in processes]

    @classmethod
    def _look(cls, process):
        stats = process.stats()
        return {name: stats[name] for name in cls.NAMES} | {"descriptors": process.descriptors()}

    def replace(self, old, new):
        """`new` has taken the place of `old`, and has to become as that was."""
        self.processes[self.processes.index(old)] = new

    def wait(self):
        """Until all is as it was before; fails with the figures if it never is."""
        for process, before in zip(self.processes, self.before):
            try:
                wait_until(lambda p=process, b=before: self._look(p) == b, "as before")
            except AssertionError:
                raise AssertionError(
                    f"{process.argv}: left over: now {self._look(process)}, before {before}"
                ) from None
