# SPDX-License-Identifier: MIT
"""Hostile clients of a server that speaks TLS: handshakes that begin well and go on badly, certificates
that are not to be trusted, and what may not be said in a connection that is open. Each is told by the
alert that belongs to it; what a tunnel carried till then never looks complete at its destination."""
import re
import ssl

import pytest

import tlsraw as raw
from authority import Authority
from client import Client, open_socket
from processes import uses_openssl, wait_until
from scene import HEALTH, KIB, Scene, serve
from secure import SecureClient, client_context
from sites import Site, echo
from tlsbreaches import (BAD_MAC, BREACHES, EVIL, HALF, HELLO, NO_RENEGOTIATION, UNEXPECTED, fatal,
                         times)  # fmt: skip
from tlskeys import Taken, prepare
from tlsraw import ALERT, CHANGE_CIPHER, DATA, HANDSHAKE

TIMEOUT_MS = 2000  # of a handshake, and of a request


class Witness(Site):
    """Echoes, and knows what it got on each connection, and how that ended."""

    def __init__(self):
        self.got = []
        super().__init__(self._echo)

    def _echo(self, connection):
        data = b""
        try:
            while piece := connection.recv(65536):
                data += piece
                connection.sendall(piece)
            self.got.append((data, "end"))
        except ConnectionError:
            self.got.append((data, "reset"))

    def next(self, after):
        """The one that ends behind those `after` before."""
        wait_until(lambda: len(self.got) > after, "the end at the destination")
        return self.got[after]


@pytest.fixture(scope="module")
def scene(arena, authority, identity, tmp_path_factory):
    path = tmp_path_factory.mktemp("clients")
    server = serve(arena, path, cert=str(identity.certificate), key=str(identity.key),
                   log_level="debug",
                   limits={"tls_timeout_ms": TIMEOUT_MS, "head_timeout_ms": TIMEOUT_MS})  # fmt: skip
    scene = Scene(arena, server, arena.site(Site(echo)), authority)
    scene.authority, scene.log = authority, str(path / "secrets")
    scene.witness = arena.site(Witness())
    yield scene
    scene.finish(more=1024 * KIB)


def wait_for_more(server, pattern, before):
    """A line behind the first `before` ones."""
    wait_until(lambda: any(re.search(pattern, line) for line in server.lines[before:]), pattern)


# -- Handshakes that go on badly -------------------------------------------------------------------

X25519_KEY = bytes(range(32))


def key_exchange(point):
    return raw.record(HANDSHAKE, raw.message(16, raw.vector(point, 1)), raw.TLS12)


CHANGE = raw.record(CHANGE_CIPHER, b"\1", raw.TLS12)
WARNING = raw.record(ALERT, b"\1\x5a", raw.TLS12)

# What is said where a ClientKeyExchange belongs; all alerts that are as good; the reason in the log,
# None: mbedTLS's.
SECONDS = {
    "a change of ciphers at once": (CHANGE, {10, 40}, None),
    "data in the clear": (raw.record(DATA, HEALTH, raw.TLS12), {10, 40}, None),
    "an end": (raw.record(ALERT, b"\1\0", raw.TLS12), {10, 40}, None),
    "a fatal alert": (raw.record(ALERT, b"\2\x28", raw.TLS12), None,
                      "the peer sent alert 40: handshake failure"),
    "an alert of no meaning": (raw.record(ALERT, b"\2\xff", raw.TLS12), None,
                               "the peer sent alert 255: unknown"),
    "another hello": (raw.hello(), {10, 40}, None),
    "no key": (key_exchange(b""), {10, 40, 47, 50}, None),
    "a key of zeros": (key_exchange(bytes(32)) + CHANGE, {10, 40, 47}, None),
    "a key of another group": (key_exchange(b"\4" + bytes(64)), {10, 40, 47, 50}, None),
    "a key of 255 bytes": (key_exchange(bytes(255)), {10, 40, 47, 50}, None),
    "a key beyond the end": (
        raw.record(HANDSHAKE, raw.message(16, b"\xff" + X25519_KEY), raw.TLS12),
        {10, 40, 47, 50}, None),
    "a certificate not asked for": (
        raw.record(HANDSHAKE, raw.message(raw.CERTIFICATE, b"\0\0\0"), raw.TLS12),
        {10, 40}, None),
    "a finish without a change": (
        key_exchange(X25519_KEY) + raw.record(HANDSHAKE, raw.message(20, bytes(12)), raw.TLS12),
        {10, 40}, None),
    "a finish in the clear": (
        key_exchange(X25519_KEY) + CHANGE + raw.record(HANDSHAKE, raw.message(20, bytes(12)), raw.TLS12),
        {10, 20, 40}, None),
    "a finish of garbage": (
        key_exchange(X25519_KEY) + CHANGE + raw.record(HANDSHAKE, b"\xa5" * 32, raw.TLS12),
        {20}, "a record cannot be decrypted: it has been changed on the way"),
    "a message of 16 MiB": (
        raw.record(HANDSHAKE, b"\x10\xff\xff\xff" + b"x" * 16000, raw.TLS12) * 4, {10, 40, 50}, None),
    "a flood of warnings": (WARNING * 5000, None, "TLS handshake timed out"),
    "a flood of empty records": (raw.record(HANDSHAKE, b"", raw.TLS12) * 1000, {10, 40}, None),
}  # fmt: skip
# Where OpenSSL differs: an end is an end, it has other alerts, and takes less of warnings.
if uses_openssl():
    SECONDS |= {
        "an end": (SECONDS["an end"][0], None, "the peer closed the connection during the handshake"),
        "another hello": (SECONDS["another hello"][0], {10, 40, 47, 70, 80}, None),
        "a message of 16 MiB": (SECONDS["a message of 16 MiB"][0], {47}, None),
        "a flood of warnings": (SECONDS["a flood of warnings"][0], {10}, None),
    }


@pytest.mark.parametrize("name", SECONDS)
def test_second_flights(scene, name):
    records, alerts, why = SECONDS[name]
    before = len(scene.server.lines)
    client = Client(scene.server.address)
    client.send(raw.hello())
    assert raw.read_flight(client).suite == raw.ECDSA_CHACHA20
    try:
        client.send(records)
    except ConnectionError:
        pass
    answer = raw.read_flight(client)
    client.close()
    assert answer is None if alerts is None else answer.alert in alerts
    wait_for_more(scene.server, f"TLS: {why}$" if why else "TLS: .", before)
    scene.check()
    scene.check_memory(1024 * KIB)


def second_flight(change):
    """Changes records of the second thing that a client says. Those of its messages that are in the
    clear have a type, others None."""
    flights = 0

    def run(piece):
        nonlocal flights
        flights += 1
        if flights != 2:
            return piece
        records, sealed = [], False
        while piece:
            end = 5 + int.from_bytes(piece[3:5], "big")
            sealed = sealed or piece[0] == CHANGE_CIPHER
            kind = piece[5] if piece[0] == HANDSHAKE and not sealed else None
            records.append((kind, piece[:end]))
            piece = piece[end:]
        return b"".join(change(kind, record) for kind, record in records)

    return run


def spoil(wanted):
    """The last byte of the last record, or of that with a message of this type."""

    def change(kind, record):
        hit = kind == wanted if wanted else kind is None and record[0] == HANDSHAKE
        return record[:-1] + bytes([record[-1] ^ 1]) if hit else record

    return second_flight(change)


def shake(scene, change=None, identity=None):
    """An attempt that must fail: with an alert, which Python tells."""
    context = prepare(client_context(scene.authority), scene.log)
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    sock = open_socket(scene.server.address)
    with pytest.raises((ssl.SSLError, ConnectionError)) as failure:
        taken = Taken(sock, context, change=change)
        taken.say(HEALTH)
        raise ConnectionError(taken.rest())
    sock.close()
    return failure.value


def test_a_wrong_finish(scene):
    before = len(scene.server.lines)
    failure = shake(scene, spoil(None))
    assert "BAD_RECORD_MAC" in str(failure)
    wait_for_more(scene.server, "TLS: a record cannot be decrypted: it has been changed on the way$",
                  before)  # fmt: skip
    scene.check()


# -- Certificates ----------------------------------------------------------------------------------

DAYS = ("20350101000000Z", "20360101000000Z")
ONLY_SERVERS, ONLY_CLIENTS = "extendedKeyUsage = serverAuth\n", "extendedKeyUsage = clientAuth\n"


@pytest.fixture(scope="module")
def clients(authority, tmp_path_factory):
    """Certificates, and why they are refused; None: they are not."""
    other = Authority(tmp_path_factory.mktemp("other"), name="Other CA")
    namesake = Authority(tmp_path_factory.mktemp("namesake"))
    good = authority.issue("client.test", more=ONLY_CLIENTS)
    forger = Authority(tmp_path_factory.mktemp("forger"))  # by a certificate that is for no such thing
    forger.certificate, forger.key = good.certificate, good.key
    forged = forger.issue("forged.test")
    with open(forged.certificate, "a") as chain:
        chain.write(good.certificate.read_text())
    return {
        "good": (good, None),
        "expired": (authority.issue("old.test", expired=True), "certificate expired on 2020-01-31"),
        "not yet valid": (authority.issue("new.test", period=DAYS),
                          "certificate is not valid before 2035-01-01"),
        "self-signed": (authority.issue("self.test", self_signed=True),
                        "self-signed certificate, not trusted: CN=self.test"),
        "by an unknown issuer": (other.issue("a.test"), "issuer not trusted: CN=Other CA"),
        "by another issuer of this name": (namesake.issue("a.test"), "issuer not trusted: CN=Test CA"),
        "by a certificate of no issuer": (forged, "issuer not trusted: CN=client.test"),
        "for servers": (authority.issue("server.test", more=ONLY_SERVERS),
                        "certificate is not for clients (extendedKeyUsage)"),
        "not for signatures": (authority.issue("key.test", more="keyUsage = keyEncipherment\n"),
                               "certificate has a key that is not for signatures (keyUsage)"),
        "expired and for servers": (
            authority.issue("old.test", expired=True, more=ONLY_SERVERS),
            "certificate expired on 2020-01-31; certificate is not for clients (extendedKeyUsage)"),
        "with a weak key": (authority.issue("weak.test", algorithm="rsa:1024"),
                            "certificate has a weak key, or its issuer has"),
        "the issuer's own": (authority, "certificate has a key that is not for signatures (keyUsage)"),
    }  # fmt: skip


@pytest.fixture(scope="module", params=["required", "optional"])
def strict(request, arena, authority, identity, clients, tmp_path_factory):
    """A server that asks for certificates; its agent and honest clients have one."""
    path = tmp_path_factory.mktemp(request.param)
    server = serve(arena, path, cert=str(identity.certificate), key=str(identity.key),
                   client_ca=str(authority.certificate), client_cert=request.param,
                   log_level="debug")  # fmt: skip
    good = clients["good"][0]
    scene = Certified(arena, server, arena.site(Site(echo)), authority, good)
    scene.authority, scene.log = authority, str(path / "secrets")
    scene.optional = request.param == "optional"
    yield scene
    scene.finish(more=1024 * KIB)


class Certified(Scene):
    def __init__(self, world, server, site, authority, identity):
        self.identity = client_context(authority, identity)
        options = ["--cert", identity.certificate, "--key", identity.key]
        super().__init__(world, server, site, authority, options)

    def connect(self):
        return SecureClient(self.server.address, self.identity)


CLIENTS = ["expired", "not yet valid", "self-signed", "by an unknown issuer",
           "by another issuer of this name", "by a certificate of no issuer", "for servers",
           "not for signatures", "expired and for servers", "with a weak key",
           "the issuer's own"]  # fmt: skip


@pytest.mark.parametrize("name", CLIENTS)
def test_certificates(strict, clients, name):
    """Whether one must be shown or may be: a bad one is no pass, nor as good as none."""
    identity, why = clients[name]
    before = len(strict.server.lines)
    shake(strict, identity=identity)
    wait_for_more(strict.server, f"TLS: {re.escape(why)}$", before)
    strict.check()


def test_a_stolen_certificate(strict, clients):
    """Somebody else's, without the key to it: what should be signed by it is not."""
    before = len(strict.server.lines)
    shake(strict, spoil(15), clients["good"][0])
    wait_for_more(strict.server, "TLS: .", before)
    strict.check()


def test_no_certificate(strict):
    if strict.optional:
        client = SecureClient(strict.server.address, client_context(strict.authority))
        assert client.ask(HEALTH).status == 200
        client.close()
    else:
        shake(strict)
        strict.server.wait_for("TLS: the client has sent no certificate$")
    strict.check()


# -- Behind the handshake --------------------------------------------------------------------------


class Tunnel:
    """Somebody whose tunnel to the witness is open, by TLS that is taken from Python."""

    def __init__(self, scene, authority):
        self.scene = scene
        self.before = len(scene.witness.got)
        context = prepare(client_context(authority), scene.log)
        self.peer = Taken(open_socket(scene.server.address), context)
        self.peer.say(f"CONNECT {scene.witness.address} HTTP/1.1\r\n\r\n".encode())
        assert self.peer.hear_head() == b"HTTP/1.1 200 Connection established\r\n\r\n"
        self.lines = len(scene.server.lines)
        self._say(b"good")

    def _say(self, data):
        self.peer.say(data)
        assert self.peer.hear(len(data)) == data

    def send(self, data):
        try:
            self.peer.send(data)
        except ConnectionError:
            pass

    def broken(self, answers, why, got=b"good"):
        """The answers are the last that is heard; the destination is not told that this was all."""
        assert self.peer.rest() == answers
        assert self.scene.witness.next(self.before) == (got, "reset")
        self._over(why)

    def fine(self):
        """It goes on, to an orderly end."""
        self._say(b"more")
        self.peer.send(self.peer.seal(ALERT, b"\1\0"))
        assert self.scene.witness.next(self.before) == (b"goodmore", "end")
        assert self.peer.rest() == [(ALERT, b"\1\0")]
        self._over("ended")

    def _over(self, why):
        self.peer.close()
        wait_for_more(self.scene.server, rf"tunnel \d+ over: {why} by the client after", self.lines)
        self.scene.check()
        self.scene.check_memory(1024 * KIB)


@pytest.fixture
def tunnel(scene, authority):
    return Tunnel(scene, authority)


@pytest.mark.parametrize("name", BREACHES)
def test_breaches(tunnel, name):
    build, alert = BREACHES[name]
    tunnel.send(build(tunnel.peer))
    if alert is None:
        tunnel.fine()
    else:
        tunnel.broken([(ALERT, fatal(alert))], "TLS failed")


def test_a_record_again(tunnel):
    """What has been heard and is sent again by somebody else."""
    record = tunnel.peer.seal(DATA, EVIL)
    tunnel.send(record)
    assert tunnel.peer.hear(len(EVIL)) == EVIL
    tunnel.send(record)
    tunnel.broken([(ALERT, bytes([2, BAD_MAC]))], "TLS failed", b"good" + EVIL)


def test_half_a_message(scene, authority):
    """If the rest is waited for, no longer than for a request, and in the place that there is."""
    peer = Taken(open_socket(scene.server.address), prepare(client_context(authority), scene.log))
    peer.send(peer.seal(HANDSHAKE, HALF))
    said = peer.rest()
    if not (uses_openssl() and said == []):  # which does not say an end within a message
        assert said in ([(ALERT, bytes([2, UNEXPECTED]))], [(ALERT, b"\1\0")])
    peer.close()
    scene.check()
    scene.check_memory(1024 * KIB)


def test_renegotiation(tunnel):
    """Refused by a warning; the tunnel goes on."""
    tunnel.send(times(16, HANDSHAKE, HELLO)(tunnel.peer))
    for _ in range(16):
        assert tunnel.peer.read() == (ALERT, bytes([1, NO_RENEGOTIATION]))
    tunnel.fine()


class Some(list):
    """Equal to each of its beginnings that is not empty."""

    def __eq__(self, other):
        return 0 < len(other) <= len(self) and other == list(self)[: len(other)]

    __hash__ = None


def test_a_flood_of_renegotiation(tunnel):
    """Nobody has to read these answers: there is an end to them."""
    tunnel.send(times(17, HANDSHAKE, HELLO)(tunnel.peer))
    answers = [(ALERT, bytes([1, NO_RENEGOTIATION]))] * 16
    if uses_openssl():  # all are sent at once, so that the reset can overtake the last ones
        answers = Some(answers)
    tunnel.broken(answers, "the peer sent more than it may make us keep")


def test_renegotiation_as_a_server(tunnel):
    tunnel.send(tunnel.peer.seal(HANDSHAKE, raw.message(0, b"")))
    tunnel.broken([(ALERT, bytes([2, UNEXPECTED]))], "TLS failed")


def test_a_fatal_alert(tunnel):
    tunnel.send(tunnel.peer.seal(ALERT, b"\2\x50"))
    tunnel.broken([], "TLS failed")


def test_behind_the_end(tunnel):
    """What comes behind close_notify is not heard."""
    tunnel.send(tunnel.peer.seal(ALERT, b"\1\0") + tunnel.peer.seal(DATA, EVIL))
    assert tunnel.scene.witness.next(tunnel.before) == (b"good", "end")
    assert (DATA, EVIL) not in tunnel.peer.rest()
    tunnel.peer.close()


TRUNCATED = "the connection ended without the end of its TLS session"
CUTS = {
    "between records": lambda peer: b"",
    "behind a byte": lambda peer: peer.seal(DATA, EVIL)[:1],
    "behind a record's head": lambda peer: peer.seal(DATA, EVIL)[:5],
    "inside a record": lambda peer: peer.seal(DATA, EVIL)[:30],
    "before a record's last byte": lambda peer: peer.seal(DATA, EVIL)[:-1],
    "inside the end": lambda peer: peer.seal(ALERT, b"\1\0")[:-1],
}


@pytest.mark.parametrize("name", CUTS)
def test_cuts(tunnel, name):
    """A FIN that is not the end of TLS is none."""
    tunnel.send(CUTS[name](tunnel.peer))
    tunnel.peer.socket.shutdown(1)
    tunnel.broken([], TRUNCATED)
