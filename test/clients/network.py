# SPDX-License-Identifier: MIT
"""
Two network namespaces that a single cable joins, made and deleted by whoever runs the tests (root).

    outside: 10.77.1.1  ====  10.77.1.2 :inside, where the sites are: 10.77.2.2, fd77:2::2

Nothing routes to the sites' addresses from outside, and nothing leads to any other network. The
names of the sites mean something inside only.
"""
import contextlib
import ctypes
import os
import signal
import subprocess
import time

from processes import PATIENCE

OUTSIDE, INSIDE = "10.77.1.1", "10.77.1.2"
SITES, SITES_IPV6 = "10.77.2.2", "fd77:2::2"
SITE = "site.test"  # the name of both of the sites' addresses
CLONE_NEWNET = 0x40000000


class Unavailable(Exception):
    """Why there can be no namespaces here."""


def environment(home, **more):
    """The environment of a client: nothing of the machine's own proxies, locale or settings."""
    kept = {name: value for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and not name.startswith(("LC_", "GIT_"))}  # fmt: skip
    return kept | {"HOME": str(home), "LC_ALL": "C.UTF-8", "LANGUAGE": ""} | more


class Namespace:
    """A network namespace with its own hosts file and no name server."""

    def __init__(self, name, directory, hosts):
        self.name = name
        self.hosts = directory / f"{name}.hosts"
        self.hosts.write_text("127.0.0.1 localhost\n" + hosts)
        self.resolver = directory / f"{name}.resolv"
        self.resolver.write_text("nameserver 127.0.0.1\n")  # where nobody listens
        self.home = directory / f"{name}.home"
        self.home.mkdir()
        ip("netns", "add", name)

    def command(self, *argv):
        """The command that runs another one in here. It becomes that one, in one process."""
        script = (
            f"mount --bind '{self.hosts}' /etc/hosts && "
            f"mount --bind '{self.resolver}' /etc/resolv.conf && "
            'exec "$@"'
        )
        return ["ip", "netns", "exec", self.name, "sh", "-c", script, "sh", *map(str, argv)]

    def run(self, *argv, status=0, env=None, timeout=PATIENCE, **options):
        """Runs a client in here to its end; a result that was not expected fails the test."""
        options = {"capture_output": True, "stdin": subprocess.DEVNULL} | options
        if "input" in options:
            del options["stdin"]
        done = subprocess.run(
            self.command(*argv), env=env or environment(self.home), timeout=timeout, **options
        )
        told = b"\n".join(filter(None, (done.stdout, done.stderr))).decode(errors="replace")
        if status is not None:
            assert done.returncode == status, f"{argv}: exit status {done.returncode}:\n{told}"
        return done

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread makes meanwhile belong to the namespace."""
        with open("/proc/thread-self/ns/net") as back, open(f"/run/netns/{self.name}") as there:
            set_namespace(there)
            try:
                yield
            finally:
                set_namespace(back)

    def pids(self):
        return [int(pid) for pid in ip("netns", "pids", self.name).split()]

    def delete(self):
        """Ends what is left in here, too, and tells what that was."""
        end = time.monotonic() + 10  # browsers leave helpers, which find out by themselves
        while self.pids() and time.monotonic() < end:
            time.sleep(0.05)
        left = []
        for pid in self.pids():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    left.append(file.read().replace(b"\0", b" ").decode(errors="replace"))
                os.kill(pid, signal.SIGKILL)
        ip("netns", "delete", self.name)
        return left


class Network:
    def __init__(self, directory):
        self.spaces = []
        self.ipv6 = False
        try:
            self._make(directory)
        except (OSError, Unavailable, AssertionError) as error:
            self.close()
            raise Unavailable(f"no network namespaces here: {error}") from None

    def _make(self, directory):
        if os.geteuid() != 0:
            raise Unavailable("they need root")
        prefix = f"wst-{os.getpid()}"
        hosts = f"{SITES} {SITE}\n{SITES_IPV6} {SITE} six.{SITE}\n{SITES} old.{SITE}\n"
        self.outside = self._add(Namespace(f"{prefix}-outside", directory, ""))
        self.inside = self._add(Namespace(f"{prefix}-inside", directory, hosts))
        outside, inside = self.outside.name, self.inside.name
        ip("-n", outside, "link", "add", "cable", "type", "veth", "peer", "cable", "netns", inside)
        for name, address in ((outside, OUTSIDE), (inside, INSIDE)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            # No address of its own making later on: browsers give up requests when networks change.
            ip("-n", name, "link", "set", "cable", "addrgenmode", "none")
            ip("-n", name, "link", "set", "cable", "up")
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", inside, "address", "add", f"{SITES}/32", "dev", "lo")
        with contextlib.suppress(Unavailable):
            ip("-n", inside, "address", "add", f"{SITES_IPV6}/128", "dev", "lo", "nodad")
            self.ipv6 = True
        self.inside.run("true")  # that a hosts file can be put in its place

    def _add(self, space):
        self.spaces.append(space)
        return space

    def close(self):
        """Deletes the namespaces; returns the commands of processes that were still running."""
        return [command for space in self.spaces for command in space.delete()]


def ip(*arguments):
    """What `ip` prints."""
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise Unavailable("there is no `ip` (package iproute2)") from None
    if done.returncode != 0:
        raise Unavailable(f"`ip {' '.join(arguments)}`: {done.stderr.strip()}")
    return done.stdout


def set_namespace(file):
    """For the calling thread (os.setns came with Python 3.12)."""
    if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
