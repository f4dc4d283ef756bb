# SPDX-License-Identifier: MIT
"""A private web site at the level of bytes: it keeps what it was asked, and by which connection."""
import hashlib

from sites import Site


class Request:
    """A request; its body is read when it is asked for."""

    def __init__(self, head, file, connection):
        lines = head.decode("ascii").split("\r\n")
        self.line = lines[0]
        self.method, self.target, _ = lines[0].split(" ")
        self.fields = [tuple(line.split(": ", 1)) for line in lines[1:]]
        self.trailers = []
        self.connection = connection  # which one, from 0
        self._file = file

    def field(self, name):
        """All values of a field, in one."""
        return ", ".join(value for key, value in self.fields if key.lower() == name.lower())

    def pieces(self):
        """The body, as it comes in."""
        if self.field("Transfer-Encoding") == "chunked":
            while size := int(self._file.readline().partition(b";")[0], 16):
                yield self._file.read(size)
                assert self._file.readline() == b"\r\n"
            while (line := self._file.readline()) != b"\r\n":
                self.trailers.append(line)
        else:
            left = int(self.field("Content-Length") or 0)
            while left > 0 and (piece := self._file.read(min(left, 1 << 18))):
                yield piece
                left -= len(piece)
            assert left == 0, "the body was cut short"

    def body(self):
        return b"".join(self.pieces())


class Origin(Site):
    """Answers each request by a function of it and the socket, until that says False."""

    def __init__(self, answer):
        self.requests = []
        self.connections = 0
        self.answer = answer
        super().__init__(self._connection)

    @property
    def url(self):
        return f"http://{self.address}"

    def _connection(self, connection):
        number = self.connections
        self.connections += 1
        try:
            with connection.makefile("rb") as file:
                self._requests(file, connection, number)
        except ConnectionError:
            pass  # how a client leaves that has enough

    def _requests(self, file, connection, number):
        while line := file.readline():
            head = line
            while not head.endswith(b"\r\n\r\n"):
                head += file.readline()
            request = Request(head[:-4], file, number)
            self.requests.append(request)
            if self.answer(request, connection) is False:
                break


def ok(body, fields=""):
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def echo(request, connection):
    """Says what it was asked: method, target and body."""
    body = f"{request.method} {request.target} ".encode() + request.body()
    connection.sendall(ok(b"" if request.method == "HEAD" else body))


def digest(request, connection):
    """Says the SHA-256 of the body."""
    digest = hashlib.sha256()
    for piece in request.pieces():
        digest.update(piece)
    connection.sendall(ok(digest.hexdigest().encode()))
