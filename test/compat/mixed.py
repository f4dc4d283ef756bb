# SPDX-License-Identifier: MIT
"""A world whose server and agents come from different builds."""
import functools
import json
import subprocess

from processes import OPEN
from world import World

UP = "agent .* up from"

# Options of the server and of the agent for each protocol. In the talk's protocol every stream
# takes one of the agent's connections: with several spare ones no client waits for the next.
WIRES = {
    "binary": ((), ()),
    "json": ((), ("--encoding", "json")),
    "talk": (("--protocol", "talk"), ("--protocol", "talk", "--spare-connections", "4")),
}
OWN = ["binary", "json"]  # the protocols that have half-close and reasons

# Limits of an agent that reconnects at once.
HASTY = {"backoff_min_ms": 20, "backoff_max_ms": 100}


@functools.cache
def guards_loopback(program):
    """Whether this build of the agent denies its host's loopback unless told otherwise."""
    help_text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    return "--allow" in help_text


class Mixed(World):
    """`server` and `agent` are build directories."""

    def __init__(self, server, agent):
        super().__init__()
        self.pair = server, agent
        self.builds = {"wstunnel-server": server, "wstunnel-agent": agent}

    def program(self, name):
        return str(self.builds[name] / "examples" / name)

    def opens(self):
        return OPEN if guards_loopback(self.program("wstunnel-agent")) else ()

    def exchange(self, name):
        """Upgrades or downgrades a program: the next ones come from the other build."""
        first, second = self.pair
        self.builds[name] = second if self.builds[name] == first else first

    def server_speaking(self, wire, *options, **more):
        return self.server(*WIRES[wire][0], *options, **more)

    def agent_speaking(self, wire, server, *options):
        return self.agent(server.url, *WIRES[wire][1], *options)

    def join(self, wire, server_options=(), agent_options=()):
        """A server and an agent that it knows."""
        server = self.server_speaking(wire, *server_options)
        agent = self.agent_speaking(wire, server, *agent_options)
        server.wait_for(UP)
        return server, agent

    def proxy(self, authority, identity, directory):
        """A proxy for agents, with TLS and the user "outer": it is another server with an agent."""
        users = directory / "outer"
        users.write_text("outer:outer's\n")
        server = self.server("--cert", identity.certificate, "--key", identity.key,
                             "--user-file", users)  # fmt: skip
        self.agent(server.secure_url, "--ca", authority.certificate, "--name", "outer")
        server.wait_for(UP)
        return server


def limits_file(path, **limits):
    """The options of a program that has these limits."""
    path.write_text(json.dumps({"limits": limits}))
    return "--config", path
