# SPDX-License-Identifier: MIT
"""SIGUSR2: the server starts its successor, which takes over the listening sockets."""
import signal

import pytest

from configuration import Config
from load import Load
from manager import Manager
from processes import wait_until
from sites import Site
from succession import is_gone

SERVED = "HTTP/1.1 200 Connection established"
NO_AGENT = "HTTP/1.1 503 No agent available"
SIZE = 50_000_000  # more than all buffers on the way hold


def send_much(connection):
    try:
        connection.sendall(bytes(SIZE))
    except ConnectionError:
        pass


def sink(connection):
    """Takes an end and a reset: the latter is of an open that was tried again elsewhere."""
    try:
        connection.recv(1000)
    except ConnectionError:
        pass


def greet(connection):
    connection.sendall(b"hello")


def test_under_load(world, line):
    """No client is refused or reset, and a download that began before it goes on to its end, in the
    first process."""
    server, agent = world.tunnel()
    processes = line(server)
    download = world.client(server).open(world.site(Site(send_much)).address)
    assert download.read_exactly(1000) == bytes(1000)
    load = Load(("127.0.0.1", server.port), world.site(Site(sink)).address)
    try:
        for i in range(3):
            before = load.count(SERVED)
            wait_until(lambda: load.count(SERVED) > before + 50, "clients are served")
            processes.succeed()
            server.wait_for("agent .* up from", i + 2)
        before = load.count(SERVED)
        wait_until(lambda: load.count(SERVED) > before + 50, "clients are served")
    finally:
        load.stop()
    assert load.failures == []
    assert set(load.answers) <= {SERVED, NO_AGENT}
    assert not any(map(is_gone, processes.pids))  # agents come back by way of the others
    assert len(download.read_to_end()) == SIZE - 1000
    download.close()
    wait_until(lambda: all(map(is_gone, processes.pids[:-1])), "all but the last one are gone")


def test_accepted_before(world, line):
    """A client whose request comes only after the successor listens is served all the same."""
    server, agent = world.tunnel()
    processes = line(server)
    late = world.client(server)
    site = world.site(Site(sink))
    world.client(server).open(site.address).close()  # was in line behind it
    processes.succeed()
    late.open(site.address).close()


def test_all_kinds(world, line, tmp_path):
    """Ports and Unix sockets are handed over, too; the file of the latter stays."""
    path = f"unix:{tmp_path}/socket"
    site = world.site(Site(greet))
    server = world.server("--listen", path, "--port", f"127.0.0.1:0={site.address}")
    port = server.wait_for("port (.*) leads to")[1]
    processes = line(server)
    world.agent(server.url)
    server.wait_for("agent .* up from")
    processes.succeed()
    server.wait_for("agent .* up from", 2)
    assert server.wait_for("port (.*) leads to", 2)[1] == port
    wait_until(lambda: is_gone(server.pid), "the first one is gone")
    for address in (path, server.address):
        assert world.client(address).ask(b"GET /readyz HTTP/1.1\r\n\r\n").status == 200
    client = world.client(port)
    assert client.read_exactly(5) == b"hello"
    client.close()


@pytest.mark.parametrize("text", ["{", '{"listen": "192.0.2.1:1"}'])
def test_successor_fails(world, line, tmp_path, text):
    """Then nothing has changed; and it may be tried again."""
    config = Config(tmp_path / "server.json", listen="127.0.0.1:0")
    server = world.server("--config", config.path, listen=None)
    good = config.path.read_text()
    config.path.write_text(text)
    server.signal(signal.SIGUSR2)
    server.wait_for("the successor has ended before it listened: nothing has changed")
    assert world.client(server).ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 200
    config.path.write_text(good)
    line(server).succeed()
    assert world.client(server).ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 200


def test_removed_address(world, line, tmp_path):
    """An address that the configuration has no more is closed with the predecessor."""
    config = Config(tmp_path / "server.json", listen=["127.0.0.1:0", "127.0.0.1:0,health"])
    server = world.server("--config", config.path, listen=None)
    removed = server.wait_for(r"listening on (\S+)", 2)[1]
    config.write(listen="127.0.0.1:0")
    line(server).succeed()
    wait_until(lambda: is_gone(server.pid), "the first one is gone")
    assert world.client(server).ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 200
    with pytest.raises(ConnectionRefusedError):
        world.client(removed)


def test_as_a_service(world, line, tmp_path):
    """The manager's sockets keep their roles, and it learns who is the service now."""
    manager = Manager(world, str(tmp_path / "notify"))
    address = "%s:%d" % manager.listen("connect,agents")
    manager.listen("health")
    server = manager.run("wstunnel-server", WATCHDOG_USEC="400000")
    processes = line(server)
    manager.wait_for("READY")
    for _ in range(2):
        processes.succeed()
        assert manager.wait_for("MAINPID")["MAINPID"] == str(processes.pids[-1])
        wait_until(lambda: is_gone(processes.pids[-2]), "it is gone")
        assert not any("STOPPING" in message for _, message in manager.told)
        manager.wait_for("WATCHDOG")
        assert world.client(address).ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 404
        listening = manager.sockets[1][0].getsockname()
        health = world.client("%s:%d" % listening)
        assert health.ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 200
    manager.close()
