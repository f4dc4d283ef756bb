#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One user who takes all it can: a process of its own beside others whose tunnels are measured.

    noise.py KIND --user NAME:PASSWORD --to HOST:PORT [--streams N] [--rate N] SERVER

It keeps up to --streams connections open, begins no more than --rate a second, and replaces those that
end. It comes from 127.0.0.2. Prints one JSON object with what it has done once that is under way,
and another one when its standard input ends.
"""

import argparse
import base64
import collections
import json
import selectors
import socket
import sys
import time

SOURCE = "127.0.0.2"
TICK = 0.005  # seconds
UNDER_WAY = 0.3  # seconds, for noise that does not fill up
BYE = b"bench-1B" + bytes(8)  # a request for one byte (bench_wire.h)


class Kind:
    """What the connections of one kind of noise say. `first(number)` is what the number-th one begins
    with; take() gets what comes, b"" at the end, and returns what to answer, or None to close."""

    lasting = True  # connections stay open, so that the bound on them can be reached

    def __init__(self, user, destination, counts):
        self.user, self.destination, self.counts = user, destination, counts
        self.full = False  # no more connections

    def request(self, destination, user=None):
        login = base64.b64encode((user or self.user).encode()).decode()
        return (f"CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n"
                f"Proxy-Authorization: Basic {login}\r\n\r\n").encode()  # fmt: skip

    def first(self, number):
        return self.request(self.destination)

    def take(self, connection, data):
        """Counts the answer, after which nothing more is wanted."""
        self.counts[data[9:12].decode() or "none"] += 1


class Hold(Kind):
    """Tunnels that are idle, until one more is refused."""

    def take(self, connection, data):
        if data.startswith(b"HTTP/1.1 200"):
            self.counts["held"] += 1
            return b""
        self.full = self.full or bool(data)
        return super().take(connection, data)


class Visit(Kind):
    """Short connections through the tunnel."""

    lasting = False

    def take(self, connection, data):
        if data.startswith(b"HTTP/1.1 200"):
            return BYE
        if data == b"!":
            self.counts["visits"] += 1
            return b""
        return super().take(connection, data) if data else None


class Silent(Kind):
    """Dials to an address that swallows SYNs: a listener whose queue is full."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.destination = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.waiting = []
        while self.fill():
            pass

    def fill(self):
        """Whether one more connection was taken."""
        self.waiting.append(socket.socket())
        self.waiting[-1].settimeout(0.2)  # loopback needs less
        try:
            self.waiting[-1].connect(self.listener.getsockname())
        except TimeoutError:
            return False
        return True


class Names(Kind):
    """Names whose servers never answer, of 16 zones."""

    def first(self, number):
        return self.request(f"hang{number}.zone{number % 16}.test:1")


class Passwords(Kind):
    """Wrong passwords, half of them for a user that exists."""

    lasting = False

    def first(self, number):
        name = self.user.partition(":")[0] if number % 2 else f"nobody{number}"
        return self.request(self.destination, f"{name}:guess {number}")


class Heads(Kind):
    """Heads of which never comes more than half."""

    def first(self, number):
        return self.request(self.destination)[:40]


KINDS = {"hold": Hold, "visit": Visit, "silent": Silent, "names": Names, "passwords": Passwords,
         "heads": Heads}  # fmt: skip


class Connection:
    def __init__(self, server, first):
        self.first = first
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.bind((SOURCE, 0))
        self.socket.connect_ex(server)


class Noise:
    """The connections of one kind."""

    def __init__(self, options):
        host, _, port = options.server.rpartition(":")
        self.server = (host, int(port))
        self.streams, self.rate = options.streams, options.rate
        self.counts = collections.Counter()
        self.kind = KINDS[options.kind](options.user, options.to, self.counts)
        self.selector = selectors.DefaultSelector()
        self.selector.register(sys.stdin, selectors.EVENT_READ)
        self.begun, self.started, self.open = time.monotonic(), 0, 0

    def start_due(self):
        """Opens as many connections as the rate allows by now; what was missed is not made up for."""
        now = time.monotonic()
        due = min((now - self.begun) * self.rate, self.rate * 10 * TICK)
        while due >= 1 and self.open < self.streams and not self.kind.full:
            connection = Connection(self.server, self.kind.first(self.started))
            self.selector.register(connection.socket, selectors.EVENT_WRITE, connection)
            self.started += 1
            self.open += 1
            due -= 1
        self.begun = now - due / self.rate

    def close(self, connection):
        self.selector.unregister(connection.socket)
        connection.socket.close()
        self.open -= 1

    def on_event(self, connection, events):
        try:
            if events & selectors.EVENT_WRITE:
                connection.socket.send(connection.first)
                self.selector.modify(connection.socket, selectors.EVENT_READ, connection)
                return
            answer = self.kind.take(connection, connection.socket.recv(4096))
        except OSError as error:
            self.counts[type(error).__name__] += 1
            answer = None
        if answer is None:
            self.close(connection)
        elif answer:
            connection.socket.send(answer)

    def turn(self):
        """False: the standard input has ended."""
        self.start_due()
        for key, events in self.selector.select(TICK):
            if key.data is None:
                return False
            self.on_event(key.data, events)
        return True

    def under_way(self, since):
        filled = self.streams / self.rate if self.kind.lasting else 0
        full = self.kind.full or (self.kind.lasting and self.open >= self.streams)
        return full or time.monotonic() > since + filled + UNDER_WAY

    def tell(self):
        print(json.dumps({**self.counts, "open": self.open, "started": self.started}), flush=True)

    def run(self):
        since, told = time.monotonic(), False
        while self.turn():
            if not told and self.under_way(since):
                self.tell()
                told = True
        self.tell()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--user", required=True, metavar="NAME:PASSWORD")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("server", metavar="HOST:PORT")
    Noise(parser.parse_args()).run()


if __name__ == "__main__":
    main()
