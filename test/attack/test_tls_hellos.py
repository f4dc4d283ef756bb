# SPDX-License-Identifier: MIT
"""Hostile clients of a server that speaks TLS: what is no hello, or a broken one; each is told by the
alert that belongs to it, and the log says why."""
import struct

import pytest

import tlsraw as raw
from processes import uses_openssl, wait_until
from scene import HEALTH, KIB, Scene, serve
from sites import Site, echo


@pytest.fixture(scope="module")
def scene(arena, authority, identity, tmp_path_factory):
    server = serve(arena, tmp_path_factory.mktemp("config"), cert=str(identity.certificate),
                   key=str(identity.key), log_level="debug", limits={"tls_timeout_ms": 3000})  # fmt: skip
    scene = Scene(arena, server, arena.site(Site(echo)), authority)
    yield scene
    scene.finish(more=1024 * KIB)


def raw_hello(body):
    return raw.record(raw.HANDSHAKE, raw.message(1, body))


BODY = raw.hello_body()
SUITES_AT = 35  # behind version, random and an empty session id


def patched(at, data, body=BODY):
    return raw_hello(body[:at] + data + body[at + len(data) :])


def with_extensions(*extensions):
    return raw.hello(extensions=(*raw.USUAL, *extensions))


def of_13(*shares, versions=b"\3\4"):
    """Of TLS 1.3 with these keys; a server that does not know it answers by 1.2."""
    extensions = (raw.extension(43, raw.vector(versions, 1)),
                  raw.extension(51, raw.vector(b"".join(shares), 2)))  # fmt: skip
    return raw.hello(suites=(0x1303, raw.ECDSA_CHACHA20), session=b"x" * 32,
                     extensions=(*raw.USUAL, *extensions))  # fmt: skip


def share(group, key):
    return struct.pack(">H", group) + raw.vector(key, 2)


GARBAGE = b"\xa5" * 40
GONE = "the peer closed the connection during the handshake"  # as the test does
NO_SUITE = "no cipher suite"  # and more, if mbedTLS is new
NO_PROTOCOL = "no application protocol in common: the peer does not want http/1.1"
# Versions of mbedTLS differ in what they call a fault: handshake failure, decode error, illegal
# parameter, unexpected message, protocol version, record overflow, missing extension.
MALFORMED = {40, 50, 47, 10, 70, 22, 109}
REFUSED = {40, 47, 109}
EITHER = MALFORMED | {None}  # some versions take it
BEGUN = frozenset(MALFORMED)  # or, since a message may come in several records, the rest is waited for
# Bytes of a first flight, the alert (None: it is answered), and the reason (None: mbedTLS's).
HELLOS = {
    "no hello but a finished": (raw.record(22, raw.message(20, b"x" * 12)), MALFORMED, None),
    "a server's hello": (raw.record(22, raw.message(2, BODY)), MALFORMED, None),
    "a hello request": (raw.record(22, raw.message(0, b"")), MALFORMED, None),
    "an unknown message": (raw.record(22, raw.message(99, BODY)), MALFORMED, None),
    "an empty record": (raw.record(22, b""), REFUSED, None),
    "a record of one byte": (raw.record(22, b"\1"), REFUSED, None),
    "a record too long": (b"\x16\x03\x01\x48\x01" + b"\1" * 18433, REFUSED, None),
    "a record of 64 KiB": (b"\x16\x03\x01\xff\xff" + b"\1" * 65535, REFUSED, None),
    "a record of version 0": (raw.record(22, raw.message(1, BODY), 0), EITHER, None),
    "a record of version 4.0": (raw.record(22, raw.message(1, BODY), 0x0400), EITHER, None),
    "a record of version 3.0": (raw.hello(record_version=0x0300), None, GONE),
    "garbage": (b"\x16" + b"\xff" * 100, REFUSED, None),
    "HTTP in a record": (raw.record(22, HEALTH), BEGUN, None),
    "a message longer than its record": (raw.record(22, b"\1\xff\xff\xff" + BODY), BEGUN, None),
    "a message shorter than its record": (raw.record(22, b"\1\0\0\x10" + BODY), MALFORMED, None),
    "a message in two records": (
        raw.record(22, raw.message(1, BODY)[:50]) + raw.record(22, raw.message(1, BODY)[50:]),
        EITHER, None),
    "nothing in the hello": (raw_hello(b""), MALFORMED, None),
    "half a random": (raw_hello(BODY[:20]), MALFORMED, None),
    "session id too long": (raw_hello(BODY[:34] + b"\x21" + b"x" * 33 + BODY[35:]), MALFORMED, None),
    "session id beyond the end": (patched(34, b"\xff"), MALFORMED, None),
    "no suites": (raw.hello(suites=()), MALFORMED, None),
    "odd length of suites": (patched(SUITES_AT, b"\0\3"), MALFORMED, None),
    "suites beyond the end": (patched(SUITES_AT, b"\xff\xfe"), MALFORMED, None),
    "no compression": (raw.hello(compression=b""), MALFORMED, None),
    "extensions beyond the end": (
        raw_hello(BODY[:SUITES_AT] + b"\0\2\xcc\xa9\1\0\xff\xff"),
        MALFORMED, None),
    "half an extension": (raw_hello(BODY[:SUITES_AT] + b"\0\2\xcc\xa9\1\0\0\2\0\0"), MALFORMED, None),
    "extension beyond the end": (
        raw_hello(BODY[:SUITES_AT] + b"\0\2\xcc\xa9\1\0\0\4\0\x0a\0\xff"),
        MALFORMED, None),
    "no extensions": (raw.hello(extensions=None), MALFORMED, None),
    "groups of an odd length": (
        raw.hello(extensions=(raw.extension(10, b"\0\3\0\x1d\0"), *raw.USUAL[1:])),
        MALFORMED, None),
    "groups, none": (raw.hello(extensions=(raw.groups(), *raw.USUAL[1:])), REFUSED, NO_SUITE),
    "points, none": (
        raw.hello(extensions=(raw.USUAL[0], raw.extension(11, b"\0"), raw.USUAL[2])),
        None, GONE),
    "signatures, none": (raw.hello(extensions=(*raw.USUAL[:2], raw.signatures())), REFUSED, NO_SUITE),
    "signatures, odd": (
        raw.hello(extensions=(*raw.USUAL[:2], raw.extension(13, b"\0\3\4\3\4"))),
        MALFORMED, None),
    "suites, none of ours": (raw.hello(suites=(0x002F, 0xC013, 0x009C, 0x0005)), REFUSED, NO_SUITE),
    "heartbeat": (with_extensions(raw.extension(raw.HEARTBEATS, b"\xff" * 500)), None, GONE),
    "unknown extensions": (
        with_extensions(*(raw.extension(k, GARBAGE) for k in range(0x2A2A, 0x2A6A))),
        None, GONE),
    "the same extension twice": (with_extensions(raw.sni(b"a.test"), raw.sni(b"b.test")), None, GONE),
    "renegotiation": (
        with_extensions(raw.extension(raw.RENEGOTIATION, b"\x0c" + b"x" * 12)),
        REFUSED, None),
    "a ticket of garbage": (with_extensions(raw.extension(raw.TICKET, GARBAGE * 20)), None, GONE),
    "an early secret": (with_extensions(raw.extension(raw.EMS, b"x")), MALFORMED, None),
    "1.3: a key of zeros": (of_13(share(raw.X25519, bytes(32))), EITHER, None),
    "1.3: half a key": (of_13(share(raw.X25519, bytes(range(16)))), EITHER, None),
    "1.3: an empty key": (of_13(share(raw.X25519, b"")), EITHER, None),
    "1.3: a key that is not on the curve": (of_13(share(raw.P256, b"\4" + b"\1" * 64)), EITHER, None),
    "1.3: a key beyond the end": (
        of_13(struct.pack(">HH", raw.X25519, 0xFFFF) + bytes(range(32))),
        EITHER, None),
    "1.3: versions beyond the end": (
        with_extensions(raw.extension(43, b"\xff\3\4")),
        EITHER, None),
    "SNI: empty": (with_extensions(raw.extension(raw.SNI)), MALFORMED, None),
    "SNI: no names": (with_extensions(raw.sni()), None, GONE),
    "SNI: empty name": (with_extensions(raw.sni(b"")), None, GONE),
    "SNI: 255 bytes": (with_extensions(raw.sni(b"a" * 255)), None, GONE),
    "SNI: 16,000 bytes": (with_extensions(raw.sni(b"a." * 8000)), None, GONE),
    "SNI: two names": (with_extensions(raw.sni(b"a.test", b"b.test")), None, GONE),
    "SNI: of another type": (with_extensions(raw.sni(b"a.test", kind=7)), None, GONE),
    "SNI: beyond the end": (
        with_extensions(raw.extension(raw.SNI, b"\0\xff\0\0\xff")),
        MALFORMED, None),
    "SNI: control characters": (with_extensions(raw.sni(b"a\0b\r\nX: y\x1b[2J")), None, GONE),
    "SNI: not ASCII": (with_extensions(raw.sni(b"\xff\xfe\xc3\xa4")), None, GONE),
    "SNI: address": (with_extensions(raw.sni(b"127.0.0.1")), None, GONE),
    "SNI: path": (with_extensions(raw.sni(b"../../etc/passwd")), None, GONE),
    "SNI: format": (with_extensions(raw.sni(b"%n%n%s")), None, GONE),
    "ALPN: empty": (with_extensions(raw.extension(raw.ALPN)), MALFORMED, None),
    "ALPN: no names": (with_extensions(raw.alpn()), MALFORMED, None),
    "ALPN: empty name": (with_extensions(raw.alpn(b"", b"http/1.1")), MALFORMED, None),
    "ALPN: beyond the end": (
        with_extensions(raw.extension(raw.ALPN, b"\0\x0a\xffhttp/1.1")),
        MALFORMED, None),
    "ALPN: h2": (with_extensions(raw.alpn(b"h2")), {120}, NO_PROTOCOL),
    "ALPN: many": (with_extensions(raw.alpn(*[b"x"] * 4000)), {120}, NO_PROTOCOL),
}  # fmt: skip
# Where OpenSSL differs: it waits for the rest of a message, takes less, and its alerts are its own.
WITH_OPENSSL = {
    "an empty record": BEGUN,
    "a record of one byte": BEGUN,
    "a record too long": {22},
    "a record of 64 KiB": {22},
    "a record of version 0": {70},
    "a record of version 4.0": {70},
    "garbage": {70},
    "groups, none": {50},
    "points, none": {50},
    "signatures, none": {50},
    "the same extension twice": {47},
    "SNI: no names": {50},
    "SNI: 16,000 bytes": {112},
    "SNI: two names": {50},
    "SNI: of another type": {50},
    "SNI: control characters": {112},
}


@pytest.mark.parametrize("name", HELLOS)
def test_hellos(scene, name):
    """Told by an alert; what is odd but no fault is served. All is over at once, and logged."""
    data, expected, why = HELLOS[name]
    if uses_openssl() and name in WITH_OPENSSL:
        expected, why = WITH_OPENSSL[name], None
    before = len(scene.server.lines)
    flight = raw.ask(scene.server.address, data)
    if flight is None:
        assert expected is BEGUN
        why = "TLS handshake timed out"
    else:
        assert flight.alert in (expected or {None})
        if flight.alert is None:
            assert flight.suite in (raw.ECDSA_CHACHA20, raw.ECDSA_AES128_GCM)
    wait_until(lambda: any("TLS: " in line for line in scene.server.lines[before:]), "the reason")
    (said,) = {line.partition("TLS: ")[2] for line in scene.server.lines[before:] if "TLS: " in line}
    assert said.startswith(why or "")
    assert said and said.isprintable()
    scene.check()
