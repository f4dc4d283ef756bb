#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program under what a systemd unit says of system calls, address families, capabilities and
dumps, where systemd itself does not run.

usage: confined.py [--strict] UNIT PROGRAM [ARGUMENT...]

--strict: a system call that is not allowed kills, whatever SystemCallErrorNumber says.
"""
import ctypes
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

KILL, ALLOW, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000  # SCMP_ACT_...
EQUAL, MASKED_EQUAL = 4, 7  # SCMP_CMP_...
PROT_WRITE, PROT_EXEC = 2, 4
PR_CAPBSET_DROP, CAPABILITIES = 24, {"CAP_NET_BIND_SERVICE": 10}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


class Comparison(ctypes.Structure):
    """scmp_arg_cmp"""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]  # fmt: skip


def settings(unit):
    """The unit's settings; each one is a list, since it may be there more than once."""
    found = {}
    for line in Path(unit).read_text().splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def expand(word):
    """The names of system calls in a group, or the one name."""
    if not word.startswith("@"):
        return {word}
    told = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True,
                          text=True, check=True).stdout  # fmt: skip
    words = [line.strip() for line in told.splitlines()[1:] if not line.strip().startswith("#")]
    return set().union(*(expand(word) for word in words if word))


def allowed(found):
    """The system calls that the unit allows."""
    words = " ".join(found["SystemCallFilter"]).split()
    assert not any(word.startswith("~") for word in words), "a list of what is denied is not known"
    return set().union(*(expand(word) for word in ["@default", *words]))


class Filter:
    """A seccomp filter, made by libseccomp."""

    def __init__(self, denial):
        self.library = ctypes.CDLL("libseccomp.so.2")
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.denial = denial
        self.context = ctypes.c_void_p(self.library.seccomp_init(ctypes.c_uint32(denial)))
        assert self.context

    def add(self, action, name, *comparisons):
        number = self.library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # it is of another architecture, or unknown here
            return
        array = (Comparison * max(1, len(comparisons)))(*comparisons)
        status = self.library.seccomp_rule_add_array(
            self.context, ctypes.c_uint32(action), number, len(comparisons), array)
        assert status == 0, (name, os.strerror(-status))

    def load(self):
        status = self.library.seccomp_load(self.context)  # sets no_new_privs as well
        assert status == 0, os.strerror(-status)


def make_filter(found, strict):
    number = getattr(errno, found.get("SystemCallErrorNumber", [""])[-1], None)
    filter_ = Filter(KILL if strict or number is None else ERRNO | number)
    names = allowed(found)
    families = [FAMILIES[name] for name in found["RestrictAddressFamilies"][-1].split()]
    for name in names - {"socket", "mmap", "mprotect"}:
        filter_.add(ALLOW, name)
    for family in families if "socket" in names else []:
        filter_.add(ALLOW, "socket", Comparison(0, EQUAL, family, 0))
    assert found["MemoryDenyWriteExecute"] == ["yes"]
    both = PROT_WRITE | PROT_EXEC
    for protection in (0, PROT_WRITE, PROT_EXEC):
        filter_.add(ALLOW, "mmap", Comparison(2, MASKED_EQUAL, both, protection))
    filter_.add(ALLOW, "mprotect", Comparison(2, MASKED_EQUAL, PROT_EXEC, 0))
    return filter_


def drop_capabilities(found):
    """Leaves root those that the unit names."""
    kept = [CAPABILITIES[name] for name in found["CapabilityBoundingSet"][-1].split()]
    libc = ctypes.CDLL(None, use_errno=True)
    capability = 0
    while libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0 if capability not in kept else True:
        capability += 1
    assert ctypes.get_errno() == errno.EINVAL, "the last one is not reached"


def main():
    arguments = sys.argv[1:]
    strict = arguments[0] == "--strict"
    unit, *command = arguments[1:] if strict else arguments
    found = settings(unit)
    filter_ = make_filter(found, strict)
    core = int(found["LimitCORE"][-1])
    resource.setrlimit(resource.RLIMIT_CORE, (core, core))
    files = min(int(found["LimitNOFILE"][-1]), resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    if os.getuid() == 0:
        drop_capabilities(found)
    filter_.load()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
