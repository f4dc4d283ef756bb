# SPDX-License-Identifier: MIT
"""
The agent's machine (a network namespace: root only) gets and loses addresses and routes: it connects
anew at once, and its tunnels go on. What does not change how the server is reached is of no interest.

All in a minute, most of which they wait to see that nothing happens.
"""
import json
import socket
import subprocess
import time

import pytest

from arena import Probe
from netns import Machine
from processes import OPEN, program
from sites import Site, echo

CHANGED = "the network has changed"
GATHERED = 1.0  # seconds: a burst of changes is one
RESUMED = r"agent one \(\w+\) resumed after 0.0 s"
QUIET = {"limits": {"ping_interval_ms": 60000, "dead_after_ms": 3600000}}


class Scene:
    def __init__(self, world, directory):
        self.machine = world.site(Machine())
        self.network = self.machine.server.rpartition(".")[0]
        config = directory / "limits.json"
        config.write_text(json.dumps(QUIET))
        # Routes and addresses stay as they are from here on, but for what a test does.
        time.sleep(2 * GATHERED)
        self.server = world.server("--insecure-open", listen="0.0.0.0:0")
        self.agent = Probe([*self.machine.prefix, program("wstunnel-agent"), *OPEN, "--name", "one",
                            "--config", config,
                            f"ws://{self.machine.server}:{self.server.port}"])  # fmt: skip
        world.processes.append(self.agent)
        self.server.wait_for("agent one .* up from")
        site = world.site(Site(echo, host=self.machine.server))
        self.tunnel = world.client(f"127.0.0.1:{self.server.port}").open(site.address)
        self.changes = 0

    def ip(self, *arguments, of="address", verb="add"):
        subprocess.run(["ip", "-n", self.machine.name, of, verb, *arguments, "dev", self.machine.peer],
                       check=True, capture_output=True)  # fmt: skip

    def batch(self, lines):
        subprocess.run(["ip", "-n", self.machine.name, "-batch", "-"], check=True, text=True,
                       input="\n".join(lines), capture_output=True)  # fmt: skip

    def expect_change(self):
        self.changes += 1
        self.agent.wait_for(CHANGED, self.changes)
        self.server.wait_for(RESUMED, self.changes)
        self.expect_rest()

    def expect_rest(self):
        """As many changes as expected, and the tunnel works."""
        time.sleep(2 * GATHERED)
        assert self.agent.output.count(CHANGED) == self.changes
        self.tunnel.send(b"still there?")
        assert self.tunnel.read_exactly(12) == b"still there?"
        assert "down" not in self.server.output


@pytest.fixture
def scene(world, tmp_path):
    return Scene(world, tmp_path)


def test_addresses(scene):
    another = f"{scene.network}.77/24"
    scene.ip(another)
    scene.expect_change()
    scene.ip(another, verb="delete")
    scene.expect_change()
    scene.ip("fd00:77::1/64")
    scene.expect_change()


def test_default_route(scene):
    scene.ip("default", "via", scene.machine.server, of="route")
    scene.expect_change()
    scene.ip("default", "via", scene.machine.server, of="route", verb="delete")
    scene.expect_change()


def test_link(scene):
    """It is down for a moment: addresses of IPv4 stay, but cannot be used meanwhile."""
    scene.machine.cut()
    scene.agent.wait_for(CHANGED)
    scene.machine.mend()
    scene.agent.wait_for(CHANGED, 2)
    scene.server.wait_for(RESUMED)
    scene.tunnel.send(b"still there?")
    assert scene.tunnel.read_exactly(12) == b"still there?"


def test_of_no_interest(scene):
    address = f"{scene.network}.2/24"
    scene.ip(address, "valid_lft", "5000", "preferred_lft", "5000", verb="change")  # confirmed
    scene.ip("192.0.2.0/24", of="route")
    scene.ip("192.0.2.0/24", of="route", verb="delete")
    scene.ip("fe80::77/64")
    scene.batch(["address add 127.7.7.7/8 dev lo"])
    scene.ip(f"{scene.network}.78/24")
    scene.ip(f"{scene.network}.78/24", verb="delete")  # there and gone again
    scene.expect_rest()


def test_burst(scene):
    scene.batch(f"address add {scene.network}.{n}/32 dev {scene.machine.peer}" for n in range(100, 200))
    scene.expect_change()


def test_overflow(scene):
    """What is too much for the kernel to keep counts as a change, and later ones are noticed."""
    scene.agent.freeze()
    scene.batch(f"route {verb} 192.0.2.{n} dev {scene.machine.peer}"
                for _ in range(10) for verb in ("add", "delete") for n in range(200))  # fmt: skip
    scene.agent.thaw()
    scene.expect_change()
    scene.ip(f"{scene.network}.79/24")
    scene.expect_change()


def test_own_address_of_a_link_that_is_down(world):
    """It leads to this machine all the same: the server does not let clients reach it so."""
    machine = world.site(Machine())
    server = world.server("--insecure-open", listen="0.0.0.0:0")
    world.agent(f"ws://127.0.0.1:{server.port}", "--name", "one")
    server.wait_for("agent one .* up from")
    machine.cut()
    with socket.create_connection((machine.server, server.port), 5):
        pass  # it is reached from here
    answer = world.client(f"127.0.0.1:{server.port}").connect(f"{machine.server}:{server.port}")
    assert answer.status_line == "HTTP/1.1 403 The destination is this proxy"
