#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The hardening of what is built: full RELRO, bound at the start, position-independent, no executable
stack, stack protector, _FORTIFY_SOURCE. And how flags from outside, a distribution's, override it.

usage: hardened.py built [--fortified] [--library FILE] [--program FILE]...
       hardened.py selftest CC    whether what lacks hardening is noticed
       hardened.py overrides      builds an object with each compiler and set of flags; in --ci
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def readelf(*arguments):
    run = subprocess.run(["readelf", "-W", *arguments], capture_output=True, text=True, check=True,
                         env={**os.environ, "LC_ALL": "C"})
    return run.stdout


def lacks(path, program, fortified):
    """What a program, or a library, lacks."""
    head, segments = readelf("-h", path), readelf("-l", path)
    dynamic, symbols = readelf("-d", path), readelf("--dyn-syms", path)
    stack = re.search(r"GNU_STACK\s+(?:0x\w+\s+){5}(\S+)", segments)
    if "GNU_RELRO" not in segments:
        yield "RELRO"
    if not re.search(r"\((BIND_NOW|FLAGS|FLAGS_1)\).*\bNOW\b|BIND_NOW", dynamic):
        yield "BIND_NOW"
    if stack is None or "E" in stack[1]:
        yield "a stack that is not executable"
    if "(TEXTREL)" in dynamic:
        yield "code that is the same wherever it is loaded"
    if program and not ("DYN (" in head and "PIE" in dynamic):
        yield "PIE"
    if "__stack_chk_fail" not in symbols:
        yield "the stack protector"
    if fortified and not re.search(r"__\w+_chk\b", symbols.replace("__stack_chk_fail", "")):
        yield "_FORTIFY_SOURCE"


def built(arguments):
    files = [(path, True) for path in arguments.program]
    files += [(path, False) for path in arguments.library]
    faults = [f"{path} lacks {what}" for path, program in files
              for what in lacks(path, program, arguments.fortified)]
    if not files:
        sys.exit("no file to look at")
    print("\n".join(faults) or f"{len(files)} files: hardened")
    sys.exit(1 if faults else 0)


# What is to be noticed --------------------------------------------------------------------------

SOURCE = """#include <stdio.h>
int main(int argc, char **argv) {
    char text[64];
    return argc > 1 ? snprintf(text, (size_t)argc, "%s", argv[1]) + text[0] : 0;
}
"""
HARD = ["-O2", "-fPIE", "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
        "-pie", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]  # fmt: skip
SOFT = {
    "RELRO": ["-Wl,-z,norelro"],
    "BIND_NOW": ["-Wl,-z,lazy"],
    "a stack that is not executable": ["-Wl,-z,execstack"],
    "PIE": ["-no-pie", "-fno-pie"],
    "the stack protector": ["-fno-stack-protector"],
    "_FORTIFY_SOURCE": ["-U_FORTIFY_SOURCE"],
}


def selftest(cc):
    with tempfile.TemporaryDirectory() as directory:
        source, program = pathlib.Path(directory, "a.c"), pathlib.Path(directory, "a")
        source.write_text(SOURCE)
        for fault, flags in {None: [], **SOFT}.items():
            subprocess.run([cc, *HARD, *flags, source, "-o", program], check=True)
            found = list(lacks(program, True, True))
            expected = [fault] if fault else []
            if found != expected:
                sys.exit(f"{flags}: found {found}, not {expected}")
    print(f"{len(SOFT)} faults noticed")


# Flags from outside -----------------------------------------------------------------------------


def commands(build):
    """The command that compiles a source of the library, and the linker's flags of a program."""
    told = json.loads((build / "compile_commands.json").read_text())
    command = next(c["command"] for c in told if c["file"].endswith("lib/base/glob.c"))
    ninja = (build / "build.ninja").read_text()
    rule = ninja[ninja.index("build examples/wstunnel-agent:") :]
    return shlex.split(command), shlex.split(re.search(r"LINK_ARGS = (.*)", rule)[1])


def last(words, *choices):
    """The one of these that comes last, and so decides; None: none is there."""
    found = [word for word in words if word in choices]
    return found[-1] if found else None


def level(compile_command):
    """The level of _FORTIFY_SOURCE that the compiler sees, by itself or by its flags."""
    words = compile_command[: compile_command.index("-MD")]
    told = subprocess.run([*words, "-E", "-dM", "-xc", "/dev/null"], capture_output=True, text=True,
                          check=True).stdout
    found = re.search(r"#define _FORTIFY_SOURCE (\d)", told)
    return int(found[1]) if found else 0


# CFLAGS, LDFLAGS, options of meson; then what must come of them: the level of _FORTIFY_SOURCE
# (None: any above 1), the flag of the stack protector, that of binding, PIE.
STRONG, NOW = "-fstack-protector-strong", "-Wl,-z,now"
CASES = (
    ("", "", ["--buildtype=release"], None, STRONG, NOW, True),
    ("", "", ["--buildtype=debugoptimized"], None, STRONG, NOW, True),
    ("", "", ["--buildtype=debug"], 0, STRONG, NOW, True),
    ("", "", ["-Db_sanitize=address", "-Db_lundef=false"], 0, STRONG, NOW, True),
    ("-fsanitize=address", "", ["-Db_lundef=false"], 0, STRONG, NOW, True),
    ("-O0", "", ["--buildtype=release"], 0, STRONG, NOW, True),
    ("-O2", "", ["--buildtype=plain"], None, STRONG, NOW, True),
    ("", "", ["--buildtype=plain"], 0, STRONG, NOW, True),
    ("-D_FORTIFY_SOURCE=2", "", ["--buildtype=release"], 2, STRONG, NOW, True),
    ("-O2 -D_FORTIFY_SOURCE=1", "", ["--buildtype=plain"], 1, STRONG, NOW, True),
    ("-U_FORTIFY_SOURCE", "", ["--buildtype=release"], 0, STRONG, NOW, True),
    ("-fno-stack-protector", "", [], None, "-fno-stack-protector", NOW, True),
    ("-fstack-protector-all", "", [], None, "-fstack-protector-all", NOW, True),
    ("", "-Wl,-z,lazy", [], None, STRONG, "-Wl,-z,lazy", True),
    ("", "", ["-Db_pie=false"], None, STRONG, NOW, False),
)


def override(compiler, case, directory):
    """Configures with these flags and compiles one source with warnings as errors. Yields what is
    not as it must be."""
    cflags, ldflags, options, fortify, protector, binding, pie = case
    build = pathlib.Path(directory, "build")
    subprocess.run(["meson", "setup", "--werror", "-Dtests=disabled", *options, str(build)], cwd=ROOT,
                   env={**os.environ, "CC": compiler, "CFLAGS": cflags, "LDFLAGS": ldflags},
                   check=True, stdout=subprocess.DEVNULL)
    compile_command, link = commands(build)
    run = subprocess.run(compile_command, cwd=build, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        yield run.stderr
        return
    found = level(compile_command)
    if found < 2 if fortify is None else found != fortify:
        yield f"_FORTIFY_SOURCE is {found}"
    chosen = last(compile_command, STRONG, "-fstack-protector-all", "-fno-stack-protector")
    if chosen != protector:
        yield f"{chosen} decides, not {protector}"
    chosen = last(link, NOW, "-Wl,-z,lazy")
    if chosen != binding:
        yield f"{chosen} decides, not {binding}"
    if ("-pie" in link) != pie:
        yield f"PIE: {not pie}"


def overrides():
    failed = 0
    compilers = [compiler for compiler in ("gcc", "clang") if shutil.which(compiler)]
    for compiler in compilers:
        for case in CASES:
            with tempfile.TemporaryDirectory() as directory:
                for fault in override(compiler, case, directory):
                    print(f"{compiler} {case[:3]}: {fault}")
                    failed += 1
    print(f"{len(CASES)} sets of flags with {', '.join(compilers)}: {failed} faults")
    sys.exit(1 if failed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    of_built = modes.add_parser("built")
    of_built.add_argument("--fortified", action="store_true")
    of_built.add_argument("--library", action="append", default=[])
    of_built.add_argument("--program", action="append", default=[])
    modes.add_parser("selftest").add_argument("cc")
    modes.add_parser("overrides")
    arguments = parser.parse_args()
    if arguments.mode == "built":
        built(arguments)
    elif arguments.mode == "selftest":
        selftest(arguments.cc)
    else:
        overrides()


if __name__ == "__main__":
    main()
