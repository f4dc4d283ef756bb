# SPDX-License-Identifier: MIT
"""Heads that are no requests, or that two parsers might read in two ways: each is refused with its
reason, and nothing behind it is served."""
import pytest

from arena import Arena
from client import Client
from peers import AgentScene, ServerScene
from pyagent import upgrade_request
from sites import Site, echo

CONNECT = "CONNECT a.test:1 HTTP/1.1\r\n"
GET = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\n\r\n"

CR = "carriage return without line feed"
CONTROL = "control character"
METHOD = "method is not a token followed by a space"
SPACES = "request line is not method, target and version with single spaces"
VERSION = "HTTP version other than 1.0 and 1.1"
LENGTH = "malformed Content-Length"
TOKEN = "field name is not a token"
BOTH = "Content-Length with Transfer-Encoding"
FINAL = "final transfer coding is not chunked"
TOO_LARGE = "HTTP/1.1 431 Request Header Fields Too Large"
TOO_LONG = "HTTP/1.1 414 URI Too Long"


def fields(*lines, start=GET):
    return start + "".join(line + "\r\n" for line in lines) + "\r\n"


# What is sent, and the rest of a 400 or another whole status line.
HEADS = {
    "NUL in the method": ("G\0T / HTTP/1.1\r\n\r\n", METHOD),
    "NUL in the target": ("GET /\0 HTTP/1.1\r\n\r\n", CONTROL),
    "NUL in a name": (fields("A\0: b"), CONTROL),
    "NUL in a value": (fields("A: \0"), CONTROL),
    "DEL": (fields("A: \x7f"), CONTROL),
    "escape": (fields("A: \x1b[2J"), CONTROL),
    "bare CR in a value": (fields("A: b\rC: d"), CR),
    "bare CR at the end": (CONNECT + "A: b\r\r\n\r\n", CR),
    "bare CR in the target": ("GET /\rX HTTP/1.1\r\n\r\n", CR),
    "bare CR in front": ("\rGET / HTTP/1.1\r\n\r\n", CR),
    "folded field": (fields("A: b", " c"), "obsolete line folding"),
    "folded by a tab": (fields("A: b", "\tc"), "obsolete line folding"),
    "folded first field": (CONNECT + " A: b\r\n\r\n", "white space before the first field"),
    "space before colon": (fields("Content-Length : 3"), "space before colon"),
    "tab before colon": (fields("Transfer-Encoding\t: chunked"), "space before colon"),
    "no colon": (fields("nonsense"), "field without colon"),
    "no name": (fields(": b"), TOKEN),
    "name with a space": (fields("A b: c"), TOKEN),
    "name in brackets": (fields("(A): c"), TOKEN),
    "name that is not ASCII": (fields("\u00e9: c"), TOKEN),
    "length and chunked": (fields("Content-Length: 3", "Transfer-Encoding: chunked"), BOTH),
    "chunked and length": (fields("Transfer-Encoding: chunked", "Content-Length: 3"), BOTH),
    "length 0 and chunked": (fields("Content-Length: 0", "Transfer-Encoding: chunked"), BOTH),
    "two lengths": (fields("Content-Length: 3", "Content-Length: 4"),
        "more than one Content-Length"),
    "the same length twice": (fields("Content-Length: 3", "content-length: 3"),
                              "more than one Content-Length"),
    **{f"length {n!r}": (fields(f"Content-Length: {n}"), LENGTH)
       for n in ("", "-1", "+1", "0x10", "1e1", "3, 3", "3 3", "3;", "\u0663", str(1 << 63),
           "9" * 400)},
    "identity": (fields("Transfer-Encoding: identity"), FINAL),
    "gzip": (fields("Transfer-Encoding: gzip"), FINAL),
    "nothing": (fields("Transfer-Encoding:"), "malformed Transfer-Encoding"),
    "xchunked": (fields("Transfer-Encoding: xchunked"), FINAL),
    "chunked with a parameter": (fields("Transfer-Encoding: chunked;a=b"),
                                 "malformed Transfer-Encoding"),
    "quoted": (fields('Transfer-Encoding: "chunked"'), "malformed Transfer-Encoding"),
    "chunked, gzip": (fields("Transfer-Encoding: chunked, gzip"), "transfer coding behind chunked"),
    "chunked twice": (fields("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
                      "transfer coding behind chunked"),
    "behind a tab": (fields("Transfer-Encoding:\tchunked"), "tab in Transfer-Encoding"),
    "chunked in HTTP/1.0": (fields("Transfer-Encoding: chunked", start=GET.replace("1.1", "1.0")),
                            "Transfer-Encoding in HTTP/1.0"),
    "two hosts": (fields("Host: b.test"), "more than one Host"),
    "the same host twice": (fields("host: a.test"), "more than one Host"),
    "two spaces": ("GET  / HTTP/1.1\r\n\r\n", SPACES),
    "space behind the version": ("GET / HTTP/1.1 \r\n\r\n", SPACES),
    "tab for a space": ("GET\t/ HTTP/1.1\r\n\r\n", METHOD),
    "space in the target": ("GET /a b HTTP/1.1\r\n\r\n", SPACES),
    "no version": ("GET /\r\n\r\n", "no HTTP version in the request line"),
    "HTTP/0.9": ("GET / HTTP/0.9\r\n\r\n", VERSION),
    "HTTP/1.2": ("GET / HTTP/1.2\r\n\r\n", VERSION),
    "HTTP/01.1": ("GET / HTTP/01.1\r\n\r\n", VERSION),
    "http/1.1": ("GET / http/1.1\r\n\r\n", VERSION),
    "HTTP/2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    "ssh": ("SSH-2.0-OpenSSH_9.2\r\n", METHOD),
    "colon behind the method": ("GET: / HTTP/1.1\r\n\r\n", METHOD),
    "a long method": ("M" * 100 + " / HTTP/1.1\r\n\r\n", "method too long"),
    "empty lines": ("\r\n" * 100 + GET + "\r\n", "too many empty lines"),
    "a long target": ("GET /" + "a" * 9000 + " HTTP/1.1\r\n\r\n", TOO_LONG),
    "a target without end": ("GET /" + "a" * 100_000, TOO_LONG),
    "a large head": (fields("A: " + "b" * 17_000), TOO_LARGE),
    "a head without end": (GET + "A: " + "b" * 300_000, TOO_LARGE),
    "many fields": (fields(*["A: b"] * 200), TOO_LARGE),
    "fragment": ("GET http://a.test/#b HTTP/1.1\r\n\r\n", "fragment in the target"),
    "relative target": ("GET a.test HTTP/1.1\r\n\r\n",
        "target is neither a path nor an absolute URI"),
    "user in the target": ("GET http://u:p@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
                           "user information in the target"),
    "CONNECT with a path": ("CONNECT a.test:1/ HTTP/1.1\r\n\r\n",
        "port is not a number from 1 to 65535"),
    "CONNECT with a user": ("CONNECT u@a.test:1 HTTP/1.1\r\n\r\n",
        "character not allowed in a host name"),
    "CONNECT with port 65536": ("CONNECT a.test:65536 HTTP/1.1\r\n\r\n",
                                "port is not a number from 1 to 65535"),
    "CONNECT with a body": (fields("Content-Length: 3", start=CONNECT), "CONNECT with a body"),
    "CONNECT, chunked": (fields("Transfer-Encoding: chunked", start=CONNECT),
        "CONNECT with a body"),
}  # fmt: skip


@pytest.fixture(scope="module")
def arena():
    world = Arena()
    yield world
    world.end()


@pytest.fixture(scope="module")
def at_server(arena):
    scene = ServerScene(arena, arena.site(Site(echo)))
    yield scene
    scene.finish()


def status_line(why):
    return why if why.startswith("HTTP/") else f"HTTP/1.1 400 Bad Request: {why}"


@pytest.mark.parametrize("name", HEADS)
def test_heads(at_server, name):
    head, why = HEADS[name]
    client = Client(at_server.server.address)
    client.send(head.encode() + SMUGGLED)
    answer = client.read_answer()
    assert answer.status_line == status_line(why)
    assert answer.fields["Proxy-Status"].startswith("libwstunnel; error=http_request_error; ")
    assert client.read_to_end() == b""  # the second request is not served
    client.close()
    at_server.check()


# Other protocols, and what they are told in their own terms.
STRANGERS = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x15\x03\x01\x00\x02\x02\x28"),
    "SOCKS4": (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"\x00\x5b" + bytes(6)),
    "SOCKS5": (b"\x05\x01\x00", b"\x05\xff"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers(at_server, name):
    head, answer = STRANGERS[name]
    client = Client(at_server.server.address)
    client.send(head + SMUGGLED)
    assert client.read_to_end() == answer  # the request behind it is not served
    client.close()
    at_server.check()


# Bodies of forwarded requests, and what the client is told of them.
BODIES = {
    "no size": "\r\nabc",
    "size that is none": "zz\r\nabc\r\n0\r\n\r\n",
    "negative size": "-1\r\nabc\r\n0\r\n\r\n",
    "0x": "0x3\r\nabc\r\n0\r\n\r\n",
    "size of 2^64": "10000000000000000\r\nabc",
    "size of many digits": "0" * 5000 + "3\r\nabc\r\n0\r\n\r\n",
    "space before the size": " 3\r\nabc\r\n0\r\n\r\n",
    "extension without end": "3;" + "a" * 100_000,
    "control character in an extension": "3;a=\0\r\nabc\r\n0\r\n\r\n",
    "bare LF": "3\nabc\n0\n\n",
    "data longer than its size": "3\r\nabcd\r\n0\r\n\r\n",
    "trailer that is none": "0\r\nnonsense\r\n\r\n",
    "folded trailer": "0\r\nA: b\r\n c\r\n\r\n",
    "trailers without end": "0\r\n" + "A: b\r\n" * 20_000,
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(arena, at_server, name):
    """The origin does not get the part for the whole."""
    bodies = []

    def serve(connection):
        with pytest.raises(ConnectionResetError):
            while data := connection.recv(65536):
                bodies.append(data)
            bodies.append("ended")

    origin = arena.site(Site(serve))
    client = Client(at_server.server.address)
    client.send(f"POST http://{origin.address}/ HTTP/1.1\r\nHost: {origin.address}\r\n"
                f"Transfer-Encoding: chunked\r\n\r\n{BODIES[name]}".encode())  # fmt: skip
    answer = client.read_answer()
    assert answer.status_line == "HTTP/1.1 400 Malformed body of the request"
    assert client.read_to_end() == b""
    client.close()
    assert not b"".join(bodies).endswith(b"\r\n0\r\n\r\n")
    at_server.check()


def upgrade(old="", new="", fields=""):
    request = upgrade_request("a.test", "wstunnel.v1.json", fields=fields).decode()
    assert old in request
    return request.replace(old, new)


KEY = upgrade().partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
UPGRADES = {
    "no key": (upgrade("Sec-WebSocket-Key", "X-Key"), 400, "no valid Sec-WebSocket-Key"),
    "half a key": (upgrade("==\r\n", "\r\n"), 400, "no valid Sec-WebSocket-Key"),
    "two keys": (upgrade(fields=f"Sec-WebSocket-Key: {KEY}\r\n"), 400,
        "no valid Sec-WebSocket-Key"),
    "version 8": (upgrade("Version: 13", "Version: 8"), 426, "Sec-WebSocket-Version is not 13"),
    "no version": (upgrade("Sec-WebSocket-Version", "X"), 400, "no Sec-WebSocket-Version"),
    "no connection": (upgrade("Connection: Upgrade", "Connection: close"), 400,
                      "no Connection: Upgrade"),
    "no upgrade": (upgrade("Upgrade: websocket", "Upgrade: h2c"), 426, "by WebSocket"),
    "no host": (upgrade("Host: a.test\r\n", ""), 400, "no Host"),
    "HTTP/1.0": (upgrade("HTTP/1.1", "HTTP/1.0"), 400, "a WebSocket needs HTTP/1.1"),
    "a body": (upgrade(fields="Content-Length: 5\r\n") + "hello", 400,
        "upgrade request with a body"),
    "chunked": (upgrade(fields="Transfer-Encoding: chunked\r\n"), 400,
        "upgrade request with a body"),
    "from a web page": (upgrade(fields="Origin: http://evil.test\r\n"), 403, "from web pages"),
    "another protocol": (upgrade("v1.json", "v2.json"), 400, "Offer one of these"),
    "protocol in capitals": (upgrade("wstunnel.v1", "WSTUNNEL.v1"), 400, "Offer one of these"),
    "POST": (upgrade("GET", "POST"), 405, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", UPGRADES)
def test_upgrades(at_server, name):
    request, status, why = UPGRADES[name]
    client = Client(at_server.server.address)
    client.send(request.encode())
    answer = client.read_answer()
    assert answer.status == status
    assert why.encode() in answer.body
    assert client.read_to_end() == b""
    client.close()
    at_server.check()


# What a server may answer to an agent's upgrade, and what the agent says of it.
def switched(old="", new="", more=""):
    return lambda good: good.replace(old, new).replace("\r\n\r\n", f"\r\n{more}\r\n", 1)


def plainly(answer):
    return lambda good: answer


ANSWERS = {
    "200": (plainly("HTTP/1.1 200 OK\r\n\r\n"), "the server answered 200 OK"),
    "302": (plainly("HTTP/1.1 302 Found\r\nLocation: ws://evil.test/\r\n\r\n"),
            "the server answered 302 Found"),
    "500 and control characters": (plainly("HTTP/1.1 500 \x1b[2J\r\n\r\n"), "control character"),
    "ssh": (plainly("SSH-2.0-OpenSSH_9.2\r\n"), "not a response of HTTP/1"),
    "nothing": (plainly(""), "the connection ended before the upgrade was answered"),
    "half": (lambda good: good[:50], "the connection ended before the upgrade was answered"),
    "another key": (switched("Accept: ", "Accept: x"), "wrong Sec-WebSocket-Accept in the answer"),
    "no key": (switched("Sec-WebSocket-Accept", "X"), "wrong Sec-WebSocket-Accept in the answer"),
    "no upgrade": (switched("Upgrade: websocket\r\n"), "no Upgrade: websocket in the answer"),
    "no connection": (switched("Connection: Upgrade\r\n"), "no Connection: Upgrade in the answer"),
    "extension": (switched(more="Sec-WebSocket-Extensions: permessage-deflate\r\n"),
                  "extension in the answer, none was offered"),
    "another protocol": (switched("v1.json", "v2.json"),
                         "subprotocol in the answer that was not offered"),
    "two protocols": (switched(more="Sec-WebSocket-Protocol: wstunnel.v1.bin\r\n"),
                      "subprotocol in the answer that was not offered"),
    "no protocol": (switched("Sec-WebSocket-Protocol", "X"),
                    "the server speaks none of our subprotocols"),
}  # fmt: skip


@pytest.fixture(scope="module")
def at_agent(arena):
    return AgentScene(arena, arena.site(Site(echo)))


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_to_an_upgrade(at_agent, name):
    answer, why = ANSWERS[name]
    said = f"{why}; next attempt in"
    count = len(at_agent.agent._matches(said)) + 1
    client, request = at_agent.listener.accept()
    client.send(answer(at_agent.listener.answer(request).decode()).encode("latin-1"))
    if name in ("nothing", "half", "no protocol"):  # else it has enough by then
        client.end()
    at_agent.agent.wait_for(said, count)
    client.close()
    at_agent.check()
