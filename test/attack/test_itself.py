# SPDX-License-Identifier: MIT
"""Clients that ask to be connected to the server itself, where it may trust whoever comes from this
machine: refused by whatever name, however the address is written."""
import socket

import pytest

from client import Client
from netns import Machine
from processes import OPEN, program
from scene import HEALTH, Scene, serve
from secure import SecureClient, client_context
from sites import Site, echo

SELF = "HTTP/1.1 403 The destination is this proxy"
NUMBERS = "HTTP/1.1 400 Bad Request: not an IPv4 address"
REFUSED = "HTTP/1.1 502 Connection refused by destination"

LOOPBACK = ["127.0.0.1", "localhost", "LOCALHOST", "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "0.0.0.0", "[::ffff:0.0.0.0]"]  # fmt: skip
# What getaddrinfo takes for 127.0.0.1.
ODD = ["2130706433", "0x7f000001", "0x7f.1", "0X7F.0x0.0.1", "017700000001", "0177.0.0.1", "127.1",
       "127.0.1", "127.0.0.01", "127.0.0.1.", "00000000177.1", "127.0.0.0x1", "0", "0x0", "1.2.3.4.5",
       "256.0.0.1", "4294967296"]  # fmt: skip


@pytest.fixture(scope="module")
def scene(arena, authority, identity, tmp_path_factory):
    """It listens with and without TLS, at one address and at all of them."""
    server = serve(arena, tmp_path_factory.mktemp("config"), "--listen", "127.0.0.1:0,tls",
                   "--listen", "0.0.0.0:0,tls,plain", "--listen", "[::]:0,plain",
                   "--listen", "[::1]:0,plain", "--insecure-open", listen="127.0.0.1:0,plain",
                   cert=str(identity.certificate), key=str(identity.key))  # fmt: skip
    scene = Scene(arena, server, arena.site(Site(echo)))
    scene.ports = [int(server.wait_for(r"listening on [^\s\"]+:(\d+)", n)[1]) for n in range(1, 6)]
    scene.secure = lambda: SecureClient(f"127.0.0.1:{scene.ports[1]}", client_context(authority))
    yield scene
    scene.finish()


def ask(client, destination, form):
    """By CONNECT, with something behind it; or in absolute form."""
    if form == "CONNECT":
        client.send(f"CONNECT {destination} HTTP/1.1\r\n\r\n".encode() + HEALTH)
    else:
        client.send(f"GET http://{destination}/healthz HTTP/1.1\r\nHost: a\r\n"
                    "Connection: close\r\n\r\n".encode())  # fmt: skip
    answer = client.read_answer()
    assert client.read_to_end() == b""
    client.close()
    return answer.status_line


@pytest.mark.parametrize("form", ["CONNECT", "GET"])
def test_loopback(scene, form):
    """Each of its addresses, by each name, asked for with and without TLS."""
    plain, tls, all4, all6, one6 = scene.ports
    for port in (plain, tls, all4):
        for host in LOOPBACK:
            for client in (Client(scene.server.address), scene.secure()):
                assert ask(client, f"{host}:{port}", form) == SELF, f"{host}:{port}"
    for port in (all6, one6):
        for host in ("[::1]", "[0::0001]", "[::]"):
            assert ask(Client(scene.server.address), f"{host}:{port}", form) == SELF, host
    for host in ("127.0.0.2", "127.255.255.254"):  # all of them are its own where it listens on all
        assert ask(Client(scene.server.address), f"{host}:{all4}", form) == SELF, host
        assert ask(Client(scene.server.address), f"{host}:{plain}", form) == REFUSED, host


@pytest.mark.parametrize("form", ["CONNECT", "GET"])
@pytest.mark.parametrize("host", ODD)
def test_numbers(scene, host, form):
    """Names that resolvers take for addresses are none to us."""
    assert socket.getaddrinfo("2130706433", 1)[0][4][0] == "127.0.0.1"  # they do
    assert ask(Client(scene.server.address), f"{host}:{scene.ports[0]}", form) == NUMBERS


def test_own_name(scene):
    """By the name of this machine, wherever that leads."""
    try:
        addresses = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), 1, socket.AF_INET)}
    except OSError:
        pytest.skip("this machine does not know its own name")
    assert addresses
    answer = ask(Client(scene.server.address), f"{socket.gethostname()}:{scene.ports[2]}", "CONNECT")
    assert answer == SELF


def test_address_of_an_interface(world, tmp_path):
    """An agent elsewhere reaches the server by an address that it has; and what is at the agent's own
    loopback, at the same port, is not the server."""
    machine = world.site(Machine())
    server = serve(world, tmp_path, "--insecure-open", listen="0.0.0.0:0")
    url = f"ws://{machine.server}:{server.port}"
    agent = world.run([*machine.prefix, program("wstunnel-agent"), *OPEN, "--name", "far", url])
    server.wait_for("agent far .* up from 10")
    listener = machine.socket()
    listener.bind(("127.0.0.1", server.port))
    listener.listen()
    for form in ("CONNECT", "GET"):
        for host in (machine.server, f"[::ffff:{machine.server}]"):
            assert ask(Client(server.address), f"{host}:{server.port}", form) == SELF, host
    client = world.client(f"127.0.0.1:{server.port}").open(f"127.0.0.1:{server.port}")
    client.end()
    connection, _ = listener.accept()
    connection.sendall(b"it is another one")
    connection.close()
    listener.close()
    assert client.read_to_end() == b"it is another one"
    agent.stop()  # while the link is there
