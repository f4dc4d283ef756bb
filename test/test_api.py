#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The public interface: what the headers declare is what the shared library exports, all of it is
documented, structs can grow, and each header compiles alone, as strict C11 and as C++.

usage: test_api.py headers CC CXX INCLUDE_DIR
       test_api.py symbols CC LIBRARY INCLUDE_DIR [FLAG...]
"""
import pathlib
import re
import subprocess
import sys
import tempfile


def declarations(header):
    """The names a header declares with WST_EXTERN, and whether each is documented: by a comment
    right above it, or above a run of declarations it stands in."""
    text = re.sub(r"^#.*$", "", header.read_text(), flags=re.M)
    found = {}
    documented = False
    for block in re.finditer(r"/\*\*.*?\*/|/\*.*?\*/|WST_EXTERN.*?;|\n\n", text, re.S):
        piece = block.group(0)
        if piece.startswith("/**") and not piece.startswith("/**<"):
            documented = True
        elif piece == "\n\n":
            documented = False
        elif piece.startswith("WST_EXTERN"):
            names = re.findall(r"\b(wst_\w+)\s*\(", piece)
            found[names[0]] = documented
    return found


def misgrown(header):
    """Structs that have to begin with their size and do not, and those that hold such a struct by
    value, which could not grow any more."""
    can_grow = r"_(?:options|callbacks|stats|info|ops|limits|failure)"
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S)
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\}", text, re.S):
        if re.search(can_grow + "$", name) and not re.match(r"\s*size_t size;", body):
            yield f"{name} does not begin with `size_t size`"
        for member in re.findall(rf"^\s*(wst_\w+{can_grow}_t \w+);", body, re.M):
            yield f"{name} has a member by value that can grow: {member}"


def headers(cc, cxx, include):
    strict = ["-fsyntax-only", "-pedantic", "-Wall", "-Wextra", "-Werror", "-I", include]
    for header in sorted(pathlib.Path(include, "wstunnel").glob("*.h")):
        source = f"#include <wstunnel/{header.name}>\n#include <wstunnel/{header.name}>\n"
        for compiler in ([cc, "-std=c11", "-xc"], [cxx, "-std=c++11", "-xc++"]):
            subprocess.run(compiler + strict + ["-"], input=source, text=True, check=True)
        undocumented = [name for name, ok in declarations(header).items() if not ok]
        if undocumented:
            sys.exit(f"{header.name}: not documented: {', '.join(undocumented)}")
        for wrong in misgrown(header):
            sys.exit(f"{header.name}: {wrong}")


def symbols(cc, library, include, *flags):
    declared = {}
    for header in sorted(pathlib.Path(include, "wstunnel").glob("*.h")):
        declared.update(declarations(header))
    listing = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True,
                             text=True, check=True).stdout
    exported = {line.split()[-1] for line in listing.splitlines()}
    if exported - declared.keys():
        sys.exit(f"exported but not declared: {', '.join(sorted(exported - declared.keys()))}")
    if declared.keys() - exported:
        sys.exit(f"declared but not exported: {', '.join(sorted(declared.keys() - exported))}")
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory, "all.c")
        names = ",\n    ".join(f"(any_function *){name}" for name in sorted(declared))
        source.write_text(
            "#include <wstunnel/wstunnel.h>\n"
            "typedef void any_function(void);\n"
            f"static any_function *const all[] = {{\n    {names}}};\n"
            "int main(void) {\n"
            "    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)\n"
            "        if (all[i] == NULL)\n"
            "            return 1;\n"
            "    return 0;\n"
            "}\n")
        program = str(pathlib.Path(directory, "all"))
        folder = str(pathlib.Path(library).parent)
        subprocess.run([cc, "-I", include, str(source), "-o", program, library,
                        f"-Wl,-rpath,{folder}", *flags], check=True)
        subprocess.run([program], check=True)
    print(f"{len(declared)} symbols")


if __name__ == "__main__":
    {"headers": headers, "symbols": symbols}[sys.argv[1]](*sys.argv[2:])
