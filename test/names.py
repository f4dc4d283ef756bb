#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks names and section rules in lib/, in the folders of CHECKED:

- A static function tells in a backtrace which object it belongs to: at most two files of lib/ define
  one of its name.
- A section begins with "/* Title ---- */" in a .c file, with "/* -- file.c ---- */" in a header;
  either is 98 columns wide.

usage: names.py
"""
import collections
import re
import sys

from layers import LIB, ROOT

CHECKED = ["base", "http", "ws", "session", "policy", "proxy", "tls", "io", "dial",
           "uplink", "ingress", "egress", "server", "agent", "access", "admin"]
FILES_MAX = 2
WIDTH = 98
FUNCTION = re.compile(r"^static (?!inline\b)[^\n;={}()]*?\b(\w+)\([^;{}]*\)\s*\{", re.M)
RULE = {".c": re.compile(r"/\* [^-\s].* -+ \*/"), ".h": re.compile(r"/\* -- \S.* -+ \*/")}


def is_checked(path):
    return path.relative_to(LIB).parts[0] in CHECKED


def repeated_names():
    files = collections.defaultdict(set)
    for path in LIB.rglob("*.c"):
        for name in FUNCTION.findall(path.read_text()):
            files[name].add(path)
    for name, homes in sorted(files.items()):
        if len(homes) > FILES_MAX and any(map(is_checked, homes)):
            listed = ", ".join(str(path.relative_to(ROOT)) for path in sorted(homes))
            yield f"{name}: a static function of {listed}"


def section_rules():
    for path in filter(is_checked, sorted(LIB.rglob("*.[ch]"))):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not re.match(r"/\*.*-{4,} \*/$", line):
                continue
            if not RULE[path.suffix].fullmatch(line) or len(line) != WIDTH:
                yield f"{path.relative_to(ROOT)}:{number}: a section rule of another form or width"


def main():
    faults = [*repeated_names(), *section_rules()]
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
