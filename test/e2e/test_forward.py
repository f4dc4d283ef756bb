# SPDX-License-Identifier: MIT
"""Plain HTTP without CONNECT: requests in absolute form, by curl and at the level of bytes."""
import hashlib
import queue
import re
import select
import subprocess
import threading

import pytest

from client import Client, is_now, reset
from configuration import Config
from origin import Origin, digest, echo, ok
from payload import make_payload
from processes import PASSWORD, PATIENCE, USER, is_sanitized, program
from pyagent import BINARY, TEXT
from sites import Closed
from transfer import download
from websocket import WebSocket

MIB = 1 << 20
SIZE = 64 * MIB


@pytest.fixture
def server(world):
    return world.tunnel()[0]


@pytest.fixture
def origin(world):
    return world.site(Origin(echo))


def run(curl, *arguments):
    result = subprocess.run(curl(*arguments), capture_output=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    return result.stdout.decode()


def get(url, fields="", version="1.1"):
    return f"GET {url} HTTP/{version}\r\n{fields}\r\n".encode()


# -- Methods and bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ([], "GET /x "),
        (["--request", "DELETE"], "DELETE /x "),
        (["--data", "a=b"], "POST /x a=b"),
        (["--data", "a=b", "-H", "Transfer-Encoding: chunked"], "POST /x a=b"),
        (["--data", ""], "POST /x "),
        (["--upload-file", "{file}"], "PUT /x contents"),
        (["--upload-file", "{file}", "-H", "Transfer-Encoding: chunked"], "PUT /x contents"),
        (["--request", "OPTIONS", "--request-target", "{url}"], "OPTIONS * "),
    ],
)
def test_methods(curl, server, origin, tmp_path, arguments, expected):
    file = tmp_path / "file"
    file.write_text("contents")
    arguments = [argument.format(file=file, url=origin.url) for argument in arguments]
    assert run(curl, server, "-H", "Expect:", *arguments, f"{origin.url}/x") == expected


def test_head(curl, server, world):
    origin = world.site(Origin(lambda request, s: s.sendall(ok(b"", "X: y\r\n"))))
    assert "X: y" in run(curl, server, "--head", origin.url)
    assert origin.requests[0].method == "HEAD"


def test_expect_continue(curl, server, world, tmp_path):
    """The body waits until the origin asks for it, and no longer: curl would wait for a minute."""

    def answer(request, connection):
        assert request.field("Expect") == "100-continue"
        assert not select.select([connection], [], [], 0.2)[0]
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        echo(request, connection)

    (tmp_path / "file").write_text("contents")
    origin = world.site(Origin(answer))
    output = run(curl, server, "--upload-file", tmp_path / "file", "-H", "Expect: 100-continue",
                 "--expect100-timeout", "50", "--write-out", "\n%{time_total}",
                 f"{origin.url}/x")  # fmt: skip
    body, _, seconds = output.partition("\n")
    assert body == "PUT /x contents"
    assert float(seconds) < 20


def test_expectation_that_fails(curl, server, world, tmp_path):
    """A final answer instead of 100: the body is never sent."""

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False

    (tmp_path / "file").write_text("contents")
    origin = world.site(Origin(answer))
    command = curl(server, "--upload-file", tmp_path / "file", "-H", "Expect: 100-continue",
                   "--expect100-timeout", "50", "--write-out", "%{http_code} %{size_upload}",
                   origin.url)  # fmt: skip
    assert subprocess.run(command, capture_output=True, text=True).stdout == "417 0"


def test_trailers(world, server):
    """Passed on, both ways, but for what may only stand in a head."""

    def answer(request, connection):
        assert request.body() == b"abc"
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"3;x=y\r\ndef\r\n0\r\nDigest: e\r\nSet-Cookie: f\r\n\r\n")  # fmt: skip

    origin = world.site(Origin(answer))
    client = world.client(server)
    client.send(f"POST {origin.url} HTTP/1.1\r\nTE: trailers\r\nConnection: TE\r\n"
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nChecksum: d\r\n\r\n"
                .encode())  # fmt: skip
    assert b"\r\nTransfer-Encoding: chunked\r\n" in client.read_head()
    expected = b"3;x=y\r\ndef\r\n0\r\nDigest: e\r\n\r\n"
    assert client.read_exactly(len(expected)) == expected
    assert origin.requests[0].trailers == [b"Checksum: d\r\n"]
    assert origin.requests[0].field("TE") == "trailers"


def read_chunk(client):
    line = b""
    while not line.endswith(b"\r\n"):
        line += client.read_exactly(1)
    return client.read_exactly(int(line, 16) + 2)[:-2]


def test_nothing_is_held_back(world, server):
    """Each piece of an answer comes at once: the origin waits until the client has seen it."""
    seen = threading.Semaphore(0)

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for i in range(3):
            connection.sendall(b"data: %d\n\n" % i)
            assert seen.acquire(timeout=PATIENCE)
        return False

    origin = world.site(Origin(answer))
    client = world.client(server)
    for _ in range(2):  # on one connection, though the origin ends its own
        client.send(get(origin.url))
        assert b"\r\nTransfer-Encoding: chunked\r\n" in client.read_head()
        for i in range(3):
            piece = b""
            while len(piece) < 9:
                piece += read_chunk(client)
            assert piece == b"data: %d\n\n" % i
            seen.release()
        assert read_chunk(client) == b""


# -- Connections ----------------------------------------------------------------------------------


def test_keep_alive(curl, server, origin):
    urls = [f"{origin.url}/{i}" for i in range(4)]
    output = run(curl, server, "--write-out", "%{num_connects}\n", *urls)
    assert output == "GET /0 1\nGET /1 0\nGET /2 0\nGET /3 0\n"
    assert origin.connections == 1


def test_hosts_on_one_connection(world, server):
    sites = [world.site(Origin(echo)) for _ in range(3)]
    client = world.client(server)
    for i in range(9):
        answer = client.ask(get(f"{sites[i % 3].url}/{i}"))
        assert answer.body == b"GET /%d " % i
        assert answer.fields["Connection"] == "keep-alive"
    assert [len(site.requests) for site in sites] == [3, 3, 3]


@pytest.mark.parametrize("count", [10, 200])
def test_pipelining(world, server, count):
    """As apt asks: many requests at once, of two hosts here, answered in order."""
    sites = [world.site(Origin(echo)) for _ in range(2)]
    client = world.client(server)
    client.send(b"".join(get(f"{sites[i // 5 % 2].url}/{i}") for i in range(count)))
    for i in range(count):
        assert client.read_answer().body == b"GET /%d " % i
    assert sites[0].connections == count // 10


def test_pipelined_bodies(world, server, origin):
    post = f"POST {origin.url}/ HTTP/1.1\r\n"
    client = world.client(server)
    client.send(f"{post}Content-Length: 3\r\n\r\nabc{post}Transfer-Encoding: chunked\r\n\r\n"
                f"3\r\ndef\r\n0\r\n\r\n{post}Content-Length: 0\r\n\r\n".encode())  # fmt: skip
    for body in (b"abc", b"def", b""):
        assert client.read_answer().body == b"POST / " + body


def test_a_stale_connection_is_replaced(world, server):
    """The origin closes without a word when it is asked again."""

    def answer(request, connection):
        if [r.connection for r in origin.requests].count(request.connection) > 1:
            return False
        return echo(request, connection)

    origin = world.site(Origin(answer))
    client = world.client(server)
    for i in range(5):
        assert client.ask(get(f"{origin.url}/{i}")).body == b"GET /%d " % i
    assert origin.connections == 5


def test_connect_after_plain_requests(world, server, origin, echo_site):
    client = world.client(server)
    assert client.ask(get(origin.url)).status == 200
    client.open(echo_site.address, b"hello")
    assert client.read_exactly(5) == b"hello"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_clients(curl, server, world, framing, version):
    heads = {"length": b"Content-Length: 5\r\n\r\nhello", "close": b"\r\nhello",
             "chunked": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
             }  # fmt: skip

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + heads[framing])
        return framing != "close"

    origin = world.site(Origin(answer))
    assert run(curl, server, f"--http{version}", origin.url) == "hello"
    client = world.client(server)
    client.send(get(origin.url, "Connection: close\r\n", version))
    head = client.read_head()
    assert head.startswith(f"HTTP/{version} 200 OK\r\n".encode())
    assert b"\r\nConnection: close\r\n" in head
    assert (b"chunked" in head) == (framing != "length" and version == "1.1")
    assert b"llo" in client.read_to_end()


@pytest.mark.parametrize("field, kept", [("", False), ("Connection: keep-alive\r\n", True)])
def test_old_origins(world, server, field, kept):
    """Their connections stay only if they say so; the client's does in any case."""

    def answer(request, connection):
        body = request.target.encode()
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n%s\r\n%s"
                           % (len(body), field.encode(), body))  # fmt: skip
        return kept

    origin = world.site(Origin(answer))
    client = world.client(server)
    for i in range(3):
        got = client.ask(get(f"{origin.url}/{i}"))
        assert got.status_line == "HTTP/1.1 200 OK"
        assert (got.body, got.fields["Connection"]) == (b"/%d" % i, "keep-alive")
    assert origin.connections == (1 if kept else 3)


@pytest.mark.parametrize("name", ["Connection", "Proxy-Connection"])
def test_client_wants_no_more(world, server, origin, name):
    """The connection ends behind the answer, and no further request is heard."""
    client = world.client(server)
    client.send(get(origin.url, f"{name}: close\r\n") + get(origin.url))
    assert client.read_answer().fields["Connection"] == "close"
    assert client.read_to_end() == b""
    assert len(origin.requests) == 1


def test_half_closed_client(world, server, origin):
    client = world.client(server)
    client.send(get(origin.url))
    client.end()
    assert client.read_answer().body == b"GET / "
    assert client.read_to_end() == b""


def test_websocket(world, server):
    process = world.run([program("ws-echo"), "server", "127.0.0.1:0"])
    address = process.wait_for(r"listening on (\S+)")[1]
    sockets = [WebSocket(server.address, path=f"{scheme}://{address}/chat")
               for scheme in ("ws", "http")]  # fmt: skip
    world.clients.extend(sockets)
    for connection in sockets:
        assert connection.answer.status == 101
        assert connection.answer.fields["Upgrade"] == "websocket"
    for size in (1, 125, 65535):
        for connection in sockets:
            connection.send(TEXT, b"a" * size)
            connection.send(BINARY, b"b" * size)
        for connection in sockets:
            assert connection.receive() == (TEXT, b"a" * size)
            assert connection.receive() == (BINARY, b"b" * size)
    process.kill()


# -- Heads ----------------------------------------------------------------------------------------


def test_fields(world, server):
    def answer(request, connection):
        connection.sendall(ok(b"", "Connection: X-Hop\r\nX-Hop: a\r\nKeep-Alive: timeout=5\r\n"
                                   "Via: 1.0 other\r\nX-End: b\r\nProxy-Authenticate: Basic\r\n"
                                   "Server: c\r\n"))  # fmt: skip

    origin = world.site(Origin(answer))
    got = world.client(server).ask(
        get(f"{origin.url}/a?b", "Host: elsewhere\r\nConnection: X-Hop, close\r\nX-Hop: a\r\n"
            "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: gzip\r\n"
            "Keep-Alive: 5\r\nUpgrade: h2c\r\nVia: 1.0 another\r\nX-End: b\r\nCookie: c\r\n"
            )).fields  # fmt: skip
    (request,) = origin.requests
    name = re.fullmatch(r"1\.0 another, 1\.1 (libwstunnel-[0-9a-f]{8})", request.field("Via"))[1]
    assert request.line == "GET /a?b HTTP/1.1"
    assert sorted(request.fields) == [
        ("Connection", "keep-alive"), ("Cookie", "c"), ("Host", origin.address),
        ("Via", f"1.0 another, 1.1 {name}"), ("X-End", "b")]  # fmt: skip
    assert is_now(got.pop("Date"))  # the origin's answer has none
    assert got == {"Content-Length": "0", "X-End": "b", "Server": "c", "Connection": "close",
                   "Via": f"1.0 other, 1.1 {name}"}  # fmt: skip


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
def test_max_forwards(world, server, origin, method):
    """It counts us; at 0 the answer is ours."""
    request = f"{method} {origin.url}/ HTTP/1.1\r\nMax-Forwards: %d\r\n\r\n"
    client = world.client(server)
    assert client.ask((request % 2).encode()).body == f"{method} / ".encode()
    assert origin.requests[0].field("Max-Forwards") == "1"
    answer = client.ask((request % 0).encode())
    assert answer.status_line == "HTTP/1.1 501 May not be forwarded further"
    assert len(origin.requests) == 1


def test_big_heads(world, server, origin):
    assert world.client(server).ask(get(origin.url, f"A: {'a' * 17000}\r\n")).status == 431
    assert world.client(server).ask(get(origin.url, f"A: {'a' * 16000}\r\n")).status == 200
    assert len(origin.requests) == 1
    big = world.site(Origin(lambda _, s: s.sendall(ok(b"", f"A: {'a' * 17000}\r\n"))))
    answer = world.client(server).ask(get(big.url))
    assert answer.status_line == "HTTP/1.1 502 Malformed answer of destination"


def test_loop(world, server):
    """An origin that is a proxy whose parent is this very server."""

    def answer(request, connection):
        fields = "".join(f"{name}: {value}\r\n" for name, value in request.fields)
        request = get(f"{origin.url}{request.target}", fields)
        answer = world.client(server).ask(request)
        assert answer.fields["Proxy-Status"].startswith("libwstunnel; error=proxy_loop_detected;")
        connection.sendall(f"HTTP/1.1 {answer.status} Loop\r\nContent-Length: 0\r\n\r\n".encode())

    origin = world.site(Origin(answer))
    assert world.client(server).ask(get(origin.url)).status_line == "HTTP/1.1 502 Loop"
    assert len(origin.requests) == 1


def test_the_proxy_itself(world, server):
    """It does not serve itself, by whatever name: there it would trust who comes."""
    for host in ("127.0.0.1", "localhost", "127.0.0.2", "[::ffff:127.0.0.1]", "0.0.0.0"):
        answer = world.client(server).ask(get(f"http://{host}:{server.port}/healthz"))
        if host == "127.0.0.2":
            assert answer.status == 502  # nobody listens there
        else:
            assert (answer.status, answer.body) == (403, b"The destination is this proxy\n"), host


def test_password(curl, world, tmp_path, origin):
    """407, then again on the same connection; the password goes no further."""
    users = tmp_path / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    server = world.server("--user-file", users, "--log-level", "debug")
    world.agent(server.url)
    server.wait_for("agent .* up from")
    urls = [f"{origin.url}/1", f"{origin.url}/2"]
    output = run(curl, server, "--proxy-anyauth", "--proxy-user", f"{USER}:{PASSWORD}",
                 "--write-out", "%{num_connects}\n", *urls)  # fmt: skip
    assert output == "GET /1 1\nGET /2 0\n"
    assert origin.connections == 1
    assert not any(request.field("Proxy-Authorization") for request in origin.requests)
    wrong = ["--proxy-user", f"{USER}:wrong", "--write-out", "%{http_code}", origin.url]
    assert subprocess.run(curl(server, *wrong), capture_output=True).stdout == b"407"
    assert len(origin.requests) == 2
    server.wait_for(f"{USER}")


# -- Errors ---------------------------------------------------------------------------------------


def test_refused(world, server):
    answer = world.client(server).ask(get(f"http://{world.site(Closed()).address}/"))
    assert answer.status_line == "HTTP/1.1 502 Connection refused by destination"


@pytest.mark.parametrize("by_reset", [False, True])
def test_no_answer(world, server, by_reset):
    def answer(request, connection):
        if by_reset:
            reset(connection)
        return False

    answer = world.client(server).ask(get(world.site(Origin(answer)).url))
    reason = "Connection reset by" if by_reset else "Destination closed without an answer"
    assert answer.status == 502
    assert answer.status_line[13:].startswith(reason)
    assert answer.fields["Proxy-Status"].startswith("libwstunnel; error=connection_terminated;")


@pytest.mark.parametrize("head", ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"])
def test_cut_short(curl, world, server, head):
    """A part of an answer ends in a reset, whichever way the origin ended."""

    def answer(request, connection):
        connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n5\r\nabc".encode())
        return False

    origin = world.site(Origin(answer))
    client = world.client(server)
    client.send(get(origin.url))
    assert client.is_reset()
    assert subprocess.run(curl(server, origin.url), capture_output=True).returncode == 56


def end_of_upload(world, server, head, leave):
    """How the end of a client in the middle of an upload looks to the origin: "end" or "reset"."""
    seen = queue.Queue()

    def answer(request, connection):
        seen.put("head")
        try:
            while connection.recv(65536):
                pass
            seen.put("end")
        except ConnectionResetError:
            seen.put("reset")
        return False

    client = world.client(server)
    origin = world.site(Origin(answer))
    client.send(f"PUT {origin.url} HTTP/1.1\r\n{head}\r\n".encode())
    assert seen.get(timeout=PATIENCE) == "head"
    client.send(b"abc")
    leave(client)
    return seen.get(timeout=PATIENCE)


@pytest.mark.parametrize("head", ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("leave", [Client.reset, Client.end])
def test_client_leaves_an_upload(world, server, head, leave):
    """A part of a body never looks like a whole one, nor like a client that will go on."""
    assert end_of_upload(world, server, head, leave) == "reset"


def test_client_leaves_a_download(world, server):
    """The origin is told, and need not go on."""
    seen = queue.Queue()

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        try:
            while True:
                connection.sendall(bytes(MIB))
        except ConnectionError as error:  # BrokenPipeError if the reset came between two calls
            seen.put(type(error))
        return False

    client = world.client(server)
    client.send(get(world.site(Origin(answer)).url))
    client.read_head()
    client.read_exactly(MIB)
    client.reset()
    assert seen.get(timeout=PATIENCE) in (ConnectionResetError, BrokenPipeError)


def test_refused_upload(curl, world, server, tmp_path):
    """An answer in the middle of the body arrives, and the rest of the body ends nowhere."""

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 413 Too much\r\nContent-Length: 3\r\n"
                           b"Connection: close\r\n\r\nno\n")  # fmt: skip
        while connection.recv(65536):
            pass

    make_payload(tmp_path / "big", SIZE)
    origin = world.site(Origin(answer))
    command = curl(server, "--no-fail", "-H", "Expect:", "--upload-file", tmp_path / "big",
                   "--write-out", "%{http_code}", origin.url)  # fmt: skip
    assert subprocess.run(command, capture_output=True).stdout == b"no\n413"


@pytest.mark.parametrize("rude", [False, True])
def test_answer_waits_for_who_still_sends(world, server, rude):
    """A client that is busy with its body finds the answer, not a reset, when it comes to look; even
    of an origin that closes at once, which makes the kernel reset its connection."""

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 413 Too much\r\nContent-Length: 3\r\n\r\nno\n")
        while not rude and connection.recv(65536):
            pass
        return False

    origin = world.site(Origin(answer))
    for _ in range(10):
        client = world.client(server)
        client.send(f"PUT {origin.url} HTTP/1.1\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        client.send(bytes(8 * MIB))
        answer = client.read_answer()
        assert (answer.status, answer.body) == (413, b"no\n")
        assert answer.fields["Connection"] == "close"
        client.close()


def test_server_drains(world):
    """What is being answered is answered whole, then the server goes."""
    go = threading.Event()

    def answer(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MIB)
        assert go.wait(PATIENCE)
        connection.sendall(bytes(MIB))

    server, _ = world.tunnel()
    origin = world.site(Origin(answer))
    client = world.client(server)
    client.send(get(origin.url))
    client.read_head()
    idle = world.client(server)
    assert idle.ask(get(world.site(Origin(echo)).url)).status == 200
    server.terminate()
    server.wait_for("leaving")
    go.set()
    assert idle.read_to_end() == b""
    assert client.read_to_end() == bytes(MIB)
    client.close()
    server.wait_exit(0)


# -- Much -----------------------------------------------------------------------------------------


def test_big_download(curl, server, nginx):
    path = nginx.root / "forwarded"
    expected = make_payload(path, SIZE)
    assert download(curl(server, f"{nginx.http}/forwarded")) == expected
    assert download(curl(server, "--http1.0", f"{nginx.http}/forwarded")) == expected
    path.unlink()


@pytest.mark.parametrize("chunked", [False, True])
def test_big_upload(curl, world, server, tmp_path, chunked):
    expected = make_payload(tmp_path / "big", SIZE)
    origin = world.site(Origin(digest))
    more = ["-H", "Transfer-Encoding: chunked"] if chunked else []
    assert run(curl, server, "--upload-file", tmp_path / "big", "-H", "Expect:", *more,
               origin.url) == expected  # fmt: skip


def peak_memory(process):
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) * 1024


def has_kept_little(process, before):
    """Of what SIZE bytes that are not read would be."""
    return is_sanitized(process) or peak_memory(process) - before < SIZE // 3


def test_slow_client(world, nginx, tmp_path):
    """While it does not read, its answers wait in the origin and its requests with itself. On a busy
    machine another client's window would grow beyond what is measured here, so windows are small."""
    path = nginx.root / "slow"
    expected = make_payload(path, SIZE)
    limits = Config(tmp_path / "limits.json", limits={"stream_window_max": MIB}).path
    server = world.server("--config", limits)
    agent = world.served_by(server, "one", "--config", limits)
    before = [peak_memory(process) for process in (server, agent)]
    request = get(f"{nginx.http}/slow")
    slow = world.client(server)
    slow.send(request * 2)
    slow.read_head()
    quick = world.client(server)
    for _ in range(3):
        quick.send(get(f"{nginx.http}/slow"))
        quick.read_head()
        assert hashlib.sha256(quick.read_exactly(SIZE)).hexdigest() == expected
    for process, peak in zip((server, agent), before):
        assert has_kept_little(process, peak)
    assert hashlib.sha256(slow.read_exactly(SIZE)).hexdigest() == expected
    slow.read_head()
    assert hashlib.sha256(slow.read_exactly(SIZE)).hexdigest() == expected
    path.unlink()


def test_many_small_answers_unread(world, server):
    """Requests in a row whose answers nobody reads wait with the client, not in the server."""
    origin = world.site(Origin(lambda _, s: s.sendall(ok(bytes(8000)))))
    client = world.client(server)
    client.socket.setblocking(False)
    before = peak_memory(server)
    request, sent = get(origin.url) * 100, 0
    while select.select([], [client.socket], [], 1)[1] and sent < SIZE:
        sent += client.socket.send(request)
    assert sent < SIZE
    assert has_kept_little(server, before)


def test_slow_origin(world, server):
    """An upload that the origin does not read waits with the client."""
    go = threading.Event()

    def answer(request, connection):
        assert go.wait(PATIENCE)
        while connection.recv(1 << 18):
            pass

    origin = world.site(Origin(answer))
    client = world.client(server)
    client.socket.setblocking(False)
    before = peak_memory(server)
    client.send(f"PUT {origin.url} HTTP/1.1\r\nContent-Length: {SIZE}\r\n\r\n".encode())
    sent = 0
    while select.select([], [client.socket], [], 1)[1] and sent < SIZE:
        sent += client.socket.send(bytes(MIB))
    assert sent < SIZE
    assert has_kept_little(server, before)
    go.set()
