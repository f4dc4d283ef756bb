# SPDX-License-Identifier: MIT
"""A client of the proxy at the level of bytes: what curl hides is looked at here."""
import socket
import struct
import time
from email.utils import parsedate_to_datetime

from processes import PATIENCE

LINGER_RESET = struct.pack("ii", 1, 0)


def reset(sock):
    """Closes a connection by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    sock.close()


def open_socket(address):
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(address.removeprefix("unix:"))
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), PATIENCE)


def connect_from(source):
    """As open_socket, for TCP, from an address of this machine."""

    def connect(address):
        host, _, port = address.rpartition(":")
        return socket.create_connection((host, int(port)), PATIENCE, source_address=(source, 0))

    return connect


def is_now(date):
    """Whether a field Date is of the last minute."""
    return abs(parsedate_to_datetime(date).timestamp() - time.time()) < 60


class Answer:
    """An HTTP answer: status line, fields in order, body."""

    def __init__(self, head):
        lines = head.decode("ascii").split("\r\n")
        self.status_line = lines[0]
        self.status = int(lines[0].split()[1])
        self.fields = dict(line.split(": ", 1) for line in lines[1:-2])
        self.body = b""


class Client:
    def __init__(self, address, connect=open_socket):
        self.socket = connect(address)
        self.buffer = bytearray()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return len(data) > 0

    def read_exactly(self, n):
        while len(self.buffer) < n:
            assert self._more(), f"ended after {self.buffer!r}"
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def read_head(self):
        """Bytes up to the empty line, and no further."""
        while b"\r\n\r\n" not in self.buffer:
            assert self._more(), f"ended after {self.buffer!r}"
        return self.read_exactly(self.buffer.index(b"\r\n\r\n") + 4)

    def read_to_end(self):
        """All until FIN. A reset raises ConnectionResetError."""
        while self._more():
            pass
        return self.read_exactly(len(self.buffer))

    def read_answer(self):
        answer = Answer(self.read_head())
        answer.body = self.read_exactly(int(answer.fields.get("Content-Length", 0)))
        return answer

    def ask(self, request):
        self.send(request)
        return self.read_answer()

    def connect(self, destination, more=b""):
        """Asks for a tunnel. `more` are bytes behind the head in the same packet."""
        self.send(f"CONNECT {destination} HTTP/1.1\r\n\r\n".encode() + more)
        return self.read_answer()

    def open(self, destination, more=b""):
        """Opens a tunnel, which must succeed."""
        answer = self.connect(destination, more)
        assert answer.status_line == "HTTP/1.1 200 Connection established"
        return self

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.socket)

    def is_reset(self):
        """Reads until the end; whether that was RST and not FIN."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            return True
        return False

    def close(self):
        self.socket.close()
