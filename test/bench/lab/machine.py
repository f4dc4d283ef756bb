# SPDX-License-Identifier: MIT
"""The machine of a run: its description for the report."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

SYSCTLS = ("net.ipv4.tcp_congestion_control", "net.core.default_qdisc", "net.ipv4.tcp_rmem",
           "net.ipv4.tcp_wmem")  # fmt: skip


def sysctl(name):
    path = Path("/proc/sys", *name.split("."))
    return " ".join(path.read_text().split()) if path.exists() else "?"


def processor():
    match = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return match[1].strip() if match else platform.machine()


def memory_gib():
    match = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return int(match[1]) / (1 << 20)


def commit(source):
    run = subprocess.run(["git", "-C", source, "describe", "--always", "--dirty"], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)  # fmt: skip
    return run.stdout.strip() or "not from git"


def cpu_times():
    return [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]


class Noise:
    """Other work of the machine and its host during a run."""

    def __init__(self):
        self.load, self.times = os.getloadavg()[0], cpu_times()

    def line(self):
        before, after = self.times, cpu_times()
        total = max(1, sum(after) - sum(before))
        stolen = 100 * (after[7] - before[7]) / total
        return f"load average {self.load:.1f} at the start; {stolen:.1f} % stolen"


def facts(source):
    """The description, in the order of the report."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit(source),
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores, {memory_gib():.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        **{name: sysctl(name) for name in SYSCTLS},
    }
