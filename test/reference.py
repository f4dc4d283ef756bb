#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The API reference (include/wstunnel/reference): Doxygen finds no fault in it, its first page leads
to each public header, and each name in the code of a public header is reached from that page.

usage: reference.py check
       reference.py selftest    whether faults are noticed

Exits with 77 if there is no doxygen.
"""
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
INCLUDE = pathlib.Path("include", "wstunnel")
# Given by the build, and used by error.h alone.
PRIVATE = {"WST_BUILDING", "WST_ERROR_ENUM"}


class Fault(Exception):
    pass


# -- What there must be --------------------------------------------------------------------------


def public_names(headers):
    """The types, functions, macros and constants in the code of the headers. A struct whose type has
    the same name counts by that."""
    names = set()
    for header in headers:
        code = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
        names |= set(re.findall(r"\b(?:wst_|WST_)\w+(?!\w|#)", code))
        names |= {f"WST_{code}" for code in re.findall(r"^    X\((\w+), ", code, re.M)}
    return {name for name in names - PRIVATE if f"{name}_t" not in names}


# -- What there is -------------------------------------------------------------------------------


def described(tags):
    """Where each name of Doxygen's tag file is described: pages and anchors in them."""
    places = collections.defaultdict(set)
    for compound in ElementTree.parse(tags).getroot():
        places[compound.findtext("name")].add((compound.findtext("filename"), ""))
        for member in compound.iter("member"):
            place = (member.findtext("anchorfile"), member.findtext("anchor"))
            places[member.findtext("name")].add(place)
        for value in compound.iter("enumvalue"):
            places[value.text].add((value.get("anchorfile"), value.get("anchor")))
    return places


def links(page):
    for target in re.findall(r'href="([^"#]+)', page.read_text()):
        if not urllib.parse.urlparse(target).scheme:
            yield target


def reached(html):
    """The pages that links lead to from the first one, without any script."""
    seen, left = set(), ["index.html"]
    while left:
        name = left.pop()
        if name not in seen and name.endswith(".html"):
            seen.add(name)
            if not (html / name).exists():
                raise Fault(f"a link leads to {name}, which is missing")
            left += links(html / name)
    return seen


# -- Verdicts ------------------------------------------------------------------------------------


def make(root, output):
    """Makes the pages of the sources in `root`; where they are."""
    script = root / INCLUDE / "reference" / "doxygen.py"
    command = [sys.executable, "-B", script, "doxygen", "0", root, output, "--strict"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Fault(done.stdout.strip())
    return output / "html"


def judge(root):
    """Raises what is wrong; else the numbers of headers and names."""
    with tempfile.TemporaryDirectory() as output:
        html = make(root, pathlib.Path(output))
        headers = sorted((root / INCLUDE).glob("*.h"))
        places, pages = described(html / "libwstunnel.tag"), reached(html)
        first = set(links(html / "index.html"))
        for header in headers:
            if not any(page in first for page, _ in places[header.name]):
                raise Fault(f"the first page does not lead to {header.name}")
        names = public_names(headers)
        anchors = {page: set(re.findall(r'id="(\w+)"', (html / page).read_text())) | {""}
                   for page in pages}  # fmt: skip
        lost = [
            name
            for name in sorted(names)
            if not any(anchor in anchors.get(page, ()) for page, anchor in places[name])
        ]
        if lost:
            raise Fault(f"not reached from the first page: {', '.join(lost)}")
        return len(headers), len(names)


def check():
    try:
        print("%d headers, %d names" % judge(ROOT))
    except Fault as fault:
        sys.exit(str(fault))


# Each fault: a file, what in it is replaced, by what, and what the verdict must say.
VERSION = "WST_EXTERN const char *wst_version(void);"
FAULTS = {
    "a function without a comment": (
        INCLUDE / "version.h", VERSION, f"{VERSION}\nWST_EXTERN int wst_bare(void);", "wst_bare"),
    "a member without a comment": (
        INCLUDE / "common.h", "/**< the text; NULL if absent */", "", "ptr"),
    "a name that does not exist": (
        INCLUDE / "version.h", "The version of the linked", "See wst_nowhere. The", "wst_nowhere"),
    "a member that does not exist": (
        INCLUDE / "flow.h", "wst_stream_info.id", "wst_stream_info.number", "wst_stream_info_t.number"),
    "a parameter that does not exist": (
        INCLUDE / "pump.h", " * @return 0 or WST_ENOMEM.", " * @param c  no", "argument 'c'"),
    "a hidden struct": (
        INCLUDE / "common.h", "/** A borrowed piece of text, not terminated. */",
        "/** @private */", "wst_str_t"),
    "a header that the first page leaves out": (
        INCLUDE / "reference" / "front.md", " pump.h", "", "pump.h"),
    "a snippet that the README does not have": (
        pathlib.Path("README.md"), "int main(void)", "int main(int argc)", "int main(void)"),
}  # fmt: skip


def selftest():
    for what, (path, old, new, said) in FAULTS.items():
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            shutil.copytree(ROOT / INCLUDE, root / INCLUDE)
            shutil.copy(ROOT / "README.md", root)
            text = (root / path).read_text()
            assert old in text, f"{what}: {path} has no '{old}'"
            (root / path).write_text(text.replace(old, new))
            try:
                judge(root)
            except Fault as fault:
                assert said in str(fault), f"{what}: {fault}"
                continue
        sys.exit(f"not noticed: {what}")
    print(f"{len(FAULTS)} faults noticed")


if __name__ == "__main__":
    if shutil.which("doxygen") is None:
        print("not run: doxygen is not installed")
        sys.exit(77)
    {"check": check, "selftest": selftest}[sys.argv[1]]()
