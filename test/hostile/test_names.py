# SPDX-License-Identifier: MIT
"""Names whose name servers never answer: other names are looked up all the same."""
import re
import socket
import struct
import threading

import pytest

from netns import Machine
from processes import program, wait_until

A, HANGING, GOOD = 1, 8, 6


class NameServer:
    """Answers for names that begin with "good", by its own address; never for others."""

    def __init__(self, address):
        self.address = address
        self.asked = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            if not query:
                return
            name, end = self._name(query)
            self.asked.add(name)
            if name.startswith("good"):
                self.socket.sendto(self._answer(query[:end], query[end - 4 : end - 2]), client)

    @staticmethod
    def _name(query):
        """The name that is asked for, and where the question ends (RFC 1035 section 4.1.2)."""
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        return ".".join(labels), at + 5

    def _answer(self, question, kind):
        is_a = kind == struct.pack("!H", A)
        record = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 0, 4) + socket.inet_aton(self.address)
        head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, is_a, 0, 0)
        return head + question[12:] + (record if is_a else b"")

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (self.address, 53))
        self.thread.join()
        self.socket.close()


@pytest.fixture
def tunnel(world, tmp_path):
    """A server; the name server of its agent; a destination."""
    machine = world.site(Machine())
    names = NameServer(machine.server)
    destination = world.site(socket.create_server((machine.server, 0)))
    server = world.server("--insecure-open", listen=f"{machine.server}:0")
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {machine.server}\n")
    script = f"mount --bind '{resolver}' /etc/resolv.conf && exec \"$@\""
    agent = world.run([*machine.prefix, "unshare", "--mount", "sh", "-c", script, "sh",
                       program("wstunnel-agent"), "--name", "far", f"ws://{server.address}"])  # fmt: skip
    server.wait_for("agent far .* up from")
    yield server, names, destination.getsockname()[1]
    for client in world.clients:
        client.reset()
    names.close()  # these while the link is there
    agent.stop()


@pytest.mark.parametrize("form", ["hang%d.slow.test", "hang.slow%d.test"])
def test_names_that_hang_hold_up_nobody(world, tunnel, form):
    """Of one zone, or of many."""
    server, names, port = tunnel
    hanging = {form % i for i in range(HANGING)}
    for name in sorted(hanging):
        world.client(server).send(f"CONNECT {name}:{port} HTTP/1.1\r\n\r\n".encode())
    wait_until(lambda: names.asked & hanging, "asked")
    for i in range(GOOD):
        world.client(server).open(f"good{i}.test:{port}")
    assert not [line for line in server.lines if re.search("refused", line)]
