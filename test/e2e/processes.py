# SPDX-License-Identifier: MIT
"""Programs under test: started, waited for by what they print, ended, and judged."""
import contextlib
import functools
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

BUILD = Path(os.environ.get("WSTUNNEL_BUILD", Path(__file__).parents[2] / "build"))
PATIENCE = 60  # seconds to wait for anything that must happen; reached only by failures

# What the tests use as secrets; it must never be seen in what a program prints.
TOKEN = "tok-4f8a1c5d9e"
PASSWORD = "pw-7d20b3aa61"
USER = "alice"
USER_BASIC = "YWxpY2U6cHctN2QyMGIzYWE2MQ=="  # base64 of USER:PASSWORD
SECRETS = (TOKEN, PASSWORD, USER_BASIC)

# What makes an agent of the tests open everything, its own machine too, where most sites are.
OPEN = ("--allow", "*", "--allow", "127.0.0.0/8", "--allow", "::1")

DISASTERS = re.compile(r"Sanitizer|runtime error:|Assertion .* failed|Segmentation fault")


def program(name):
    return str(BUILD / "examples" / name)


@functools.cache
def uses_openssl():
    """Whether the programs were built with -Dtls=openssl; else it is mbedTLS."""
    said = subprocess.run([program("wstunnel-server"), "--version"], capture_output=True, text=True)
    return "OpenSSL" in said.stdout


def with_descriptors(limit, argv):
    """The command, with room for no more than that many descriptors."""
    return ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(limit), *argv]


# Tests look into /proc, which is closed to other users' eyes unless a program may be dumped.
os.environ.setdefault("WSTUNNEL_CORE", "1")


class Process:
    """A running program. Its stdout and stderr are read line by line into `lines`."""

    def __init__(self, argv, **popen_options):
        self.argv = [str(arg) for arg in argv]
        self.lines = []
        self.ended = False  # its output is at the end
        self.judged = False
        self.news = threading.Condition()
        self.popen = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            **popen_options,
        )
        self.hurried = False
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    @property
    def pid(self):
        return self.popen.pid

    def _read(self):
        for line in self.popen.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    @property
    def output(self):
        return "\n".join(self.lines)

    def _matches(self, pattern):
        return [m for m in (re.search(pattern, line) for line in self.lines) if m]

    def wait_for(self, pattern, count=1):
        """The count-th line that matches, as soon as it is there."""
        with self.news:
            self.news.wait_for(
                lambda: len(self._matches(pattern)) >= count or self.ended, PATIENCE
            )
            found = self._matches(pattern)
        assert len(found) >= count, f"no {pattern!r} ({count}) from {self.argv}:\n{self.output}"
        return found[count - 1]

    def signal(self, number):
        self.popen.send_signal(number)

    def terminate(self):
        self.signal(signal.SIGTERM)

    def hurry(self):
        """After terminate: breaks off what it still waits for, such as streams that wait for a
        connection which does not come back."""
        try:
            self.popen.wait(1)
        except subprocess.TimeoutExpired:
            self.terminate()
            self.hurried = True

    def wait_exit(self, status=0):
        """Waits for its end and judges it."""
        self.judged = True
        try:
            actual = self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            actual = self.popen.wait()
            self.reader.join()
            raise AssertionError(f"{self.argv} does not end:\n{self.output}") from None
        self.reader.join()
        self.popen.stdout.close()
        assert not DISASTERS.search(self.output), f"{self.argv}:\n{self.output}"
        for secret in SECRETS:
            assert secret not in self.output, f"{self.argv} prints a secret:\n{self.output}"
        if self.hurried and actual in (128 + signal.SIGTERM, -signal.SIGTERM):
            return  # the second signal came in time, or when it was ending already
        assert actual == status, f"{self.argv}: exit status {actual}, not {status}:\n{self.output}"

    def stop(self, status=0):
        """The orderly end."""
        self.terminate()
        self.wait_exit(status)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait_exit(-signal.SIGKILL)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def is_sanitized(process):
    """Its allocator keeps what is freed, so that its memory says nothing."""
    return "libasan" in Path(f"/proc/{process.pid}/maps").read_text()


def wait_until(condition, what):
    """For the few states that tell nobody: polls, and fails rather than hopes."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


def opened(pid):
    """What the descriptors of a process lead to, such as "socket:[INODE]"."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(fd))
    return found


def listening_port(process):
    """The TCP port of a program that cannot say it."""

    def find():
        sockets = opened(process.pid)
        for line in Path(f"/proc/{process.pid}/net/tcp").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and f"socket:[{columns[9]}]" in sockets:  # listening
                return int(columns[1].partition(":")[2], 16)
        return None

    wait_until(lambda: find() is not None, "listening")
    return find()
