# SPDX-License-Identifier: MIT
"""CONNECT that is rejected, with bytes behind it that were meant for the destination: they are never
taken for a request, and nothing of them is answered."""
import json

import pytest

from client import Client
from processes import PASSWORD, USER, USER_BASIC
from scene import HEALTH, serve
from secure import SecureClient, client_context
from sites import Closed, Deaf

CREDENTIALS = f"Proxy-Authorization: Basic {USER_BASIC}\r\n"
WRONG = "Proxy-Authorization: Basic eDp5\r\n"
SMUGGLED = {
    "a request": HEALTH,
    "two requests": HEALTH * 2,
    "CONNECT": b"CONNECT a.test:1 HTTP/1.1\r\n" + CREDENTIALS.encode() + b"\r\n",
    "half a request": HEALTH[:20],
    "an empty line": b"\r\n" + HEALTH,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a megabyte": HEALTH * (1 << 15),
}
UNKNOWN = "HTTP/1.1 407 Proxy Authentication Required"


@pytest.fixture(scope="module")
def scene(arena, authority, identity, tmp_path_factory):
    """A server with users and rules; an agent whose dials time out at once."""
    path = tmp_path_factory.mktemp("config")
    server = serve(arena, path, listen="127.0.0.1:0,tls,plain", cert=str(identity.certificate),
                   key=str(identity.key), users=[{"name": USER, "password": PASSWORD}],
                   limits={"max_failures": 100_000},
                   rules=[{"deny": ["denied.test"]}, {"allow": ["*", "127.0.0.0/8"]}],
                   routes=[{"destinations": ["nowhere.test"], "agents": ["none"]}])  # fmt: skip
    (path / "agent.json").write_text(json.dumps({"limits": {"dial_timeout_ms": 100}}))
    arena.agent(server.url, "--config", path / "agent.json")
    server.wait_for("agent .* up from")
    server.context = client_context(authority)
    server.closed, server.deaf = arena.site(Closed()).address, arena.site(Deaf()).address
    return server


# What is asked for, with which fields, and the answer.
REJECTED = {
    "400": (lambda s: "no-port", CREDENTIALS, "HTTP/1.1 400 Bad Request: no port"),
    "403 by a rule": (lambda s: "denied.test:1", CREDENTIALS, "HTTP/1.1 403 Denied by rule 1 of the server"),
    "403 for itself": (lambda s: s.address, CREDENTIALS, "HTTP/1.1 403 The destination is this proxy"),
    "407": (lambda s: "a.test:1", "", UNKNOWN),
    "407 for wrong ones": (lambda s: "a.test:1", WRONG, UNKNOWN),
    "502": (lambda s: s.closed, CREDENTIALS, "HTTP/1.1 502 Connection refused by destination"),
    "503": (lambda s: "nowhere.test:1", CREDENTIALS, "HTTP/1.1 503 No agent available"),
    "504": (lambda s: s.deaf, CREDENTIALS, "HTTP/1.1 504 Connection to destination timed out"),
}  # fmt: skip


def read_all(client):
    """To the end, whichever it is: what nobody reads makes it a reset."""
    try:
        return client.read_to_end()
    except ConnectionResetError:
        return bytes(client.buffer)


def send(client, *parts):
    """As much as is taken."""
    try:
        for part in parts:
            client.send(part)
    except (ConnectionError, TimeoutError):
        pass


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("smuggled", SMUGGLED)
@pytest.mark.parametrize("name", REJECTED)
def test_rejected(scene, name, smuggled, secure):
    destination, fields, status_line = REJECTED[name]
    client = SecureClient(scene.address, scene.context) if secure else Client(scene.address)
    request = f"CONNECT {destination(scene)} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()
    send(client, request + SMUGGLED[smuggled])
    answer = client.read_answer()
    assert answer.status_line == status_line
    assert answer.fields["Connection"] == "close"
    send(client, HEALTH)
    assert read_all(client) == b""
    client.close()


@pytest.mark.parametrize("fields", ["", WRONG], ids=["none", "wrong"])
def test_challenged(scene, fields):
    """With nothing behind it the connection stays, for the credentials."""
    client = Client(scene.address)
    for fields in (fields, "", fields):
        answer = client.ask(f"CONNECT {scene.closed} HTTP/1.1\r\n{fields}\r\n".encode())
        assert answer.status_line == UNKNOWN
        assert answer.fields["Connection"] == "keep-alive"
    answer = client.ask(f"CONNECT {scene.closed} HTTP/1.1\r\n{CREDENTIALS}\r\n".encode())
    assert answer.status == 502
    assert client.read_to_end() == b""
    client.close()
