#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Runs the fuzz targets of a build with -Dfuzz=true, two at a time, beginning with the committed
corpora, and prints the edges that each reached before and after.

    test/fuzz/run.py build-fuzz                        # all, 20 seconds each: test/run.sh --ci
    test/fuzz/run.py build-fuzz --seconds 600 tls ws   # on demand
    test/fuzz/run.py build-fuzz --seconds 600 --keep   # adds to corpus/ what reaches new edges

What a run finds stays in BUILD/fuzz/NAME, from which the next run goes on; what crashes a target is
in BUILD/fuzz, too. Every fuzz_NAME.c must have been built, and the library with the fuzzer's
instrumentation: without it libFuzzer does not see what an input reaches.
"""
import argparse
import concurrent.futures
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CODE = r" [tT] (?!asan\.)"  # AddressSanitizer adds functions to data
COUNTERS = "__sanitizer_cov_8bit_counters_init"  # what an instrumented object calls


def fail(why):
    sys.exit(f"run.py: {why}")


def blind_libraries(build):
    """The folders of lib/ that have an object without the fuzzer's instrumentation."""
    archives = sorted((build / "lib").glob("libwstunnel-*.a"))
    if not archives:
        fail(f"no library in {build}")
    blind, all_objects = [], 0
    for archive in archives:
        listing = subprocess.run(["nm", str(archive)], capture_output=True, text=True, check=True)
        objects = re.split(r"\n\S+\.o:\n", "\n" + listing.stdout.lstrip("\n"))[1:]
        with_code = [symbols for symbols in objects if re.search(CODE, symbols)]
        all_objects += len(with_code)
        if not all(COUNTERS in symbols for symbols in with_code):
            blind.append(archive.name)
    return blind if all_objects > 0 else [archive.name for archive in archives]


class Target:
    def __init__(self, build, name):
        self.name = name
        self.program = build / "test" / "fuzz" / f"fuzz_{name}"
        self.committed = HERE / "corpus" / name
        self.found = build / "fuzz" / name
        self.log = build / "fuzz" / f"{name}.log"

    def run(self, seconds):
        """Whether nothing was found, and a line about it."""
        if not self.program.exists():
            return False, f"{self.name}: {self.program} has not been built"
        self.found.mkdir(parents=True, exist_ok=True)
        # With -entropic=0 many targets run several times as fast.
        status = self._start(f"-max_total_time={seconds}", "-entropic=0", str(self.found),
                             str(self.committed))  # fmt: skip
        text = self.log.read_text(errors="replace")
        edges = [int(n) for n in re.findall(r"cov: (\d+)", text)]
        if status != 0 or not edges:
            return False, f"{self.name}: exit status {status}\n{text[-4000:]}"
        return True, f"{self.name}: {edges[0]} edges at first, {edges[-1]} after {seconds} s"

    def keep(self):
        """Adds to the committed corpus what reaches edges that it does not."""
        status = self._start("-merge=1", "-use_counters=0", str(self.committed), str(self.found))
        size = sum(path.stat().st_size for path in self.committed.iterdir())
        return status == 0, f"{self.name}: {len(list(self.committed.iterdir()))} files, {size} bytes"

    def _start(self, *arguments):
        argv = [str(self.program), "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=0",
                f"-artifact_prefix={self.found.parent}/{self.name}-", *arguments]  # fmt: skip
        with open(self.log, "w") as log:
            return subprocess.run(argv, stdout=log, stderr=subprocess.STDOUT, check=False).returncode


def main():
    parser = argparse.ArgumentParser(description="Runs the fuzz targets.")
    parser.add_argument("build", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_intermixed_args()
    blind = blind_libraries(arguments.build)
    if blind:
        fail(f"not instrumented: {', '.join(blind)}")
    names = arguments.names or sorted(path.stem[5:] for path in HERE.glob("fuzz_*.c"))
    targets = [Target(arguments.build, name) for name in names]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = []
        for right, line in pool.map(lambda target: target.run(arguments.seconds), targets):
            print(line, flush=True)
            results.append(right)
        if arguments.keep:
            for right, line in pool.map(Target.keep, targets):
                print(line, flush=True)
                results.append(right)
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
