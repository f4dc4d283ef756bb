# SPDX-License-Identifier: MIT
"""Clients that ask for tunnels one after the other, while a server is replaced."""
import collections
import socket
import threading

from processes import PATIENCE


class Load:
    """`failures`: of clients that were refused, reset or not answered; `answers`: by their status
    line, how many."""

    def __init__(self, address, destination, clients=6):
        self.address = address
        self.request = f"CONNECT {destination} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        self.failures = []
        self.answers = collections.Counter()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self):
        with socket.create_connection(self.address, timeout=PATIENCE) as connection:
            connection.sendall(self.request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                more = connection.recv(4096)
                if not more:
                    raise ConnectionError(f"closed after {answer!r}")
                answer += more
        return answer.split(b"\r\n")[0].decode()

    def _run(self):
        while not self.over.wait(0.01):
            try:
                answer = self._ask()
            except OSError as error:
                with self.lock:
                    self.failures.append(repr(error))
            else:
                with self.lock:
                    self.answers[answer] += 1

    def count(self, answer):
        with self.lock:
            return self.answers[answer]

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
