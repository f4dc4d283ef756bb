#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks lib/README.md against the code:

- Under "Folders", the items "- [name/](name/): ..." are the folders of lib/meson.build, in order.
- "`function` in [server/server.c](server/server.c)" names a function that this file defines. Several
  functions of a file: "`one`, `two` and `three` in [file](file)". Each numbered item names one.
- What a link points to exists.

usage: lib_readme.py
"""
import re
import sys

from layers import LIB, Layers

PAGE = LIB / "README.md"
STEP = re.compile(r"((?:`\w+`(?:,\s+|\s+and\s+)?)+)\s+in\s+\[([^\]]+)\]\(([^)]+)\)")
WALKS = ["One byte's way", "One CONNECT's way"]


def sections(text):
    """The text below each heading."""
    parts = re.split(r"^## (.*)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def defines(path, function):
    return re.search(rf"^(?:[A-Za-z_][^\n;{{}}=]*\W)?{function}\([^;{{}}]*\)\s*\{{",
                     path.read_text(), re.M) is not None


def links(text):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target and not (LIB / target).exists():
            yield f"the link to {target} leads nowhere"


def folders(text):
    listed = re.findall(r"^- \[([\w/]+)/\]\(\1/\)", text, re.M)
    if listed != Layers().order:
        yield f"the folders are {', '.join(Layers().order)}, not {', '.join(listed)}"


def steps(text):
    for item in re.findall(r"^\d+\. .*(?:\n(?!\d+\. |\n).*)*", text, re.M):
        if not STEP.search(item):
            yield f"no function and its file: {' '.join(item.split())}"
    for functions, label, target in STEP.findall(text):
        for function in re.findall(r"\w+(?=`)", functions):
            if label != target or not (LIB / target).is_file():
                yield f"{function}: no file [{label}]({target})"
            elif not defines(LIB / target, function):
                yield f"{target} does not define {function}"


def main():
    text = PAGE.read_text()
    found = sections(text)
    faults = [*links(text), *folders(found.get("Folders", "")), *steps(text)]
    faults += [f'no section "{walk}"' for walk in WALKS if walk not in found]
    if faults:
        sys.exit("\n".join(f"lib/README.md: {fault}" for fault in faults))


if __name__ == "__main__":
    main()
