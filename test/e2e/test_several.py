# SPDX-License-Identifier: MIT
"""Agents with several connections and several servers: one lost, one leaving, servers restarted in turn
while clients, who come by a balancer, are served."""
import json
import threading
import time

import pytest

from client import Client
from configuration import Config, count
from processes import wait_until
from proxies import Proxy, need

UP = r"agent \S+ .* from"  # "up", "reconnected", "has one more session"
READY = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

BALANCER = """
defaults
    mode {mode}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    retries 3
listen front
    bind {address}
    option redispatch 1
    {extra}
    default-server check inter 100 fall 1 rise 1
    {servers}
"""


class Balancer(Proxy):
    """HAProxy before servers, each an address and more words of its line."""

    def __init__(self, servers, mode, extra=""):
        super().__init__(4448)
        lines = "\n    ".join(f"server s{i} {server}" for i, server in enumerate(servers))
        text = BALANCER.format(address=self.address, mode=mode, extra=extra, servers=lines)
        self.start([need("haproxy"), "-db", "-f", self.write("haproxy.cfg", text)])


def is_ready(address):
    try:
        client = Client(address)
    except ConnectionError:
        return False
    try:
        client.send(READY)
        return b" 200 " in client.read_head()
    except (ConnectionError, AssertionError):
        return False
    finally:
        client.close()


def echoes(client, text=b"hello"):
    client.send(text)
    return client.read_exactly(len(text)) == text


def test_spread(world, tmp_path, echo_site):
    """One agent, three sessions, which take turns; a client's own is not told from the others."""
    server = world.server()
    config = Config(tmp_path / "agent.json", url=server.url, name="berlin", connections=3,
                    log_format="json", rules=[{"allow": ["*", "127.0.0.0/8"]}])  # fmt: skip
    agent = world.agent(None, "--config", config.path)
    agent.wait_for('"connection_up"', 3)
    server.wait_for("agent berlin .* has one more session", 2)
    events = [json.loads(line) for line in agent.lines if "connection_up" in line]
    assert sorted(event["conn"] for event in events) == [0, 1, 2]
    assert {event["url"] for event in events} == {server.url}
    assert count(agent, '"event":"up"') == 1
    clients = [world.client(server).open(echo_site.address) for _ in range(6)]
    assert all(echoes(client) for client in clients)


def test_numbers_in_the_log(world):
    server = world.server()
    world.agent(server.url, "--connections", "2").wait_for(r"connected to \S+ \(connection 1\)")
    alone = world.agent(server.url, "--name", "alone")
    alone.wait_for("connected to")
    assert "(connection" not in alone.output


@pytest.mark.parametrize("value", ["0", "65", "x"])
def test_numbers_out_of_range(world, value):
    agent = world.agent("ws://127.0.0.1:1", "--connections", value)
    agent.wait_for("--connections: must be an integer from 1 to 64")
    agent.wait_exit(2)


def test_too_many_urls(world):
    agent = world.run([world.program("wstunnel-agent"), *["ws://127.0.0.1:1"] * 17])
    agent.wait_for("url: must be at most 16")
    agent.wait_exit(2)


def test_all_addresses_tls(world, authority, identity):
    """Addresses are dialled, but the certificate is still to be the name's."""
    server = world.server("--cert", identity.certificate, "--key", identity.key)
    agent = world.agent(server.secure_url, "--all-addresses", "--ca", authority.certificate)
    agent.wait_for(r"connected to localhost:\d+ at 127\.0\.0\.1 ")
    server.wait_for(UP)


def test_leaving_server(world, start, echo_site):
    """Behind a balancer: before the server that leaves has gone, the agent is at another one."""
    first, second = world.server(), world.server()
    front = start(Balancer, [first.address, f"{second.address} backup"], "tcp")
    agent = world.agent(f"ws://{front.address}")
    first.wait_for(UP)
    client = world.client(first).open(echo_site.address)
    assert echoes(client)
    first.terminate()
    second.wait_for(UP)
    assert first.popen.poll() is None
    assert echoes(client)  # goes on
    other = world.client(second).open(echo_site.address)
    assert echoes(other)
    client.close()
    first.wait_exit(0)
    agent.wait_for("has left")
    assert "next attempt in" not in agent.output
    other.close()
    agent.terminate()  # as long as it can reach the server
    agent.wait_exit(0)


class Load:
    """Clients that open a tunnel, use it and close it, all the time."""

    def __init__(self, address, destination, threads=4):
        self.address, self.destination = address, destination
        self.served, self.failures = 0, []
        self.going = True
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _request(self):
        client = Client(self.address)
        try:
            client.send(f"CONNECT {self.destination} HTTP/1.1\r\n"
                        f"Host: {self.destination}\r\n\r\n".encode())
            head = client.read_head()
            assert head.startswith(b"HTTP/1.1 200 "), head
            assert echoes(client, b"x" * 1000)
        finally:
            client.close()

    def _run(self):
        while self.going:
            try:
                self._request()
            except Exception as error:
                self.failures.append(f"{time.monotonic():.3f} {error!r}")
                return
            with self.lock:
                self.served += 1
            time.sleep(0.01)

    def more(self, requests=100):
        before = self.served
        wait_until(lambda: self.failures or self.served >= before + requests, "more requests")

    def end(self):
        self.going = False
        for thread in self.threads:
            thread.join()


def test_servers_in_turn(world, start, tmp_path, echo_site):
    """Two servers are restarted one after the other, twice: every request is served. Before a
    server closes its address it tells the balancer, which looks ten times a second."""
    config = Config(tmp_path / "server.json", limits={"drain_delay_ms": 1000})
    servers = [world.server("--config", config.path) for _ in range(2)]
    agent = world.agent(servers[0].url, servers[1].url)
    front = start(Balancer, [server.address for server in servers], "http",
                  extra="option httpchk GET /readyz")
    for server in servers:
        server.wait_for(UP)
    wait_until(lambda: is_ready(front.address), "the balancer")
    load = Load(front.address, echo_site.address)
    try:
        for i in (0, 1, 0, 1):
            load.more()
            address = servers[i].address
            servers[i].terminate()
            servers[i].wait_exit(0)
            load.more()
            servers[i] = world.server("--config", config.path, listen=address)
            servers[i].wait_for(UP)
            wait_until(lambda: is_ready(address), "the server")
            time.sleep(0.5)  # the balancer sees it, too
        load.more()
    finally:
        load.end()
    assert not load.failures
    assert agent.popen.poll() is None
