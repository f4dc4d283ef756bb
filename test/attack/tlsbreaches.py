# SPDX-License-Identifier: MIT
"""What no peer may send by TLS once it has shaken hands, whichever side it is: bytes made for a
connection that has been taken (tlskeys.py), and the alert they are answered with; None: they do no
harm."""
import tlsraw as raw
from processes import uses_openssl
from tlsraw import ALERT, CHANGE_CIPHER, DATA, HANDSHAKE, HEARTBEAT

UNEXPECTED, BAD_MAC, OVERFLOW, ILLEGAL, PROTOCOL_VERSION, INTERNAL = 10, 20, 22, 47, 70, 80
NO_RENEGOTIATION = 100
SHORT = (BAD_MAC, INTERNAL)
WARNINGS = 1000
EVIL = b"evil" * 10


def changed(at):
    def build(peer):
        record = bytearray(peer.seal(DATA, EVIL))
        record[at] ^= 1
        return bytes(record)

    return build


def sealed(kind, data):
    return lambda peer: peer.seal(kind, data)


def clear(kind, data):
    return lambda peer: raw.record(kind, data, raw.TLS12)


def times(count, kind, data=b""):
    return lambda peer: b"".join(peer.seal(kind, data) for _ in range(count))


def one_is_missing(peer):
    peer.seal(DATA, EVIL)
    return peer.seal(DATA, EVIL)


def the_other_way_round(peer):
    first, second = peer.seal(DATA, EVIL), peer.seal(DATA, EVIL)
    return second + first


def message(kind, body):
    return sealed(HANDSHAKE, raw.message(kind, body))


HELLO = raw.message(1, raw.hello_body())
HALF = HELLO[:50]  # mbedTLS 3.6 takes messages in several records: it waits for the other half


def half_a_message(peer):
    return peer.seal(HANDSHAKE, HALF) + peer.seal(DATA, EVIL)



BREACHES = {
    "a bit changed": (changed(20), BAD_MAC),
    "a bit of the MAC changed": (changed(-1), BAD_MAC),
    "the type changed": (changed(0), BAD_MAC),
    "the version changed": (changed(2), BAD_MAC),
    "a record missing": (one_is_missing, BAD_MAC),
    "two records the other way round": (the_other_way_round, BAD_MAC),
    "in the clear": (clear(DATA, EVIL), BAD_MAC),
    "in the clear, short": (clear(DATA, b"x"), BAD_MAC),
    "an alert in the clear": (clear(ALERT, b"\2\x50"), BAD_MAC),
    "an end in the clear": (clear(ALERT, b"\1\0"), BAD_MAC),
    "a change of ciphers in the clear": (clear(CHANGE_CIPHER, b"\1"), BAD_MAC),
    "a record of 18 KiB": (lambda peer: b"\x17\3\3\x48\1" + EVIL, UNEXPECTED),
    "a record of 64 KiB": (lambda peer: b"\x17\3\3\xff\xff" + EVIL, UNEXPECTED),
    "a record of nothing, not even a MAC": (clear(DATA, b""), UNEXPECTED),
    "16 KiB of data and a byte": (sealed(DATA, b"x" * 16385), UNEXPECTED),
    "empty records": (times(4, DATA), BAD_MAC),
    "many empty records": (times(WARNINGS, DATA), BAD_MAC),
    "an empty alert": (sealed(ALERT, b""), UNEXPECTED),
    "half an alert": (sealed(ALERT, b"\2"), UNEXPECTED),
    "an alert of 3 bytes": (sealed(ALERT, b"\2\x50\0"), UNEXPECTED),
    "an empty message": (sealed(HANDSHAKE, b""), UNEXPECTED),
    "a byte of a message": (sealed(HANDSHAKE, b"\1"), UNEXPECTED),
    "half a message": (half_a_message, UNEXPECTED),
    "a message of 16 MiB": (times(3, HANDSHAKE, b"\1\xff\xff\xff" + bytes(8000)), UNEXPECTED),
    "a record of another type": (sealed(99, EVIL), UNEXPECTED),
    "a heartbeat": (sealed(HEARTBEAT, b"\1\xff\xffx"), UNEXPECTED),
    "a heartbeat in the clear": (clear(HEARTBEAT, b"\1\xff\xffx"), UNEXPECTED),
    "a change of ciphers": (sealed(CHANGE_CIPHER, b"\1"), UNEXPECTED),
    "the end of a handshake": (message(20, b"x" * 12), UNEXPECTED),
    "a certificate": (message(raw.CERTIFICATE, b"\0\0\0"), UNEXPECTED),
    "an update of keys": (message(24, b"\1"), UNEXPECTED),
    "a ticket": (message(4, b"\0\0\0\0\0\4abcd"), UNEXPECTED),
    "a flood of warnings": (times(WARNINGS, ALERT, b"\1\x5a"), None),
    "an alert of another level": (sealed(ALERT, b"\x09\x50"), None),
    "three empty records": (times(3, DATA), None),
}

# Where OpenSSL differs: releases until 2026 call a record that is shorter than its MAC an internal
# error (its issue 25290); it takes more empty records, and less of warnings.
if uses_openssl():
    for alert, names in {
        SHORT: ("in the clear, short", "an alert in the clear", "an end in the clear",
                "a change of ciphers in the clear", "a record of nothing, not even a MAC",
                "a heartbeat in the clear"),
        OVERFLOW: ("a record of 18 KiB", "a record of 64 KiB", "16 KiB of data and a byte"),
        ILLEGAL: ("a message of 16 MiB", "an alert of another level"),
        PROTOCOL_VERSION: ("the version changed",),
        UNEXPECTED: ("many empty records", "a flood of warnings"),
        None: ("empty records", "an empty message", "a byte of a message"),
    }.items():  # fmt: skip
        BREACHES.update({name: (BREACHES[name][0], alert) for name in names})


class OneOf:
    def __init__(self, choices):
        self.choices = choices

    def __eq__(self, other):
        return other in self.choices

    def __repr__(self):
        return f"one of {self.choices}"


def fatal(alert):
    """The alert, as it is heard."""
    if alert == SHORT:
        return OneOf([fatal(each) for each in SHORT])
    return bytes([2, alert])
