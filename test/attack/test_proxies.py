# SPDX-License-Identifier: MIT
"""Hostile proxies on an agent's way out: what they say is no answer, or the wrong one, or has no end, or
they leave at each point. The agent says what is wrong, keeps no more of it than a head, comes again, and
serves as soon as the proxy does what it is for. The password it gets as often as it takes, no more."""
import json
import re
import socket

import pytest

from arena import check_memory, memory
from client import reset
from processes import PASSWORD, USER
from scene import MIB
from sites import Relay, Site, echo, read_exactly

ATTEMPTS = 3  # that are attacked
TIMEOUT_MS = 300  # of an attempt, where that is what ends it
ENDLESS = 64 * MIB
KEPT = 2 * MIB  # more than the agent may keep of anything that is said
PROXY = "PROXY"  # in a reason: what the agent calls it


def hear_request(connection):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += read_exactly(connection, 1)
    return data


class Proxy(Relay):
    """The first that connect are attacked, behind their first request; then it is an honest one, to one
    server. `socks`: of SOCKS5."""

    def __init__(self, server, attack, socks, attacks):
        self.attack, self.socks, self.attacks = attack, socks, attacks
        self.attacked = 0
        super().__init__(server)
        self.serve = self._choose

    def _choose(self, connection):
        if self.attacked >= self.attacks:
            self._welcome(connection)
            self._relay(connection)
            return
        self.attacked += 1
        try:
            self._hear(connection)
            self.attack(connection)
        except OSError:  # the agent has had enough
            pass

    def _hear(self, connection):
        if self.socks:
            read_exactly(connection, 3)
        else:
            hear_request(connection)

    def _welcome(self, connection):
        self._hear(connection)
        if self.socks:
            connection.sendall(b"\5\0")
            read_exactly(connection, 10)
            connection.sendall(b"\5\0\0\1" + bytes(6))
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.fixture(scope="module")
def stage(arena, tmp_path_factory):
    stage = arena.server()
    stage.world, stage.path, stage.count = arena, tmp_path_factory.mktemp("proxies"), 0
    stage.site = arena.site(Site(echo))
    return stage


def attack(stage, act, why, scheme="http", user=None, slow=False, attacks=ATTEMPTS):
    """The agent is told `why` (a pattern) each time, and then serves. `attacks`: on how many connections
    it is attacked in these attempts."""
    proxy = Proxy(stage.address, act, scheme == "socks5", attacks)
    stage.count += 1
    name, config = f"a{stage.count}", stage.path / f"{stage.count}.json"
    limits = {"backoff_min_ms": 1, "backoff_max_ms": 20}
    if slow:
        limits["connect_timeout_ms"] = TIMEOUT_MS
    config.write_text(json.dumps({"limits": limits}))
    url = f"{scheme}://{user + '@' if user else ''}127.0.0.1:{proxy.port}"
    agent = stage.world.agent(stage.url, "--name", name, "--config", config, "--proxy", url,
                              "--no-resume")
    why = why.replace(PROXY, f"the proxy 127.0.0.1:{proxy.port}")
    said = f"server {stage.address}: {why}; next attempt in"
    try:
        agent.wait_for(said)
        before = memory(agent)
        agent.wait_for(said, ATTEMPTS)
        check_memory(agent, before, KEPT, "VmHWM")
        warnings = [line for line in agent.lines if " warn " in line]
        assert all(re.search(said, line) for line in warnings[:ATTEMPTS])
        assert all(line.isprintable() for line in agent.lines)
        stage.wait_for(f"agent {name} .* up from")
        client = stage.world.client(stage).open(stage.site.address, more=b"ping")
        assert client.read_exactly(4) == b"ping"
        client.close()
    finally:
        agent.terminate()
        proxy.close()
        agent.wait_exit()


def saying(data, end="end"):
    """Says it, and ends the connection, resets it, or stays and waits for the agent to leave."""

    def act(connection):
        connection.sendall(data)
        if end == "reset":
            reset(connection)
        elif end == "stay":
            while connection.recv(65536):
                pass
        else:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass

    return act


def endlessly(first, more):
    """Says `more` again and again, for as long as anybody listens."""

    def act(connection):
        connection.sendall(first)
        for _ in range(ENDLESS // len(more)):
            connection.sendall(more)
        raise AssertionError("all of it has been read")

    return act


OK = b"HTTP/1.1 200 OK\r\n"
NO_ANSWER = "PROXY ended the connection without an answer"
NOT_HTTP = "PROXY answered what is not HTTP: "
TOO_LARGE = "PROXY answered with a head of more than 16384 bytes"
LATE = "PROXY gave no answer in time"
RESET = "PROXY: connection reset by peer"

ANSWERS = {
    "nothing": (saying(b""), NO_ANSWER),
    "a byte": (saying(b"H"), NO_ANSWER),
    "half a status line": (saying(b"HTTP/1.1 200"), NO_ANSWER),
    "half a head": (saying(OK + b"X: y\r\n"), NO_ANSWER),
    "half a 1xx": (saying(b"HTTP/1.1 100 Continue\r\n"), NO_ANSWER),
    "a 1xx and no more": (saying(b"HTTP/1.1 100 Continue\r\n\r\n"), NO_ANSWER),
    "a reset": (saying(b"", "reset"), RESET),
    "half a head and a reset": (saying(OK + b"X: y\r\n", "reset"), RESET),
    "SSH": (saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), NOT_HTTP + ".+"),
    "TLS": (saying(b"\x16\x03\x03\x00\x02\x02\x28\r\n\r\n"), NOT_HTTP + ".+"),
    "control characters": (saying(b"HTTP/1.1 200 \x1b[2J\r\n\r\n"), NOT_HTTP + "control character"),
    "HTTP/2": (saying(b"HTTP/2.0 200 OK\r\n\r\n"), NOT_HTTP + "not a response of HTTP/1"),
    "a status of 4 digits": (saying(b"HTTP/1.1 2000 OK\r\n\r\n"),
                             NOT_HTTP + "status is not a number from 100 to 999"),
    "a folded line": (saying(OK + b"X: y\r\n z\r\n\r\n"), NOT_HTTP + "obsolete line folding"),
    "a line without colon": (saying(OK + b"nonsense\r\n\r\n"), NOT_HTTP + "field without colon"),
    "a switch of protocols": (saying(b"HTTP/1.1 101 Switching\r\n\r\n"), "PROXY answered 101 Switching"),
    "a redirection": (saying(b"HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\n\r\n"),
                      "PROXY answered 302 Found"),
    "an error": (saying(b"HTTP/1.1 502 Bad\r\nContent-Type: text/plain\r\n\r\nfor\x1b[2J people\r\n"),
                 r"PROXY answered 502 Bad: for\?\[2J people"),
    "an error whose text breaks off": (
        saying(b"HTTP/1.1 502 Bad\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nfor"),
        "PROXY answered 502 Bad: for"),
    "an endless head": (endlessly(OK, b"X: " + b"y" * 1000 + b"\r\n"), TOO_LARGE),
    "an endless line": (endlessly(OK + b"X: ", b"y" * 1000), TOO_LARGE),
    "an endless status line": (endlessly(b"HTTP/1.1 200 ", b"y" * 1000), TOO_LARGE),
    "endless fields": (endlessly(OK, b"X:\r\n" * 100), TOO_LARGE),
    "a flood of 1xx": (endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10),
                       "PROXY answered 100 Continue"),
    "an endless text": (
        endlessly(b"HTTP/1.1 502 Bad\r\nContent-Type: text/plain\r\n\r\n", b"y" * 1000),
        "PROXY answered 502 Bad: y{50,300}"),
    "endless chunks of nothing": (
        endlessly(b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n"
                  b"Content-Type: text/plain\r\n\r\n", b"1;" + b"x" * 1000 + b"\r\ny\r\n"),
        "PROXY answered 502 Bad: y*"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(stage, name):
    act, why = ANSWERS[name]
    attack(stage, act, why)


# Who says too little, and stays.
SILENCES = {
    "nothing": b"",
    "half a head": OK,
    "a 1xx": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("name", SILENCES)
def test_silences(stage, name):
    attack(stage, saying(SILENCES[name], "stay"), LATE, slow=True)


def test_byte_by_byte(stage):
    """What trickles in does not put off the deadline."""

    def act(connection):
        connection.settimeout(0.01)
        while True:
            connection.sendall(b"X")
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                pass

    attack(stage, act, f"({LATE}|{NOT_HTTP}.*)", slow=True)


# -- What is behind a 200 --------------------------------------------------------------------------

BEHIND = {
    "a body": saying(OK + b"Content-Length: 5\r\n\r\nhello\r\n\r\n"),
    "chunks": saying(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    "another answer": saying(OK + b"\r\n" + b"HTTP/1.1 200 OK\r\n\r\n"),
    "an endless body": endlessly(OK + b"\r\n", b"y" * 1000),
    "endless answers": endlessly(OK + b"\r\n", OK + b"\r\n"),
    "an end": saying(OK + b"\r\n"),
    "a reset": saying(OK + b"\r\n", "reset"),
}


@pytest.mark.parametrize("name", BEHIND)
def test_behind(stage, name):
    """By then it is the server that says so: whatever a proxy has to say, it is not heard as its own."""
    attack(stage, BEHIND[name], "(?!the proxy)[^;]+")


# -- Credentials -----------------------------------------------------------------------------------

WHO = b"HTTP/1.1 407 Who\r\n"
BASIC = WHO + b"Proxy-Authenticate: Basic realm=x\r\n"
DIGEST = WHO + b'Proxy-Authenticate: Digest realm="x", nonce="x", qop="auth", algorithm=SHA-256'
EMPTY = b"Content-Length: 0\r\n\r\n"
REFUSED = "PROXY refused the user name or password \\(407 Who\\); it offers: "
NO_USER = "PROXY wants a user name and password and offers: Basic"
OTHERS = "PROXY wants authentication and offers: {}; Basic and Digest are built in"

# Answers to whatever is asked; the reason; on how many requests the credentials have been given.
CHALLENGES = {
    "Basic, always": (BASIC + EMPTY, REFUSED + "Basic", 1),
    "Digest, always": (DIGEST + b"\r\n" + EMPTY, REFUSED + "Digest", 1),
    "Digest, always stale": (DIGEST + b", stale=true\r\n" + EMPTY, REFUSED + "Digest", 2),
    "no scheme": (WHO + EMPTY, "PROXY wants authentication, but offers no scheme \\(407 Who\\)", 0),
    "an unknown scheme": (WHO + b"Proxy-Authenticate: Evil x\r\n" + EMPTY, OTHERS.format("Evil"), 0),
    "a scheme that deceives": (WHO + b"Proxy-Authenticate: Basics x\r\n" + EMPTY,
                               OTHERS.format("Basics"), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CHALLENGES)
def test_challenges(stage, name):
    """Asked for again and again: they are given once, or twice if only the nonce was too old."""
    answer, why, given = CHALLENGES[name]
    heard = []

    def act(connection):
        heard.append(0)
        connection.sendall(answer)
        while connection.recv(1):
            heard[-1] += b"\r\nProxy-Authorization: " in hear_request(connection)
            connection.sendall(answer)

    attack(stage, act, why, user=f"{USER}:{PASSWORD}")
    assert heard == [given] * ATTEMPTS


def test_no_credentials(stage):
    attack(stage, saying(BASIC + EMPTY), NO_USER)


BODIES = {
    "endless": endlessly(BASIC + b"\r\n", b"y" * 1000),
    "very long": endlessly(BASIC + b"Content-Length: 99999999999\r\n\r\n", b"y" * 1000),
    "endless chunks": endlessly(BASIC + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n" * 100),
    "malformed": saying(BASIC + b"Transfer-Encoding: chunked\r\n\r\nx\r\n"),
    "cut off": saying(BASIC + b"Content-Length: 9\r\n\r\nfor"),
    "an answer behind it": saying(BASIC + EMPTY + OK + b"\r\n"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(stage, name):
    """Of a 407: a body that does not end well costs a connection, and the next one is asked alike."""
    attack(stage, BODIES[name], REFUSED + "Basic", user=f"{USER}:{PASSWORD}", attacks=2 * ATTEMPTS)


# -- SOCKS5 ----------------------------------------------------------------------------------------


def replying(data, end="end"):
    """To the request, behind an orderly beginning."""

    def act(connection):
        connection.sendall(b"\5\0")
        read_exactly(connection, 10)
        saying(data, end)(connection)

    return act


NO_SOCKS = "PROXY does not speak SOCKS5"
NOT_OFFERED = "PROXY chose a method of authentication that was not offered"
SOCKS = {
    "nothing": (saying(b""), NO_ANSWER),
    "a byte": (saying(b"\5"), NO_ANSWER),
    "HTTP": (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), NO_SOCKS),
    "SOCKS4": (saying(b"\0\x5a" + bytes(6)), NO_SOCKS),
    "GSSAPI": (saying(b"\5\1"), NOT_OFFERED),
    "a login that was not offered": (saying(b"\5\2"), NOT_OFFERED),
    "no method": (saying(b"\5\xff"), "PROXY wants authentication"),
    "too early": (saying(b"\5\0\5\0\0\1" + bytes(6)), "PROXY answers before it is asked"),
    "a reset": (saying(b"", "reset"), RESET),
    "no reply": (replying(b""), NO_ANSWER),
    "half a reply": (replying(b"\5\0\0\1"), NO_ANSWER),
    "half a name": (replying(b"\5\0\0\3\xff" + b"x" * 100), NO_ANSWER),
    "a reply of another version": (replying(b"\4\0\0\1" + bytes(6)), NO_SOCKS),
    "a refusal": (replying(b"\5\2"), r"PROXY does not allow this connection \(SOCKS reply 2\)"),
    "an unknown refusal": (replying(b"\5\xff" + b"x" * 10000), r"PROXY refused \(SOCKS reply 255\)"),
    "an unknown type of address": (replying(b"\5\0\0\2" + bytes(6)),
                                   "PROXY answered with an unknown type of address"),
    "garbage behind it": (replying(b"\5\0\0\1" + bytes(6) + b"x" * 100), "(?!the proxy)[^;]+"),
    "endless bytes behind it": (endlessly(b"", b"\5\0\0\1" + b"x" * 990),
                                "PROXY answers before it is asked"),
}  # fmt: skip


@pytest.mark.parametrize("name", SOCKS)
def test_socks(stage, name):
    act, why = SOCKS[name]
    attack(stage, act, why, "socks5")


def test_silent_socks(stage):
    attack(stage, replying(b"\5\0", "stay"), LATE, "socks5", slow=True)
