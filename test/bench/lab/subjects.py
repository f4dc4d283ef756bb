# SPDX-License-Identifier: MIT
"""The subjects of a measurement: tunnels, and what they are compared with.

A subject starts its server in the near place, where the clients are, and its agent in the far one,
where the origins are. It returns its processes and, for each origin, the Way that leads there.
"""

import dataclasses
import re
import shutil
import subprocess

from .processes import ENVIRONMENT, free_ports


@dataclasses.dataclass(frozen=True)
class Way:
    """How a client gets to an origin."""

    address: str
    via: str = "direct"
    to: str = ""
    field: str = ""  # of its requests

    def options(self):
        given = [("--via", self.via), ("--to", self.to), ("--field", self.field)]
        return [word for option in given if option[1] for word in option] + [self.address]


class Subject:
    """`straight`: the client connects to the origin itself."""

    straight = False
    wraps = ("plain",)  # how it can connect server and agent: plain, tls
    proxies = ()  # proxies that its agent supports: http, socks5
    takes_connections = False  # whether its agent can have several
    tells_turns = False  # whether its programs report the turns of their loops (lag.py)
    version = ""

    def __init__(self, name):
        self.name = name

    def missing(self):
        """The reason why it cannot be measured here, or an empty string."""
        return ""

    def start(self, group, scene, targets):
        """Returns (its processes, its ways)."""
        raise NotImplementedError


def find(program, folders=()):
    path = ":".join([*map(str, folders), ENVIRONMENT.get("PATH", ""), "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


def output_of(*argv):
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False).stdout  # fmt: skip


def version_of(*argv):
    """The first line of its output that has a digit."""
    lines = [line.strip() for line in output_of(*argv).splitlines() if re.search(r"\d", line)]
    return lines[0] if lines else "of unknown version"


def listening(process):
    return process.wait_for(r"listening (?:on )?(\S+:\d+)")[1]


# -- Without a tunnel ----------------------------------------------------------------------------


class Straight(Subject):
    """No tunnel: the limit of the load generators and of the network."""

    straight = True

    def start(self, group, scene, targets):
        return [], [scene.straight_to(target) for target in targets]


class Relays(Subject):
    """Two bench_relay, with a connection for each stream."""

    def __init__(self, tools):
        super().__init__("bare relays")
        self.program, self.version = tools / "bench_relay", "256 KiB buffers"

    def start(self, group, scene, targets):
        far = group.start(scene.far, self.program,
                          *(f"{scene.far.address}:0={target}" for target in targets))  # fmt: skip
        hops = [scene.carrier(address) for address in all_listening(far, len(targets))]
        near = group.start(scene.near, self.program, *(f"127.0.0.1:0={hop}" for hop in hops))
        return [near, far], [Way(address) for address in all_listening(near, len(targets))]


class Multiplexer(Subject):
    """Two bench_mux: the least that one masked connection for all streams costs. Not for scenes with
    a relay: those try it by a connection, which would be taken for the far end."""

    def __init__(self, tools):
        super().__init__("one connection")
        self.program, self.version = tools / "bench_mux", "masked, 256 KiB in flight"

    def start(self, group, scene, targets):
        near = group.start(scene.near, self.program, "near", f"{scene.near.address}:0",
                           *("127.0.0.1:0" for _ in targets))  # fmt: skip
        carrier, *entries = all_listening(near, 1 + len(targets))
        far = group.start(scene.far, self.program, "far", scene.carrier(carrier), *targets)
        return [near, far], [Way(address) for address in entries]


def all_listening(process, count):
    process.wait_for(r"(?:listening \S+:\d+\n){%d}" % count)
    return re.findall(r"listening (\S+:\d+)", process.said())


class Haproxy(Subject):
    """Two HAProxy in TCP mode, with a connection for each stream."""

    def __init__(self):
        super().__init__("HAProxy")
        self.program = find("haproxy")
        if self.program:
            self.version = " ".join(version_of(self.program, "-v").split()[:3])

    def missing(self):
        return "" if self.program else "HAProxy (the marks were set against Debian's)"

    CONFIGURATION = ("defaults\n  mode tcp\n  timeout connect 10s\n"
                     "  timeout client 1h\n  timeout server 1h\n")  # fmt: skip

    def hop(self, group, place, name, pairs):
        lines = "".join(f"listen {i}\n  bind {bind}\n  server origin {target}\n"
                        for i, (bind, target) in enumerate(pairs))  # fmt: skip
        path = group.write(f"{name}.cfg", self.CONFIGURATION + lines)
        return group.start(place, self.program, "-db", "-f", path)

    def start(self, group, scene, targets):
        ports = free_ports(2 * len(targets))
        outer = [f"127.0.0.1:{port}" for port in ports[: len(targets)]]
        inner = [f"{scene.far.address}:{port}" for port in ports[len(targets) :]]
        far = self.hop(group, scene.far, "far", zip(inner, targets))
        near = self.hop(group, scene.near, "near", zip(outer, map(scene.carrier, inner)))
        return [near, far], [Way(address) for address in outer]


# -- This project's ------------------------------------------------------------------------------


class Ours(Subject):
    """The programs of a build. Clients connect to a fixed port, or use CONNECT or SOCKS5."""

    wraps = ("plain", "tls")
    proxies = ("http", "socks5")

    def __init__(self, name, build, front="port"):
        super().__init__(name)
        self.build, self.programs = build, build / "examples"
        self.front = front
        if front != "port":
            self.wraps = ("plain",)  # the load generators do not speak TLS
        self.version = version_of(self.programs / "wstunnel-server", "--version")
        help_text = output_of(self.programs / "wstunnel-agent", "--help")
        self.guards_loopback = "--allow" in help_text
        self.takes_connections = "--connections" in help_text
        self.tells_turns = "SIGUSR1" in output_of(self.programs / "wstunnel-server", "--help")

    def missing(self):
        return "" if (self.programs / "wstunnel-agent").exists() else f"{self.build}: no programs"

    def opens(self):
        """The options that let an agent open everything."""
        return ["--allow", "*", "--allow", "127.0.0.0/8"] if self.guards_loopback else []

    def start(self, group, scene, targets):
        cert = scene.certificate
        ports = [option for target in targets for option in ("--port", f"127.0.0.1:0={target}")]
        server = group.start(
            scene.near, self.programs / "wstunnel-server", "--insecure-open", *ports,
            "--listen", f"{scene.near.address}:0,connect,agents,socks",
            *(["--cert", cert.chain, "--key", cert.key] if cert else []))  # fmt: skip
        address = listening(server)
        url = f"{'wss' if cert else 'ws'}://{scene.carrier(address)}"
        agent = group.start(
            scene.far, self.programs / "wstunnel-agent", "--proxy", scene.proxy or "none",
            *self.opens(), *(["--ca", cert.chain] if cert else []), *self.several(scene), url)  # fmt: skip
        server.wait_for(" up from " + "(.|\n)* has one more session" * (scene.connections - 1), 30)
        return [server, agent], self.ways(server, address, targets)

    @staticmethod
    def several(scene):
        return ["--connections", str(scene.connections)] if scene.connections > 1 else []

    def ways(self, server, address, targets):
        if self.front != "port":
            return [Way(address, self.front, target) for target in targets]
        return [Way(entry) for entry in re.findall(r"port (127\S+:\d+)", server.said())]
