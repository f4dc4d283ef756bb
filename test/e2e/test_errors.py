# SPDX-License-Identifier: MIT
"""What a client is told when it is not served: status line, Proxy-Status, body, and the end."""
import pytest

from client import is_now
from processes import PASSWORD, USER, USER_BASIC
from sites import Closed, Deaf


def check_refusal(answer, status_line, error, details=None, retry=False):
    """The whole answer. `details`: what the agent says more about it than the reason phrase."""
    reason = status_line.split(" ", 2)[2]
    fields = dict(answer.fields)
    assert answer.status_line == status_line
    expected = f'libwstunnel; error={error}; details="{details or reason}"'
    assert fields.pop("Proxy-Status") == expected
    body = f"{reason}\n{details}\n" if details else f"{reason}\n"
    assert answer.body == body.encode()
    assert fields.pop("Content-Type") == "text/plain; charset=utf-8"
    assert fields.pop("Content-Length") == str(len(body))
    assert fields.pop("Connection") == "close"
    assert is_now(fields.pop("Date"))
    if retry:
        assert int(fields.pop("Retry-After")) > 0
    assert not fields


def check_refused(client, request, *expected, **more):
    check_refusal(client.ask(request), *expected, **more)
    assert client.read_to_end() == b""  # a rejected CONNECT closes the connection


MALFORMED = {
    "no port": b"CONNECT example.test HTTP/1.1\r\n\r\n",
    "port is not a number from 1 to 65535": b"CONNECT example.test:0 HTTP/1.1\r\n\r\n",
    "no host": b"CONNECT :443 HTTP/1.1\r\n\r\n",
    "not an IPv4 address": b"CONNECT 127.1:443 HTTP/1.1\r\n\r\n",
    "not an IPv6 address": b"CONNECT [::g]:443 HTTP/1.1\r\n\r\n",
    "character not allowed in a host name": b"CONNECT a/b:443 HTTP/1.1\r\n\r\n",
    "no HTTP version in the request line": b"CONNECT example.test:443\r\n\r\n",
    "HTTP version other than 1.0 and 1.1": b"CONNECT example.test:443 HTTP/2.0\r\n\r\n",
    "request line is not method, target and version with single spaces":
        b"CONNECT  example.test:443 HTTP/1.1\r\n\r\n",
    "space before colon": b"CONNECT example.test:443 HTTP/1.1\r\nHost : x\r\n\r\n",
    "obsolete line folding": b"CONNECT example.test:443 HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "control character": b"CONNECT example.test:443 HTTP/1.1\r\nA: \0\r\n\r\n",
    "more than one Host": b"CONNECT example.test:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "Content-Length with Transfer-Encoding":
        b"CONNECT example.test:443 HTTP/1.1\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
    "CONNECT with a body": b"CONNECT example.test:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    "method is not a token followed by a space": b"G@T / HTTP/1.1\r\n\r\n",
    "fragment in the target": b"GET /a#b HTTP/1.1\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("why", MALFORMED)
def test_malformed(world, why):
    server = world.server()
    client = world.client(server)
    check_refused(client, MALFORMED[why], f"HTTP/1.1 400 Bad Request: {why}", "http_request_error")


def test_incomplete_head(world):
    client = world.client(world.server())
    client.send(b"CONNECT example.test:443 HT")
    client.end()
    answer = client.read_answer()
    check_refusal(answer, "HTTP/1.1 400 Bad Request: incomplete head", "http_request_error")


def test_head_too_large(world):
    client = world.client(world.server())
    request = b"CONNECT example.test:443 HTTP/1.1\r\nA: " + b"a" * 17000 + b"\r\n\r\n"
    check_refused(client, request, "HTTP/1.1 431 Request Header Fields Too Large",
                  "http_request_error")  # fmt: skip


def test_target_too_long(world):
    client = world.client(world.server())
    request = b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n"
    check_refused(client, request, "HTTP/1.1 414 URI Too Long", "http_request_error")


@pytest.mark.parametrize("scheme", ["https", "wss", "ftp"])
def test_scheme_that_is_not_forwarded(world, scheme):
    request = f"GET {scheme}://example.test/ HTTP/1.1\r\n\r\n".encode()
    answer = world.client(world.server()).ask(request)
    assert answer.status_line == "HTTP/1.1 400 This scheme needs CONNECT"
    assert b"by CONNECT" in answer.body


def test_not_found(world):
    answer = world.client(world.server()).ask(b"GET /elsewhere HTTP/1.1\r\n\r\n")
    assert answer.status_line == "HTTP/1.1 404 Not Found"
    assert answer.body == b"Nothing is served here.\n"


@pytest.mark.parametrize(
    "request_line, allow",
    [("POST /healthz", "GET, HEAD"), ("PUT /websocket", "GET"), ("OPTIONS *", "CONNECT, GET")],
)
def test_method_not_allowed(world, request_line, allow):
    answer = world.client(world.server()).ask(f"{request_line} HTTP/1.1\r\n\r\n".encode())
    assert answer.status_line == "HTTP/1.1 405 Method Not Allowed"
    assert answer.fields["Allow"] == allow


def test_no_agent(world):
    client = world.client(world.server())
    check_refused(client, b"CONNECT example.test:443 HTTP/1.1\r\n\r\n",
                  "HTTP/1.1 503 No agent available", "destination_unavailable",
                  retry=True)  # fmt: skip


@pytest.fixture
def server(world):
    return world.tunnel()[0]


def connect(destination, version="1.1"):
    return f"CONNECT {destination} HTTP/{version}\r\n\r\n".encode()


def test_refused(world, server):
    site = world.site(Closed())
    check_refused(world.client(server), connect(site.address),
                  "HTTP/1.1 502 Connection refused by destination", "connection_refused",
                  "connection refused")  # fmt: skip


def test_refused_in_http_1_0(world, server):
    site = world.site(Closed())
    check_refused(world.client(server), connect(site.address, "1.0"),
                  "HTTP/1.0 502 Connection refused by destination", "connection_refused",
                  "connection refused")  # fmt: skip


def test_name_not_found(world, server):
    # A label of more than 63 bytes: no resolver asks the network for it.
    answer = world.client(server).ask(connect("a" * 64 + ":80"))
    assert answer.status_line == "HTTP/1.1 502 Name of destination not found"
    assert answer.fields["Proxy-Status"].startswith("libwstunnel; error=dns_error; ")


def test_unreachable(world, server):
    # TCP to the broadcast address has no route, on any machine.
    check_refused(world.client(server), connect("255.255.255.255:80"),
                  "HTTP/1.1 502 Destination unreachable", "destination_ip_unroutable",
                  "network is unreachable")  # fmt: skip


def test_nothing_behind_a_rejected_request_is_served(world):
    """It was meant for the destination: RFC 9112 section 9.3 and request smuggling."""
    client = world.client(world.server())
    smuggled = b"GET /healthz HTTP/1.1\r\n\r\n"
    assert client.ask(connect("example.test:443") + smuggled).status == 503
    assert client.read_to_end() == b""


def test_deadlines(world, server):
    """All that takes 10 s by default, at once: a slow head, silence, a destination that does not
    answer."""
    deaf = world.site(Deaf())
    slow, silent, waiting = (world.client(server) for _ in range(3))
    slow.send(b"CONNECT example.test:443 HT")
    waiting.send(connect(deaf.address))
    check_refusal(slow.read_answer(), "HTTP/1.1 408 Request Timeout", "http_request_error")
    assert silent.read_to_end() == b""
    check_refusal(waiting.read_answer(), "HTTP/1.1 504 Connection to destination timed out",
                  "connection_timeout", "connection timed out")  # fmt: skip


# -- Users ----------------------------------------------------------------------------------------


@pytest.fixture
def guarded(world, tmp_path):
    """A server whose clients must say who they are, without an agent."""
    users = tmp_path / "users"
    users.write_text(f"# comment\n\nbob:other\n{USER}:{PASSWORD}\n")
    return world.server("--user-file", users)


def authorization(basic):
    return f"CONNECT a.test:1 HTTP/1.1\r\nProxy-Authorization: Basic {basic}\r\n\r\n".encode()


def test_407_keeps_the_connection(world, guarded):
    """Wrong password, nothing at all, then right: all on one connection, as clients need it."""
    client = world.client(guarded)
    for request in (authorization("YWxpY2U6d3Jvbmc="), connect("a.test:1")):
        answer = client.ask(request)
        assert answer.status_line == "HTTP/1.1 407 Proxy Authentication Required"
        challenge = answer.fields["Proxy-Authenticate"]
        assert challenge == 'Basic realm="wstunnel", charset="UTF-8"'
        assert answer.fields["Connection"] == "keep-alive"
    assert client.ask(authorization(USER_BASIC)).status == 503  # past the guard


def test_407_closes_if_something_follows(world, guarded):
    """What is behind a rejected CONNECT is not to be taken for a request."""
    client = world.client(guarded)
    answer = client.ask(connect("a.test:1") + authorization(USER_BASIC))
    assert answer.status == 407
    assert answer.fields["Connection"] == "close"
    assert client.read_to_end() == b""


def test_407_closes_if_the_client_wants_so(world, guarded):
    """As one says that may send bytes for the destination before it has been answered."""
    client = world.client(guarded)
    request = connect("a.test:1").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer = client.ask(request)
    assert answer.status == 407
    assert answer.fields["Connection"] == "close"
    assert client.read_to_end() == b""


@pytest.mark.parametrize(
    "field", ["Basic !!!", "Basic", "Bearer x", "Basic YWxpY2U=", f"Basic {USER_BASIC}x"]
)
def test_malformed_credentials(world, guarded, field):
    request = f"CONNECT a.test:1 HTTP/1.1\r\nProxy-Authorization: {field}\r\n\r\n".encode()
    assert world.client(guarded).ask(request).status == 407
