#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The folders of lib/: prints them from the ground up, with their lines and what each includes of
the others, and fails where that is not what lib/meson.build allows.

usage: layers.py

Of what a folder includes of another one, the first number counts private headers, the second public
ones.
"""
import ast
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIB = ROOT / "lib"
PUBLIC = ROOT / "include" / "wstunnel"


def literal(path, name):
    """A dictionary of lists, or a list, as it stands in a meson.build."""
    text = re.search(rf"^{name} = (\{{.*?^\}}|\[.*?\])", path.read_text(), re.M | re.S).group(1)
    return ast.literal_eval(text)


class Layers:
    """What the build files say."""

    def __init__(self):
        self.sees = literal(LIB / "meson.build", "layers")  # from the ground up
        self.embedders = literal(LIB / "meson.build", "embedders")
        self.public = literal(PUBLIC / "meson.build", "public_headers")
        self.order = list(self.sees)
        self.owner = {header: folder for folder, headers in self.public.items()
                      for header in headers}

    def before(self, folder):
        return self.order[:self.order.index(folder)]

    def private_of(self, folder):
        """The folders whose private headers it is compiled with."""
        return [folder] + self.sees[folder]

    def public_of(self, folder):
        """Those whose public headers it is compiled with."""
        return [folder] + (self.before(folder) if folder in self.embedders else self.sees[folder])

    def stands_on(self, folder):
        """Those that it is linked with: what it sees, what these see, ..."""
        found = set(self.sees[folder])
        for lower in self.sees[folder]:
            found |= self.stands_on(lower)
        return found

    def files(self, folder):
        return sorted((LIB / folder).glob("*.[ch]"))


def includes(path):
    """Pairs of the kind (" or <) and the name."""
    return re.findall(r"^\s*#\s*include\s*([\"<])([^\">]+)", path.read_text(), re.M)


class Check:
    def __init__(self, layers):
        self.layers = layers
        self.faults = []
        self.private = collections.Counter()  # includes, by pairs of folders
        self.public = collections.Counter()
        self.homes = collections.defaultdict(list)  # of a private header: the folders that have it
        for folder in layers.order:
            for path in layers.files(folder):
                self.homes[path.name].append(folder)

    def fault(self, path, text):
        self.faults.append(f"{path.relative_to(ROOT)}: {text}")

    def include_private(self, path, folder, name):
        seen = [home for home in self.homes[name] if home in self.layers.private_of(folder)]
        if "/" in name:
            self.fault(path, f'includes by path: "{name}"')
        elif len(seen) > 1:
            self.fault(path, f'"{name}" may be of {" or ".join(seen)}')
        elif not seen:
            homes = self.homes[name] or ["nowhere"]
            self.fault(path, f'includes "{name}" of {homes[0]}, which {folder} does not see')
        elif seen[0] != folder:
            self.private[folder, seen[0]] += 1

    def include_public(self, path, folder, name):
        home = self.layers.owner.get(name)
        if home is None:
            self.fault(path, f"includes <wstunnel/{name}>, which is no folder's")
        elif home not in self.layers.public_of(folder):
            self.fault(path, f"includes <wstunnel/{name}> of {home}, which {folder} does not see")
        elif home != folder:
            self.public[folder, home] += 1

    def file(self, path, folder):
        for kind, name in includes(path):
            if kind == '"':
                self.include_private(path, folder, name)
            elif name.startswith("wstunnel/"):
                self.include_public(path, folder, name.split("/", 1)[1])
            elif ".." in name or name in self.homes:
                self.fault(path, f"includes <{name}>, a private header")

    def rows(self):
        """The order: who only sees what stands before, closes no circle."""
        for folder in self.layers.order:
            for lower in self.layers.sees[folder]:
                if lower not in self.layers.before(folder):
                    self.faults.append(f"lib/meson.build: {folder} sees {lower}, which is not below")

    def embedders(self):
        """They may not see the private headers of what stands on libuv."""
        for folder in self.layers.embedders:
            for lower in self.layers.stands_on(folder):
                if any(("<", "uv.h") in includes(path) for path in self.layers.files(lower)):
                    self.faults.append(f"lib/meson.build: {folder} sees {lower}, which needs libuv")

    def all(self):
        self.rows()
        self.embedders()
        for folder in self.layers.order:
            for path in self.layers.files(folder):
                self.file(path, folder)
        for path in sorted(PUBLIC.glob("*.h")):
            if path.name in self.layers.owner:
                self.file(path, self.layers.owner[path.name])
            elif path.name != "wstunnel.h":
                self.fault(path, "is of no folder in include/wstunnel/meson.build")
        for path in sorted(LIB.rglob("*.[ch]")):
            if path.parent.relative_to(LIB).as_posix() not in self.layers.order:
                self.fault(path, "is in no folder of lib/meson.build")


def lines(paths):
    return sum(len(path.read_text().splitlines()) for path in paths)


def show(check):
    layers = check.layers
    total = 0
    for folder in layers.order:
        count = lines(layers.files(folder))
        total += count
        arrows = [f"{lower} {check.private[folder, lower]}+{check.public[folder, lower]}"
                  for lower in layers.order
                  if check.private[folder, lower] + check.public[folder, lower] > 0]
        print(f"{folder:8} {count:6}  {', '.join(arrows)}".rstrip())
    print(f"{'':8} {total:6}")


def main():
    check = Check(Layers())
    check.all()
    show(check)
    if check.faults:
        sys.exit("\n".join(check.faults))


if __name__ == "__main__":
    main()
