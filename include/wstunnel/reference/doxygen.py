#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the API reference by Doxygen: front.md, RELEASES.md and the docstrings of the public headers.

usage: doxygen.py DOXYGEN VERSION ROOT OUTPUT [--strict]

Makes OUTPUT/html. ROOT is the directory of the sources. Doxygen's warnings are shown; with --strict
they are an error.

Doxygen reads copies. In those of the headers each name of the library in a comment is a link, so that
a name that does not exist is a warning, and each code of error.h is written out. In front.md two
kinds of line are replaced:

    {readme: TEXT}      by the block of the README that has the text
    {headers: NAMES}    by a list of these headers, each with its first sentence
"""
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


# -- The front page ------------------------------------------------------------------------------


def readme_block(readme, text):
    """The one block of code that has the text, fenced or indented, as it stands in the README."""
    blocks = re.findall(r"^```[^`]*^```\n|(?:^    .*\n)+", readme, re.M)
    found = [block for block in blocks if text in block]
    if len(found) != 1:
        sys.exit(f"doxygen.py: {len(found)} blocks of the README have '{text}', not one")
    return found[0]


def header_item(header):
    """An item of a list: the header, and the first sentence of its @file comment."""
    comment = re.search(rf"/\*\*\n \* @file {header.name}\n(.*?)\*/", header.read_text(), re.S)[1]
    text = " ".join(line.lstrip(" *") for line in comment.splitlines())
    sentence = re.match(r".*?\.(?= |$)", text)[0]
    return f'- @ref {header.name} "{header.name}": {sentence}\n'


def front_page(root):
    readme = pathlib.Path(root, "README.md").read_text()
    include = pathlib.Path(root, "include", "wstunnel")
    page = (HERE / "front.md").read_text()
    page = re.sub(r"^\{readme: (.*)\}\n", lambda m: readme_block(readme, m[1]), page, flags=re.M)
    return re.sub(
        r"^\{headers: (.*)\}\n",
        lambda m: "".join(header_item(include / name) for name in m[1].split()),
        page, flags=re.M)  # fmt: skip


# -- The headers ---------------------------------------------------------------------------------


# The comment of a member.
MEMBER = re.compile(r"/\*\*<.*?\*/|^    /\*\* .*?\*/", re.M | re.S)
# Lines of code behind an empty line, a span of code, or a name of the library.
NAME = re.compile(
    r"(?<=\*\n)(?: *\* {5,}.*\n)+|`[^`]*`|(?<![\w#.\"/])((?:wst|WST)_\w*[a-zA-Z0-9])(?![\w*])"
)


def with_links(comment, structs):
    """The comment with a # before each name, outside of code. A struct is named by its type."""

    def link(match):
        name = match[1]
        return match[0] if name is None else f"#{name}_t" if name in structs else f"#{name}"

    return NAME.sub(link, comment)


def with_codes(text):
    """error.h with the enumerators that its macros make, each with its text, on the line of these."""
    codes = re.findall(r"^    X\((\w+), (-\d+), \"(.*?)\"\)", text, re.M)
    written = " ".join(f"WST_{name} = {value}, /**< {what} */" for name, value, what in codes)
    text = re.sub(r"^#(define|undef) WST_ERROR_ENUM\b.*$", "", text, flags=re.M)
    return text.replace("WST_ERROR_MAP(WST_ERROR_ENUM) WST_REASON_MAP(WST_ERROR_ENUM)", written)


def for_doxygen(headers):
    """The name and the text of each header. Doxygen shows the first sentence of a comment apart; that of
    a member's comment does not end for it, so that "Required." is no description."""
    texts = {header.name: header.read_text() for header in headers}
    texts["error.h"] = with_codes(texts["error.h"])
    structs = set(re.findall(r"^typedef struct (\w+) \{", "".join(texts.values()), re.M))
    for name, text in texts.items():
        text = MEMBER.sub(lambda m: re.sub(r"\.(?=\s)", r".\\ ", m[0]), text)
        yield name, re.sub(r"/\*\*.*?\*/", lambda m: with_links(m[0], structs), text, flags=re.S)


# -- Doxygen -------------------------------------------------------------------------------------


def main(doxygen, version, root, output, strict=None):
    include, output = pathlib.Path(root, "include", "wstunnel"), pathlib.Path(output).resolve()
    for directory in ("html", "input"):
        shutil.rmtree(output / directory, ignore_errors=True)
    copies = output / "input" / "wstunnel"
    copies.mkdir(parents=True)
    (copies.parent / "front.md").write_text(front_page(root))
    shutil.copy(include / "RELEASES.md", copies.parent)
    for name, text in for_doxygen(sorted(include.glob("*.h"))):
        (copies / name).write_text(text)
    words = {"version": version, "input": copies.parent, "output": output,
             "warnings": output / "warnings"}  # fmt: skip
    settings = re.sub(r"@(\w+)@", lambda m: str(words[m[1]]), (HERE / "Doxyfile.in").read_text())
    subprocess.run([doxygen, "-"], input=settings, text=True, check=True)
    warnings = (output / "warnings").read_text()
    warnings = warnings.replace(f"{copies.parent}/front.md", "include/wstunnel/reference/front.md")
    print(warnings.replace(str(copies), "include/wstunnel"), end="")
    if warnings and strict:
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
