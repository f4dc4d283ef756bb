# SPDX-License-Identifier: MIT
"""An origin that keeps every byte it gets, by connection, and answers each complete request: two where
one was sent would be seen."""
import re

from processes import wait_until
from sites import Site

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def chunked_length(data):
    """Of the body in chunks at the start; 0: it is not complete."""
    at = 0
    while size := re.match(rb"([0-9A-Fa-f]+)(?:;[^\r]*)?\r\n", data[at:]):
        at += size.end()
        if int(size[1], 16) == 0:
            end = re.match(rb"(?:[^\r]+\r\n)*\r\n", data[at:])
            return at + end.end() if end else 0
        at += int(size[1], 16) + len(b"\r\n")
    return 0


def request_length(data):
    """Of the request at the start, head and body; 0: it is not complete."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return 0
    start = len(head) + 4
    length = re.search(rb"\r\ncontent-length: (\d+)\r\n", head.lower() + b"\r\n")
    if length:
        return start + int(length[1]) if len(rest) >= int(length[1]) else 0
    if b"\r\ntransfer-encoding: chunked\r\n" not in head.lower() + b"\r\n":
        return start
    length = chunked_length(rest)
    return start + length if length else 0


class Recorder(Site):
    """The first request is answered by `first`, the others by OK."""

    def __init__(self, first=OK):
        self.first = first
        self.connections = []  # what came on each
        self.requests = 0
        self.ends = []
        super().__init__(self._record)

    def _record(self, connection):
        number, begin = len(self.connections), 0
        self.connections.append(b"")
        try:
            while data := connection.recv(65536):
                self.connections[number] += data
                while length := request_length(self.connections[number][begin:]):
                    begin += length
                    self.requests += 1
                    connection.sendall(self.first if self.requests == 1 else OK)
            self.ends.append("end")
        except ConnectionError:
            self.ends.append("reset")

    def wait(self):
        """Until all its connections have ended."""
        wait_until(lambda: len(self.ends) == len(self.connections), "the ends at the origin")

    def seen(self):
        """What came, without what differs from one run to the next."""
        return [re.sub(rb"libwstunnel-[0-9a-f]{8}", b"us", data).replace(
            self.address.encode(), b"ORIGIN").decode("latin-1") for data in self.connections]  # fmt: skip
