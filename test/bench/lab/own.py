# SPDX-License-Identifier: MIT
"""Figures of this project's programs alone: start-up, sizes, and TLS without a tunnel."""

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .measures import CPU, GIB, RATE, Figure, Measure
from .processes import ENVIRONMENT, Failure
from .subjects import Ours


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


# -- TLS alone -----------------------------------------------------------------------------------


def tool_of(subject, name):
    """The path of a benchmark program of a build of this project; None if there is none."""
    if not isinstance(subject, Ours) or subject.front != "port":
        return None
    path = subject.build / "test" / name
    return path if path.exists() else None


def result_of(*argv):
    """The JSON object that a benchmark program prints."""
    run = subprocess.run([str(arg) for arg in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, check=False, env=ENVIRONMENT)  # fmt: skip
    if run.returncode != 0:
        raise Failure(run.stderr.strip() or f"{argv[0].name} has failed")
    try:
        return json.loads(run.stdout)
    except ValueError as error:
        raise Failure(f"{argv[0].name} prints no JSON") from error


class LibraryBulk(Measure):
    """What mbedTLS moves by its own functions, without ours, on one connection."""

    figures = {"rate": RATE, "cpu": CPU}
    program = "bench_tls_pipe"

    def suits(self, subject):
        return "mbedTLS" in subject.version and tool_of(subject, self.program) is not None

    def run(self, bench, subject):
        result = result_of(tool_of(subject, self.program), bench.amounts.seconds)
        return {"rate": result["bytes"] / 1e6 / result["seconds"],
                "cpu": result["cpu_s"] * GIB / result["bytes"]}  # fmt: skip


class Handshakes(Measure):
    """How many handshakes of two ends in one process a core does a second, at either end."""

    figures = {f"{kind}_{end}": Figure(f"{words}, {end}", "/s", plotted=False)
               for kind, words in (("ec", "EC P-256"), ("rsa", "RSA 2048"), ("resumed", "resumed"))
               for end in ("server", "client")}  # fmt: skip
    program = "bench_tls"

    def suits(self, subject):
        return tool_of(subject, self.program) is not None

    def run(self, bench, subject):
        return result_of(tool_of(subject, self.program), "handshakes", bench.amounts.seconds)
