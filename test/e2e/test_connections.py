# SPDX-License-Identifier: MIT
"""Connections from one source, or from many, that do nothing: others are served beside them, monitors
and agents at addresses of their own in any case."""
import resource
import select

import pytest

from client import Client, connect_from, reset
from configuration import Config
from secure import SecureClient, client_context

GREEDY, OTHERS = "127.0.0.2", "127.0.0.1"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
APART = ["127.0.0.1:0,connect", "127.0.0.1:0,agents", "127.0.0.1:0,health"]
TOO_MANY = "connection closed: Too many connections from this source"
TOO_MUCH = "connection closed: Too much memory for connections from this source"


def addresses(server, count):
    """Those that it listens on, in the order of its configuration."""
    return [server.wait_for(r"listening on (\S+)", i + 1)[1] for i in range(count)]


@pytest.fixture
def serve(world, tmp_path):
    """A function that starts a server: the server and its addresses."""

    def start(listen, **members):
        config = Config(tmp_path / "server.json", listen=listen, **members)
        server = world.server("--config", config.path, listen=None)
        return server, addresses(server, len(listen))

    return start


@pytest.fixture
def crowd():
    """A function that opens connections which send `text` and nothing more; those that are reset
    at once are left out."""
    sockets = []

    def make(address, count, source=GREEDY, text=b""):
        clients = []
        for _ in range(count):
            try:
                client = Client(address, connect_from(source))
                clients.append(client)
                sockets.append(client.socket)
                client.send(text)
            except ConnectionError:
                pass
        return clients

    yield make
    for one in sockets:
        reset(one)


def is_closed(client):
    """Whether the server has closed or reset it."""
    if not select.select([client.socket], [], [], 0)[0]:
        return False
    try:
        return client.socket.recv(1) == b""
    except ConnectionError:
        return True


def is_healthy(address, source=OTHERS):
    client = Client(address, connect_from(source))
    answer = client.ask(HEALTH)
    client.close()
    return answer.status == 200


def expect_all_served(world, server, listening, site):
    """A monitor, an agent and a client, each at an address of its own."""
    clients, agents, health = listening
    for _ in range(3):
        assert is_healthy(health)
    world.agent(f"ws://{agents}/websocket", "--name", "berlin")
    server.wait_for("agent berlin .* up from")
    client = Client(clients, connect_from(OTHERS))
    assert client.connect(site.address).status == 200
    client.send(b"ping")
    assert client.read_exactly(4) == b"ping"
    client.close()


def test_one_source(world, serve, crowd, echo_site):
    server, listening = serve(APART, limits={"max_connections": 64})
    idle = crowd(listening[0], 120)
    server.wait_for(TOO_MANY)
    expect_all_served(world, server, listening, echo_site)
    assert 50 <= sum(not is_closed(client) for client in idle) <= 60


def test_one_source_at_an_address_of_all_roles(serve, crowd):
    server, (address,) = serve(["127.0.0.1:0"], limits={"max_connections": 64})
    idle = crowd(address, 120)
    server.wait_for(TOO_MANY)
    for _ in range(3):
        assert is_healthy(address)
    assert 55 <= sum(not is_closed(client) for client in idle) <= 62


def test_what_is_over_is_summed_up(serve, crowd):
    server, (address,) = serve(["127.0.0.1:0"], limits={"max_connections": 32})
    crowd(address, 200)
    server.wait_for(TOO_MANY, 20)
    assert int(server.wait_for(rf"(\d+) more refusals of {GREEDY} in the last")[1]) > 100


def test_many_sources(serve, crowd, world):
    """They fill the address of clients; the others have what is left to them."""
    server, (clients, agents, health) = serve(APART, limits={"max_connections": 64})
    for i in range(2, 100):
        crowd(clients, 4, f"127.0.0.{i}")
    server.wait_for("60 connections: further ones wait, but those of agents and monitors")
    for _ in range(3):
        assert is_healthy(health)
    world.agent(f"ws://{agents}/websocket", "--name", "berlin")
    server.wait_for("agent berlin .* up from")


def test_ports_leave_the_spare_part(world, serve, crowd, echo_site):
    server, (health,) = serve(["127.0.0.1:0,health,agents"], limits={"max_connections": 32},
                              ports=[{"listen": "0", "destination": echo_site.address}])  # fmt: skip
    port = server.wait_for(r"port (\S+) leads to")[1]
    world.agent(f"ws://{health}")
    server.wait_for("agent .* up from")
    for i in range(2, 60):
        crowd(port, 2, f"127.0.0.{i}")
    server.wait_for(r"2\d connections: further ones wait")
    assert is_healthy(health)


def test_descriptors(world, serve, crowd):
    """When they run out, clients wait in the kernel; the last ones are for monitors."""
    server, (clients, _, health) = serve(APART)
    assert is_healthy(health)
    limit = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.descriptors() + 8, limit[1]))
    crowd(clients, 30)
    server.wait_for("cannot accept: the last descriptors are left to other addresses")
    for _ in range(3):
        assert is_healthy(health)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limit)
    client = Client(clients, connect_from(OTHERS))
    assert client.connect("a.test:1").status == 503  # no agent


def test_behind_a_proxy(serve, crowd):
    """Its own connections have no bound of their own; those of the clients that it names do."""
    server, (address,) = serve(["127.0.0.1:0,health,proxy"], limits={"max_connections": 64},
                               trust=["127.0.0.0/8"])  # fmt: skip

    def header(source):
        return f"PROXY TCP4 {source} 192.0.2.1 4000 80\r\n".encode()

    idle = crowd(address, 63, OTHERS)
    for client in idle[:2]:
        client.send(header("198.51.100.2") + HEALTH)
        assert client.read_answer().status == 200
    assert not any(is_closed(client) for client in idle)
    for client in idle:
        client.end()
    greedy = crowd(address, 120, OTHERS, header("198.51.100.1"))
    server.wait_for("client 198.51.100.1:4000: " + TOO_MANY)
    other = Client(address)
    other.send(header("198.51.100.2") + HEALTH)
    assert other.read_answer().status == 200
    other.close()
    assert sum(not is_closed(client) for client in greedy) <= 62


def test_memory_of_heads(serve, crowd):
    """1 MiB at least, of which one source gets 94 %: 45 times 22 KiB, or less if the heads begin at
    once."""
    server, (address,) = serve(["127.0.0.1:0"], limits={"memory_budget": 1 << 20})
    idle = crowd(address, 100)
    for client in idle:
        client.send(HALF_HEAD)
    for client in idle:
        try:
            client.send(b"x" * 15000)
        except ConnectionError:
            pass
    server.wait_for(TOO_MUCH, 20)
    for _ in range(3):
        assert is_healthy(address)
    assert 15 <= sum(not is_closed(client) for client in idle) <= 50


def test_memory_of_tls(serve, crowd, authority, identity):
    """22 times 44 KiB, even if each has been served."""
    server, (address,) = serve(["127.0.0.1:0"], limits={"memory_budget": 1 << 20},
                               cert=str(identity.certificate), key=str(identity.key))  # fmt: skip
    context, kept = client_context(authority), []
    with pytest.raises(ConnectionError):
        for _ in range(30):
            kept.append(SecureClient(address, context, connect=connect_from(GREEDY)))
            assert kept[-1].ask(HEALTH).status == 200
    assert 20 <= len(kept) <= 23
    server.wait_for(TOO_MUCH)
    assert SecureClient(address, context).ask(HEALTH).status == 200


def test_memory_of_admitted_ones_is_free_again(world, serve, echo_site):
    """Many tunnels, where memory is for no more than 170 new connections at a time."""
    server, (address,) = serve(["127.0.0.1:0"], limits={"memory_budget": 1 << 20,
                                                        "stream_window": 1024})  # fmt: skip
    world.served_by(server, "berlin")
    clients = [world.client(address) for _ in range(60)]
    for client in clients:
        assert client.connect(echo_site.address).status == 200
    idle = [world.client(address) for _ in range(150)]
    for client in idle:
        assert client.ask(HEALTH).status == 200


def test_handshakes_that_do_not_go_on(serve, crowd, authority, identity):
    """Those at the address of clients leave some to monitors."""
    server, (clients, health) = serve(["127.0.0.1:0,connect", "127.0.0.1:0,health"],
                                      limits={"max_handshakes": 8, "tls_timeout_ms": 60000},
                                      cert=str(identity.certificate),
                                      key=str(identity.key))  # fmt: skip
    crowd(clients, 100, text=b"\x16\x03\x01\x02\x00")
    for _ in range(3):
        monitor = SecureClient(health, client_context(authority))
        assert monitor.ask(HEALTH).status == 200
        monitor.close()


def test_handshakes_of_one_source(serve, crowd, authority, identity):
    """They wait behind that of another source, which gets the first place that is free. (Whoever has
    waited too long is told of in the log.)"""
    server, (address,) = serve(["127.0.0.1:0"], limits={"max_handshakes": 8, "tls_timeout_ms": 12000},
                               cert=str(identity.certificate), key=str(identity.key))  # fmt: skip
    crowd(address, 100, text=b"\x16\x03\x01\x02\x00")
    assert SecureClient(address, client_context(authority)).ask(HEALTH).status == 200
    assert "too many handshakes before it" not in server.output
