# SPDX-License-Identifier: MIT
"""TLS 1.2 at the level of bytes, up to what can be said in the clear: hellos as they are wanted, right
or not, and what is answered."""
import os
import struct
from typing import NamedTuple

from client import Client

CHANGE_CIPHER, ALERT, HANDSHAKE, DATA, HEARTBEAT = 20, 21, 22, 23, 24  # types of records
SERVER_HELLO, CERTIFICATE, KEY_EXCHANGE, REQUEST, DONE = 2, 11, 12, 13, 14  # of handshake messages
SNI, GROUPS, POINTS, SIGNATURES, HEARTBEATS, ALPN = 0, 10, 11, 13, 15, 16  # extensions
STATUS, EMS, TICKET, RENEGOTIATION = 5, 23, 35, 0xFF01
TLS10, TLS11, TLS12, SSL3 = 0x0301, 0x0302, 0x0303, 0x0300
P256_SHA256, X25519, P256 = 0x0403, 29, 23
ECDSA_AES128_GCM, ECDSA_CHACHA20, SCSV, FALLBACK = 0xC02B, 0xCCA9, 0x00FF, 0x5600
SIGNATURE_SCHEMES = (0x0403, 0x0503, 0x0603, 0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806)


def vector(data, size):
    """With its length in front."""
    return len(data).to_bytes(size, "big") + data


def numbers(values):
    return b"".join(struct.pack(">H", value) for value in values)


def record(kind, payload, version=TLS10):
    return struct.pack(">BH", kind, version) + vector(payload, 2)


def message(kind, body):
    return bytes([kind]) + vector(body, 3)


def extension(kind, data=b""):
    return struct.pack(">H", kind) + vector(data, 2)


def sni(*names, kind=0):
    return extension(SNI, vector(b"".join(bytes([kind]) + vector(n, 2) for n in names), 2))


def groups(*values):
    return extension(GROUPS, vector(numbers(values), 2))


def signatures(*values):
    return extension(SIGNATURES, vector(numbers(values), 2))


def alpn(*names):
    return extension(ALPN, vector(b"".join(vector(name, 1) for name in names), 2))


USUAL = (groups(X25519, P256), extension(POINTS, b"\1\0"), signatures(*SIGNATURE_SCHEMES))


def hello_body(version=TLS12, suites=(ECDSA_CHACHA20, ECDSA_AES128_GCM), session=b"", compression=b"\0",
               extensions=USUAL):  # fmt: skip
    tail = vector(b"".join(extensions), 2) if extensions is not None else b""
    return (struct.pack(">H", version) + os.urandom(32) + vector(session, 1) + vector(numbers(suites), 2)
            + vector(compression, 1) + tail)  # fmt: skip


def hello(version=TLS12, record_version=TLS10, **options):
    """The first record of a client."""
    return record(HANDSHAKE, message(1, hello_body(version, **options)), record_version)


class Flight(NamedTuple):
    """What a server has answered: an alert, or its messages up to its hello's end."""

    alert: int | None = None  # a fatal one
    version: int = 0
    suite: int = 0
    compression: int = 0
    extensions: dict = {}
    messages: tuple = ()
    group: int = 0
    random: bytes = b""


def _parse(messages):
    body = dict(messages)[SERVER_HELLO]
    version = int.from_bytes(body[:2], "big")
    at = 35 + body[34]
    suite, compression = int.from_bytes(body[at : at + 2], "big"), body[at + 2]
    rest, extensions = body[at + 5 :], {}
    while rest:
        kind, n = struct.unpack(">HH", rest[:4])
        extensions[kind] = rest[4 : 4 + n]
        rest = rest[4 + n :]
    exchange = dict(messages).get(KEY_EXCHANGE, b"\0\0\0")
    return Flight(None, version, suite, compression, extensions, tuple(k for k, _ in messages),
                  int.from_bytes(exchange[1:3], "big"), body[2:34])  # fmt: skip


def read_flight(client):
    """None: the connection ended without an answer."""
    data, messages = b"", []
    while DONE not in [kind for kind, _ in messages]:
        try:
            kind, _, n = struct.unpack(">BHH", client.read_exactly(5))
            payload = client.read_exactly(n)
        except (AssertionError, ConnectionError):
            return None
        if kind == ALERT:
            return Flight(alert=payload[1])
        assert kind == HANDSHAKE, kind
        data += payload
        while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[1:4], "big"):
            n = 4 + int.from_bytes(data[1:4], "big")
            messages.append((data[0], data[4:n]))
            data = data[n:]
    return _parse(messages)


def ask(address, *records):
    client = Client(address)
    try:
        client.send(b"".join(records))
    except ConnectionError:
        pass
    flight = read_flight(client)
    client.close()
    return flight
