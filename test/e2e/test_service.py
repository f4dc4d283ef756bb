# SPDX-License-Identifier: MIT
"""What the programs tell a service manager."""
import re
import signal
import time

import pytest

from configuration import Config
from manager import Manager
from processes import OPEN
from sites import Site


@pytest.fixture(params=["path", "abstract"])
def manager(request, world, tmp_path):
    names = {"path": str(tmp_path / "notify"), "abstract": f"@wstunnel-test-{tmp_path}"}
    manager = Manager(world, names[request.param])
    yield manager
    manager.close()


def sink(connection):
    connection.recv(1000)


def listens_at(server):
    return server.wait_for(r"listening on (\S+)")[1]


def test_server_tells(world, manager, tmp_path):
    """Ready, what there is, a reload, a reload that fails, and the end."""
    config = Config(tmp_path / "server.json", listen="127.0.0.1:0")
    server = manager.run("wstunnel-server", "--config", config.path)
    ready = manager.wait_for("READY")
    server.address = listens_at(server)  # it listened before
    assert ready == {"READY": "1", "STATUS": "agents: 0, tunnels: 0"}
    agent = world.agent(f"ws://{server.address}")
    manager.wait_for("STATUS", "agents: 1, tunnels: 0".__eq__)
    client = world.client(server).open(world.site(Site(sink)).address)
    manager.wait_for("STATUS", "agents: 1, tunnels: 1".__eq__)
    for text, says in ((None, "configuration reloaded"), ("{", "configuration not reloaded")):
        if text is not None:
            config.path.write_text(text)
        before = time.monotonic()
        server.signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING")
        assert before <= int(reloading["MONOTONIC_USEC"]) / 1e6 <= time.monotonic()
        manager.wait_for("READY")
        server.wait_for(says)
    server.terminate()
    assert manager.wait_for("STOPPING")["STATUS"] == "leaving; agents: 1, tunnels: 1"
    client.close()
    server.wait_exit(0)
    agent.stop()


def test_agent_tells(world, manager):
    """It is ready when it is connected."""
    server = world.server()
    agent = manager.run("wstunnel-agent", *OPEN, f"{server.url}/websocket?token=secret")
    assert manager.wait_for("STATUS")["STATUS"] == f"connecting to {server.url}"
    ready = manager.wait_for("READY")
    assert ready["STATUS"] == f"connected to {server.url}, streams: 0"
    client = world.client(server).open(world.site(Site(sink)).address)
    manager.wait_for("STATUS", f"connected to {server.url}, streams: 1".__eq__)
    client.close()
    manager.wait_for("STATUS", f"connected to {server.url}, streams: 0".__eq__)
    server.stop()
    manager.wait_for("STATUS", re.compile(f"not connected to {server.url}: .").match)
    agent.signal(signal.SIGHUP)
    manager.wait_for("RELOADING")
    manager.wait_for("READY")
    agent.terminate()
    manager.wait_for("STOPPING")
    agent.wait_exit(0)
    assert "secret" not in str(manager.told)


def test_agent_is_ready_without_server(world, tmp_path):
    """A start neither fails nor blocks because the server is out of reach."""
    manager = Manager(world, str(tmp_path / "notify"))
    before = time.monotonic()
    agent = manager.run("wstunnel-agent", "ws://127.0.0.1:1")
    manager.wait_for("READY")
    assert 9 < time.monotonic() - before < 30
    agent.terminate()
    agent.wait_exit(0)
    manager.close()


def test_status_once_a_second(world, tmp_path):
    """However much happens; the last one is true."""
    manager = Manager(world, str(tmp_path / "notify"))
    server = manager.run("wstunnel-server", "--listen", "127.0.0.1:0")
    server.address = listens_at(server)
    world.agent(f"ws://{server.address}")
    manager.wait_for("STATUS", "agents: 1, tunnels: 0".__eq__)
    site = world.site(Site(sink))
    for _ in range(40):
        world.client(server).open(site.address).close()
        manager.listen_for(0.05)
    manager.listen_for(2.5)
    times = [when for when, message in manager.told if "READY" not in message]
    assert len(times) >= 2
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[1:]))
    assert manager.told[-1][1]["STATUS"] == "agents: 1, tunnels: 0"
    manager.close()


def test_watchdog(world, tmp_path):
    """Twice in the time that the manager allows, while the loop turns, and only by the process that
    the manager means."""
    manager = Manager(world, str(tmp_path / "notify"))
    server = manager.run("wstunnel-server", "--listen", "127.0.0.1:0", WATCHDOG_USEC="600000")
    manager.wait_for("READY")
    beats = [m for m in manager.listen_for(3) if "WATCHDOG" in m]
    assert 5 <= len(beats) <= 11
    server.signal(signal.SIGSTOP)
    manager.listen_for(0.5)
    assert manager.listen_for(1) == []
    server.signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG")
    server.terminate()
    server.wait_exit(0)
    other = manager.run("wstunnel-server", "--listen", "127.0.0.1:0", WATCHDOG_USEC="200000",
                        WATCHDOG_PID="1")  # fmt: skip
    manager.wait_for("READY")
    assert not any("WATCHDOG" in m for m in manager.listen_for(1))
    other.terminate()
    other.wait_exit(0)
    manager.close()


def test_no_manager(world):
    """A wrong address is told, and one where nobody listens does no harm."""
    for name, says in (("notify", "NOTIFY_SOCKET is neither a path nor @NAME: notify"),
                       ("/no/such/socket", "listening on")):  # fmt: skip
        server = Manager(world).run("wstunnel-server", "--listen", "127.0.0.1:0",
                                    NOTIFY_SOCKET=name)  # fmt: skip
        server.wait_for("listening on")
        server.wait_for(says)
        server.terminate()
        server.wait_exit(0)
