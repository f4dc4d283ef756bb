#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The binary interface: whether programs built with the committed one run with this library.

The interface is what the public headers say, so it is read from them alone: every declaration gets
an empty definition, gcc compiles these with debug information, and libabigail compares the result
with test/abi/libwstunnel.abi. Private types cannot get into it. That the library exports just these
functions is test_api.py's to check.

./test/run.sh checks, as a unit test; --ci also runs selftest.

usage: abi.py check       compares; exits with 77 if the tools of the dump are not there
       abi.py selftest    breaks copies of the headers in every way and sees that the check notices
       abi.py update      writes the dump anew: after a break that was meant, or for a release
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
INCLUDE = HERE.parent / "include"
DUMP = HERE / "abi" / "libwstunnel.abi"
GCC = "12"  # debug information differs between compilers
SKIP = 77


def find_gcc():
    for name in (f"gcc-{GCC}", "gcc"):
        path = shutil.which(name)
        if path is not None:
            version = subprocess.run([path, "-dumpversion"], capture_output=True, text=True,
                                     check=True).stdout
            if version.split(".")[0].strip() == GCC:
                return path
    return None


def public_text(include):
    return "\n".join(re.sub(r"/\*.*?\*/|^#.*?(?<!\\)$", "", header.read_text(), flags=re.S | re.M)
                     for header in sorted((include / "wstunnel").glob("*.h")))


def stub(include, library):
    """A library of empty functions that has the interface of the headers."""
    declared = public_text(include)
    text = "#include <wstunnel/wstunnel.h>\n"
    # An enum of flags is in no signature.
    for name in re.findall(r"^(?:typedef )?enum (\w+)", declared, re.M):
        text += f"void constants_of_{name}(enum {name} *one) {{ (void)one; }}\n"
    for declaration in re.findall(r"\bWST_EXTERN\b([^;{]*);", declared):
        text += re.sub(r"WST_PRINTF\([^)]*\)", "", declaration) + "{ __builtin_trap(); }\n"
    subprocess.run([find_gcc(), "-g", "-O0", "-fPIC", "-shared", "-xc", "-", "-I", include, "-o",
                    library, "-Wl,-soname,libwstunnel.so"], input=text, text=True, check=True)


def dump(library, out):
    subprocess.run(["abidw", "--no-show-locs", "--no-comp-dir-path", "--no-corpus-path",
                    "--no-elf-needed", "--type-id-style", "hash", "--out-file", out, library],
                   check=True)


def members_of(struct):
    """A struct's members: name, offset in bits, element."""
    return [(member.find("var-decl").get("name"), int(member.get("layout-offset-in-bits")), member)
            for member in struct.findall("data-member")]


def without_growth(old, new, out):
    """Writes the new dump without what structs that begin with their size have gained at their end.
    Returns what they have gained elsewhere: in their padding, where older programs left anything.

    libabigail has suppressions for this, but they hide every other change of such a struct as well.
    """
    tree = xml.etree.ElementTree.parse(new)
    before = {struct.get("name"): struct
              for struct in xml.etree.ElementTree.parse(old).iter("class-decl")}
    wrong = []
    for struct in tree.iter("class-decl"):
        older = before.get(struct.get("name"))
        known = [] if older is None else members_of(older)
        if not known or known[0][0] != "size":
            continue
        size = older.get("size-in-bits")
        for name, offset, member in members_of(struct):
            if name in [known_name for known_name, _, _ in known]:
                continue
            if offset >= int(size):
                struct.remove(member)
            else:
                wrong.append(f"{struct.get('name')}.{name} stands before the end of the struct")
        struct.set("size-in-bits", size)
    tree.write(out)
    return wrong


def check(include):
    """What is wrong with the interface of these headers; empty: nothing."""
    with tempfile.TemporaryDirectory() as directory:
        library, new, cut = (pathlib.Path(directory, name) for name in ("stub.so", "new", "cut"))
        stub(include, library)
        dump(library, new)
        wrong = without_growth(DUMP, new, cut)
        report = subprocess.run(["abidiff", "--no-added-syms", DUMP, cut], capture_output=True,
                                text=True, check=False)
        if report.returncode != 0:
            wrong.append(report.stdout + report.stderr)
        return "\n".join(wrong)


# Each is a change of a header, and whether programs built before survive it.
CHANGES = [
    ("listener.h", "} wst_listener_options_t", "    int more;\n} wst_listener_options_t", True,
     "a member behind an options struct"),
    ("server.h", "} wst_server_callbacks_t", "    void (*on_more)(void);\n} wst_server_callbacks_t",
     True, "a callback behind the others"),
    ("flow.h", "typedef struct wst_flow wst_flow_t;", "typedef struct wst_flow wst_flow_t;\n"
     "WST_EXTERN void wst_flow_more(wst_flow_t *flow);", True, "a new function"),
    ("error.h", "    X(EDENIED,", '    X(EMORE, -32900, "more") \\\n    X(EDENIED,', True,
     "a new error code"),
    ("error.h", "X(EDENIED, -32006", "X(EDENIED, -32900", False, "another error code"),
    ("listener.h", "    int backlog;", "    int more;\n    int backlog;", False,
     "a member before others"),
    ("dial.h", "    uint16_t port; ", "    uint16_t port, more; ", False, "a member in padding"),
    ("dial.h", "    uint64_t timeout_ms;", "    uint32_t timeout_ms;", False, "a narrower member"),
    ("pump.h", "    uint64_t bytes_b_to_a;", "", False, "a member that is gone"),
    ("stream.h", "    size_t (*room)(", "    int (*room)(", False, "another type of an op"),
    ("chunk.h", "} wst_slice_t", "    size_t more;\n} wst_slice_t", False,
     "a longer struct without a size"),
    ("dial.h", "WST_EXTERN void wst_dial_cancel(wst_dial_t *dial);", "", False,
     "a function that is gone"),
    ("dial.h", "void wst_dial_cancel(wst_dial_t *dial);", "int wst_dial_cancel(wst_dial_t *dial);",
     False, "another type of a result"),
    ("server.h", "WST_ROLE_AGENTS = 2", "WST_ROLE_AGENTS = 16", False,
     "another value of a constant"),
]


def selftest():
    failed = []
    for header, old, new, survives, what in CHANGES:
        with tempfile.TemporaryDirectory() as directory:
            include = pathlib.Path(directory, "include")
            shutil.copytree(INCLUDE, include)
            path = include / "wstunnel" / header
            text = path.read_text()
            if old not in text:
                failed.append(f"{what}: {header} has changed, mend this test")
                continue
            path.write_text(text.replace(old, new, 1))
            wrong = check(include)
            if survives != (wrong == ""):
                failed.append(f"{what}: {'refused' if survives else 'not noticed'}\n{wrong}")
    return "\n".join(failed)


def main():
    command = sys.argv[1]
    if find_gcc() is None or shutil.which("abidiff") is None:
        print(f"needs gcc {GCC} and abidiff (package abigail-tools)")
        return SKIP
    if command == "update":
        with tempfile.TemporaryDirectory() as directory:
            library = pathlib.Path(directory, "stub.so")
            stub(INCLUDE, library)
            DUMP.parent.mkdir(exist_ok=True)
            dump(library, DUMP)
        return 0
    wrong = check(INCLUDE) if command == "check" else selftest()
    print(wrong)
    if wrong and command == "check":
        print("A program built with the committed interface would break. See include/wstunnel/RELEASES.md;"
              " if it is meant: test/abi.py update")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
