# SPDX-License-Identifier: MIT
"""What a server offers by TLS, found out by asking for each thing alone, and held against what it should
be: versions, cipher suites, groups, signatures, extensions. More than this is a fault, less is one too."""
import re
import subprocess
from pathlib import Path

import pytest

import tlsraw as raw
from processes import uses_openssl
from scene import HEALTH, Scene, serve
from sites import Site, echo

SUITES = {
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
}
SUITES_13 = {"TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"}
GROUPS = {23, 24, 25, 29}  # P-256, P-384, P-521, X25519
# All that have been assigned in TLS up to 1.2 are in these ranges (IANA, TLS Cipher Suites).
ASSIGNED = [*range(0x0000, 0x0100), *range(0x1300, 0x1308), *range(0xC000, 0xC106),
            *range(0xCC13, 0xCC16), *range(0xCCA8, 0xCCAF), *range(0xD001, 0xD006)]  # fmt: skip
SMALLER_RECORDS = 1  # RFC 6066 section 4
HANDSHAKE_FAILURE, PROTOCOL_VERSION, NO_PROTOCOL = 40, 70, 120
# To SSL 3.0, which did not know the second one, OpenSSL says the first.
VERSION_REFUSED = {HANDSHAKE_FAILURE, PROTOCOL_VERSION}


@pytest.fixture(scope="module")
def scene(arena, authority, identity, tmp_path_factory):
    """With a certificate of each kind, RSA and EC."""
    rsa = authority.issue("rsa.test", algorithm="rsa:2048")
    server = serve(arena, tmp_path_factory.mktemp("config"),
                   cert=[str(identity.certificate), str(rsa.certificate)],
                   key=[str(identity.key), str(rsa.key)], log_level="debug")  # fmt: skip
    scene = Scene(arena, server, arena.site(Site(echo)), authority)
    scene.has_13 = "TLSv1.3" in server.wait_for(r"connection from .*: (TLSv1\.[23])")[1]
    yield scene
    scene.finish(more=1 << 20)


@pytest.fixture
def ask(scene):
    return lambda **options: raw.ask(scene.server.address, raw.hello(**options))


LOCALHOST = raw.sni(b"localhost")
USUAL = (LOCALHOST, *raw.USUAL)


def test_versions(scene, ask):
    """What is too high is answered by the highest; mbedTLS 3.6 has it refused."""
    found = {version: ask(version=version, extensions=USUAL) for version in range(0x0200, 0x0305)}
    for version, flight in found.items():
        if version == raw.TLS12 or (
            version > raw.TLS12 and (uses_openssl() or not scene.has_13)
        ):
            assert flight.version == raw.TLS12
        else:
            assert flight.alert in VERSION_REFUSED, hex(version)


def test_fallback(scene, ask):
    """RFC 7507: one who falls back to less than there is is told so; to the highest he may. From TLS
    1.3 to 1.2 mbedTLS tells him by the server's random bytes (RFC 8446 section 4.1.3) alone."""
    for version in (raw.SSL3, raw.TLS10, raw.TLS11):
        flight = ask(version=version, suites=(raw.ECDSA_CHACHA20, raw.FALLBACK), extensions=USUAL)
        assert flight.alert in (86, *VERSION_REFUSED)
    flight = ask(suites=(raw.ECDSA_CHACHA20, raw.FALLBACK), extensions=USUAL)
    if uses_openssl():
        assert flight.alert == 86
        flight = ask(suites=(raw.ECDSA_CHACHA20,), extensions=USUAL)
    assert flight.suite == raw.ECDSA_CHACHA20
    assert flight.random.endswith(b"DOWNGRD\1") == scene.has_13


def test_suites(ask):
    """Each suite that there is, alone."""
    found = set()
    for suite in ASSIGNED:
        flight = ask(suites=(suite,), extensions=USUAL)
        if flight.alert is None:
            assert flight.suite == suite
            found.add(suite)
        else:
            assert flight.alert == HANDSHAKE_FAILURE, hex(suite)
    assert found == set(SUITES)


def has_aes():
    """Whether the processor of this machine has instructions for AES."""
    return re.search(r"^(flags|Features)\s*:.*\baes\b", Path("/proc/cpuinfo").read_text(), re.M)


def test_order(ask):
    """The server's order counts: with mbedTLS ChaCha20 first, with OpenSSL that only without
    instructions for AES, or if the client has it first."""
    left, order = sorted(SUITES), []
    while left:
        order.append(ask(suites=left, extensions=USUAL).suite)
        left.remove(order[-1])
    names = [SUITES[suite].split("-")[2:4] for suite in order]
    aes = [["AES128", "GCM"]] * 2 + [["AES256", "GCM"]] * 2
    chacha = [["CHACHA20", "POLY1305"]] * 2
    assert names == (aes + chacha if uses_openssl() and has_aes() else chacha + aes)
    assert ask(suites=(raw.ECDSA_CHACHA20, 0xC02B), extensions=USUAL).suite == raw.ECDSA_CHACHA20


def test_groups(ask):
    """With RSA: a key on P-256 is of no use to a client without P-256."""
    found = set()
    for group in (*range(1, 45), *range(256, 261), 0xFF01, 0xFF02, 0x11EC, 0x6399):
        flight = ask(suites=(0xC02F,), extensions=(LOCALHOST, raw.groups(group), *raw.USUAL[1:]))
        if flight.alert is None:
            assert flight.group == group
            found.add(group)
        else:
            assert flight.alert == HANDSHAKE_FAILURE
    assert found == GROUPS


def test_signatures(ask):
    """Not by SHA-1 or MD5, even if the client knows nothing else."""
    for scheme in (0x0101, 0x0201, 0x0203, 0x0301, 0x0303):
        flight = ask(extensions=(LOCALHOST, *raw.USUAL[:2], raw.signatures(scheme)))
        assert flight.alert == HANDSHAKE_FAILURE, hex(scheme)
    for scheme in (0x0403, 0x0503, 0x0603):
        assert ask(extensions=(LOCALHOST, *raw.USUAL[:2], raw.signatures(scheme))).alert is None


def test_compression(ask):
    """None (CRIME)."""
    assert ask(compression=b"\1\0", extensions=USUAL).compression == 0
    assert ask(compression=b"\0\1\x40", extensions=USUAL).compression == 0
    assert ask(compression=b"\1", extensions=USUAL).compression == 0  # or an alert


def test_extensions(ask):
    """Of all that a client may ask for, these are agreed on: the name of the protocol, tickets, extended
    master secrets, smaller records, and to tell renegotiation (which there is none of) from others'."""
    wanted = [raw.extension(kind) for kind in (raw.EMS, raw.TICKET, 22, 18, 13172)]
    wanted += [raw.extension(raw.RENEGOTIATION, b"\0"), raw.extension(raw.HEARTBEATS, b"\1"),
               raw.extension(raw.STATUS, b"\1\0\0\0\0"), raw.extension(SMALLER_RECORDS, b"\1"),
               raw.alpn(b"h2", b"http/1.1")]  # fmt: skip
    flight = ask(extensions=(*USUAL, *wanted))
    assert set(flight.extensions) - {raw.POINTS} == {
        raw.EMS, raw.TICKET, raw.RENEGOTIATION, raw.ALPN, SMALLER_RECORDS}  # fmt: skip
    assert flight.extensions[raw.ALPN] == b"\0\x09\x08http/1.1"
    assert flight.extensions[raw.RENEGOTIATION] == b"\0"
    assert flight.messages == (raw.SERVER_HELLO, raw.CERTIFICATE, raw.KEY_EXCHANGE, raw.DONE)
    assert set(ask(extensions=USUAL).extensions) <= {raw.POINTS, raw.RENEGOTIATION}


def test_alpn(ask):
    for names in ([b"h2"], [b"h2", b"h3"], [b"HTTP/1.1"], [b"http/1.0"], [b"x" * 255], [b"\0"]):
        assert ask(extensions=(*USUAL, raw.alpn(*names))).alert == NO_PROTOCOL


# -- By openssl, as somebody would who looks from outside ------------------------------------------


def s_client(scene, *options, data=b""):
    command = ["openssl", "s_client", "-connect", scene.server.address, "-servername", "localhost",
               *options]  # fmt: skip
    return subprocess.run(command, input=data, capture_output=True, timeout=60)


def test_by_openssl(scene):
    """Each suite that openssl has, in each version."""
    weak = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
    listed = subprocess.run(["openssl", "ciphers", "-s", "-tls1_2", weak], capture_output=True,
                            text=True, check=True).stdout.strip().split(":")  # fmt: skip
    refused = [name for name in listed if name not in SUITES.values() and name not in SUITES_13]
    assert len(refused) > 20
    result = s_client(scene, "-tls1_2", "-cipher", ":".join(refused) + ":@SECLEVEL=0")
    assert b"alert handshake failure" in result.stderr
    for name in SUITES.values():
        result = s_client(scene, "-tls1_2", "-cipher", name)
        assert f"Cipher is {name}\n".encode() in result.stdout
        assert b"Secure Renegotiation IS supported" in result.stdout
        assert b"Compression: NONE" in result.stdout
        assert b"Extended master secret: yes" in result.stdout
    last = HEALTH.replace(b"Host", b"Connection: close\r\nHost")
    result = s_client(scene, "-tls1_2", "-maxfraglen", "512", "-quiet", "-ign_eof", data=last)
    assert result.stdout.startswith(b"HTTP/1.1 200 OK\r\n")
    for version in ("-tls1", "-tls1_1"):
        result = s_client(scene, version, "-cipher", weak)
        assert b"alert protocol version" in result.stderr
    for name in ("TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256", *SUITES_13):
        result = s_client(scene, "-tls1_3", "-ciphersuites", name)
        has = scene.has_13 and name in SUITES_13
        assert (f"Cipher is {name}\n".encode() in result.stdout) == has
