# SPDX-License-Identifier: MIT
"""Figures of this project's programs alone: start-up, sizes, and TLS without a tunnel."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .measures import Figure, Measure
from .processes import ENVIRONMENT, Failure


class StartUp(Measure):
    """The time until a server listens. /bin/true, until its end, shows the cost of the measurement.
    The least of several counts, since noise only adds."""

    figures = {"server": Figure("server", "ms", 2, less=True, plotted=False),
               "nothing": Figure("/bin/true", "ms", 2, less=True, plotted=False)}  # fmt: skip

    def run(self, bench, subject):
        server = [subject.programs / "wstunnel-server", "--listen", "127.0.0.1:0"]
        starts = range(bench.amounts.starts)
        return {"server": min(self.until_it_says(server) for _ in starts),
                "nothing": min(self.until_it_says(["true"]) for _ in starts)}  # fmt: skip

    @staticmethod
    def until_it_says(argv):
        """Milliseconds until its first line, or its end if it says nothing."""
        begun = time.perf_counter()
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=ENVIRONMENT) as process:  # fmt: skip
            line = process.stdout.readline()
            took = (time.perf_counter() - begun) * 1000
            process.kill()
        if argv != ["true"] and b"listening" not in line:
            raise Failure(f"the server says {line!r}")
        return took


class Sizes(Measure):
    """Of the shared library and the programs, stripped."""

    figures = {"library": Figure("library", "KiB", less=True, plotted=False),
               "server": Figure("wstunnel-server", "KiB", less=True, plotted=False),
               "agent": Figure("wstunnel-agent", "KiB", less=True, plotted=False)}  # fmt: skip

    def run(self, bench, subject):
        build = subject.programs.parent
        return {"library": stripped_kib(build / "lib" / "libwstunnel.so"),
                "server": stripped_kib(subject.programs / "wstunnel-server"),
                "agent": stripped_kib(subject.programs / "wstunnel-agent")}  # fmt: skip


def stripped_kib(path):
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(path, folder)
        subprocess.run(["strip", copy], check=True)
        return Path(copy).stat().st_size / 1024


def tls_alone(build):
    """What bench_tls prints: bytes through each suite, and handshakes, on one core."""
    run = subprocess.run([build / "test" / "bench_tls"], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    return run.stdout.strip() if run.returncode == 0 else f"bench_tls failed: {run.stdout.strip()}"
