# SPDX-License-Identifier: MIT
"""A SOCKS5 client at the level of bytes."""
from client import Client

NO_LOGIN, WITH_LOGIN, EITHER = b"\5\1\0", b"\5\1\2", b"\5\2\0\2"
REFUSED = b"\5\xff"  # no method of authentication


def login(user, password):
    """The message of RFC 1929, of texts or bytes."""
    pair = [text.encode() if isinstance(text, str) else text for text in (user, password)]
    return b"\1" + b"".join(bytes([len(text)]) + text for text in pair)


def request(destination, command=1):
    """For "host:port", by name."""
    host, _, port = destination.rpartition(":")
    name = host.encode()
    return bytes([5, command, 0, 3, len(name)]) + name + int(port).to_bytes(2, "big")


def reply(code):
    return bytes([5, code, 0, 1]) + bytes(6)


class SocksClient(Client):
    def open_by_socks(self, destination, user=None, password=None):
        """Greets, logs in if need be, asks; each step waits for its answer."""
        self.send(NO_LOGIN if user is None else WITH_LOGIN)
        if user is None:
            assert self.read_exactly(2) == b"\5\0"
        else:
            assert self.read_exactly(2) == b"\5\2"
            self.send(login(user, password))
            assert self.read_exactly(2) == b"\1\0"
        self.send(request(destination))
        assert self.read_exactly(10) == reply(0)
        return self
