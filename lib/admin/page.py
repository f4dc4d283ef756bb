#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the files of the page, compressed by gzip, as arrays in C.

usage: page.py OUTPUT FILE...
"""
import gzip
import pathlib
import sys

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
PROGRAMS = ("server", "agent")


def array(number, data):
    lines = (", ".join(str(byte) for byte in data[at:at + 24]) for at in range(0, len(data), 24))
    return f"static const unsigned char file_{number}[] = {{\n" + ",\n".join(lines) + "};\n"


def entry(number, path):
    """The page itself, and the view of one kind of program, have a path of their own."""
    name = "" if path.suffix == ".html" else "view.js" if path.stem in PROGRAMS else path.name
    of = ", ".join("false" if path.stem in PROGRAMS and path.stem != program else "true"
                   for program in PROGRAMS)
    return (f'    {{"/{name}", "{TYPES[path.suffix]}; charset=utf-8", file_{number}, '
            f"sizeof(file_{number}), {of}}},\n")


def main(output, *inputs):
    paths = [pathlib.Path(path) for path in inputs]
    text = '#include "admin.h"\n\n'
    text += "".join(array(number, gzip.compress(path.read_bytes(), 9, mtime=0))
                    for number, path in enumerate(paths))
    text += "const wst__admin_file_t wst__admin_files[] = {\n"
    text += "".join(entry(number, path) for number, path in enumerate(paths))
    text += "};\nconst size_t wst__admin_file_count = sizeof(wst__admin_files) / sizeof(wst__admin_files[0]);\n"
    pathlib.Path(output).write_text(text)


main(*sys.argv[1:])
