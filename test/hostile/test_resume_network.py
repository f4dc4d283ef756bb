# SPDX-License-Identifier: MIT
"""
The network between agent and server fails, or the programs stand still, and tunnels go on: the agent
is on a machine of its own (a network namespace: root only), with the built programs.

./test/run.sh runs all in about two minutes; --ci also with ASan and UBSan. On demand: RESUME_CUT=50
adds a cut of so many seconds.
"""
import json
import os
import time

import pytest

from arena import Probe
from checked import Traffic
from netns import Machine
from processes import OPEN, program
from world import Server

SHORT = {"ping_interval_ms": 400, "dead_after_ms": 2000}
CUTS = [int(seconds) for seconds in ("1", "5", "20", *os.environ.get("RESUME_CUT", "").split())]
SUSPENDED = r"agent one \(\w+\) suspended"
RESUMED = r"agent one \(\w+\) resumed after [\d.]+ s from "


class ProbedServer(Server, Probe):
    pass


class Scene:
    def __init__(self, world, directory, *server_options, **limits):
        self.world = world
        self.machine = world.site(Machine())
        self.config = directory / "limits.json"
        self.config.write_text(json.dumps({"limits": limits}))
        self.server = ProbedServer([program("wstunnel-server"), "--listen", "0.0.0.0:0",
                                    "--insecure-open", "--config", self.config, *server_options])  # fmt: skip
        world.processes.append(self.server)
        self.agent = Probe([*self.machine.prefix, program("wstunnel-agent"), *OPEN, "--name", "one",
                            "--config", self.config,
                            f"ws://{self.machine.server}:{self.server.port}"])  # fmt: skip
        world.processes.append(self.agent)
        self.server.wait_for("agent one .* up from")
        self.traffic = world.site(Traffic(f"127.0.0.1:{self.server.port}", self.machine.socket))

    def finish(self):
        self.traffic.wait_advance()
        self.traffic.finish()
        assert " down" not in self.server.output
        # While there is still a link over which they can part.
        self.agent.stop()
        self.server.stop()


@pytest.mark.parametrize("times", [SHORT, {}], ids=["short times", "default times"])
@pytest.mark.parametrize("seconds", CUTS)
def test_link_is_cut(world, tmp_path, seconds, times):
    """TCP alone gets over a short cut; a longer one takes another connection."""
    scene = Scene(world, tmp_path, **times)
    scene.machine.cut()
    scene.traffic.break_off()
    time.sleep(seconds)
    scene.machine.mend()
    if times and 1000 * seconds >= 2 * times["dead_after_ms"]:
        scene.server.wait_for(RESUMED)
        scene.agent.wait_for(r"resumed after [\d.]+ s")
    scene.finish()


def test_link_is_cut_at_the_server(world, tmp_path):
    """The agent has a link all the time."""
    scene = Scene(world, tmp_path, **SHORT)
    scene.machine.cut_server()
    scene.agent.wait_for("lost .*; (next attempt in|another one)")
    scene.traffic.break_off()
    scene.server.wait_for(SUSPENDED)
    scene.machine.mend_server()
    scene.server.wait_for(RESUMED)
    scene.finish()


def test_address_changes(world, tmp_path):
    """Another one, and back, as of a laptop that goes from one network to the next. The default times
    do not matter: the agent sees it."""
    scene = Scene(world, tmp_path)
    scene.machine.change_address(3)
    scene.server.wait_for(RESUMED + scene.machine.address(3))
    scene.traffic.break_off()
    scene.traffic.wait_advance()
    scene.machine.change_address(2)
    scene.server.wait_for(RESUMED + scene.machine.address(2))
    scene.finish()


@pytest.mark.parametrize("who", ["agent", "server", "both"])
def test_freeze(world, tmp_path, who):
    """Longer than the other side takes for a sign of life: each as if its machine had slept."""
    scene = Scene(world, tmp_path, **SHORT)
    frozen = {"agent": [scene.agent], "server": [scene.server], "both": [scene.agent, scene.server]}[who]
    for process in frozen:
        process.freeze()
    scene.traffic.break_off()
    if who == "agent":
        scene.server.wait_for(SUSPENDED)
    elif who == "server":
        scene.agent.wait_for("lost .*; (next attempt in|another one)")
    else:
        time.sleep(2 * SHORT["dead_after_ms"] / 1000)
    for process in frozen:
        process.thaw()
    scene.server.wait_for(RESUMED)
    scene.finish()


def test_one_freezes_after_the_other(world, tmp_path):
    """Both know of a loss, each at another time."""
    scene = Scene(world, tmp_path, **SHORT)
    scene.agent.freeze()
    scene.server.wait_for(SUSPENDED)
    scene.server.freeze()
    scene.agent.thaw()
    scene.agent.wait_for("lost .*; (next attempt in|another one)")
    scene.server.thaw()
    scene.server.wait_for(RESUMED)
    scene.finish()


def test_agent_is_killed_while_cut_off(world, tmp_path):
    """Nobody can tell the server, which waits for it in vain: its tunnels are reset with the grace."""
    scene = Scene(world, tmp_path, "--resume-grace", "1", **SHORT)
    scene.machine.cut()
    scene.agent.kill()
    scene.server.wait_for(SUSPENDED)
    scene.server.wait_for("agent one .*down")
    scene.traffic.see_resets()
