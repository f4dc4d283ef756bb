# SPDX-License-Identifier: MIT
"""
A crowd: many tunnels at once, each with contents and a fate of its own, both drawn from a seed. The
client says its number first, so that the site knows which contents and which fate it has to do with.
"""
import asyncio
import collections
import random
import socket
import struct

from client import reset

FATES = {
    # name: how often
    "whole": 6,  # both send all, at the same time, and end
    "ask": 4,  # the client ends, then the site sends and ends
    "tell": 4,  # the site ends, then the client sends and ends
    "early": 2,  # as ask, but all of it in one packet with the CONNECT
    "client_resets": 4,  # in the middle
    "site_resets": 4,
    "client_gone": 3,  # reset before the answer is there
    "deaf": 1,  # the destination does not answer, the client gives up
    "refused": 2,  # nobody listens at the destination
}
PATIENT = {
    "idle": 1,  # as ask, after a time in which nothing is said
    "slow": 1,  # as ask, but the client reads nothing for a time, and there is more than fits in
}
PAUSE = 3  # seconds, at most
HELLO = struct.Struct(">I")
# Seconds; longer than it takes an agent to find out, by TCP's keep-alive after 60 s, that its
# destination is gone: a link that is cut may lose the reset.
PATIENCE = 90


class Broken(Exception):
    """The tunnel came to an end that is not an orderly one: refused, or reset."""


class Plan:
    """What tunnel number `index` does: the same at both of its ends."""

    def __init__(self, seed, index, largest=200_000, fates=FATES):
        self.seed, self.index = seed, index
        self.random = random.Random(f"{seed}:{index}")
        self.fate = self.random.choices(list(fates), list(fates.values()))[0]
        self.up_len, self.down_len = self._size(largest), self._size(largest)
        self.pause = self.random.random() * PAUSE
        if self.fate == "slow":
            self.down_len = 4 * largest
        self.cut_up = self.random.randrange(self.up_len + 1)  # where what is broken off stops
        self.cut_down = self.random.randrange(self.down_len + 1)

    def _size(self, largest):
        return int(largest ** self.random.random()) - 1

    @property
    def up(self):
        return random.Random(f"{self.seed}:{self.index}:up").randbytes(self.up_len)

    @property
    def down(self):
        return random.Random(f"{self.seed}:{self.index}:down").randbytes(self.down_len)


async def receive(sock, limit=None):
    """Until FIN, or so many bytes. A reset raises Broken."""
    loop, pieces, n = asyncio.get_running_loop(), [], 0
    while limit is None or n < limit:
        try:
            piece = await loop.sock_recv(sock, 65536 if limit is None else min(65536, limit - n))
        except ConnectionError as error:
            raise Broken(str(error)) from None
        if not piece:
            break
        pieces.append(piece)
        n += len(piece)
    return b"".join(pieces)


async def send(sock, data):
    try:
        await asyncio.get_running_loop().sock_sendall(sock, data)
    except ConnectionError as error:
        raise Broken(str(error)) from None


def end(sock):
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:  # ENOTCONN: it was reset meanwhile
        raise Broken(str(error)) from None


async def both(first, second):
    """Both at the same time; one that breaks does not leave the other behind."""
    results = await asyncio.gather(first, second, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def keep_alive(sock):
    """So that the end is found out whose packet was lost where a link was cut."""
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 30),
    ):
        sock.setsockopt(level, option, value)


async def read_head(sock):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await receive(sock, 1)
        if not piece:
            raise Broken(f"ended in the head of the answer: {head!r}")
        head += piece
    return head


async def connect(address, sock=None):
    host, _, port = address.rpartition(":")
    sock = sock or socket.socket()
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    except OSError as error:
        sock.close()
        raise Broken(str(error)) from None
    return sock


class Site:
    """Where the tunnels of a crowd lead to. `lenient`: any of them may be reset, for something else
    than the tunnels is being broken, too; but none may end too early in good order."""

    def __init__(self, seed, plans, lenient=False, host="127.0.0.1"):
        self.seed, self.plans, self.lenient, self.host = seed, plans, lenient, host
        self.tasks, self.failures, self.seen = set(), [], collections.Counter()
        self.listener = socket.socket()
        self.listener.bind((host, 0))
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]

    def address(self, plan):
        """Some ask for it by name, if it has one."""
        by_name = self.host == "127.0.0.1" and plan.index % 4 == 0
        return f"{'localhost' if by_name else self.host}:{self.port}"

    async def accept(self):
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self.listener)
            task = loop.create_task(self._serve(connection))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _serve(self, connection):
        plan = None
        keep_alive(connection)
        try:
            async with asyncio.timeout(PATIENCE):
                hello = await receive(connection, HELLO.size)
                if len(hello) < HELLO.size:
                    # Who is killed in the moment of connecting leaves nothing but a FIN.
                    if hello or not self.lenient:
                        self.failures.append(f"site: ended after {hello!r}")
                    return
                plan = self.plans(HELLO.unpack(hello)[0])
                await self._follow(connection, plan)
                self.seen[plan.fate, "right"] += 1
        except Broken as error:
            if plan is not None:
                self.seen[plan.fate, "reset"] += 1
                if not self.lenient and not is_broken_off(plan):
                    self.failures.append(f"site: {plan.index} {plan.fate}: {error}")
        except Exception as error:
            what = f"{plan.index} {plan.fate}" if plan else "?"
            self.failures.append(f"site: {what}: {error!r}")
        finally:
            connection.close()

    async def _follow(self, connection, plan):
        if plan.fate == "site_resets":
            await both(receive(connection, plan.cut_up), send(connection, plan.down[: plan.cut_down]))
            reset(connection)
            return
        if plan.fate == "whole" or is_broken_off(plan):
            up, _ = await both(receive(connection), self._say(connection, plan))
        elif plan.fate == "tell":
            await self._say(connection, plan)
            up = await receive(connection)
        else:
            up = await receive(connection)
            await self._say(connection, plan)
        assert up == plan.up, f"{len(up)} of {plan.up_len} bytes, or wrong ones, then FIN"
        assert not is_broken_off(plan), "FIN where a reset was due"

    async def _say(self, connection, plan):
        await send(connection, plan.down)
        end(connection)

    async def settle(self):
        """Waits for all connections to end."""
        while self.tasks:
            await asyncio.wait(self.tasks, timeout=PATIENCE)

    def close(self):
        self.listener.close()


def is_opened(plan):
    return plan.fate not in ("client_gone", "deaf", "refused")


def is_broken_off(plan):
    return plan.fate in ("client_resets", "client_gone", "deaf")


class Crowd:
    """`gate`, if given, holds back all tunnels that are open until it lets them go on. `sources`: the
    addresses of this machine that the connections come from, one after the other."""

    def __init__(self, server, site, refused=None, deaf=None, gate=None, openers=100,
                 sources=None):  # fmt: skip
        self.server, self.site, self.refused, self.deaf = server, site, refused, deaf
        self.sources = sources
        self.gate = gate
        self.opening = asyncio.Semaphore(openers)
        self.seen = collections.Counter()

    async def run(self, plan):
        """One tunnel. Broken if it was refused or reset though its fate is another one; asserts that
        what came is right."""
        async with asyncio.timeout(PATIENCE):
            sock = await self._connect()
            try:
                await self._follow(sock, plan)
                self.seen[plan.fate] += 1
            finally:
                sock.close()

    async def _connect(self):
        sock = socket.socket()
        if self.sources is not None:
            sock.bind((next(self.sources), 0))
        return await connect(self.server, sock)

    async def _open(self, sock, plan, destination, more=b"", wanted=200):
        async with self.opening:
            request = f"CONNECT {destination} HTTP/1.1\r\n\r\n".encode()
            await send(sock, request + more)
            if more:
                end(sock)
            head = await read_head(sock)
        if int(head.split()[1]) != wanted:
            raise Broken(head.partition(b"\r\n")[0].decode())
        if self.gate is not None:
            await self.gate(plan)

    async def _follow(self, sock, plan):
        hello = HELLO.pack(plan.index)
        if plan.fate in ("client_gone", "deaf"):
            destination = self.site.address(plan) if plan.fate == "client_gone" else self.deaf
            await send(sock, f"CONNECT {destination} HTTP/1.1\r\n\r\n".encode())
            await asyncio.sleep(plan.random.random() * (0.01 if plan.fate == "client_gone" else 0.5))
            reset(sock)
            return
        if plan.fate == "refused":
            await self._open(sock, plan, self.refused, wanted=502)
            return
        if plan.fate == "early":
            await self._open(sock, plan, self.site.address(plan), more=hello + plan.up)
        else:
            await self._open(sock, plan, self.site.address(plan))
            await send(sock, hello)
        if plan.fate == "client_resets":
            await both(send(sock, plan.up[: plan.cut_up]), receive(sock, plan.cut_down))
            reset(sock)
            return
        if plan.fate == "site_resets":
            await self._see_reset(sock, plan)
            return
        if plan.fate == "whole":
            down, _ = await both(receive(sock), self._say(sock, plan))
        elif plan.fate == "tell":
            down = await receive(sock)
            await self._say(sock, plan)
        else:
            if plan.fate == "idle":
                await asyncio.sleep(plan.pause)
            if plan.fate != "early":
                await self._say(sock, plan)
            if plan.fate == "slow":
                await asyncio.sleep(plan.pause)
            down = await receive(sock)
        assert down == plan.down, f"{plan.index} {plan.fate}: {len(down)} of {plan.down_len} bytes"

    async def _say(self, sock, plan):
        await send(sock, plan.up)
        end(sock)

    async def _see_reset(self, sock, plan):
        try:
            down, _ = await both(receive(sock), send(sock, plan.up[: plan.cut_up]))
        except Broken:
            return
        raise AssertionError(f"{plan.index}: FIN after {len(down)} bytes where a reset was due")


async def storm(server, seed, count, refused, deaf, host="127.0.0.1"):
    """A crowd of so many, all of which are right: opened, and let go on when all are open."""
    plans = [Plan(seed, i) for i in range(count)]
    missing = sum(is_opened(plan) for plan in plans)
    all_open = asyncio.Event()

    async def gate(plan):
        nonlocal missing
        if is_opened(plan):
            missing -= 1
            if missing == 0:
                all_open.set()
            await all_open.wait()

    site = Site(seed, plans.__getitem__, host=host)
    accepting = asyncio.create_task(site.accept())
    crowd = Crowd(server, site, refused, deaf, gate)
    results = await asyncio.gather(*map(crowd.run, plans), return_exceptions=True)
    await site.settle()
    accepting.cancel()
    site.close()
    failures = [f"{plan.index} {plan.fate}: {result!r}" for plan, result in zip(plans, results)
                if result is not None]  # fmt: skip
    assert not failures + site.failures, "\n".join(failures + site.failures)
    expected = collections.Counter(plan.fate for plan in plans)
    assert crowd.seen == expected
    for fate in ("whole", "ask", "tell", "early"):
        assert site.seen[fate, "right"] == expected[fate]
    assert site.seen["client_resets", "reset"] == expected["client_resets"]


class Mill:
    """A crowd without end: so many at a time, one after the other, until it is stopped. What breaks
    is counted; what is wrong, or hangs, is a failure."""

    FATES = FATES | PATIENT

    def __init__(self, server, seed, workers=24, host="127.0.0.1", **crowd_options):
        self.seed, self.workers, self.next = seed, workers, 0
        self.site = Site(seed, self.plan, lenient=True, host=host)
        self.crowd = Crowd(server, self.site, **crowd_options)
        self.running = True
        self.broken, self.failures = collections.Counter(), []

    def plan(self, index):
        return Plan(self.seed, index, fates=self.FATES)

    async def run(self):
        accepting = asyncio.create_task(self.site.accept())
        await asyncio.gather(*(self._work() for _ in range(self.workers)))
        await self.site.settle()
        accepting.cancel()
        self.site.close()

    async def _work(self):
        while self.running:
            plan = self.plan(self.next)
            self.next += 1
            try:
                await self.crowd.run(plan)
            except Broken as error:
                self.broken[str(error)] += 1
                await asyncio.sleep(0.01)  # what refuses at once may do so in peace
            except Exception as error:
                self.failures.append(f"{plan.index} {plan.fate}: {error!r}")

    def judge(self):
        print(f"right: {dict(self.crowd.seen)}; broken: {dict(self.broken)}")
        failures = self.failures + self.site.failures
        assert not failures, "\n".join(failures)
