# SPDX-License-Identifier: MIT
"""SOCKS5 through the built programs: tunnels, logins, rules, and what the log says."""
import hashlib
import json
import subprocess

import pytest

from client import Client
from processes import PASSWORD, USER, program
from secure import SecureClient, client_context
from sites import Closed, Site, read_all
from socks import EITHER, NO_LOGIN, REFUSED, WITH_LOGIN, SocksClient, login, reply, request

ALL = ["--listen", "127.0.0.1:0,socks", "--listen", "127.0.0.1:0,socks,connect"]


class Served:
    """A server with an address of HTTP, one of SOCKS, one of both, and an agent."""

    def __init__(self, world, *options):
        self.server = world.server(*ALL, *options)
        self.socks = self.server.wait_for(r"listening on (\S+) \(SOCKS5\)")[1]
        self.both = self.server.wait_for(r"listening on (\S+) \(HTTP and SOCKS5\)")[1]
        self.agent = world.served_by(self.server, "inside")


@pytest.fixture
def served(world):
    return Served(world)


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users"
    path.write_text(f"{USER}:{PASSWORD}\n")
    return path


@pytest.fixture
def config_of(tmp_path):
    def make(**members):
        path = tmp_path / "server.json"
        path.write_text(json.dumps(members))
        return path

    return make


@pytest.fixture
def client_of(world, authority):
    def make(server):
        client = SecureClient(server.address, client_context(authority))
        world.clients.append(client)
        return client

    return make


def open_at(world, address):
    client = SocksClient(address)
    world.clients.append(client)
    return client


def told(world, address, says):
    client = open_at(world, address)
    client.send(says)
    return client.read_to_end()


def test_tunnels(world, served, echo_site):
    for address in (served.socks, served.both):
        client = open_at(world, address).open_by_socks(echo_site.address)
        client.send(b"x" * 100_000)
        assert client.read_exactly(100_000) == b"x" * 100_000
    client = Client(served.both).open(echo_site.address)
    world.clients.append(client)
    client.send(b"by HTTP")
    assert client.read_exactly(7) == b"by HTTP"


def test_all_at_once_and_half_closed(world, served):
    site = world.site(Site(lambda c: c.sendall(hashlib.sha256(read_all(c)).digest())))
    data = bytes(range(256)) * 2000
    client = open_at(world, served.socks)
    client.send(NO_LOGIN + request(site.address) + data)
    client.end()
    assert client.read_to_end() == b"\5\0" + reply(0) + hashlib.sha256(data).digest()


def test_big_download(served, nginx, big_file):
    path, digest = big_file
    curl = subprocess.Popen(["curl", "-sSf", "--proxy", f"socks5h://{served.socks}",
                             f"{nginx.http}/{path.name}"], stdout=subprocess.PIPE)  # fmt: skip
    assert hashlib.file_digest(curl.stdout, "sha256").hexdigest() == digest
    assert curl.wait() == 0


def test_replies(world, served):
    closed = world.site(Closed())
    assert told(world, served.socks, NO_LOGIN + request(closed.address)).endswith(reply(5))
    served.server.wait_for("refused: 502 Connection refused")
    for command, text in ((2, "BIND is not supported"), (3, "UDP ASSOCIATE is not supported")):
        assert told(world, served.socks, NO_LOGIN + request("a.test:1", command)).endswith(reply(7))
        served.server.wait_for(f"a.test:1 refused: 400 Bad Request: {text}")
    assert told(world, served.socks, NO_LOGIN + request("name.invalid:1")).endswith(reply(4))


def test_users(world, users, echo_site):
    served = Served(world, "--user-file", users)
    client = open_at(world, served.socks).open_by_socks(echo_site.address, USER, PASSWORD)
    client.send(b"hello")
    assert client.read_exactly(5) == b"hello"
    served.server.wait_for(f"tunnel 1 open: {USER} at ")
    assert told(world, served.socks, NO_LOGIN) == REFUSED
    served.server.wait_for("login refused: 407 Proxy Authentication Required")
    assert told(world, served.socks, EITHER + login(USER, "wrong")) == b"\5\2\1\1"
    assert told(world, served.socks, WITH_LOGIN + login("", "")) == b"\5\2\1\1"


def test_passwords_in_clear_are_not_taken(world, config_of):
    config = config_of(users=[{"name": USER, "password": PASSWORD}], no_basic=True,
                       listen="127.0.0.1:0,socks")  # fmt: skip
    server = world.server("--config", config, listen=None)
    assert told(world, server.address, EITHER) == REFUSED
    server.wait_for("login refused: 403 Passwords in clear, as SOCKS sends them, are not taken")


def test_rules(world, config_of, echo_site):
    config = config_of(rules=[{"deny": echo_site.address}, {"allow": "*"}],
                       listen="127.0.0.1:0,socks,agents")  # fmt: skip
    server = world.server("--config", config, listen=None)
    world.served_by(server, "inside")
    says = NO_LOGIN + request(echo_site.address)
    assert told(world, server.address, says) == b"\5\0" + reply(2)
    server.wait_for("refused: 403 Denied by rule 1 of the server")


def test_spoken_to_the_wrong_address(world, served):
    http = served.server.address
    assert told(world, http, NO_LOGIN) == REFUSED
    served.server.wait_for("speaks SOCKS5, which this address does not take: give it the role socks")
    assert told(world, http, b"\4\1\0\x50\0\0\0\1\0") == b"\0\x5b" + bytes(6)
    served.server.wait_for("speaks SOCKS4, which this address does not take")
    answer = told(world, served.socks, b"GET / HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request: this address speaks SOCKS5\r\n")
    served.server.wait_for("speaks HTTP, which this address does not take")


@pytest.mark.parametrize("which", ["address", "socks", "both"])
def test_tls_to_an_address_without(served, which):
    """curl says that it was a TLS alert."""
    address = getattr(served, which) if which != "address" else served.server.address
    done = subprocess.run(["curl", "-sS", f"https://{address}/"], capture_output=True, text=True)
    assert done.returncode == 35 and "alert" in done.stderr
    served.server.wait_for("speaks TLS, which this address does not take")


def test_within_tls(world, identity, authority, echo_site, client_of):
    server = world.server("--cert", identity.certificate, "--key", identity.key,
                          listen="127.0.0.1:0,socks,agents")  # fmt: skip
    server.wait_for(r"\(HTTP and SOCKS5, TLS\)")
    world.agent(server.secure_url, "--ca", authority.certificate)
    server.wait_for("agent .* up from")
    client = client_of(server)
    client.send(NO_LOGIN + request(echo_site.address) + b"within")
    assert client.read_exactly(18) == b"\5\0" + reply(0) + b"within"
    assert told(world, server.address, NO_LOGIN) == REFUSED
    server.wait_for("speaks SOCKS5 without TLS")


def test_beyond_this_machine():
    done = subprocess.run([program("wstunnel-server"), "--listen", "0.0.0.0:0,socks"],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1
    assert "refused: reachable from other machines without authentication" in done.stderr
