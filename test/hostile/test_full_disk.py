# SPDX-License-Identifier: MIT
"""No room for the log: programs serve as before, and log again when there is some."""
import os
import re
import subprocess

import pytest

from processes import OPEN, listening_port, program, wait_until
from sites import Site, echo

SIZE, ROOM = 64 << 10, 8 << 10
ENOUGH = 200  # tunnels that log more than there is room for


class Disk:
    """A small one of its own."""

    def __init__(self, path):
        self.path = path
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path]
        try:
            subprocess.run(mount, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"A FULL DISK IS NOT TESTED: cannot mount: {error}")

    def fill(self):
        """But for a little."""
        (self.path / "filler").write_bytes(bytes(SIZE - ROOM))

    def is_full(self):
        return os.statvfs(self.path).f_bavail == 0

    def make_room(self):
        (self.path / "filler").unlink()

    def close(self):
        subprocess.run(["umount", "--lazy", self.path], check=True)


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path)
    yield disk
    disk.close()


def logging_to(path, argv):
    return ["sh", "-c", 'exec "$@" 2>>"$0"', path, *argv]


def start(world, server_log, agent_log):
    """Both programs; the server's address."""
    argv = [program("wstunnel-server"), "--listen", "127.0.0.1:0"]
    server = world.run(logging_to(server_log, argv))
    address = f"127.0.0.1:{listening_port(server)}"
    agent = world.run(logging_to(agent_log, [program("wstunnel-agent"), *OPEN, f"ws://{address}"]))
    client = world.client(address)

    def is_ready():
        client.send(b"GET /readyz HTTP/1.1\r\n\r\n")
        return client.read_answer().status == 200

    wait_until(is_ready, "ready")
    return server, agent, address


def check_serves(world, address, site, count):
    for i in range(count):
        client = world.client(address).open(site.address, more=b"%8d" % i)
        assert client.read_exactly(8) == b"%8d" % i
        client.close()


def test_full_disk(world, disk):
    site = world.site(Site(echo))
    logs = [disk.path / "server.log", disk.path / "agent.log"]
    server, agent, address = start(world, *logs)
    disk.fill()
    check_serves(world, address, site, ENOUGH)
    assert disk.is_full()
    sizes = [log.stat().st_size for log in logs]
    check_serves(world, address, site, 20)
    assert [log.stat().st_size for log in logs] == sizes
    disk.make_room()
    other = world.site(Site(echo))  # whose address the logs do not know yet
    check_serves(world, address, other, 5)
    for log in logs:
        opened = re.compile(rf"^\S+ info .*{other.address}", re.M)
        wait_until(lambda: len(opened.findall(log.read_text())) >= 5, "logged again")
    agent.stop()
    server.stop()


def test_log_that_never_has_room(world):
    """From the first line to the last."""
    site = world.site(Site(echo))
    server, agent, address = start(world, "/dev/full", "/dev/full")
    check_serves(world, address, site, 20)
    refused = world.client(address).ask(b"CONNECT nonsense HTTP/1.1\r\n\r\n")
    assert refused.status == 400
    agent.stop()
    server.stop()
