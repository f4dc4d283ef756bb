# SPDX-License-Identifier: MIT
"""A crowd at a port, where nobody is asked who he is: it takes what max_connections and max_pending
give, and nobody else waits longer for it; what it sends ahead is bounded; it leaves nothing behind."""
import json
import signal

from arena import KIB, SLACK, check_memory, forget_peak, memory
from client import Client, connect_from, open_socket
from processes import wait_until

CROWD = 300
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Scene:
    """A server with a port to a site and an agent; `limits` are the server's."""

    def __init__(self, world, tmp_path, site, **limits):
        self.world, self.site = world, site
        path = tmp_path / "server.json"
        path.write_text(
            json.dumps({
                "listen": "127.0.0.1:0",
                "ports": [{"listen": "0", "destination": site.address}],
                "limits": {"dial_timeout_ms": 60000, "dead_after_ms": 120000, **limits},
            })
        )  # fmt: skip
        self.server = world.server("--config", path, listen=None)
        self.port = self.server.wait_for(r"port (\S+) leads to")[1]
        self.agent = world.served_by(self.server, "one")
        assert self.connect().is_through()

    def connect(self):
        return Tunnel(self.world.client(self.server), self.site.address)

    def crowd(self, count, text=b"", connect=open_socket):
        """Clients of the port that the kernel has taken; those that are reset before they know it
        are left out."""
        clients = []
        for _ in range(count):
            try:
                clients.append(Client(self.port, connect))
                self.world.clients.append(clients[-1])
                clients[-1].send(text)
            except ConnectionResetError:
                pass
        return clients

    def is_healthy(self):
        monitor = self.world.client(self.server)
        status = monitor.ask(HEALTH).status
        monitor.close()
        return status == 200

    def count(self, text):
        return sum(text in line for line in self.server.lines)


class Tunnel:
    def __init__(self, client, destination):
        self.client = client
        self.answer = client.connect(destination)

    def is_through(self):
        if self.answer.status != 200:
            return False
        self.client.send(b"ping")
        through = self.client.read_exactly(4) == b"ping"
        self.client.close()
        return through


def leave(clients):
    for client in clients:
        client.reset()


def test_others_are_served_beside_it(world, tmp_path, echo_site):
    scene = Scene(world, tmp_path, echo_site, max_connections=CROWD + 20)
    before = scene.server.descriptors()
    crowd = scene.crowd(CROWD, b"x", connect_from("127.0.0.2"))
    for client in crowd:
        assert client.read_exactly(1) == b"x"
    for _ in range(20):
        assert scene.is_healthy()
        assert scene.connect().is_through()
    leave(crowd)
    wait_until(lambda: scene.server.descriptors() <= before, "descriptors as before")


def test_more_than_there_may_be_wait_in_the_kernel(world, tmp_path, echo_site):
    """So do others then, as behind any crowd of many sources; when it leaves all are served in
    turn."""
    scene = Scene(world, tmp_path, echo_site, max_connections=CROWD // 3)
    sources = (f"127.1.{i // 250}.{i % 250 + 1}" for i in range(CROWD))
    crowd = scene.crowd(CROWD, b"x", lambda address: connect_from(next(sources))(address))
    served = CROWD // 3 - 1  # the agent is a connection, too
    scene.server.wait_for("tunnel .* open", served + 1)
    waiting = world.client(scene.server)
    waiting.send(HEALTH)
    assert scene.count(" open: ") == served + 1  # the first was the scene's
    leave(crowd)
    assert waiting.read_answer().status == 200
    assert scene.connect().is_through()


def test_destination_that_does_not_answer(world, tmp_path, echo_site):
    """As many as one user's share of max_pending wait, 7 of 10; the others are reset at once. Those
    who leave make room."""
    scene = Scene(world, tmp_path, echo_site, max_pending=10)
    scene.agent.signal(signal.SIGSTOP)
    crowd = scene.crowd(CROWD)
    scene.server.wait_for(r"refused: 429 |\d+ more refused")
    wait_until(lambda: sum(not is_over(client) for client in crowd) <= 7, "the others are reset")
    waiting = [client for client in crowd if not is_over(client)]
    assert len(waiting) == 7
    assert scene.is_healthy()
    assert scene.connect().answer.status == 429  # the same user, without a name
    for client in waiting:
        client.end()
    scene.agent.signal(signal.SIGCONT)
    wait_until(lambda: scene.connect().is_through(), "a place for others")


def is_over(client):
    client.socket.setblocking(False)
    try:
        return client.socket.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_what_it_sends_ahead_is_bounded(world, tmp_path, echo_site):
    scene = Scene(world, tmp_path, echo_site)
    before = memory(scene.server)
    scene.agent.signal(signal.SIGSTOP)
    forget_peak(scene.server)
    crowd = []
    for _ in range(100):
        sock = open_socket(scene.port)
        sock.setblocking(False)
        fill(sock)
        crowd.append(sock)
    assert scene.is_healthy()
    wait_until(lambda: all(fill(sock) == 0 for sock in crowd), "nothing more is taken")
    check_memory(scene.server, before, SLACK / 2 + 100 * 48 * KIB, "VmHWM")
    for sock in crowd:
        sock.close()
    scene.agent.signal(signal.SIGCONT)
    assert scene.connect().is_through()


def fill(sock):
    """Sends as much as there is room for."""
    sent = 0
    try:
        while True:
            sent += sock.send(b"x" * 65536)
    except BlockingIOError:
        return sent
