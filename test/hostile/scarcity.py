# SPDX-License-Identifier: MIT
"""What a program is short of: memory (failmalloc.c), and the functions of ours that met it."""
import bisect
import ctypes
import functools
import mmap
import subprocess

import pytest

from processes import BUILD

FAILMALLOC = BUILD / "test" / "failmalloc.so"
LIBRARY = BUILD / "lib" / "libwstunnel.so"
MODULES, SITES_MAX, DEPTH = 6, 1024, 6

# They pass on what their callers want; it is the callers that must cope.
HELPERS = {"default_malloc", "default_realloc", "wst__alloc", "wst__zalloc", "wst__realloc_array",
           "wst__strndup", "wst__strdup"}  # fmt: skip


class Control(ctypes.Structure):
    _fields_ = [
        ("per_million", ctypes.c_uint64),
        ("random", ctypes.c_uint64),
        ("calls", ctypes.c_uint64 * MODULES),
        ("failed", ctypes.c_uint64 * MODULES),
        ("site_count", ctypes.c_uint64),
        ("sites", ctypes.c_uint32 * DEPTH * SITES_MAX),
    ]


class Memory:
    """That of one program, which is started with `prefix`."""

    def __init__(self, path, seed):
        if not (FAILMALLOC.exists() and LIBRARY.exists()):
            pytest.skip("FAILING ALLOCATIONS ARE NOT TESTED: with sanitizers, or linked statically")
        path.write_bytes(bytes(ctypes.sizeof(Control)))
        with path.open("r+b") as file:
            self.control = Control.from_buffer(mmap.mmap(file.fileno(), 0))
        self.control.random = seed
        self.prefix = ["env", f"LD_PRELOAD={FAILMALLOC}", f"FAILMALLOC_CONTROL={path}"]

    def fail(self, per_million):
        """So many allocations fail from now on."""
        self.control.per_million = per_million

    @property
    def failures(self):
        return sum(self.control.failed)

    def functions(self):
        """Names of the functions of ours whose allocations have failed."""
        symbols, found = _symbols(), set()
        for site in self.control.sites[: min(self.control.site_count, SITES_MAX)]:
            names = (symbols.name(at) for at in site if at)
            found.add(next((name for name in names if name not in HELPERS), "?"))
        return found


class _Symbols:
    def __init__(self, library):
        listing = subprocess.run(["nm", "--defined-only", library], check=True,
                                 capture_output=True, text=True).stdout  # fmt: skip
        rows = (line.split() for line in listing.splitlines())
        self.table = sorted((int(at, 16), name) for at, kind, name in rows if kind in "tT")

    def name(self, return_address):
        return self.table[bisect.bisect(self.table, (return_address,)) - 1][1].partition(".")[0]


@functools.cache
def _symbols():
    return _Symbols(LIBRARY.resolve())
