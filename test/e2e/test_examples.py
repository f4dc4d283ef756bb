# SPDX-License-Identifier: MIT
"""The small programs of the tutorial."""
import signal
import subprocess

import pytest

from processes import program
from pyagent import BINARY, TEXT, WS_CLOSE
from sites import Closed, Site, echo, reset_after
from websocket import WebSocket


@pytest.fixture
def hello(nginx):
    (nginx.root / "index.html").write_text("hello from inside\n")


def start(world, name, *arguments):
    """A program that serves until it is killed; its address."""
    process = world.run([program(name), *arguments])
    return process, process.wait_for(r"listening on (\S+)")[1]


def stop(process):
    """These programs know no orderly end."""
    process.terminate()
    process.wait_exit(-signal.SIGTERM)


def test_connect_proxy(world, nginx, hello):
    proxy, address = start(world, "connect-proxy", "127.0.0.1:0")
    command = ["curl", "-sS", "-p", "-x", f"http://{address}", nginx.http]
    result = subprocess.run(command, capture_output=True, check=True)
    assert result.stdout == b"hello from inside\n"
    proxy.wait_for("tunnel over: .* ended")
    client = world.client(address)
    assert client.connect(world.site(Closed()).address).status == 502
    assert client.read_to_end() == b""
    assert world.client(address).ask(b"GET / HTTP/1.1\r\n\r\n").status == 405
    assert world.client(address).ask(b"CONNECT x HTTP/1.1\r\n\r\n").status == 400
    stop(proxy)


def test_ws_echo(world):
    server, address = start(world, "ws-echo", "server", "127.0.0.1:0")
    host, _, port = address.rpartition(":")
    command = [program("ws-echo"), "client", host, port, "hello, world"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello, world\n", "")
    server.wait_for("done")
    stop(server)


def test_ws_echo_with_another_client(world):
    server, address = start(world, "ws-echo", "server", "127.0.0.1:0")
    socket = WebSocket(address)
    world.clients.append(socket)
    assert socket.is_open
    for opcode, size in [(TEXT, 0), (TEXT, 125), (BINARY, 126), (BINARY, 65535), (TEXT, 1)]:
        message = b"x" * size
        socket.send(opcode, message)
        assert socket.receive() == (opcode, message)
    socket.send(WS_CLOSE, b"\x03\xe8")
    assert socket.receive_close() == (1000, "")
    socket.close()
    server.wait_for("done")
    stop(server)


def test_ws_echo_refuses(world):
    server, address = start(world, "ws-echo", "server", "127.0.0.1:0")
    assert world.client(address).ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").status == 400
    result = subprocess.run([program("ws-echo")], capture_output=True, text=True)
    assert result.returncode == 2
    stop(server)
    host, _, port = address.rpartition(":")
    command = [program("ws-echo"), "client", host, port, "hello"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "connection refused" in result.stderr


def test_embed(nginx, hello):
    result = subprocess.run([program("embed"), nginx.address], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("agent embedded is there\nHTTP/1.1 200 OK\n")
    assert result.stdout.endswith("hello from inside\n")


def test_embed_cannot_reach(world):
    site = world.site(Closed())
    result = subprocess.run([program("embed"), site.address], capture_output=True, text=True)
    assert result.returncode == 1
    assert "connection refused" in result.stderr


# -- A front end of an embedder's own ---------------------------------------------------------------


@pytest.fixture
def front(world):
    """The program, which lets clients reach 127.0.0.1 but for port 1, and an agent."""
    process = world.run([program("front"), "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:2-65535"])
    found = process.wait_for(r"front end on (\S+), agents on (\S+)")
    process.address, agents = found[1], found[2]
    process.agent = world.agent(f"ws://{agents}", "--name", "berlin")
    process.wait_for("agent berlin is there")
    return process


def test_front_relays(world, front):
    client = world.client(front.address)
    site = world.site(Site(echo))
    client.send(f"{site.address}\nahead".encode())  # what is behind the line is the destination's
    assert client.read_exactly(5) == b"ahead"
    front.wait_for(f"open: 127.0.0.1:[0-9]+ to {site.address}")
    client.send(b" and more")
    client.end()
    assert client.read_to_end() == b" and more"
    front.wait_for("was served: 14 bytes")


def test_front_is_told_no(world, front):
    for line, answer in [
        ("127.0.0.1:1", "error: No rule of the server allows it\n"),
        ("[::1]:22", "error: No rule of the server allows it\n"),
        (world.site(Closed()).address, "error: Connection refused by destination\n"),
        ("no destination", "error: invalid destination\n"),
        ("x" * 300, "error: the line is too long\n"),
    ]:
        client = world.client(front.address)
        client.send(f"{line}\n".encode())
        client.end()
        assert client.read_to_end().decode() == answer
    client = world.client(front.address)
    client.end()  # not even a line
    assert client.is_reset()


def test_front_without_agent(world, front):
    front.agent.terminate()
    front.agent.wait_exit(0)
    client = world.client(front.address)
    client.send(b"127.0.0.1:80\n")
    client.end()
    assert client.read_to_end() == b"error: No agent available\n"


def test_front_breaks_off(world, front):
    client = world.client(front.address)
    client.send(f"{world.site(Site(reset_after(b'part'))).address}\n".encode())
    assert client.read_exactly(4) == b"part"
    client.send(b"x")
    assert client.is_reset()
    front.wait_for("was served")


def test_front_drains(world, front):
    client, silent = world.client(front.address), world.client(front.address)
    client.send(f"{world.site(Site(echo)).address}\nx".encode())
    assert client.read_exactly(1) == b"x"
    front.terminate()
    front.wait_for("draining")
    assert silent.read_to_end() == b"error: shutting down\n"  # and it never ends its side
    client.send(b"y")
    assert client.read_exactly(1) == b"y"
    client.end()
    assert client.read_to_end() == b""
    front.wait_exit(0)
