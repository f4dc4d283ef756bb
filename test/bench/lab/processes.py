# SPDX-License-Identifier: MIT
"""Processes with their descendants: places, output, CPU time and memory."""

import contextlib
import dataclasses
import os
import re
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

FILES = 1 << 17  # descriptors a process
TICK = os.sysconf("SC_CLK_TCK")
ENVIRONMENT = {name: value for name, value in os.environ.items()
               if not name.lower().endswith("_proxy")}  # fmt: skip


class Failure(Exception):
    """The reason why a figure could not be measured, for the report."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A network namespace: a prefix that starts programs in it, and its address."""

    address: str = "127.0.0.1"
    prefix: tuple = ()


HERE = Place()


def raise_limits():
    """Raises the limit of descriptors, which started programs inherit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(most, FILES), most):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return


def free_ports(count):
    """Ports of 127.0.0.1 that are not in use."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


class Process:
    """A program, its output, and its descendants."""

    def __init__(self, group, log, place, *argv):
        self.group, self.name, self.log = group, Path(argv[0]).name, log
        command = [*place.prefix, *(str(arg) for arg in argv)]
        with open(log, "wb") as output:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                          stderr=subprocess.STDOUT, env=ENVIRONMENT)  # fmt: skip

    def said(self):
        return self.log.read_text(errors="replace")

    def check_running(self):
        if self.popen.poll() is not None:
            last = (self.said().strip().splitlines() or ["without a word"])[-1]
            raise Failure(f"{self.name} has ended: {last}")

    def wait_for(self, pattern, seconds=10, start=0):
        """Returns the match of a regular expression in the output from `start` on; fails if the
        group loses a process."""
        deadline = time.monotonic() + seconds
        while (match := re.compile(pattern).search(self.said(), start)) is None:
            self.group.check_running()
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} does not say '{pattern}'")
            time.sleep(0.002)
        return match

    def pids(self):
        found, new = [], [self.popen.pid]
        while new:
            found += new
            new = [child for pid in new for child in children(pid)]
        return found

    def cpu_s(self):
        """User and system time, including ended children that were waited for."""
        return sum(sum(map(int, stat_of(pid)[11:15])) for pid in self.pids()) / TICK

    def rss_kib(self):
        return sum(rss_of(pid) for pid in self.pids())

    def stop(self):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.popen.wait()


def children(pid):
    with contextlib.suppress(OSError):
        return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children")
                for child in path.read_text().split()]  # fmt: skip
    return []


def stat_of(pid):
    """The fields of stat from the state on; utime is [11]."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return ["0"] * 15


def rss_of(pid):
    with contextlib.suppress(OSError):
        match = re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(match[1]) if match else 0
    return 0


CONNECT = """import socket, sys, time
for _ in range(500):
    try:
        socket.create_connection(sys.argv[1:], 10).close()
        break
    except OSError:
        time.sleep(0.02)
"""


class Group:
    """The processes of one figure, which end with it."""

    def __init__(self, directory):
        self.directory, self.processes = Path(directory), []

    def start(self, place, *argv):
        log = self.directory / f"{len(self.processes)}-{Path(str(argv[0])).name}.log"
        self.processes.append(Process(self, log, place, *argv))
        return self.processes[-1]

    def write(self, name, text):
        """Writes a file for one of the programs."""
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def check_running(self):
        for process in self.processes:
            process.check_running()

    def wait_until_open(self, place, address):
        """Returns when a connection from `place` to `address` succeeds; it is closed at once."""
        subprocess.run([*place.prefix, sys.executable, "-c", CONNECT, *address.split(":")],
                       check=True, env=ENVIRONMENT)  # fmt: skip
        self.check_running()

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
