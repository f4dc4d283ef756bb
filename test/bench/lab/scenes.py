# SPDX-License-Identifier: MIT
"""The scene of a measurement: places, TLS, and a relay on the path.

The relays are common small programs that leave Nagle's algorithm on. Their small writes wait for
acknowledgements, which the receiving kernel delays.
"""

import contextlib
import dataclasses
import subprocess
from pathlib import Path

from .processes import HERE, Place, free_ports
from .subjects import Way, find


@dataclasses.dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path


def make_certificate(directory):
    made = Certificate(Path(directory) / "chain.pem", Path(directory) / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=laboratory", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", made.key, "-out", made.chain],
        check=True, stderr=subprocess.DEVNULL)  # fmt: skip
    return made


# -- Relays without TCP_NODELAY ------------------------------------------------------------------


def opened(group, place, address):
    group.wait_until_open(place, address)
    return address


class Socat:
    """Forwards a port to one address."""

    program, speaks = "socat", "port"

    def forward(self, group, place, address):
        port = free_ports(1)[0]
        group.start(place, find(self.program),
                    f"TCP4-LISTEN:{port},bind={place.address},reuseaddr,fork,backlog=1024",
                    f"TCP4:{address}")  # fmt: skip
        return opened(group, place, f"{place.address}:{port}")


class Tinyproxy:
    """HTTP CONNECT."""

    program, speaks, via = "tinyproxy", "http", "connect"

    def start(self, group, place):
        port = free_ports(1)[0]
        path = group.write("tinyproxy.conf", f"Port {port}\nListen {place.address}\n"
                           "MaxClients 1000\nTimeout 600\nLogLevel Error\n")  # fmt: skip
        group.start(place, find(self.program), "-d", "-c", path)
        return opened(group, place, f"{place.address}:{port}")


class Microsocks:
    """SOCKS5."""

    program, speaks, via = "microsocks", "socks5", "socks"

    def start(self, group, place):
        port = free_ports(1)[0]
        group.start(place, find(self.program), "-i", place.address, "-p", port)
        return opened(group, place, f"{place.address}:{port}")


RELAYS = [Socat(), Tinyproxy(), Microsocks()]


def installed_relays():
    return [relay for relay in RELAYS if find(relay.program)]


# -- Scenes --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Scene:
    """`relay_at`: "carrier" (between agent and server), "client" or "origin"."""

    near: Place = HERE
    far: Place = HERE
    certificate: Certificate = None
    relay: object = None
    relay_at: str = ""
    group: object = None
    proxy: str = ""  # for the agent to use
    connections: int = 1  # of the agent

    def bind(self, group):
        """This scene with the processes of one figure, and its proxy started."""
        bound = dataclasses.replace(self, group=group)
        if self.relay_at == "carrier" and self.relay.speaks != "port":
            bound.proxy = f"{self.relay.speaks}://{self.relay.start(group, self.far)}"
        return bound

    def suits(self, subject):
        """Whether a subject can be measured in this scene."""
        if ("tls" if self.certificate else "plain") not in subject.wraps:
            return False
        if self.connections > 1 and not subject.takes_connections:
            return False
        needs_proxy = self.relay_at == "carrier" and self.relay.speaks != "port"
        return subject.straight or not needs_proxy or self.relay.speaks in subject.proxies

    def carrier(self, address):
        """The address at which an agent reaches a server at `address`."""
        if self.relay_at == "carrier" and self.relay.speaks == "port":
            return self.relay.forward(self.group, self.far, address)
        return address

    def origin(self, address):
        """The address at which an agent reaches an origin."""
        if self.relay_at == "origin":
            return self.relay.forward(self.group, self.far, address)
        return address

    def client(self, way):
        """The way of a client to the server's front."""
        return self.relayed(way) if self.relay_at == "client" else way

    def straight_to(self, address):
        """The way of a client to an origin without a tunnel, but through the same relay."""
        return self.relayed(Way(address)) if self.relay is not None else Way(address)

    def relayed(self, way):
        if self.relay.speaks == "port":
            return dataclasses.replace(
                way, address=self.relay.forward(self.group, self.near, way.address)
            )
        return Way(self.relay.start(self.group, self.near), self.relay.via, way.address)

    @contextlib.contextmanager
    def standing(self):
        """Builds the scene for the time of a `with` block."""
        yield self


def relay_scenes(relay):
    """By where the relay is."""
    places = ["carrier", "client"] + (["origin"] if relay.speaks == "port" else [])
    return {at: Scene(relay=relay, relay_at=at) for at in places}
