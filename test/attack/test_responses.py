# SPDX-License-Identifier: MIT
"""A hostile origin: answers that two parsers may read in two ways, and more answers than were asked
for. The client gets one answer to each request; what is behind an answer is never taken for the next
one."""
import re

import pytest

from client import Client
from recorder import Recorder
from scene import Scene
from sites import Site, echo

EVIL = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Evil: 1\r\n\r\nevil"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def scene(arena):
    scene = Scene(arena, arena.server(), arena.site(Site(echo)))
    yield scene
    scene.finish()


def response(*fields, status="200 OK", version="1.1", body=""):
    return f"HTTP/{version} {status}\r\n" + "".join(f"{f}\r\n" for f in fields) + "\r\n" + body


def ask(scene, answer, methods):
    """Requests in a row, of which the first one is answered by `answer`: what the client gets."""
    origin = Recorder(answer.encode("latin-1"))
    client = Client(scene.server.address)
    client.send("".join(f"{m} http://{origin.address}/ HTTP/1.1\r\nHost: a\r\n\r\n"
                        for m in methods).encode())  # fmt: skip
    try:
        client.end()
    except OSError:  # it has been reset already, which reading tells
        pass
    try:
        data, end = client.read_to_end(), "end"
    except ConnectionResetError:
        data, end = bytes(client.buffer), "reset"
    client.close()
    origin.wait()
    origin.close()
    assert origin.requests <= len(methods)
    # The origin's answers have no date, so each answer but an interim one gets one.
    data = re.sub(rb"(?<=\r\n)Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", b"", data)
    return re.sub(rb"libwstunnel-[0-9a-f]{8}", b"us", data).decode("latin-1"), end


SECOND = ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 us\r\nConnection: keep-alive\r\n\r\nok")
LAST = SECOND.replace("keep-alive", "close")

BOTH = "Content-Length with Transfer-Encoding"
LENGTH = "malformed Content-Length"
CONTROL = "control character"
CR = "carriage return without line feed"

# Answers that are refused as a whole, and why.
REFUSED = {
    "CL and TE": (response("Content-Length: 4", CHUNKED, body="0\r\n\r\n" + EVIL), BOTH),
    "TE and CL": (response(CHUNKED, "Content-Length: 4", body="0\r\n\r\n" + EVIL), BOTH),
    "two CL": (response("Content-Length: 0", "Content-Length: 40", body=EVIL),
               "more than one Content-Length"),
    "CL twice": (response("Content-Length: 4", "Content-Length: 4", body="evil"),
                 "more than one Content-Length"),
    **{f"CL {n!r}": (response(f"Content-Length: {n}", body="evil"), LENGTH)
       for n in ("+4", "-4", "4,4", "0x4", "", "4 4", "18446744073709551620")},
    "TE: identity": (response("Transfer-Encoding: identity", body=EVIL),
                     "final transfer coding is not chunked"),
    "TE: gzip, chunked": (response("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"),
                          "transfer coding other than chunked"),
    "TE: chunked, chunked": (response("Transfer-Encoding: chunked, chunked", body="0\r\n\r\n"),
                             "transfer coding behind chunked"),
    "TE: chunked, identity": (response("Transfer-Encoding: chunked, identity", body="0\r\n\r\n"),
                              "transfer coding behind chunked"),
    "TE: VT": (response("Transfer-Encoding: \x0bchunked", body="0\r\n\r\n"), CONTROL),
    "TE in HTTP/1.0": (response(CHUNKED, version="1.0", body="0\r\n\r\n"),
                       "Transfer-Encoding in HTTP/1.0"),
    "space before the colon": (response("Transfer-Encoding : chunked", body="0\r\n\r\n"),
                               "space before colon"),
    "folded": (response("X: y", " Transfer-Encoding: chunked", body="0\r\n\r\n"),
               "obsolete line folding"),
    "injected by a bare CR": (response("X: y\rSet-Cookie: evil", "Content-Length: 0"), CR),
    "NUL": (response("X: a\0b", "Content-Length: 0"), CONTROL),
    "line without colon": (response("nonsense", "Content-Length: 0"), "field without colon"),
    "no name": (response(": x", "Content-Length: 0"), "field name is not a token"),
    "control character in the reason": (response("Content-Length: 0", status="200 \x1b[2J"), CONTROL),
    "HTTP/2": (response("Content-Length: 0", version="2.0"), "not a response of HTTP/1"),
    "status of four digits": (response("Content-Length: 0", status="2000 OK"),
                              "status is not a number from 100 to 999"),
    "status 099": (response("Content-Length: 0", status="099 OK"),
                   "status is not a number from 100 to 999"),
    "status with a sign": (response("Content-Length: 0", status="+20 OK"),
                           "status is not a number from 100 to 999"),
    "no HTTP": ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "not a response of HTTP/1"),
    "HTTP/0.9": ("<html>\r\n\r\n", "not a response of HTTP/1"),
    "101 that nobody asked for": (
        response("Connection: Upgrade", "Upgrade: websocket", status="101 Switching", body=EVIL),
        "upgrade that was not asked for"),
    "too many 1xx": (response(status="103 Early Hints") * 101 + EVIL, "too many interim responses"),
    "1xx with a body": (response("Content-Length: 4", status="103 Early Hints", body="evil\r\n\r\n"),
                        "not a response of HTTP/1"),
    "a large head": (response("X: " + "y" * 20_000, "Content-Length: 0"), "HTTP head too large"),
    "many fields": (response(*["X: y"] * 101, "Content-Length: 0"), "HTTP head too large"),
    "a head without end": ("HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 10_000, "HTTP head too large"),
}  # fmt: skip


INTERIM = "HTTP/1.1 103 Early Hints\r\nVia: 1.1 us\r\n\r\n"
INTERIMS = {"too many 1xx": 100, "1xx with a body": 1}  # that have been passed on by then


@pytest.mark.parametrize("name", REFUSED)
def test_refused(scene, name):
    """The client is told why, and that is the last answer on its connection."""
    answer, why = REFUSED[name]
    body = f"Malformed answer of destination\n{why}\n"
    expected = (
        "HTTP/1.1 502 Malformed answer of destination\r\n"
        f'Proxy-Status: libwstunnel; error=http_protocol_error; details="{why}"\r\n'
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n\r\n{body}"
    )
    data = ask(scene, answer, ["GET", "GET"])
    assert data == (INTERIM * INTERIMS.get(name, 0) + expected, "end")


def passed(*fields, status="200 OK", body="", keep="keep-alive"):
    """What the client gets of an answer."""
    return response(*fields, "Via: 1.1 us", f"Connection: {keep}", status=status, body=body)


# More is sent than was asked for: what the first request is answered, and what of that the client
# gets. It gets the true answer to the second one then, from a connection that is clean.
SURPLUS = {
    "behind a length": (response("Content-Length: 2", body="ok" + EVIL),
                        passed("Content-Length: 2", body="ok")),
    "behind a length of 0": (response("Content-Length: 0", body=EVIL), passed("Content-Length: 0")),
    "behind chunks": (response(CHUNKED, body="2\r\nok\r\n0\r\n\r\n" + EVIL),
                      passed(CHUNKED, body="2\r\nok\r\n0\r\n\r\n")),
    "behind trailers": (response(CHUNKED, body="0\r\nX: y\r\nSet-Cookie: evil\r\n\r\n" + EVIL),
                        passed(CHUNKED, body="0\r\nX: y\r\n\r\n")),
    "204 with a body": (response("Content-Length: 4", status="204 No Content", body="evil" + EVIL),
                        passed(status="204 No Content")),
    "204, chunked": (response(CHUNKED, status="204 No Content", body="4\r\nevil\r\n0\r\n\r\n"),
                     passed(status="204 No Content")),
    "304 with a body": (response("Content-Length: 4", status="304 Not Modified", body="evil"),
                        passed("Content-Length: 4", status="304 Not Modified")),
    "HEAD with a body": (response("Content-Length: 4", body="evil" + EVIL), passed("Content-Length: 4")),
    "another answer": (EVIL.replace("evil", "true") + EVIL * 100,
                       passed("X-Evil: 1", "Content-Length: 4", body="true")),
    "an empty line": (response("Content-Length: 2", body="ok\r\n"),
                      passed("Content-Length: 2", body="ok")),
}  # fmt: skip


@pytest.mark.parametrize("name", SURPLUS)
def test_surplus(scene, name):
    answer, expected = SURPLUS[name]
    data = ask(scene, answer, ["HEAD" if "HEAD" in name else "GET", "GET"])
    assert data in ((expected + SECOND, "end"), (expected + LAST, "end"))


FIELDS = {
    "framing named by Connection": (
        response("Connection: Content-Length, X-A, close", "X-A: 1", "Content-Length: 2", body="ok"),
        passed("Content-Length: 2", body="ok")),
    "odd letters": (
        response("TRANSFER-encoding:  CHUNKED ", body="2\r\nok\r\n0\r\n\r\n"),
        passed(CHUNKED, body="2\r\nok\r\n0\r\n\r\n")),
    "what is ours to say": (
        response("Proxy-Authenticate: Basic realm=evil", "Proxy-Connection: close",
                 "Keep-Alive: timeout=1", "Proxy-Authentication-Info: x", "Upgrade: h2c",
                 "Content-Length: 0", status="407 Evil"),
        passed("Content-Length: 0", status="407 Evil")),
    "bare LF": ("HTTP/1.1 200 OK\nX: y\nContent-Length: 2\n\nok",
                passed("X: y", "Content-Length: 2", body="ok")),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_fields(scene, name):
    answer, expected = FIELDS[name]
    data, end = ask(scene, answer, ["GET", "GET"])
    assert data in (expected + SECOND, expected + LAST) and end == "end"


# The head has been passed on by then: the client must not take it for the whole.
BROKEN = {
    "size that is no number": "5\r\nhello\r\nx\r\n",
    "size of LF": "5\r\nhello\r\n5\nhello\r\n0\r\n\r\n",
    "size of 2^64 + 5": "5\r\nhello\r\n10000000000000005\r\nhello",
    "chunk too long": "5\r\nhello!\r\n0\r\n\r\n",
    "trailer that is none": "0\r\n" + EVIL,
    "endless trailer": "0\r\nX: " + "y" * 10_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_body(scene, name):
    body = BROKEN[name]
    data, end = ask(scene, response(CHUNKED, body=body), ["GET", "GET"])
    assert end == "reset"
    whole = passed(CHUNKED, body=body)
    assert whole.startswith(data) and "evil" not in data and "\r\n0\r\n\r\n" not in data
