#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Instructions that fixed pieces of work take (counts.h), held against those of numbers.json.

callgrind counts them within one function of the program, on a processor that valgrind emulates, and
with the C library's plainest functions. So neither the machine nor its load matters. The compiler
and its options do: only a release build by gcc 12 for x86_64 is judged.

Each work has two numbers: all instructions, and those outside the libraries of ciphers, which would
hide the others. More than 5 % above a number is a failure. More than 10 % below it, the check asks
for an update. A new number belongs in the commit that causes it, whose message says why.

test/run.sh --ci counts; ./test/run.sh runs only --selftest, as a unit test.

usage: counts.py BUILD            compares; exits with 77 if it cannot judge here
       counts.py BUILD --update   counts, and writes numbers.json anew
       counts.py --selftest       whether made-up numbers are judged rightly
"""
import concurrent.futures
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NUMBERS = HERE / "numbers.json"
GCC = "gcc 12"
SKIP = 77
ABOVE, BELOW = 0.05, 0.10
MEASURED = "counts_measured"
CIPHERS = ("libmbed", "libcrypto", "libssl")
# Without what valgrind's processor has only if the machine's has it.
PLAIN = "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load,-ERMS"
KINDS = {"all": "instructions", "outside_ciphers": "instructions outside the ciphers"}


def compilers(program):
    """Names and versions, as the compilers have written them into it."""
    found = re.findall(rb"(GCC:|clang version) (?:\([^)]*\) )?(\d+)", program.read_bytes())
    return {f"{name.decode().split()[0].strip(':').lower()} {version.decode()}"
            for name, version in found}


def obstacle(build, program):
    """Why the numbers cannot be judged here, or None."""
    if platform.machine() != "x86_64":
        return f"the numbers are of x86_64, this is {platform.machine()}"
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if not program.exists():
        return f"{program} is not built: ninja -C {build} test/counts"
    told = subprocess.run(["meson", "introspect", "--buildoptions", build], capture_output=True,
                          text=True, check=True).stdout
    options = {option["name"]: option["value"] for option in json.loads(told)}
    if options["buildtype"] != "release" or options["b_sanitize"] != "none":
        return f"{build} is no release build"
    if compilers(program) != {GCC}:
        found = ", ".join(sorted(compilers(program)))
        return f"{program} was compiled by {found}; the numbers are of {GCC}"
    return None


def costs(text):
    """Instructions of each object (program, library) in a file of callgrind."""
    names, found, current, called = {}, {}, "", False
    for line in text.splitlines():
        if match := re.fullmatch(r"ob=\((\d+)\)(?: (.*))?", line):
            if match[2] is not None:
                names[match[1]] = match[2]
            current = names[match[1]]
        elif match := re.fullmatch(r"cob=\((\d+)\) (.*)", line):
            names[match[1]] = match[2]
        elif line.startswith("calls="):
            called = True  # what the next line says counts where it was spent
        elif match := re.fullmatch(r"[-+*\d]\S* (\d+)", line):
            if not called:
                found[current] = found.get(current, 0) + int(match[1])
            called = False
    return found


def count(program, work):
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory, "out")
        environment = {"PATH": os.environ["PATH"], "LD_BIND_NOW": "1", "GLIBC_TUNABLES": PLAIN}
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no",
             f"--toggle-collect={MEASURED}", program, work],
            env=environment, capture_output=True, text=True, check=False, timeout=120)
        if run.returncode != 0:
            sys.exit(f"{work}: {run.stdout}{run.stderr}")
        text = out.read_text()
    found = costs(text)
    total = sum(found.values())
    assert total == int(re.search(r"^totals: (\d+)", text, re.M)[1]), work
    ciphers = sum(n for name, n in found.items()
                  if pathlib.Path(name).name.startswith(CIPHERS))
    return {"all": total, "outside_ciphers": total - ciphers}


def count_all(program):
    usage = subprocess.run([program], capture_output=True, text=True, check=False).stderr
    works = usage.splitlines()[1:]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(works, pool.map(lambda work: count(program, work), works)))


def judge(noted, counted):
    """What is to be said: lines, and whether it is a failure."""
    lines, failed = [], False
    for work in noted.keys() | counted.keys():
        if work not in noted or work not in counted:
            lines.append(f"{work}: in one of numbers.json and the program only")
            failed = True
            continue
        for kind, what in KINDS.items():
            old, new = noted[work][kind], counted[work][kind]
            verdict = ""
            if new > old * (1 + ABOVE):
                verdict = "  FAILED: more than 5 % above"
                failed = True
            elif new < old * (1 - BELOW):
                verdict = "  please update numbers.json (--update): fewer by 10 % and more"
            lines.append(f"{work}: {new} {what}, noted {old}, {new / old - 1:+.1%}{verdict}")
    return sorted(lines), failed


def selftest():
    noted = {"a": {"all": 1000, "outside_ciphers": 100}}
    for all_, outside, fails, says in ((1000, 100, False, 0), (1050, 105, False, 0),
                                       (1051, 100, True, 1), (1000, 106, True, 1),
                                       (900, 90, False, 0), (899, 89, False, 2)):
        lines, failed = judge(noted, {"a": {"all": all_, "outside_ciphers": outside}})
        assert failed == fails, lines
        assert sum("  " in line for line in lines) == says, lines
    assert judge(noted, {})[1]
    assert judge({}, noted)[1]
    text = "ob=(1) /p\nfn=(1) f\n10 5\n+1 2\ncob=(2) /l\ncfn=(2) g\ncalls=1 0\n* 100\n-3 4\n" \
           "ob=(2)\nfn=(2)\n0 100\nob=(1)\n1 1\n"
    assert costs(text) == {"/p": 12, "/l": 100}, costs(text)


def main():
    if sys.argv[1:] == ["--selftest"]:
        selftest()
        return 0
    build = pathlib.Path(sys.argv[1]).resolve()
    program = build / "test" / "counts"
    if (why := obstacle(build, program)) is not None:
        print(f"not judged: {why}")
        return SKIP
    counted = count_all(program)
    if sys.argv[2:] == ["--update"]:
        NUMBERS.write_text(json.dumps(counted, indent=2) + "\n")
    lines, failed = judge(json.loads(NUMBERS.read_text()), counted)
    print("\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
