# SPDX-License-Identifier: MIT
"""Requests that two parsers may read in two ways, in absolute form. A recording origin shows what
reaches it: what was refused does not, the rest does so once, framed beyond doubt."""
import re

import pytest

from client import Client
from recorder import Recorder
from scene import Scene
from sites import Site, echo

HIDDEN = "GET http://ORIGIN/hidden HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def scene(arena):
    scene = Scene(arena, arena.server(), arena.site(Site(echo)))
    yield scene
    scene.finish()


@pytest.fixture
def origin():
    site = Recorder()
    yield site
    site.close()


def request(*lines, method="POST", uri="http://ORIGIN/", version="1.1", host="ORIGIN", body=""):
    fields = [f"Host: {host}"] if host else []
    return f"{method} {uri} HTTP/{version}\r\n" + "".join(
        f"{line}\r\n" for line in (*fields, *lines)) + "\r\n" + body  # fmt: skip


def passed(*lines, method="POST", target="/", via="1.1", body="", host="ORIGIN"):
    """What the origin gets."""
    via = f"Via: {via} us"
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n" + "".join(
        f"{line}\r\n" for line in (*lines, via, "Connection: keep-alive")) + "\r\n" + body  # fmt: skip


def ask(scene, origin, text):
    """What is answered until the connection ends: status lines, and all of it."""
    client = Client(scene.server.address)
    client.send(text.replace("ORIGIN", origin.address).encode("latin-1"))
    client.end()
    try:
        data = client.read_to_end()
    except ConnectionResetError:
        data = bytes(client.buffer)
    client.close()
    origin.wait()
    return re.findall(rb"HTTP/1\.[01] \d[^\r]*", data), data


# -- Refused: nothing reaches the origin ----------------------------------------------------------

BOTH = "Content-Length with Transfer-Encoding"
REPEATED = "more than one Content-Length"
LENGTH = "malformed Content-Length"
CODING = "malformed Transfer-Encoding"
FINAL = "final transfer coding is not chunked"
BEHIND = "transfer coding behind chunked"
COLON = "space before colon"
FOLDED = "obsolete line folding"
TOKEN = "field name is not a token"
CONTROL = "control character"
CR = "carriage return without line feed"
SPACES = "request line is not method, target and version with single spaces"
HOSTS = "more than one Host"
URI = "target is neither a path nor an absolute URI"

# What follows the head is a request if the head has no body, and a body if it has one.
REFUSED = {
    # CL.TE, TE.CL
    "CL.TE": (["Content-Length: 6", CHUNKED], BOTH),
    "TE.CL": ([CHUNKED, "Content-Length: 4"], BOTH),
    "CL 0 and TE": (["Content-Length: 0", CHUNKED], BOTH),
    "CL and TE in capitals": (["CONTENT-LENGTH: 6", "TRANSFER-ENCODING: CHUNKED"], BOTH),
    "malformed CL and TE": (["Content-Length: x", CHUNKED], BOTH),
    "CL and TE: identity": (["Content-Length: 6", "Transfer-Encoding: identity"], BOTH),
    "CL and TE: nothing": (["Content-Length: 6", "Transfer-Encoding:"], BOTH),
    # TE.TE
    "TE twice": ([CHUNKED, CHUNKED], BEHIND),
    "TE: chunked, then identity": ([CHUNKED, "Transfer-Encoding: identity"], BEHIND),
    "TE: chunked, then cow": ([CHUNKED, "Transfer-encoding: cow"], BEHIND),
    "TE: chunked, identity": (["Transfer-Encoding: chunked, identity"], BEHIND),
    "TE: chunked, chunked": (["Transfer-Encoding: chunked, chunked"], BEHIND),
    "TE: identity": (["Transfer-Encoding: identity"], FINAL),
    "TE: xchunked": (["Transfer-Encoding: xchunked"], FINAL),
    "TE: chunked in quotes": (['Transfer-Encoding: "chunked"'], CODING),
    "TE: chunked;q=1": (["Transfer-Encoding: chunked;q=1"], CODING),
    "TE: chunked and a NUL": (["Transfer-Encoding: chunked\0"], CONTROL),
    "TE: chunked and VT": (["Transfer-Encoding: chunked\x0b"], CONTROL),
    "TE: VT and chunked": (["Transfer-Encoding: \x0bchunked"], CONTROL),
    "TE: tab and chunked": (["Transfer-Encoding:\tchunked"], "tab in Transfer-Encoding"),
    "TE: chunked and NBSP": (["Transfer-Encoding: chunked\xa0"], CODING),
    "TE: two words": (["Transfer-Encoding: chunked identity"], CODING),
    "TE: empty element": (["Transfer-Encoding: , chunked"], CODING),
    "TE: folded": (["Transfer-Encoding:", " chunked"], FOLDED),
    "TE behind a folded field": (["X: y", "\tTransfer-Encoding: chunked"], FOLDED),
    "TE behind a bare CR": (["X: y\rTransfer-Encoding: chunked"], CR),
    "space before the colon of TE": (["Transfer-Encoding : chunked"], COLON),
    "tab before the colon of TE": (["Transfer-Encoding\t: chunked"], COLON),
    "space in front of TE": (["X: y", " Transfer-Encoding: chunked"], FOLDED),
    "NUL within TE": (["Transfer\0-Encoding: chunked"], CONTROL),
    "NBSP behind TE": (["Transfer-Encoding\xa0: chunked"], TOKEN),
    # Content-Length
    "CL twice": (["Content-Length: 5", "Content-Length: 5"], REPEATED),
    "two CL": (["Content-Length: 0", "Content-Length: 44"], REPEATED),
    "two CL, one malformed": (["Content-Length: 0", "Content-Length: x"], REPEATED),
    **{f"CL: {n!r}": ([f"Content-Length: {n}"], LENGTH)
       for n in ("+5", "-5", "-0", "5 5", "5,5", "5, 5", "5;", "0x5", "5.0", "5e0", "\u00b2", "",
                 "5\xa0", "'5'", "9223372036854775808", "18446744073709551621", "1" * 100)},
    "CL: behind a tab": (["Content-Length:\t5"], LENGTH),
    "CL: NUL": (["Content-Length: 5\0"], CONTROL),
    "CL: folded": (["Content-Length:", " 5"], FOLDED),
    "space before the colon of CL": (["Content-Length : 5"], COLON),
    "NUL in a value": (["X: a\0b"], CONTROL),
    "a request line": (["GET /hidden HTTP/1.1"], "field without colon"),
    "a request line with a colon": (["GET http://ORIGIN/hidden HTTP/1.1"], TOKEN),
    "a second Host": (["Host: other.test"], HOSTS),
    "a second Host in capitals": (["HOST: ORIGIN"], HOSTS),
}  # fmt: skip

REQUEST_LINES = {
    "tab for a space": ("POST http://ORIGIN/\tHTTP/1.1", "no HTTP version in the request line"),
    "two spaces": ("POST  http://ORIGIN/ HTTP/1.1", SPACES),
    "space in front": (" POST http://ORIGIN/ HTTP/1.1", "method is not a token followed by a space"),
    "space behind": ("POST http://ORIGIN/ HTTP/1.1 ", SPACES),
    "space in the path": ("POST http://ORIGIN/a b HTTP/1.1", SPACES),
    "hidden request in the path": ("POST http://ORIGIN/ HTTP/1.1 GET /hidden HTTP/1.1", SPACES),
    "bare CR in the path": ("POST http://ORIGIN/\rGET HTTP/1.1", CR),
    "NUL in the path": ("POST http://ORIGIN/\0 HTTP/1.1", CONTROL),
    "DEL in the path": ("POST http://ORIGIN/\x7f HTTP/1.1", CONTROL),
    "fragment": ("POST http://ORIGIN/#a HTTP/1.1", "fragment in the target"),
    "user": ("POST http://ORIGIN@evil.test/ HTTP/1.1", "user information in the target"),
    "user and password": ("POST http://a:b@ORIGIN/ HTTP/1.1", "user information in the target"),
    "one slash": ("POST http:/ORIGIN/ HTTP/1.1", URI),
    "no slash": ("POST http:ORIGIN/ HTTP/1.1", URI),
    "backslashes": ("POST http:\\\\ORIGIN\\ HTTP/1.1", URI),
    "backslash behind the host": ("POST http://ORIGIN\\@evil.test/ HTTP/1.1",
                                  "user information in the target"),
    "backslash and a path": ("POST http://a.test\\b/ HTTP/1.1", "character not allowed in a host name"),
    "no host": ("POST http:///path HTTP/1.1", "no host"),
    "port only": ("POST http://:80/ HTTP/1.1", "no host"),
    "port with a sign": ("POST http://a.test:+80/ HTTP/1.1", "port is not a number from 1 to 65535"),
    "port 0": ("POST http://a.test:0/ HTTP/1.1", "port is not a number from 1 to 65535"),
    "port 65616, which is 80": ("POST http://a.test:65616/ HTTP/1.1",
                                "port is not a number from 1 to 65535"),
    "escape in the host": ("POST http://127.0.0%2e1/ HTTP/1.1", "character not allowed in a host name"),
    "zone": ("POST http://[fe80::1%25lo]/ HTTP/1.1", "not an IPv6 address"),
    "no scheme": ("POST ://ORIGIN/ HTTP/1.1", URI),
    "authority": ("POST ORIGIN HTTP/1.1", URI),
    "HTTP/1.1 twice": ("POST http://ORIGIN/ HTTP/1.1HTTP/1.1", "HTTP version other than 1.0 and 1.1"),
    "HTTP/1.10": ("POST http://ORIGIN/ HTTP/1.10", "HTTP version other than 1.0 and 1.1"),
    "HTTP/0.9": ("POST http://ORIGIN/", "no HTTP version in the request line"),
}  # fmt: skip


def check_refused(scene, origin, text, why):
    lines, data = ask(scene, origin, text)
    assert lines == [b"HTTP/1.1 400 Bad Request: " + why.encode()]
    assert data.endswith(f"\r\n\r\nBad Request: {why}\n".encode())
    assert b"\r\nConnection: close\r\n" in data
    assert origin.connections == []


@pytest.mark.parametrize("name", REFUSED)
def test_fields_refused(scene, origin, name):
    lines, why = REFUSED[name]
    check_refused(scene, origin, request(*lines, body="0\r\n\r\n" + HIDDEN), why)


@pytest.mark.parametrize("name", REQUEST_LINES)
def test_request_lines_refused(scene, origin, name):
    line, why = REQUEST_LINES[name]
    check_refused(scene, origin, f"{line}\r\nHost: ORIGIN\r\n\r\n{HIDDEN}", why)


# -- Forwarded: once, as it was understood --------------------------------------------------------

HIDDEN_FORM = HIDDEN.replace("ORIGIN", "a.test")  # as a body; it keeps its length on the way
N = len(HIDDEN_FORM)

# What is sent; how many answers; what the origin gets.
FORWARDED = {
    "body that looks like a request": (
        request(f"Content-Length: {N}", body=HIDDEN_FORM), 1,
        passed(f"Content-Length: {N}", body=HIDDEN_FORM)),
    "the same, chunked": (
        request(CHUNKED, body=f"{N:x}\r\n{HIDDEN_FORM}\r\n0\r\n\r\n"), 1,
        passed(CHUNKED, body=f"{N:x}\r\n{HIDDEN_FORM}\r\n0\r\n\r\n")),
    "GET with a body": (
        request(f"Content-Length: {N}", method="GET", body=HIDDEN_FORM), 1,
        passed(f"Content-Length: {N}", method="GET", body=HIDDEN_FORM)),
    "GET with a length of 0, then another one": (
        request("Content-Length: 0", method="GET") + HIDDEN, 2,
        passed("Content-Length: 0", method="GET") + passed(method="GET", target="/hidden")),
    "leading zeros": (
        request("Content-Length: 0000000000000000000005", body="hello"), 1,
        passed("Content-Length: 5", body="hello")),
    "space behind the length": (
        request("Content-Length: 5  ", body="hello"), 1, passed("Content-Length: 5", body="hello")),
    "chunked in odd letters": (
        request("tRANSFER-eNCODING:   ChUnKeD ", body="5\r\nhello\r\n0\r\n\r\n"), 1,
        passed(CHUNKED, body="5\r\nhello\r\n0\r\n\r\n")),
    "framing named by Connection": (
        request("Connection: Content-Length, Host, close", f"Content-Length: {N}", body=HIDDEN_FORM), 1,
        passed(f"Content-Length: {N}", body=HIDDEN_FORM)),
    "chunked named by Connection": (
        request("Connection: Transfer-Encoding", CHUNKED, body="5\r\nhello\r\n0\r\n\r\n"), 1,
        passed(CHUNKED, body="5\r\nhello\r\n0\r\n\r\n")),
    "fields named by Connection": (
        request("Connection: X-A, keep-alive", "X-A: 1", "X-B: 2", "Content-Length: 0"), 1,
        passed("X-B: 2", "Content-Length: 0")),
    "names that are nearly right": (
        request("Content_Length: 5", "Transfer_Encoding: chunked", "Content-Length-X: 5",
                "XTransfer-Encoding: chunked", method="GET"), 1,
        passed("Content_Length: 5", "Transfer_Encoding: chunked", "Content-Length-X: 5",
               "XTransfer-Encoding: chunked", method="GET")),
    "another Host": (
        request("Content-Length: 0", host="evil.test"), 1, passed("Content-Length: 0")),
    "no Host": (request("Content-Length: 0", host=None), 1, passed("Content-Length: 0")),
    "Host with a path": (
        request("Content-Length: 0", host="evil.test/a b"), 1, passed("Content-Length: 0")),
    "bare LF": (
        request("X: 1", "Content-Length: 5").replace("\r\n", "\n") + "hello", 1,
        passed("X: 1", "Content-Length: 5", body="hello")),
    "empty lines in front": (
        "\r\n\r\n" + request(method="GET"), 1, passed(method="GET")),
    "path with everything": (
        request(method="GET", uri="http://ORIGIN/../%2e%2e//a;b?c=http://evil.test/&\\d"), 1,
        passed(method="GET", target="/../%2e%2e//a;b?c=http://evil.test/&\\d")),
    "no path": (request(method="GET", uri="HTTP://ORIGIN?a"), 1, passed(method="GET", target="/?a")),
    "h2c": (
        request("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", method="GET") + HIDDEN, 2,
        passed(method="GET") + passed(method="GET", target="/hidden")),
    "h2c and another": (
        request("Connection: Upgrade", "Upgrade: websocket, H2C", method="GET") + HIDDEN, 2,
        passed(method="GET") + passed(method="GET", target="/hidden")),
    "upgrade that Connection does not name": (
        request("Upgrade: websocket", method="GET") + HIDDEN, 2,
        passed(method="GET") + passed(method="GET", target="/hidden")),
    "credentials for us": (
        request("Proxy-Authorization: Basic eDp5", "Proxy-Connection: keep-alive",
                "Proxy-Authenticate: Basic", method="GET"), 1, passed(method="GET")),
    "HTTP/1.0": (
        request("Content-Length: 5", version="1.0", body="hello") + HIDDEN, 1,
        passed("Content-Length: 5", via="1.0", body="hello")),
    "HTTP/1.0, kept": (
        request("Connection: keep-alive", "Content-Length: 0", version="1.0") + HIDDEN, 1,
        passed("Content-Length: 0", via="1.0")),
    "last chunk with zeros": (
        request(CHUNKED, body="005\r\nhello\r\n000\r\n\r\n") + HIDDEN, 2,
        passed(CHUNKED, body="005\r\nhello\r\n000\r\n\r\n") + passed(method="GET", target="/hidden")),
    "extensions": (
        request(CHUNKED, body='5;a=b;c="\\";0\\";";d\r\nhello\r\n0;e\r\n\r\n') + HIDDEN, 2,
        passed(CHUNKED, body='5;a=b;c="\\";0\\";";d\r\nhello\r\n0;e\r\n\r\n')
        + passed(method="GET", target="/hidden")),
    "trailers": (
        request(CHUNKED, body="0\r\nX: 1\r\nContent_Length: 50\r\nHosts: evil.test\r\n\r\n"), 1,
        passed(CHUNKED, body="0\r\nX: 1\r\nContent_Length: 50\r\nHosts: evil.test\r\n\r\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARDED)
def test_forwarded(scene, origin, name):
    text, answers, expected = FORWARDED[name]
    lines, _ = ask(scene, origin, text)
    assert len(lines) == answers == origin.requests
    assert {line.partition(b" ")[2] for line in lines} == {b"200 OK"}
    assert "".join(origin.seen()) == expected


@pytest.mark.parametrize("coding", ["gzip, chunked", "identity, chunked", "x, chunked"])
def test_codings(scene, origin, coding):
    """Framed clearly, but not understood."""
    text = request(f"Transfer-Encoding: {coding}", body="0\r\n\r\n") + HIDDEN
    lines, _ = ask(scene, origin, text)
    assert [line[:13] for line in lines] == [b"HTTP/1.1 501 "]
    assert origin.connections == []


# -- Bodies that are wrong: the origin has the head by then, but never a whole request -------------

SIZE = "chunk size is not a hexadecimal number"
EXTENSION = "malformed chunk extension"
BODIES = {
    "size of LF": ("5\nhello\n0\n\n", SIZE),
    "LF behind the size": ("5\nhello\r\n0\r\n\r\n", SIZE),
    "CR alone behind the size": ("5\rhello\r\n0\r\n\r\n", CR),
    "0x5": ("0x5\r\nhello\r\n0\r\n\r\n", SIZE),
    "+5": ("+5\r\nhello\r\n0\r\n\r\n", SIZE),
    "-5": ("-5\r\nhello\r\n0\r\n\r\n", SIZE),
    "space in front": (" 5\r\nhello\r\n0\r\n\r\n", SIZE),
    "space behind": ("5 \r\nhello\r\n0\r\n\r\n", SIZE),
    "tab behind": ("5\t\r\nhello\r\n0\r\n\r\n", SIZE),
    "no size": ("\r\nhello\r\n0\r\n\r\n", SIZE),
    "NUL": ("5\0\r\nhello\r\n0\r\n\r\n", SIZE),
    "size of 2^63": ("8000000000000000\r\nhello", "chunk size too large"),
    "size of 2^64": ("10000000000000000\r\nhello", "chunk size too large"),
    "size of 2^64 + 5": ("10000000000000005\r\nhello\r\n0\r\n\r\n", "chunk size too large"),
    "many zeros": ("0" * 40 + "5\r\nhello\r\n0\r\n\r\n", "chunk size too large"),
    "longer than its size": ("5\r\nhello!\r\n0\r\n\r\n", "no CR LF behind a chunk"),
    "shorter than its size": ("6\r\nhello\r\n0\r\n\r\n", "no CR LF behind a chunk"),
    "LF behind the data": ("5\r\nhello\n0\r\n\r\n", "no CR LF behind a chunk"),
    "nothing behind the data": ("5\r\nhello0\r\n\r\n", "no CR LF behind a chunk"),
    "extension of nothing": ("5;\r\nhello\r\n0\r\n\r\n", EXTENSION),
    "extension with LF": ("5;a\nhello\r\n0\r\n\r\n", EXTENSION),
    "extension with CR": ("5;a=b\rc\r\nhello\r\n0\r\n\r\n", CR),
    "quoted line end": ('5;a="\r\n"\r\nhello\r\n0\r\n\r\n', EXTENSION),
    "extension with NUL": ("5;a=\0\r\nhello\r\n0\r\n\r\n", EXTENSION),
    "space before an extension": ("5 ;a\r\nhello\r\n0\r\n\r\n", SIZE),
    "endless extension": ("5;" + "a" * 100_000, "line of a chunk too long"),
    "trailer without colon": ("0\r\nGET /hidden HTTP/1.1\r\n\r\n",
                              "trailer field is not a token followed by a colon"),
    "trailer with a space": ("0\r\nX : y\r\n\r\n", "trailer field is not a token followed by a colon"),
    "folded trailer": ("0\r\nX: y\r\n z\r\n\r\n", "trailer field is not a token followed by a colon"),
    "trailer with LF": ("0\r\nX: y\n\r\n", "control character in a trailer field"),
    "endless trailer": ("0\r\nX: " + "y" * 100_000, "trailer section too long"),
    "end of LF": ("0\r\n\n", "trailer field is not a token followed by a colon"),
    **{f"trailer {name}": (f"0\r\nX: y\r\n{name}: 0\r\n\r\n",
                           "field in the trailer section that belongs into the head")
       for name in ("Content-Length", "transfer-encoding", "HOST", "Authorization",
                    "Proxy-Authorization", "Connection", "Trailer", "Expect")},
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_bodies_refused(scene, origin, name):
    body, why = BODIES[name]
    check_broken(scene, origin, request(CHUNKED, body=body + HIDDEN), passed(CHUNKED), why)


def check_broken(scene, origin, text, head, why):
    """The client is told; the origin has seen some of it at most, and a reset."""
    lines, data = ask(scene, origin, text)
    assert lines == [b"HTTP/1.1 400 Malformed body of the request"]
    assert data.endswith(f"\r\n\r\nMalformed body of the request\n{why}\n".encode())
    assert origin.requests == 0
    assert origin.ends in ([], ["reset"])
    assert all(seen.startswith(head) or head.startswith(seen) for seen in origin.seen())
    assert all("GET http" not in seen for seen in origin.seen())


CUT = {
    "length": (f"Content-Length: {N + 1}", HIDDEN_FORM.replace("GET", "PUT")),
    "chunk": (CHUNKED, "5\r\nhell"),
    "a size beyond 2^32": (CHUNKED, "100000005\r\nhello\r\n0\r\n\r\n"),
    "behind a chunk": (CHUNKED, "5\r\nhello\r\n"),
    "last chunk": (CHUNKED, "0\r\n"),
    "trailer": (CHUNKED, "0\r\nX: y\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_cut_short(scene, origin, name):
    """The client ends within the body: that is no end of a request."""
    field, body = CUT[name]
    check_broken(scene, origin, request(field, body=body), passed(field),
                 "connection closed within the body")  # fmt: skip
