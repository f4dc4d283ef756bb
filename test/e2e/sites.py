# SPDX-License-Identifier: MIT
"""Private sites: what an agent connects to."""
import contextlib
import random
import socket
import threading

import pytest

from client import reset
from processes import PATIENCE


def free_port():
    """Outside of the range that connections take their ports from, or one of a suite that runs beside
    would soon have it."""
    while True:
        number = random.randrange(10000, 32768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", number))
            return number


class Site:
    """Serves each connection in a thread of its own by a function of its socket. What fails in
    there fails the test."""

    def __init__(self, serve, host="127.0.0.1", backlog=512):
        self.serve = serve
        self.failures = []
        self.threads = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.bind((host, 0))
        self.listener.listen(backlog)
        self.port = self.listener.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.accepter = threading.Thread(target=self._accept)
        self.accepter.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            with connection:
                self.serve(connection)
        except (Exception, pytest.fail.Exception) as error:
            self.failures.append(f"site: {error!r}")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepter.join()
        self.listener.close()
        for thread in self.threads:
            thread.join()
        assert not self.failures, "\n".join(self.failures)


def read_all(connection):
    """What comes until FIN."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def read_exactly(connection, n):
    data = b""
    while len(data) < n:
        piece = connection.recv(n - len(data))
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def echo(connection):
    """Sends back what comes; ends when the other side does, in whichever way."""
    try:
        while data := connection.recv(65536):
            connection.sendall(data)
    except ConnectionError:
        pass


def reset_after(data):
    """A site that sends something and then resets the connection."""

    def serve(connection):
        connection.sendall(data)
        connection.recv(1)  # the other side has seen the data and says so
        reset(connection)

    return serve


class Relay(Site):
    """Passes bytes on to another address, until it is cut."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.target = (host.strip("[]"), int(port))
        self.open = []
        self.ended = False
        super().__init__(self._relay)

    def _relay(self, connection):
        try:
            onward = socket.create_connection(self.target, PATIENCE)
        except ConnectionRefusedError:  # the target has ended before those who come by this relay
            return
        with onward:
            self.open += [connection, onward]
            if self.ended:  # whoever was cut has come again
                return
            back = threading.Thread(target=self._copy, args=(onward, connection))
            back.start()
            self._copy(connection, onward)
            back.join()

    @staticmethod
    def _copy(source, to):
        try:
            while data := source.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        """Ends what is open, in both directions."""
        for sock in self.open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open.clear()

    def close(self):
        self.ended = True
        self.cut()
        super().close()


class Closed:
    """A port where nobody listens and nobody else can begin to."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]

    def close(self):
        self.socket.close()


class Deaf:
    """A listener whose queue is full: who connects hears nothing. `make` makes its sockets."""

    def __init__(self, make=socket.socket):
        self.make = make
        self.listener = make()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.waiting = []
        while self._fill():
            pass

    def _fill(self):
        sock = self.make()
        self.waiting.append(sock)
        sock.settimeout(0.3)  # on loopback a connection that can be made is made at once
        try:
            sock.connect(("127.0.0.1", self.port))
        except TimeoutError:
            return False
        return True

    def close(self):
        for sock in self.waiting:
            sock.close()
        self.listener.close()
