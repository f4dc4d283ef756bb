# SPDX-License-Identifier: MIT
"""The part of a service manager that a program sees: the socket it tells its state, the environment,
the journal, and listening sockets that outlive it."""
import os
import socket
import time

from processes import PATIENCE, program

# Sets LISTEN_PID, which only the new process can, and JOURNAL_STREAM, if asked to.
START = """
[ -z "$LISTEN_FDS" ] || export LISTEN_PID=$$
[ -z "$JOURNAL" ] || export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)
exec "$0" "$@"
"""


class Manager:
    """`name`: of its socket, a path or @abstract; None: it has none."""

    def __init__(self, world, name=None):
        self.world = world
        self.name = name
        self.told = []  # (when, message), a message is a dict
        self.sockets = []  # (socket, its name)
        self.socket = None
        if name is not None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind(name.replace("@", "\0", 1))

    def listen(self, name=None, family=socket.AF_INET, address=("127.0.0.1", 0)):
        """A socket to pass on; its address."""
        listening = socket.socket(family)
        listening.bind(address)
        listening.listen(511)
        self.sockets.append((listening, name))
        return listening.getsockname()

    def _environment(self, more):
        env = {**os.environ, **more}
        if self.socket is not None:
            env["NOTIFY_SOCKET"] = self.name
        if self.sockets:
            env["LISTEN_FDS"] = str(len(self.sockets))
            if all(name is not None for _, name in self.sockets):
                env["LISTEN_FDNAMES"] = ":".join(name for _, name in self.sockets)
        return env

    def _pass_sockets(self):
        """In the child: the sockets become 3, 4, ..."""
        copies = [os.dup2(s.fileno(), 100 + i) for i, (s, _) in enumerate(self.sockets)]
        for i, copy in enumerate(copies):
            os.dup2(copy, 3 + i, inheritable=True)
            os.close(copy)

    def run(self, name, *options, **variables):
        return self.world.run(["sh", "-c", START, program(name), *options],
                              env=self._environment(variables), close_fds=False,
                              preexec_fn=self._pass_sockets)  # fmt: skip

    def _receive(self, timeout):
        self.socket.settimeout(timeout)
        try:
            text = self.socket.recv(4096).decode()
        except (BlockingIOError, TimeoutError):
            return None
        message = dict(line.split("=", 1) for line in text.splitlines())
        self.told.append((time.monotonic(), message))
        return message

    def wait_for(self, variable, matches=lambda value: True):
        """The next message that has the variable, with a value that matches."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = self._receive(end - time.monotonic())
            if message and variable in message and matches(message[variable]):
                return message
        raise AssertionError(f"no {variable} in {self.told}")

    def listen_for(self, seconds):
        """The messages that come in that time."""
        end, before = time.monotonic() + seconds, len(self.told)
        while time.monotonic() < end:
            self._receive(max(0.001, end - time.monotonic()))
        return [message for _, message in self.told[before:]]

    def close(self):
        for listening, _ in self.sockets:
            listening.close()
        if self.socket is not None:
            self.socket.close()
