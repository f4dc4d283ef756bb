#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a directory of public headers for each folder of lib/, so that a folder is compiled with
those of the folders that it sees and with no others. A header there includes the real one.

usage: public_headers.py DIRECTORY INCLUDE_DIRECTORY FOLDER:[HEADER[,HEADER]...]...

Makes DIRECTORY/FOLDER/wstunnel/HEADER. What is right already is left alone, so that nothing is
compiled again for it.
"""
import pathlib
import sys


def make(directory, include, headers):
    directory.mkdir(parents=True, exist_ok=True)
    for stale in set(directory.iterdir()) - {directory / header for header in headers}:
        stale.unlink()
    for header in headers:
        text = f'#include "{(include / "wstunnel" / header).as_posix()}"\n'
        path = directory / header
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def main(directory, include, *folders):
    for folder in folders:
        name, _, headers = folder.partition(":")
        make(pathlib.Path(directory, name, "wstunnel"), pathlib.Path(include),
             list(filter(None, headers.split(","))))


if __name__ == "__main__":
    main(*sys.argv[1:])
