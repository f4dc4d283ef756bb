# SPDX-License-Identifier: MIT
"""What is attacked, and those who must not notice: an honest agent, and clients whose tunnels are open
or being opened."""
import json
import secrets

from arena import KIB, MIB, check_memory, memory
from client import Client
from processes import wait_until
from secure import SecureClient, client_context

SLACK = 2 * MIB  # that an allocator may keep
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

__all__ = ["HEALTH", "KIB", "MIB", "SLACK", "Scene", "configure", "serve"]


def configure(tmp_path, **members):
    """A configuration file."""
    path = tmp_path / "server.json"
    path.write_text(json.dumps(members))
    return path


def serve(world, tmp_path, *options, listen="127.0.0.1:0", **members):
    """A server with this configuration."""
    return world.server("--config", configure(tmp_path, **members), *options, listen=listen)


class Scene:
    """`authority`: who signed the server's certificate, if it speaks TLS."""

    def __init__(self, world, server, site, authority=None, agent_options=()):
        self.world, self.server, self.site = world, server, site
        self.context = client_context(authority) if authority else None
        url = server.secure_url if authority else server.url
        options = ["--ca", authority.certificate] if authority else []
        self.agent = world.agent(url, "--name", "honest", *options, *agent_options)
        server.wait_for("agent honest .* up from")
        self.tunnel = self._open()
        self.descriptors = server.descriptors()
        self.check()
        wait_until(self._is_quiet, "nothing but these")
        self.memory = memory(server)

    def _is_quiet(self):
        tunnels = len(self.server._matches(r"tunnel \d+ open"))
        over = len(self.server._matches(r"tunnel \d+ over"))
        return over == tunnels - 1 and self.server.descriptors() == self.descriptors

    def connect(self):
        """Another connection to the server."""
        if self.context:
            return SecureClient(self.server.address, self.context)
        return Client(self.server.address)

    def _open(self):
        client = self.connect().open(self.site.address)
        self.world.clients.append(client)
        return client

    def check(self):
        """The open tunnel goes on, and a new one can be had."""
        new = self.connect().open(self.site.address)
        for client in (self.tunnel, new):
            token = secrets.token_bytes(16)
            client.send(token)
            assert client.read_exactly(16) == token
        new.close()

    def check_memory(self, more=0, figure="VmRSS"):
        check_memory(self.server, self.memory, SLACK + more, figure)

    def finish(self, more=0):
        """Service goes on, with the agent as it was; nothing is left of the attack."""
        self.check()
        self.agent.wait_for("connected to")
        assert len(self.agent._matches("connected to")) == 1
        wait_until(lambda: self.server.descriptors() == self.descriptors, "only ours are left")
        self.check_memory(more)
