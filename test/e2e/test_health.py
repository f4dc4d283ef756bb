# SPDX-License-Identifier: MIT
"""What monitors see."""
from client import is_now
from processes import wait_until


def test_health_and_readiness(world):
    server = world.server()
    client = world.client(server)  # one connection for all: monitors come back
    alive = client.ask(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert alive.body == b"ok\n" and is_now(alive.fields["Date"])

    def readiness():
        answer = client.ask(b"GET /readyz HTTP/1.1\r\n\r\n")
        return answer.status, answer.body

    assert readiness() == (503, b"no agent available\n")
    agent = world.agent(server.url)
    server.wait_for("agent .* up from")
    assert readiness() == (200, b"ready\n")
    agent.stop()
    wait_until(lambda: readiness() == (503, b"no agent available\n"), "not ready")
    assert client.ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 200


def test_head(world):
    client = world.client(world.server())
    client.send(b"HEAD /healthz HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 3\r\n" in client.read_head()
    assert client.ask(b"GET /healthz?verbose HTTP/1.1\r\n\r\n").body == b"ok\n"


def test_only_where_offered(world):
    server = world.server(listen="127.0.0.1:0,agents,connect")
    client = world.client(server)
    assert client.ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 404
