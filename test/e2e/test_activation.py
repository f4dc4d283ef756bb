# SPDX-License-Identifier: MIT
"""Sockets that the service manager opens: what they are for, and that restarts lose nobody."""
import socket

import pytest

from load import Load
from manager import Manager
from processes import wait_until
from sites import Site

SERVED = "HTTP/1.1 200 Connection established"
NO_AGENT = "HTTP/1.1 503 No agent available"


@pytest.fixture
def manager(world):
    manager = Manager(world)
    yield manager
    manager.close()


def text(address):
    return address if isinstance(address, str) else "%s:%d" % address


def sink(connection):
    connection.recv(1000)


def asked(world, address, path):
    return world.client(text(address)).ask(f"GET {path} HTTP/1.1\r\n\r\n".encode()).status


def test_names_tell_roles(world, manager, tmp_path):
    """Each socket has its roles, and --listen comes beside them."""
    path = str(tmp_path / "socket")
    web, health = manager.listen("connect,agents"), manager.listen("health")
    manager.listen("health", socket.AF_UNIX, path)
    server = manager.run("wstunnel-server", "--listen", "127.0.0.1:0,health")
    own = server.wait_for("listening on (.*)", 4)[1]
    server.address = text(web)
    assert own not in (text(web), text(health))
    world.agent(f"ws://{text(web)}")
    server.wait_for("agent .* up from")
    world.client(server).open(world.site(Site(sink)).address).close()
    assert asked(world, web, "/healthz") == 404
    assert [asked(world, a, "/healthz") for a in (health, f"unix:{path}", own)] == [200, 200, 200]
    server.terminate()
    server.wait_exit(0)
    socket.socket(socket.AF_UNIX).connect(path)  # the manager's still


@pytest.mark.parametrize("name", [None, "wstunnel-server.socket", "unknown"])
def test_default_names(world, manager, name):
    """All roles; and the default address is not opened."""
    address = manager.listen(name)
    server = manager.run("wstunnel-server")
    assert server.wait_for("listening on (.*)")[1] == text(address)
    assert asked(world, address, "/healthz") == 200
    server.terminate()
    server.wait_exit(0)
    assert "8080" not in server.output


@pytest.mark.parametrize("name, says", [("web", "unknown role 'web'"),
                                        ("connect,tls", "tls needs cert and key")])  # fmt: skip
def test_wrong_names(manager, name, says):
    manager.listen(name)
    server = manager.run("wstunnel-server")
    server.wait_for(says)
    server.wait_exit(2)


def test_wrong_variables(world, manager):
    for count, says in (("x", "LISTEN_FDS is not a number"), ("17", "too many sockets"),
                        ("1", "cannot listen on fd:3: ")):  # fmt: skip
        server = manager.run("wstunnel-server", LISTEN_FDS=count)
        server.wait_for(says)
        server.wait_exit(1 if count == "1" else 2)


def test_meant_for_another(world, manager):
    """LISTEN_PID says whose the variables are."""
    server = world.run([world.program("wstunnel-server"), "--listen", "127.0.0.1:0"],
                       env={"LISTEN_PID": "1", "LISTEN_FDS": "9", "WSTUNNEL_CORE": "1"})  # fmt: skip
    server.wait_for("listening on 127.0.0.1:")
    server.terminate()
    server.wait_exit(0)


def test_beyond_this_machine(manager):
    """Whoever reaches the socket could use the server."""
    manager.listen("connect", address=("0.0.0.0", 0))
    server = manager.run("wstunnel-server")
    server.wait_for("--insecure-open")
    server.wait_exit(1)


def test_restarts_lose_nobody(world, manager):
    """Whoever comes while no process is there is served by the next one; requests that have come
    before are answered."""
    address = manager.listen("connect,agents")
    server = manager.run("wstunnel-server")
    server.wait_for("listening on")
    world.agent(f"ws://{text(address)}")
    server.wait_for("agent .* up from")
    load = Load(address, world.site(Site(sink)).address)
    try:
        for _ in range(3):
            before = load.count(SERVED)
            wait_until(lambda: load.count(SERVED) > before + 50, "clients are served")
            server.terminate()
            server.wait_exit(0)
            server = manager.run("wstunnel-server")
            server.wait_for("agent .* up from")
        before = load.count(SERVED)
        wait_until(lambda: load.count(SERVED) > before + 50, "clients are served")
    finally:
        load.stop()
    server.terminate()  # it takes its second, which the end of the test does not wait for
    server.wait_exit(0)
    assert load.failures == []
    assert set(load.answers) <= {SERVED, NO_AGENT}


def test_accepted_before(world, manager):
    """A client whose request comes only after the signal is served all the same."""
    address = manager.listen("connect,agents")
    server = manager.run("wstunnel-server")
    server.wait_for("listening on")
    world.agent(f"ws://{text(address)}")
    server.wait_for("agent .* up from")
    late = world.client(text(address))
    world.client(text(address)).open(world.site(Site(sink)).address).close()  # was in line behind it
    server.terminate()
    server.wait_for("leaving")
    late.open(world.site(Site(sink)).address).close()
    server.wait_exit(0)
