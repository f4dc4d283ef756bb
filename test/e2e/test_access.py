# SPDX-License-Identifier: MIT
"""Who may connect: tokens of agents, users, and what is refused from the start."""
import base64
import subprocess

import pytest

from client import open_socket
from processes import PASSWORD, TOKEN, USER, program
from websocket import WebSocket


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.fixture
def guarded(world, token_file):
    return world.server("--agent-token-file", token_file, "--log-level", "debug")


def test_right_token(world, guarded, token_file):
    world.agent(guarded.url, "--token-file", token_file, "--log-level", "debug")
    guarded.wait_for("agent .* up from")


def test_wrong_token(world, guarded, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text(TOKEN[:-1] + "\n")
    agent = world.agent(guarded.url, "--token-file", wrong, "--log-level", "debug")
    agent.wait_for("401")
    guarded.wait_for("refused: 401 Unauthorized: this token is nobody's")


def test_missing_token(world, guarded):
    agent = world.agent(guarded.url)
    agent.wait_for(r"401.*next attempt in 30000 ms")
    agent.stop()  # it can be told to leave while it waits


def test_exit_on_refusal(world, guarded):
    world.agent(guarded.url, "--exit-on-refusal").wait_exit(1)


def test_token_is_read_at_each_attempt(world, guarded, tmp_path):
    """A token that is there only later is found then."""
    late = tmp_path / "late"
    agent = world.agent(guarded.url, "--token-file", late)
    agent.wait_for("cannot open .*late")
    late.write_text(TOKEN + "\n")
    guarded.wait_for("agent .* up from")


@pytest.mark.parametrize(
    "field", ["Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
)
def test_malformed_authorization(guarded, field):
    socket = WebSocket(
        guarded.address, "wstunnel.v1.json", "/websocket", f"Authorization: {field}\r\n"
    )
    assert socket.answer.status == 401
    assert socket.answer.fields["WWW-Authenticate"] == "Bearer"
    socket.close()


def test_users_by_curl(world, tmp_path, nginx):
    users = tmp_path / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    (nginx.root / "small").write_text("hello\n")
    server = world.server("--user-file", users, "--log-level", "debug")
    agent = world.agent(server.url, "--log-level", "debug")
    server.wait_for("agent .* up from")

    def curl(*credentials):
        # --proxy-anyauth: first without, then again on the same connection.
        command = ["curl", "-sS", "-p", "-x", server.proxy, "--proxy-anyauth", *credentials,
                   "--write-out", "%{http_connect} %{num_connects}",
                   f"{nginx.http}/small"]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True)

    assert curl("-U", f"{USER}:{PASSWORD}").stdout == "hello\n200 1"
    assert curl("-U", f"{USER}:wrong").stdout.startswith("407")
    assert curl().stdout.startswith("407")
    server.stop()
    agent.stop()


# -- Refused from the start -----------------------------------------------------------------------


def run_server(*options):
    return subprocess.run([program("wstunnel-server"), *options], capture_output=True, text=True)


def test_open_beyond_this_machine(tmp_path, token_file):
    for options in (
        ["--listen", "0.0.0.0:0"],
        ["--listen", "0.0.0.0:0", "--agent-token-file", token_file],
        ["--listen", "0.0.0.0:0,agents"],
        ["--listen", "[::]:0,connect", "--agent-token-file", token_file],
    ):
        result = run_server(*options)
        assert result.returncode == 1
        assert "refused: reachable from other machines without authentication" in result.stderr
        assert "--insecure-open" in result.stderr


def test_beyond_this_machine(world, tmp_path, token_file):
    """With all that its roles need, or when told so."""
    users = tmp_path / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    for options in (
        ["--agent-token-file", token_file, "--user-file", users],
        ["--insecure-open"],
        ["--listen", "0.0.0.0:0,health"],
    ):
        listen = "127.0.0.1:0" if "--listen" in options else "0.0.0.0:0"
        server = world.server(*options, listen=listen)
        client = open_socket(f"127.0.0.1:{server.port}")
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 200 OK\r\n")
        client.close()


def upgrade(world, protocol="wstunnel.v1.bin", path="/websocket", fields="", options=()):
    socket = WebSocket(world.server(*options).address, protocol, path, fields)
    world.clients.append(socket)
    return socket.answer


def test_upgrade(world):
    answer = upgrade(world)
    assert answer.status == 101
    assert answer.fields["Sec-WebSocket-Protocol"] == "wstunnel.v1.bin"


def test_upgrade_from_a_web_page(world):
    """Any page may open a WebSocket to localhost."""
    assert upgrade(world, fields="Origin: http://evil.test\r\n").status == 403


def test_upgrade_without_our_subprotocol(world):
    assert upgrade(world, protocol="chat").status == 400


def test_upgrade_elsewhere(world):
    assert upgrade(world, path="/").status == 404
    assert upgrade(world, path="/here", options=["--path", "/here"]).status == 101


def test_connect_with_credentials_of_an_agent(world, guarded):
    """The token opens the agents' door only; and no secret is logged (see processes.py)."""
    client = world.client(guarded)
    basic = base64.b64encode(f":{TOKEN}".encode()).decode()
    client.send(f"CONNECT a.test:1 HTTP/1.1\r\nProxy-Authorization: Basic {basic}\r\n\r\n".encode())
    assert client.read_answer().status == 503  # there are no users: everybody may, on loopback
