#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tries in a built tree that the layers of lib/ hold. With the very commands that build each folder:

- an include of a header of a folder that it does not see, private or public, does not compile;
- a call to a function of a folder that it does not stand on does not link, nor, of those that an
  embedder could have written, a call to a private function of another folder;
- the same downwards does.

usage: layers_hold.py BUILD_DIR FOLDER=LIBRARY...   (LIBRARY: the folder linked whole)
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

from layers import LIB, PUBLIC, Layers

NINJA = os.environ.get("NINJA", "ninja")


class Build:
    """What the build tree says."""

    def __init__(self, directory, libraries):
        self.directory = pathlib.Path(directory)
        self.libraries = libraries
        self.units = {}  # by folder
        for unit in json.loads((self.directory / "compile_commands.json").read_text()):
            path = pathlib.Path(unit["directory"], unit["file"]).resolve()
            if "libwstunnel-" in unit["output"] and path.parent.parent == LIB:
                self.units.setdefault(path.parent.name, []).append(unit)

    def run(self, command):
        return subprocess.run(command, cwd=self.directory, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C"})

    def compile(self, folder, source, out):
        """As the folder's files are."""
        unit = self.units[folder][0]
        command = shlex.split(unit["command"])
        for option in ("-MD", "-MQ", "-MF"):
            if option in command:
                i = command.index(option)
                del command[i:i + (1 if option == "-MD" else 2)]
        command[command.index("-o") + 1] = str(out)
        command[command.index(unit["file"])] = str(source)
        return self.run(command)

    def link(self, folder, probe, out):
        """As the folder is, whole, and one object more."""
        target = os.path.relpath(self.libraries[folder], self.directory)
        last = self.run([NINJA, "-t", "commands", target]).stdout.splitlines()[-1]
        command = shlex.split(last)
        i = command.index("-o") + 1
        return self.run(command[:i] + [str(out), str(probe)] + command[i + 1:])

    def functions(self, folder):
        """The global functions that the folder defines: a private and a public one, if there are."""
        objects = [unit["output"] for unit in self.units[folder]]
        symbols = [line.split() for line in
                   self.run(["nm", "--defined-only", *objects]).stdout.splitlines()]
        names = sorted(symbol[2] for symbol in symbols if len(symbol) == 3 and symbol[1] == "T")
        return ([name for name in names if name.startswith("wst__")][:1],
                [name for name in names if re.match(r"wst_[^_]", name)][:1])


def guard(path):
    return re.search(r"^#ifndef (\w+)", path.read_text(), re.M).group(1)


class Trial:
    def __init__(self, layers, build, scratch):
        self.layers = layers
        self.build = build
        self.functions = {folder: build.functions(folder) for folder in layers.order}
        self.source = pathlib.Path(scratch, "probe.c")
        self.object = pathlib.Path(scratch, "probe.o")
        self.library = pathlib.Path(scratch, "probe.so")
        self.tried = 0
        self.faults = []

    def expect(self, result, errors, what):
        """`errors`: what the command must complain of; empty: it must succeed."""
        self.tried += 1
        if (result.returncode != 0) != bool(errors) or any(e not in result.stderr for e in errors):
            expected = "fail for it" if errors else "succeed"
            self.faults.append(f"{what} should {expected}\n{result.stderr}")

    def compile(self, folder, lines):
        self.source.write_text("\n".join(lines) + "\n")
        return self.build.compile(folder, self.source, self.object)

    # A header of that name may be the system's: it counts if it is ours.
    def include(self, folder, headers, allowed):
        lines = ["typedef int probe;"]
        for name, path in headers:
            lines += [f"#include {name}", f"#ifndef {guard(path)}",
                      f"#error {path.name} is another one", "#endif"]
        names = ", ".join(name for name, _ in headers)
        self.expect(self.compile(folder, lines), [] if allowed else [headers[0][1].name],
                    f"{folder}: an include of {names}")

    def includes(self, folder):
        """A private and a public header of each folder."""
        layers = self.layers
        seen, unseen = [], []
        for other in layers.order:
            for path in [path for path in layers.files(other) if path.suffix == ".h"][:1]:
                (seen if other in layers.private_of(folder) else unseen).append(
                    (f'"{path.name}"', path))
            for name in layers.public.get(other, [])[:1]:
                (seen if other in layers.public_of(folder) else unseen).append(
                    (f"<wstunnel/{name}>", PUBLIC / name))
        self.include(folder, seen, True)
        for header in unseen:
            self.include(folder, [header], False)

    def call(self, folder, functions, allowed):
        lines = [f"void {function}(void);" for function in functions]
        lines += ["void probe(void);", "void probe(void) {"]
        lines += [f"    {function}();" for function in functions] + ["}"]
        result = self.compile(folder, lines)
        if result.returncode == 0:
            result = self.build.link(folder, self.object, self.library)
        self.expect(result, [] if allowed else functions,
                    f"{folder}: a call of {', '.join(functions)}")

    def calls(self, folder):
        """A private and a public function of each folder."""
        layers = self.layers
        exported = layers.before(folder) if folder in layers.embedders else []
        below, above = [], []
        for other in layers.order:
            private, public = self.functions[other]
            whole = other == folder or other in layers.stands_on(folder)
            (below if whole else above).extend(private)
            (below if whole or other in exported else above).extend(public)
        self.call(folder, below, True)
        if above:
            self.call(folder, above, False)


def main(directory, *libraries):
    layers = Layers()
    build = Build(directory, dict(pair.split("=", 1) for pair in libraries))
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(layers, build, scratch)
        for folder in layers.order:
            trial.includes(folder)
            trial.calls(folder)
    if trial.faults:
        sys.exit("\n".join(trial.faults))
    print(f"{trial.tried} includes and calls")


if __name__ == "__main__":
    main(*sys.argv[1:])
