# SPDX-License-Identifier: MIT
"""A log that nobody reads: the programs serve all the same, and tell later how much is missing."""
import fcntl
import json
import os
import re
import socket
import threading

import pytest

from processes import OPEN, listening_port, program, wait_until
from sites import Site, echo

PIPE_SIZE = 4096  # the least that Linux has
REFUSED = 2000
TUNNELS = 2000  # lines of more than the pipe and the programs' buffers hold
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (error|warn |info |debug) \S.*")


class Unread:
    """A pipe for a program's stderr, read from when the test says so."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self.lines, self.thread = [], None

    def started(self):
        """The program has its copy."""
        os.close(self.writing)

    def read(self):
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        with open(self.reading, encoding="utf-8") as pipe:
            for line in pipe:
                self.lines.append(line.rstrip("\n"))

    def wait_for(self, pattern):
        wait_until(lambda: any(re.search(pattern, line) for line in list(self.lines)), pattern)

    def close(self):
        if self.thread is not None:
            self.thread.join()
        else:
            os.close(self.reading)


class UnreadSocket(Unread):
    """As journald has it."""

    def __init__(self):
        self.lines, self.thread = [], None
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIPE_SIZE)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE_SIZE)
        self.reading, self.writing = near.detach(), far.detach()


def run(world, log, name, *options):
    process = world.run([program(name), *options], preexec_fn=lambda: os.dup2(log.writing, 2))
    log.started()
    return process


def get(world, address, path):
    client = world.client(address)
    client.send(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    answer = client.read_answer()
    client.close()
    return answer.status


def refuse(world, address, count):
    client = world.client(address)
    for _ in range(count):
        client.send(b"CONNECT nonsense HTTP/1.1\r\n\r\n")
        assert client.read_answer().status == 400
        client.close()
        client = world.client(address)
    client.close()


def tunnel(world, address, site, count):
    for i in range(count):
        client = world.client(address).open(site.address, more=b"%8d" % i)
        assert client.read_exactly(8) == b"%8d" % i
        client.close()


@pytest.fixture(params=[Unread, UnreadSocket])
def logs(request):
    made = [request.param(), request.param()]
    yield made
    for log in made:
        log.close()


def start(world, logs, *options):
    """Server and agent; the address of the server."""
    server = run(world, logs[0], "wstunnel-server", "--listen", "127.0.0.1:0", *options)
    address = f"127.0.0.1:{listening_port(server)}"
    agent = run(world, logs[1], "wstunnel-agent", "--name", "a", *OPEN, *options, f"ws://{address}")
    wait_until(lambda: get(world, address, "/readyz") == 200, "ready")
    return server, agent, address


def test_serves_and_tells(world, logs):
    site = world.site(Site(echo))
    server, agent, address = start(world, logs)
    refuse(world, address, REFUSED)
    assert get(world, address, "/healthz") == 200
    tunnel(world, address, site, TUNNELS)
    assert get(world, address, "/healthz") == 200
    for log in logs:
        log.read()
        log.wait_for(r"warn +\d+ lines of the log dropped")
    other = world.site(Site(echo))  # whose address the logs do not know yet
    tunnel(world, address, other, 1)
    for log in logs:
        log.wait_for(f"info +.*{other.address}")
    agent.stop()
    server.stop()
    for log in logs:
        log.thread.join()
        torn = [line for line in log.lines if not LINE.fullmatch(line)]
        assert not torn
        told = sum(site.address in line for line in log.lines)
        dropped = sum(int(m[1]) for m in (re.search(r"(\d+) lines of the log", line)
                                          for line in log.lines) if m)  # fmt: skip
        assert told < TUNNELS <= told + dropped


def test_objects_stay_whole(world, logs):
    server, agent, address = start(world, logs, "--log-format", "json")
    tunnel(world, address, world.site(Site(echo)), TUNNELS)
    for log in logs:
        log.read()
        log.wait_for('"event":"log_dropped"')
    agent.stop()
    server.stop()
    for log in logs:
        log.thread.join()
        events = [json.loads(line) for line in log.lines]
        dropped = [e for e in events if e["event"] == "log_dropped"]
        assert all(e["level"] == "warn" and e["lines"] > 0 for e in dropped)


def test_end_without_a_reader(world, logs):
    """It does not keep the programs from ending."""
    server, agent, address = start(world, logs)
    tunnel(world, address, world.site(Site(echo)), TUNNELS)
    agent.stop()
    server.stop()


def test_errors_at_the_end_are_seen(world):
    log = Unread()
    server = run(world, log, "wstunnel-server", "--listen", "192.0.2.1:1", "--insecure-open")
    log.read()
    server.wait_exit(1)
    log.close()
    assert any(re.search("error cannot listen on 192.0.2.1:1", line) for line in log.lines)
