# SPDX-License-Identifier: MIT
"""An emulated link between two network namespaces, "near" and "far", as a context manager.

    with Link(program, delay_ms=50, rate_mbit=1000, loss=0.1, queue_bdp=1) as link:
        server = link.popen("far", [...])           # a process at that end
        with link.inside("near"):                   # sockets of this thread are at that end
            sock = socket.create_connection((link.address("far"), 80))
        print(link.statistics()["near"]["dropped"])

The namespaces end with the context and the last process in them; the context ends no process.
"""
import contextlib
import ctypes
import json
import os
import signal
import subprocess
from pathlib import Path

CLONE_NEWNET = 0x40000000
PATIENCE_S = 10

# Windows of twice the path and its queue: 100 MB at 1 Gbit/s, 200 ms and a queue of one
# bandwidth-delay product. No connection inherits the metrics of an earlier one.
SYSCTLS = {
    "net.ipv4.tcp_rmem": "4096 131072 134217728",
    "net.ipv4.tcp_wmem": "4096 16384 134217728",
    "net.ipv4.tcp_no_metrics_save": "1",
}


class Unavailable(Exception):
    """Why there can be no emulated link here."""


class Link:
    """Runs `program`, which is bench_link; its --help describes the link. `delay_ms` is one way,
    `loss` a percentage. `queue`, in bytes, replaces `queue_bdp`, a multiple of the rate times the
    round trip. `congestion` is the congestion control over the link (None: that of the machine).
    `sysctls` changes or adds to SYSCTLS."""

    def __init__(self, program, *, delay_ms=0, rate_mbit=1000, loss=0, queue_bdp=1, queue=None,
                 seed=1, congestion=None, sysctls=None):  # fmt: skip
        size = ["--queue-bdp", queue_bdp] if queue is None else ["--queue", queue]
        self._argv = [program, "--delay", delay_ms, "--rate", rate_mbit, "--loss", loss,
                      "--seed", seed, *size]  # fmt: skip
        self._congestion = congestion
        self._sysctls = SYSCTLS | (sysctls or {})
        self._process = None
        self._ends = None

    def __enter__(self):
        self._process = subprocess.Popen(
            [str(argument) for argument in self._argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        line = self._process.stdout.readline()
        if not line:
            raise Unavailable(self._process.communicate()[1].strip())
        self._ends = json.loads(line)["ready"]
        try:
            for end in self._ends:
                self._tune(end)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the link. Returns its last statistics; None if it has ended already."""
        if self._process.poll() is not None:
            return None
        out, err = self._process.communicate(timeout=PATIENCE_S)  # the end of its standard input
        if self._process.returncode != 0:
            raise RuntimeError(f"bench_link failed: {err.strip()}")
        return json.loads(out.splitlines()[-1])["statistics"]

    def address(self, end):
        return self._ends[end]["address"]

    def namespace(self, end):
        """The path of the namespace, for setns(2) or nsenter --net=PATH."""
        return self._ends[end]["namespace"]

    @contextlib.contextmanager
    def inside(self, end):
        """Sockets, processes and threads that this thread creates in the block belong to `end`."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(self.namespace(end), os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(home)
            os.close(home)
            os.close(there)

    def popen(self, end, argv, **options):
        """subprocess.Popen() at `end`."""
        with self.inside(end):
            return subprocess.Popen([str(argument) for argument in argv], **options)

    def statistics(self):
        """What bench_link --help says, as a dictionary."""
        self._process.send_signal(signal.SIGUSR1)
        return json.loads(self._process.stdout.readline())["statistics"]

    def _tune(self, end):
        with self.inside(end):
            for name, value in self._sysctls.items():
                Path("/proc/sys", name.replace(".", "/")).write_text(value)
            if self._congestion is not None:
                # A route may name any algorithm, the sysctl of a namespace only some.
                subprocess.run(
                    ["ip", "route", "change", "198.18.0.0/30", "dev", "link0", "proto", "kernel",
                     "scope", "link", "src", self.address(end), "congctl", self._congestion],
                    check=True,
                )  # fmt: skip


def _setns(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
