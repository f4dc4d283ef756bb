# SPDX-License-Identifier: MIT
"""A machine of its own: a network namespace, joined to ours by a link that can be cut."""
import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)


def _ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Machine:
    """Reached from it, we are at `server`; its link to us is up."""

    def __init__(self):
        number = next(_numbers)
        self.name = f"wst-{os.getpid()}-{number}"
        self.link, self.peer = f"w{os.getpid()}.{number}a", f"w{os.getpid()}.{number}b"
        self.prefix = ["nsenter", f"--net=/run/netns/{self.name}"]
        self.network = f"10.{100 + number % 100}.{os.getpid() % 250}"
        self.server = self.address(1)
        self.host = 2
        try:
            self._make()
        except (OSError, subprocess.CalledProcessError) as error:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                self.close()
            why = (getattr(error, "stderr", None) or str(error)).strip()
            pytest.skip(f"NOT TESTED: no network namespaces here: {why}")

    def address(self, host):
        return f"{self.network}.{host}"

    def _make(self):
        _ip("netns", "add", self.name)
        _ip("link", "add", self.link, "type", "veth", "peer", "name", self.peer, "netns", self.name)
        _ip("address", "add", f"{self.server}/24", "dev", self.link)
        _ip("link", "set", self.link, "up")
        _ip("-n", self.name, "address", "add", f"{self.address(self.host)}/24", "dev", self.peer)
        _ip("-n", self.name, "link", "set", self.peer, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")

    def cut(self):
        """At its end of the link."""
        _ip("-n", self.name, "link", "set", self.peer, "down")

    def mend(self):
        _ip("-n", self.name, "link", "set", self.peer, "up")

    def cut_server(self):
        """At our end."""
        _ip("link", "set", self.link, "down")

    def mend_server(self):
        _ip("link", "set", self.link, "up")

    def change_address(self, host):
        """The old one is gone before the new one is there."""
        for change, number in (("delete", self.host), ("add", host)):
            _ip("-n", self.name, "address", change, f"{self.address(number)}/24", "dev", self.peer)
        self.host = host

    def socket(self):
        """A socket of that machine: of a thread that has been there."""
        made = []

        def make():
            with Path(f"/run/netns/{self.name}").open() as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), CLONE_NEWNET) == 0:
                    made.append(socket.socket())

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        assert made, "setns failed"
        return made[0]

    def close(self):
        _ip("netns", "delete", self.name)
        subprocess.run(["ip", "link", "delete", self.link], capture_output=True)
