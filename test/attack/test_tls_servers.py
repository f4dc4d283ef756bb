# SPDX-License-Identifier: MIT
"""Hostile servers of an agent that speaks TLS, and hostile proxies that it speaks TLS to: who they are
not, how they shake hands, what they say then; and who cuts or changes what goes between honest ones. The
agent says why, comes again, keeps nothing, and serves as soon as it reaches the true server."""
import json
import re
import socket
import ssl
import struct

import pytest

import tlsraw as raw
from arena import check_memory, memory
from authority import Authority, pin_of
from processes import uses_openssl
from scene import HEALTH, MIB, SLACK
from secure import SecureClient, client_context
from sites import Relay, Site, echo, read_exactly
from tlsbreaches import BAD_MAC, BREACHES, HELLO, NO_RENEGOTIATION, UNEXPECTED, fatal, times
from tlskeys import Taken, prepare
from tlsraw import ALERT, DATA, HANDSHAKE

ATTEMPTS = 3  # that are attacked


class Hostile(Relay):
    """The first that connect are attacked, the others are passed on to the true server."""

    def __init__(self, address, attack):
        self.attack, self.attacked = attack, 0
        super().__init__(address)
        self.serve = self._choose

    def _choose(self, connection):
        if self.attacked >= ATTEMPTS:
            self._relay(connection)
            return
        self.attacked += 1
        try:
            self.attack(connection)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:  # of TLS, or a reset
            pass


class Stage:
    """The true server, somebody who poses as it, and an agent that reaches them."""

    def __init__(self, world, authority, path, server, site):
        self.world, self.authority, self.path = world, authority, path
        self.server, self.site = server, site
        self.count = 0

    def attack(self, how, attack, why, options=(), **limits):
        """The agent is told `why` (a pattern), each time; then it serves."""
        hostile = Hostile(self.server.address, attack)
        self.count += 1
        limits = {"backoff_min_ms": 1, "backoff_max_ms": 20, **limits}
        config = self.path / f"{self.count}.json"
        config.write_text(json.dumps({"limits": limits}))
        name, there = f"a{self.count}", f"localhost:{hostile.port}"
        if how == "server":
            url, options = f"wss://{there}", ["--ca", self.authority.certificate, *options]
            said = f"server {there}: {why}; next attempt in"
        else:
            url = self.server.url
            options = ["--proxy", f"https://{there}", "--proxy-ca", self.authority.certificate]
            said = f": the proxy {there} fails at TLS: {why}; next attempt in"
        agent = self.world.agent(url, "--name", name, "--config", config, "--no-resume", *options)
        try:
            agent.wait_for(said)
            before = memory(agent)
            agent.wait_for(said, ATTEMPTS)
            check_memory(agent, before, SLACK)
            if how == "server" and not options[2:]:
                self.serves(name)
            assert all(re.search(said, line) for line in agent.lines[: ATTEMPTS + 1]
                       if "warn" in line)  # fmt: skip
        finally:
            agent.terminate()
            hostile.close()
            agent.wait_exit()

    def serves(self, name):
        self.server.wait_for(f"agent {name} .* up from")
        client = SecureClient(self.server.address, client_context(self.authority))
        client.open(self.site.address, more=b"ping")
        assert client.read_exactly(4) == b"ping"
        client.close()


@pytest.fixture(scope="module")
def stage(arena, authority, identity, tmp_path_factory):
    server = arena.server("--cert", identity.certificate, "--key", identity.key)
    path = tmp_path_factory.mktemp("servers")
    yield Stage(arena, authority, path, server, arena.site(Site(echo)))


HOW = pytest.mark.parametrize("how", ["server", "proxy"])


def shaking(context):
    """One who shakes hands as Python does."""

    def attack(connection):
        Taken(connection, context, server_side=True)

    return attack


def context_of(identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(*identity)
    return context


# -- Certificates ----------------------------------------------------------------------------------

DAYS = ("20350101000000Z", "20360101000000Z")


@pytest.fixture(scope="module")
def shown(authority, tmp_path_factory):
    """Certificates, and why they are refused."""
    other = Authority(tmp_path_factory.mktemp("other"), name="Other CA")
    namesake = Authority(tmp_path_factory.mktemp("namesake"))
    good = authority.issue("server.test")
    own = authority.issue("self.test", self_signed=True)
    forger = Authority(tmp_path_factory.mktemp("forger"))  # by a certificate that is for no such thing
    forger.certificate, forger.key = good.certificate, good.key
    forged = forger.issue("forged.test")
    with open(forged.certificate, "a") as chain:
        chain.write(good.certificate.read_text())
    other_names = "certificate is for other names: "
    return {
        "expired": (authority.issue("old.test", expired=True), "certificate expired on 2020-01-31"),
        "not yet valid": (authority.issue("new.test", period=DAYS),
                          "certificate is not valid before 2035-01-01"),
        "for another name": (authority.issue("a.test", names="DNS:a.test"), f"{other_names}a.test"),
        "for a name like it": (authority.issue("a.test", names="DNS:localhost.a.test,DNS:xlocalhost"),
                               f"{other_names}localhost.a.test, xlocalhost"),
        "for all names": (authority.issue("a.test", names="DNS:*"), f"{other_names}*"),
        "for no name but the common one": (
            authority.issue("localhost", names=None),
            "certificate has no subjectAltName, and so is for no host"),
        "self-signed": (own, "self-signed certificate, not trusted: CN=self.test, with the pin "
                             f"{pin_of(own.certificate)}"),
        "by an unknown issuer": (other.issue("a.test"), "issuer not trusted: CN=Other CA"),
        "by another issuer of this name": (namesake.issue("a.test"), "issuer not trusted: CN=Test CA"),
        "by a certificate of no issuer": (forged, "issuer not trusted: CN=server.test"),
        "for clients": (authority.issue("client.test", more="extendedKeyUsage = clientAuth\n"),
                        "certificate is not for servers (extendedKeyUsage)"),
        "with a weak key": (authority.issue("weak.test", algorithm="rsa:1024"),
                            "certificate has a weak key, or its issuer has"),
        "wrong in all ways": (
            authority.issue("x", expired=True, names="DNS:a.test",
                            more="extendedKeyUsage = clientAuth\n"),
            "certificate expired on 2020-01-31; certificate is not for servers (extendedKeyUsage); "
            f"{other_names}a.test"),
    }  # fmt: skip


SHOWN = ["expired", "not yet valid", "for another name", "for a name like it", "for all names",
         "for no name but the common one", "self-signed", "by an unknown issuer",
         "by another issuer of this name", "by a certificate of no issuer", "for clients",
         "with a weak key", "wrong in all ways"]  # fmt: skip


@HOW
@pytest.mark.parametrize("name", SHOWN)
def test_certificates(stage, shown, name, how):
    identity, why = shown[name]
    stage.attack(how, shaking(context_of(identity)), re.escape(why))


def der_of(identity):
    return ssl.PEM_cert_to_DER_cert(identity.certificate.read_text())


@HOW
def test_not_for_signatures(stage, authority, how):
    """A certificate that no server of OpenSSL's would show for this."""
    identity = authority.issue("key.test", more="keyUsage = keyEncipherment\n")
    why = re.escape("certificate has a key that is not for signatures (keyUsage)")
    stage.attack(how, answering(server_hello() + certificate(der_of(identity)) + DONE), why)


def test_pins(stage, authority, identity):
    """The certificate is good, but it is not of the key that is known."""
    mine, other = pin_of(identity.certificate), pin_of(authority.issue("other.test").certificate)
    why = re.escape(f"public key is not pinned: {mine}")
    stage.attack("server", shaking(context_of(identity)), why, ["--pin", other])


def test_tls_of_old(stage, identity):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = context_of(identity)
        with pytest.warns(DeprecationWarning):
            context.minimum_version = context.maximum_version = version
        stage.attack("server", shaking(context), "the peer sent alert (40|70): .*")


@HOW
def test_no_suite(stage, identity, how):
    context = context_of(identity)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256")
    stage.attack(how, shaking(context), "the peer sent alert 40: handshake failure")


# -- Answers to the hello --------------------------------------------------------------------------

NO_EXTENSIONS = None


SECURE = raw.extension(raw.RENEGOTIATION, b"\0")  # without it OpenSSL refuses the server


def server_hello(version=raw.TLS12, suite=raw.ECDSA_CHACHA20, compression=0, session=b"", extensions=(),
                 first=SECURE):  # fmt: skip
    tail = b"" if extensions is NO_EXTENSIONS else raw.vector(first + b"".join(extensions), 2)
    body = struct.pack(">H", version) + bytes(range(32)) + raw.vector(session, 1)
    return said(raw.SERVER_HELLO, body + struct.pack(">HB", suite, compression) + tail)


def said(kind, body):
    return raw.record(HANDSHAKE, raw.message(kind, body), raw.TLS12)


def certificate(*ders):
    return said(raw.CERTIFICATE, raw.vector(b"".join(raw.vector(der, 3) for der in ders), 3))


CURVE = struct.pack(">BH", 3, raw.P256)
DONE = said(raw.DONE, b"")
WARNING = raw.record(ALERT, b"\1\x5a", raw.TLS12)
GONE = "the peer closed the connection during the handshake"
NOT_TLS = "what the peer sends is not TLS"
VERSION = "no version in common: .*"

# Answers, and why they are refused; None: by mbedTLS's reason.
ANSWERS = {
    "nothing": (b"", GONE),
    "a byte": (b"\x16", GONE),
    "half a hello": (server_hello()[:30], GONE),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", NOT_TLS),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", NOT_TLS),
    "garbage": (b"\xff" * 100, NOT_TLS),
    "a fatal alert": (raw.record(ALERT, b"\2\x50", raw.TLS12), "the peer sent alert 80: internal error"),
    "an end": (raw.record(ALERT, b"\1\0", raw.TLS12), GONE),
    "a record of 64 KiB": (b"\x16\3\3\xff\xff" + b"x" * 70_000, None),
    "an empty record": (raw.record(HANDSHAKE, b"", raw.TLS12), None),
    "an endless message": (raw.record(HANDSHAKE, b"\2\xff\xff\xff" + b"x" * 16000) * 100, None),
    "a client's hello": (raw.hello(), None),
    "data": (raw.record(DATA, HEALTH, raw.TLS12), None),
    "a change of ciphers": (raw.record(raw.CHANGE_CIPHER, b"\1", raw.TLS12), None),
    "a certificate without a hello": (certificate(), None),
    "SSL 3.0": (server_hello(raw.SSL3), VERSION),
    "TLS 1.0": (server_hello(raw.TLS10), VERSION),
    "TLS 1.1": (server_hello(raw.TLS11), VERSION),
    "TLS 1.5": (server_hello(0x0306), VERSION),
    "a suite without forward secrecy": (server_hello(suite=0x009C), None),
    "a suite without encryption": (server_hello(suite=0xC006), None),
    "a suite of SHA-1": (server_hello(suite=0xC009), None),
    "no suite": (server_hello(suite=0), None),
    "compression": (server_hello(compression=1), None),
    "a hello without its end": (said(raw.SERVER_HELLO, b"\3\3" + bytes(20)), None),
    "extensions beyond the end": (
        said(raw.SERVER_HELLO, b"\3\3" + bytes(33) + b"\xcc\xa9\0\xff\xff\0"), None),
    "h2": (server_hello(extensions=[raw.alpn(b"h2")]), None),
    "two protocols": (server_hello(extensions=[raw.alpn(b"http/1.1", b"h2")]), None),
    "no name of a protocol": (server_hello(extensions=[raw.alpn()]), None),
    "renegotiation": (
        server_hello(first=raw.extension(raw.RENEGOTIATION, b"\x18" + b"x" * 24)), None),
    "smaller records, not asked for": (server_hello(extensions=[raw.extension(1, b"\1")]), None),
    "a session that there is not": (
        server_hello(session=b"x" * 32) + raw.record(raw.CHANGE_CIPHER, b"\1", raw.TLS12)
        + raw.record(HANDSHAKE, bytes(32), raw.TLS12), None),
    "no certificate": (server_hello() + DONE, None),
    "a key and no certificate": (server_hello() + said(raw.KEY_EXCHANGE, CURVE), None),
    "an empty chain": (server_hello() + certificate(), None),
    "an empty certificate": (server_hello() + certificate(b""), None),
    "a certificate of garbage": (server_hello() + certificate(b"\xa5" * 1000), None),
    "a chain beyond the end": (server_hello() + said(raw.CERTIFICATE, b"\xff\xff\xff" + bytes(9)), None),
    "a change of ciphers behind the hello": (
        server_hello() + raw.record(raw.CHANGE_CIPHER, b"\1", raw.TLS12), None),
    "a flood of warnings": (WARNING * 5000, rf"{GONE}|too many warn alerts"),
}  # fmt: skip


def answering(data):
    def attack(connection):
        head = read_exactly(connection, 5)
        read_exactly(connection, int.from_bytes(head[3:], "big"))
        connection.sendall(data)

    return attack


@HOW
@pytest.mark.parametrize("name", ANSWERS)
def test_answers(stage, name, how):
    data, why = ANSWERS[name]
    stage.attack(how, answering(data), why or "[^;]+")


def key_exchanges(name, der):
    """Behind a true certificate."""
    signature = struct.pack(">H", raw.P256_SHA256) + raw.vector(b"\x30\6\2\1\1\2\1\1", 2)
    parameters = {
        "a signature of garbage": CURVE + raw.vector(b"\4" + bytes(range(64)), 1) + signature,
        "a signature of SHA-1": CURVE + raw.vector(b"\4" + bytes(64), 1) + b"\2\3" + signature[2:],
        "no signature": CURVE + raw.vector(b"\4" + bytes(64), 1),
        "a point that is not on the curve": CURVE + raw.vector(b"\4" + b"\1" * 64, 1) + signature,
        "a point of zeros": struct.pack(">BH", 3, raw.X25519) + raw.vector(bytes(32), 1) + signature,
        "a curve that was not offered": b"\3\0\x13" + raw.vector(b"\4" + bytes(48), 1) + signature,
        "a curve of its own": b"\1" + raw.vector(b"\7", 1) + signature,
        "a key beyond the end": CURVE + b"\xff\4",
    }
    if name == "none":
        return server_hello() + certificate(der) + DONE
    return server_hello() + certificate(der) + said(raw.KEY_EXCHANGE, parameters[name]) + DONE


@pytest.mark.parametrize("name", [
    "none", "a signature of garbage", "a signature of SHA-1", "no signature",
    "a point that is not on the curve", "a point of zeros", "a curve that was not offered",
    "a curve of its own", "a key beyond the end",
])  # fmt: skip
def test_key_exchanges(stage, identity, name):
    stage.attack("server", answering(key_exchanges(name, der_of(identity))), "[^;]+")


# -- Behind the handshake --------------------------------------------------------------------------

UNAVAILABLE = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"
REASONS = {
    BAD_MAC: "the first record cannot be decrypted: it has been changed on the way, or the server does "
             "not accept our certificate",
    UNEXPECTED: "[^;]+",
    None: "the server answered 503 Later",
}  # fmt: skip


@pytest.fixture
def behind(stage, identity, tmp_path):
    """A function that attacks behind the handshake, where the upgrade should be answered: by bytes made
    for the connection, and holds that this is what the agent answers."""
    context = prepare(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), str(tmp_path / "secrets"))
    context.load_cert_chain(*identity)
    heard = []

    def run(build, answers, why):
        def attack(connection):
            peer = Taken(connection, context, server_side=True)
            assert peer.hear_head().startswith(b"GET /websocket HTTP/1.1\r\n")
            peer.send(build(peer))
            heard.append(peer.rest())

        stage.attack("server", attack, why)
        assert heard == [answers] * ATTEMPTS

    return run


@pytest.mark.parametrize("name", BREACHES)
def test_breaches(behind, name):
    build, alert = BREACHES[name]
    if uses_openssl() and name == "a message of 16 MiB":
        alert = UNEXPECTED  # a client of OpenSSL's looks at the type first
    if alert is None:
        behind(lambda peer: build(peer) + peer.seal(DATA, UNAVAILABLE), [], REASONS[None])
    else:
        why = "the peer sends empty records" if "empty records" in name else REASONS.get(alert, "[^;]+")
        behind(build, [(ALERT, fatal(alert))], why)


REQUEST = raw.message(0, b"")


NO = (ALERT, bytes([1, NO_RENEGOTIATION]))


def test_renegotiation(behind):
    """Refused by a warning; what follows is heard."""

    def build(peer):
        peer.send(times(16, HANDSHAKE, REQUEST)(peer))
        assert [peer.read() for _ in range(16)] == [NO] * 16
        return peer.seal(DATA, UNAVAILABLE)

    behind(build, [], REASONS[None])


def test_a_flood_of_renegotiation(behind):
    """Nobody has to read these answers: there is an end to them."""

    def build(peer):
        peer.send(times(16, HANDSHAKE, REQUEST)(peer))
        assert [peer.read() for _ in range(16)] == [NO] * 16
        return times(1000, HANDSHAKE, REQUEST)(peer)

    behind(build, [], "the peer sent more than it may make us keep")


def test_renegotiation_as_a_client(behind):
    behind(times(1, HANDSHAKE, HELLO), [(ALERT, bytes([2, UNEXPECTED]))], REASONS[UNEXPECTED])


def test_a_fatal_alert(behind):
    behind(lambda peer: peer.seal(ALERT, b"\2\x50"), [], "the peer sent alert 80: internal error")


def test_an_early_end(behind):
    behind(lambda peer: peer.seal(ALERT, b"\1\0"), [], "the connection ended before the upgrade was "
                                                       "answered")  # fmt: skip


# -- The network -----------------------------------------------------------------------------------


class Middle(Relay):
    """Does something to what the agent sends, once, when told so: "cut" it in the middle of a record,
    or "change" a byte of it."""

    def __init__(self, address):
        self.wish = None
        super().__init__(address)

    def _copy(self, source, to):
        towards_server = to.getpeername() == self.target
        try:
            while data := source.recv(65536):
                wish = self.wish if towards_server and len(data) > 100 else None
                if wish == "change":
                    data = data[:50] + bytes([data[50] ^ 1]) + data[51:]
                elif wish == "cut":
                    data = data[:50]
                to.sendall(data)
                if wish:
                    self.wish = None
                if wish == "cut":
                    break
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def endless(connection):
    """Sends for as long as somebody listens."""
    try:
        while True:
            connection.sendall(b"x" * 1000)
    except ConnectionError:
        pass


@pytest.mark.parametrize("wish, why", [
    ("cut", "agent far .* down: the connection ended without the end of its TLS session"),
    # The byte may also be one of a record's head.
    ("change", "agent far .* down: (a record cannot be decrypted: it has been changed on the way"
               "|the peer sent a record that is malformed or too long)"),
])  # fmt: skip
def test_the_network(world, authority, identity, echo_site, wish, why):
    """Whoever cuts a download short, or changes it, is found out: nothing of what he did gets through,
    nothing looks complete, and the agent comes again."""
    server = world.server("--cert", identity.certificate, "--key", identity.key)
    middle = world.site(Middle(server.address))
    site = world.site(Site(endless))
    world.agent(f"wss://{middle.address}", "--name", "far", "--ca", authority.certificate, "--no-resume")
    server.wait_for("agent far .* up from")
    client = SecureClient(server.address, client_context(authority)).open(site.address)
    client.read_exactly(MIB)
    middle.wish = wish
    got = bytearray()
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        while piece := client.socket.recv(65536):
            got += piece
        raise AssertionError("an end")
    assert not got.strip(b"x")
    client.close()
    server.wait_for(why)
    server.wait_for("agent far .* up from", 2)
    client = SecureClient(server.address, client_context(authority)).open(echo_site.address, b"ping")
    assert client.read_exactly(4) == b"ping"
    client.close()
