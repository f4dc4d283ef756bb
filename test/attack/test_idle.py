# SPDX-License-Identifier: MIT
"""Ten thousand connections that do nothing, from a thousand sources: what each costs, and that service
goes on; further ones wait in the kernel; all are closed when their time is over. Memory is reserved
for what connections hold before a request of them has been admitted."""
import itertools
import socket
import ssl

from arena import check_memory, memory
from client import Client, connect_from
from processes import is_sanitized, wait_until
from scene import HEALTH, KIB, MIB, SLACK, Scene, serve
from secure import SecureClient, client_context

TIMEOUT_MS = 12000  # of a head, of a handshake: more than it takes to open all of them
CONNECTIONS = 10_000

# How many of each kind, and what one of them may cost. Reserved are 6 KiB, 44 KiB by TLS, and what has
# come of a head, up to 16 KiB.
SILENT, SILENT_BOUND = 5000, 6 * KIB
KEPT, KEPT_BOUND = 2500, 6 * KIB
UNSHAKEN, UNSHAKEN_BOUND = 1500, 4 * KIB
SECURE, SECURE_BOUND = 500, 44 * KIB
HALF, HALF_BOUND, HALF_SECURE_BOUND = 500, 22 * KIB, 60 * KIB
HALF_HEAD = b"GET / HTTP/1.1\r\nX: " + b"x" * 15000

# None of them has more than its share, not even of the last place.
SOURCES = itertools.cycle(f"127.1.{i // 250}.{i % 250 + 1}" for i in range(1000))


def from_next(address):
    return connect_from(next(SOURCES))(address)


class Crowd:
    def __init__(self, scene):
        self.scene = scene
        self.open = []

    def add(self, kind, count, bound, make):
        """`count` more, each by `make`; what one costs is printed."""
        server = self.scene.server
        before, descriptors = memory(server), server.descriptors()
        new = [make() for _ in range(count)]
        wait_until(lambda: server.descriptors() == descriptors + count, f"{count} {kind}")
        self.open += new
        cost = (memory(server) - before) / count
        print(f"{kind}: {count} connections, {cost / KIB:.2f} KiB each (bound {bound / KIB:.0f})")
        assert is_sanitized(server) or cost <= bound
        return new


def at(address):
    return lambda: Client(address, from_next)


def kept(address):
    """One that has been served, and is kept for the next request."""

    def make():
        client = Client(address, from_next)
        assert client.ask(HEALTH).status == 200
        return client

    return make


def secure(address, authority):
    """The same by TLS; the session of the first one is resumed."""
    context = client_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    sessions = [None]

    def make():
        client = SecureClient(address, context, session=sessions[0], connect=from_next)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sessions[0] = client.tls.session
        assert client.ask(HEALTH).status == 200
        return client

    return make


def test_ten_thousand(world, authority, identity, echo_site, tmp_path):
    server = serve(world, tmp_path, "--listen", "127.0.0.1:0,tls", listen="127.0.0.1:0,plain",
                   cert=str(identity.certificate), key=str(identity.key),
                   limits={"head_timeout_ms": TIMEOUT_MS, "tls_timeout_ms": TIMEOUT_MS,
                           "max_connections": CONNECTIONS})  # fmt: skip
    plain, tls = server.address, server.wait_for(r"listening on (\S+)", 2)[1]
    scene = Scene(world, server, echo_site)
    crowd = Crowd(scene)
    crowd.add("idle, by TLS", SECURE, SECURE_BOUND, secure(tls, authority))
    crowd.add("silent", SILENT, SILENT_BOUND, at(plain))
    crowd.add("idle", KEPT, KEPT_BOUND, kept(plain))
    crowd.add("silent where TLS is spoken", UNSHAKEN, UNSHAKEN_BOUND, at(tls))
    scene.check()

    # Up to the bound, and beyond.
    served = 2  # the agent and the client of the scene
    wait_until(lambda: server.descriptors() == scene.descriptors + len(crowd.open), "no others")
    crowd.add("silent", CONNECTIONS - served - len(crowd.open), SILENT_BOUND, at(plain))
    waiting = [Client(plain) for _ in range(20)]
    for client in waiting:
        client.send(HEALTH)
    token = b"still here"
    for _ in range(100):  # turns of the loop, in each of which it could take one more
        scene.tunnel.send(token)
        assert scene.tunnel.read_exactly(len(token)) == token
    assert server.descriptors() == scene.descriptors + len(crowd.open)

    # Room for one: the first of those that wait has it, and leaves it to the next.
    crowd.open.pop().close()
    for client in waiting:
        assert client.read_answer().status == 200
        client.close()
    scene.check()

    # Their time is over: each is closed in order, without a word.
    for client in crowd.open:
        assert client.read_to_end() == b""
        client.close()
    wait_until(lambda: server.descriptors() == scene.descriptors, "only ours are left")
    left = memory(server) - scene.memory
    print(f"the allocator keeps {left / MIB:.1f} MiB")

    # Nothing leaks: as many again take no more than there is.
    peak, crowd.open = memory(server, "VmHWM"), []
    crowd.add("silent", SILENT, SILENT_BOUND, at(plain))
    crowd.add("idle", KEPT, KEPT_BOUND, kept(plain))
    check_memory(server, peak, SLACK)
    for client in crowd.open:
        client.close()
    scene.finish(more=left)


def half(make):
    """One that has sent the first part of a head."""

    def make_half():
        client = make()
        client.send(HALF_HEAD)
        return client

    return make_half


def test_half_heads(world, authority, identity, echo_site, tmp_path):
    server = serve(world, tmp_path, "--listen", "127.0.0.1:0,tls", listen="127.0.0.1:0,plain",
                   cert=str(identity.certificate), key=str(identity.key),
                   limits={"head_timeout_ms": 60000})  # fmt: skip
    plain, tls = server.address, server.wait_for(r"listening on (\S+)", 2)[1]
    scene = Scene(world, server, echo_site)
    crowd = Crowd(scene)
    crowd.add("half a head", HALF, HALF_BOUND, half(at(plain)))
    crowd.add("half a head by TLS", HALF, HALF_SECURE_BOUND, half(secure(tls, authority)))
    scene.check()
    for client in crowd.open:
        client.close()
