# SPDX-License-Identifier: MIT
"""
Users out of a data base: examples/users.c, which reads a directory in libuv's thread pool. A FIFO in
that directory is a user whose look-up takes until the test writes the password.
"""
import base64
import os
import signal
import subprocess

import pytest

from processes import PASSWORD, program

BOTH_WAYS = pytest.mark.parametrize("way", [("--proxytunnel",), ()], ids=["connect", "forwarded"])
SCHEMES = pytest.mark.parametrize("scheme", ["--proxy-basic", "--proxy-digest"])


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "users"
    path.mkdir()
    for name in ("alice", "bob"):
        (path / name).write_text(PASSWORD + "\n")
    os.mkfifo(path / "slow")
    (path / "broken").mkdir()
    (tmp_path / "outside").write_text(PASSWORD + "\n")
    return path


@pytest.fixture
def server(world, directory):
    process = world.run([program("users"), "127.0.0.1:0", directory])
    process.address = process.wait_for(r"listening on (\S+)")[1]
    world.agent(f"ws://{process.address}", "--name", "berlin")
    process.wait_for("agent berlin is there")
    return process


@pytest.fixture
def page(nginx):
    (nginx.root / "users").write_text("hello\n")
    return f"{nginx.http}/users"


def curl(server, page, user, password, *options):
    """A curl that runs; it prints the body and the status of the proxy or of the site."""
    return subprocess.Popen(
        ["curl", "--silent", "--noproxy", "", "--proxy", f"http://{server.address}",
         "--proxy-user", f"{user}:{password}", "--write-out", "%{http_connect} %{http_code}",
         *options, page],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def result(process):
    """The body and the status, that of CONNECT if it was refused."""
    output = process.communicate()[0]
    body, _, numbers = output.rpartition("\n") if "\n" in output else ("", "", output)
    connect, status = numbers.split()
    return body, int(status) or int(connect)


def basic(user):
    token = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    return f"Proxy-Authorization: Basic {token}\r\n"


def connect(world, server, page, user):
    """A client whose request waits for the look-up."""
    authority = page.split("/")[2]
    client = world.client(server.address)
    client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: x\r\n{basic(user)}\r\n".encode())
    return client


def tell(directory):
    """Lets one look-up of the slow user end."""
    (directory / "slow").write_text(PASSWORD + "\n")


@BOTH_WAYS
@SCHEMES
def test_who_is_let_in(server, page, way, scheme):
    ask = lambda user, password: result(curl(server, page, user, password, scheme, *way))  # noqa: E731
    assert ask("alice", PASSWORD) == ("hello", 200)
    assert ask("alice", "x")[1] == 407
    assert ask("nobody", PASSWORD)[1] == 407
    assert ask("../outside", PASSWORD)[1] == 407
    assert ask("broken", PASSWORD)[1] == 503
    assert ask("bob", PASSWORD) == ("hello", 200)
    server.wait_for("looking up bob")


@SCHEMES
def test_others_overtake_a_slow_look_up(server, directory, page, scheme):
    slow = curl(server, page, "slow", PASSWORD, scheme)
    server.wait_for("looking up slow")
    for _ in range(3):
        assert result(curl(server, page, "alice", PASSWORD, scheme)) == ("hello", 200)
    assert slow.poll() is None
    tell(directory)
    assert result(slow) == ("hello", 200)


def test_many_at_once(server, page):
    ways = [(scheme, *way) for scheme in ("--proxy-basic", "--proxy-digest")
            for way in ((), ("--proxytunnel",))]  # fmt: skip
    asked = [
        (name, curl(server, page, name, PASSWORD, *way))
        for _ in range(5)
        for way in ways
        for name in ("alice", "bob", "nobody", "broken")
    ]
    for name, process in asked:
        expect = {"nobody": 407, "broken": 503}.get(name, 200)
        assert result(process)[1] in ((407, 429) if expect == 407 else (expect,))


def test_client_leaves_meanwhile(world, server, directory, page):
    client = connect(world, server, page, "slow")
    server.wait_for("looking up slow")
    client.close()
    tell(directory)
    assert result(curl(server, page, "alice", PASSWORD)) == ("hello", 200)
    client = connect(world, server, page, "slow")
    server.wait_for("looking up slow", 2)
    tell(directory)
    assert client.read_answer().status == 200


def test_access_object_is_replaced_meanwhile(world, server, directory, page):
    client = connect(world, server, page, "slow")
    server.wait_for("looking up slow")
    server.signal(signal.SIGHUP)
    answer = client.read_answer()
    assert (answer.status, answer.fields["Retry-After"]) == (503, "5")
    server.wait_for("another access object")
    tell(directory)
    assert result(curl(server, page, "bob", PASSWORD)) == ("hello", 200)


def test_end_meanwhile(world, server, directory, page):
    client = connect(world, server, page, "slow")
    server.wait_for("looking up slow")
    server.terminate()
    server.wait_for("closed")
    client.close()
    tell(directory)
    server.wait_exit(0)
