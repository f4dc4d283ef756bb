# SPDX-License-Identifier: MIT
"""TLS 1.2 behind the handshake: Python's ssl shakes hands, then the connection is taken from it by the
keys that it logs, and any record can be said, sealed as it must be: by ECDHE-ECDSA-CHACHA20-POLY1305
(RFC 5246, 7905, 8439)."""
import hashlib
import hmac
import ssl
import struct
from pathlib import Path

import tlsraw as raw
from processes import PATIENCE

SUITE = "ECDHE-ECDSA-CHACHA20-POLY1305"
MASK = 0xFFFFFFFF


def _quarter(s, a, b, c, d):
    for rotate_d, rotate_b in ((16, 12), (8, 7)):
        s[a] = (s[a] + s[b]) & MASK
        x = s[d] ^ s[a]
        s[d] = (x << rotate_d | x >> (32 - rotate_d)) & MASK
        s[c] = (s[c] + s[d]) & MASK
        x = s[b] ^ s[c]
        s[b] = (x << rotate_b | x >> (32 - rotate_b)) & MASK


def _block(key, counter, nonce):
    start = struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce)
    s = list(start)
    for _ in range(10):
        for i in range(4):
            _quarter(s, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            _quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *((a + b) & MASK for a, b in zip(s, start)))


def _crypt(key, nonce, data):
    stream = b"".join(_block(key, 1 + i, nonce) for i in range((len(data) + 63) // 64))
    return bytes(a ^ b for a, b in zip(data, stream))


def _tag(key, nonce, more, sealed):
    once = _block(key, 0, nonce)
    r = int.from_bytes(once[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    pad = bytes(-len(more) % 16), bytes(-len(sealed) % 16)
    text = more + pad[0] + sealed + pad[1] + struct.pack("<QQ", len(more), len(sealed))
    total = 0
    for i in range(0, len(text), 16):
        total = (total + int.from_bytes(text[i : i + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return ((total + int.from_bytes(once[16:32], "little")) % (1 << 128)).to_bytes(16, "little")


class _Direction:
    """Its Finished was the first record, number 0."""

    def __init__(self, key, iv):
        self.key, self.iv, self.number = key, iv, 1

    def _nonce(self, kind, length):
        number = struct.pack(">Q", self.number)
        self.number += 1
        nonce = bytes(a ^ b for a, b in zip(self.iv, bytes(4) + number))
        return nonce, number + struct.pack(">BHH", kind, raw.TLS12, length)

    def seal(self, kind, data):
        nonce, more = self._nonce(kind, len(data))
        sealed = _crypt(self.key, nonce, data)
        return raw.record(kind, sealed + _tag(self.key, nonce, more, sealed), raw.TLS12)

    def unseal(self, kind, sealed):
        sealed, tag = sealed[:-16], sealed[-16:]
        nonce, more = self._nonce(kind, len(sealed))
        assert tag == _tag(self.key, nonce, more, sealed)
        return _crypt(self.key, nonce, sealed)


def _expand(secret, seed, length):
    """P_hash (RFC 5246 section 5)."""
    out, a = b"", seed
    while len(out) < length:
        a = hmac.digest(secret, a, hashlib.sha256)
        out += hmac.digest(secret, a + seed, hashlib.sha256)
    return out[:length]


def prepare(context, log):
    """Makes a context one whose connections can be taken."""
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{SUITE}:@SECLEVEL=0")  # for weak keys, too
    context.keylog_filename = log
    return context


class Taken:
    """A connection after its handshake. `seal` makes a record, `send` sends bytes, `read` gives the
    type and contents of the next record, None at the end (ConnectionResetError at a reset).
    `change`: has its way with each flight of the handshake before it is sent."""

    def __init__(self, sock, context, server_side=False, name="localhost", change=None):
        sock.settimeout(PATIENCE)
        self.socket, self.buffer = sock, b""
        self.change = change or (lambda data: data)
        self._shake(context, server_side, name)
        randoms = [data[11:43] for data in (self.received, self.sent)]
        client, server = randoms if server_side else randoms[::-1]
        keys = _expand(self._secret(context.keylog_filename, client),
                       b"key expansion" + server + client, 88)  # fmt: skip
        directions = [_Direction(keys[:32], keys[64:76]), _Direction(keys[32:64], keys[76:])]
        self.incoming, self.outgoing = directions if server_side else directions[::-1]

    def _shake(self, context, server_side, name):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side, None if server_side else name)
        self.sent = self.received = b""
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
            finally:
                if outgoing.pending:
                    piece = self.change(outgoing.read())
                    self.sent += piece
                    self.socket.sendall(piece)
            piece = self.socket.recv(65536)
            self.received += piece
            if piece:
                incoming.write(piece)
            else:
                incoming.write_eof()
        self.buffer = incoming.read()

    @staticmethod
    def _secret(log, client_random):
        wanted = f"CLIENT_RANDOM {client_random.hex()} "
        (line,) = [line for line in Path(log).read_text().splitlines() if line.startswith(wanted)]
        return bytes.fromhex(line.split()[2])

    def seal(self, kind, data=b""):
        return self.outgoing.seal(kind, data)

    def send(self, data):
        self.socket.sendall(data)

    def say(self, data):
        self.send(self.seal(raw.DATA, data))

    def _read_exactly(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(65536)
            if not data:
                assert not self.buffer, "ended inside a record"
                return None
            self.buffer += data
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read(self):
        head = self._read_exactly(5)
        if head is None:
            return None
        kind, _, length = struct.unpack(">BHH", head)
        return kind, self.incoming.unseal(kind, self._read_exactly(length))

    def hear(self, n):
        """`n` bytes of data."""
        data = b""
        while len(data) < n:
            kind, piece = self.read()
            assert kind == raw.DATA
            data += piece
        return data

    def hear_head(self):
        data = b""
        while b"\r\n\r\n" not in data:
            kind, piece = self.read()
            assert kind == raw.DATA
            data += piece
        return data

    def rest(self):
        """The records until the end, whichever it is: what nobody read makes it a reset."""
        records = []
        try:
            while record := self.read():
                records.append(record)
        except ConnectionError:
            pass
        return records

    def close(self):
        self.socket.close()
