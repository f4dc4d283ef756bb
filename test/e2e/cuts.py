# SPDX-License-Identifier: MIT
"""A relay between agents and their server that cuts what goes through it."""
import itertools
import socket
import threading

from client import reset
from processes import PATIENCE
from sites import Site


class Link:
    """A connection of an agent, and its continuation."""

    def __init__(self, agent, onward):
        self.ends = (agent, onward)
        self.passed = 0
        self.is_frozen = self.is_reset = False
        self.is_over = threading.Event()

    def copy(self, source, to, on_passed):
        try:
            while data := source.recv(65536):
                if self.is_frozen:
                    break  # they are swallowed, and whatever follows stays where it is
                to.sendall(data)
                self.passed += len(data)
                on_passed(self)
            if self.is_frozen:
                self.is_over.wait()
            elif not self.is_reset:
                to.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self, by_reset):
        """A reset goes out when both directions have stopped: no thread uses the sockets then."""
        self.is_reset = by_reset
        for sock in self.ends:
            try:
                sock.shutdown(socket.SHUT_RD if by_reset else socket.SHUT_RDWR)
            except OSError:
                pass
        self.is_over.set()

    def close(self):
        for sock in self.ends:
            reset(sock) if self.is_reset else sock.close()


class CuttingRelay(Site):
    """
    Passes bytes on to a server. By turns a cut shows as a reset and as an end.

    `every` (bytes) and `cuts`: cuts each connection once that many bytes have passed through it,
    as long as there are cuts left.
    """

    def __init__(self, server, every=None, cuts=0):
        host, _, port = server.rpartition(":")
        self.target = (host, int(port))
        self.every, self.cuts_left = every, cuts
        self.number = itertools.count()
        self.links = []
        self.is_shut = False
        self.lock = threading.Lock()
        super().__init__(self._relay)

    @property
    def url(self):
        return f"ws://{self.address}"

    def _relay(self, connection):
        try:
            onward = socket.create_connection(self.target, PATIENCE)
        except ConnectionRefusedError:
            return
        with onward:
            for sock in (connection, onward):
                sock.settimeout(None)
            link = Link(connection, onward)
            with self.lock:
                if self.is_shut:
                    return
                self.links.append(link)
            back = threading.Thread(target=link.copy, args=(onward, connection, self._cut_if_due))
            back.start()
            link.copy(connection, onward, self._cut_if_due)
            back.join()
            link.close()

    def _cut_if_due(self, link):
        with self.lock:
            is_due = self.every is not None and link.passed >= self.every and self.cuts_left > 0
            if not is_due or link not in self.links:
                return
            self.cuts_left -= 1
            self.links.remove(link)
        link.cut(by_reset=next(self.number) % 2 == 0)

    def cut(self):
        """Cuts all connections."""
        with self.lock:
            links, self.links = self.links, []
        for link in links:
            link.cut(by_reset=next(self.number) % 2 == 0)

    def shut(self):
        """Cuts all connections, and those of agents that come, at once, until open()."""
        with self.lock:
            self.is_shut = True
        self.cut()

    def open(self):
        with self.lock:
            self.is_shut = False

    def freeze(self):
        """Nothing moves any more on what is open; later connections are passed on."""
        with self.lock:
            for link in self.links:
                link.is_frozen = True

    def close(self):
        self.shut()
        super().close()
