# SPDX-License-Identifier: MIT
"""
Requests forwarded for plain HTTP sites, without end: kept-alive connections, bodies of all kinds,
WebSockets, and an origin that misbehaves. As in crowd.py both ends know from a number what is to be
said; what breaks is counted, but nothing passes that is wrong, or cut short and looks complete.
"""
import asyncio
import collections
import random
import socket

from client import LINGER_RESET
from crowd import PATIENCE, Broken, keep_alive
from web import chunks, read_body, read_head

KINDS = {
    # name: how often
    "length": 6,
    "chunked": 4,
    "until_close": 2,
    "websocket": 2,
    # What the origin does that it should not:
    "cut_length": 1,  # ends in the middle, in good order
    "cut_chunked": 1,
    "reset_length": 1,  # resets in the middle
    "reset_until_close": 1,
    "mute": 1,  # ends without an answer
    "garbage": 1,
}
MISBEHAVIOUR = ("cut", "reset", "mute", "garbage")


class Exchange:
    """Request number `index` and its answer."""

    def __init__(self, seed, index):
        drawn = random.Random(f"{seed}:forward:{index}")
        self.index = index
        self.kind = drawn.choices(list(KINDS), list(KINDS.values()))[0]
        self.fault, _, self.framing = self.kind.partition("_")
        if self.fault not in ("cut", "reset"):
            self.fault, self.framing = "", self.kind
        self.up = drawn.randbytes(int(100_000 ** drawn.random())) if drawn.random() < 0.5 else b""
        self.down = drawn.randbytes(int(200_000 ** drawn.random()))
        self.cut = drawn.randrange(len(self.down))

    @property
    def is_right(self):
        return not self.kind.startswith(MISBEHAVIOUR)


def break_off(writer):
    """By a reset, if it has not come to an end by itself."""
    if not writer.transport.is_closing():
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        writer.transport.abort()


class Origin:
    def __init__(self, seed, host):
        self.seed, self.host = seed, host
        self.failures, self.tasks = [], set()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, self.host, 0, backlog=512)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self):
        """Ends, too, the connections that are kept for further requests."""
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        keep_alive(writer.get_extra_info("socket"))
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            break_off(writer)  # the request was broken off: nothing is at its end here
        except asyncio.CancelledError:
            pass
        except Exception as error:
            self.failures.append(f"origin: {error!r}")
        finally:
            writer.close()
            self.tasks.discard(asyncio.current_task())

    async def _answer(self, reader, writer):
        """Whether another request may follow."""
        head = await read_head(reader)
        if head is None:
            return False
        first, fields = head
        method, target, version = first.split()
        exchange = Exchange(self.seed, int(target.removeprefix("/")))
        assert version == "HTTP/1.1" and "proxy-connection" not in fields
        if exchange.framing == "websocket":
            assert (fields["upgrade"], fields["connection"]) == ("websocket", "upgrade")
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                         b"Upgrade: websocket\r\n\r\n")  # fmt: skip
            await self._echo(reader, writer)
            return False
        assert method == ("POST" if exchange.up else "GET")
        if exchange.up:
            up = await read_body(reader, fields, until_close=False)
            assert up == exchange.up, f"{exchange.index}: {len(up)} of {len(exchange.up)} bytes"
        return await self._say(exchange, writer)

    async def _echo(self, reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def _say(self, exchange, writer):
        if exchange.kind == "mute":
            return False
        said = exchange.down[: exchange.cut] if exchange.fault else exchange.down
        head, body = {
            "length": (b"Content-Length: %d\r\n" % len(exchange.down), said),
            "chunked": (b"Transfer-Encoding: chunked\r\n", chunks(said)),
            "until_close": (b"Connection: close\r\n", said),
            "garbage": (b"\0: \r\n", b""),
        }[exchange.framing]
        if exchange.kind == "cut_chunked":
            body = body.removesuffix(b"0\r\n\r\n")  # all but the last chunk
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body)
        await writer.drain()
        if exchange.fault == "reset":
            break_off(writer)
        return not exchange.fault and exchange.framing in ("length", "chunked")


class Forwarder:
    """So many clients, each of which asks again and again, on one connection while that lasts."""

    def __init__(self, server, seed, host, workers=8):
        self.server, self.seed, self.workers, self.next = server, seed, workers, 0
        self.origin = Origin(seed, host)
        self.running = True
        self.seen, self.broken, self.failures = collections.Counter(), collections.Counter(), []

    async def run(self):
        await self.origin.start()
        await asyncio.gather(*(self._work() for _ in range(self.workers)))
        await self.origin.close()

    async def _work(self):
        connection = None
        while self.running:
            exchange = Exchange(self.seed, self.next)
            self.next += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    connection = connection or await self._connect()
                    keep = await self._ask(exchange, *connection)
                self.seen[exchange.kind] += 1
            except Broken as error:
                keep = False
                self.broken[str(error)] += 1
                await asyncio.sleep(0.01)  # what refuses at once may do so in peace
            except Exception as error:
                keep = False
                self.failures.append(f"{exchange.index} {exchange.kind}: {error!r}")
            if not keep and connection is not None:
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    async def _connect(self):
        host, _, port = self.server.rpartition(":")
        try:
            return await asyncio.open_connection(host, int(port))
        except OSError as error:
            raise Broken(f"forward: {error}") from None

    async def _ask(self, exchange, reader, writer):
        """Whether the connection may be used again."""
        url = f"http://{self.origin.host}:{self.origin.port}/{exchange.index}"
        writer.write(self._request(exchange, url))
        try:
            await writer.drain()
            head = await read_head(reader)
            if head is None:
                raise Broken("forward: no answer")
            first, fields = head
            status = int(first.split()[1])
            if exchange.framing == "websocket" and status == 101:
                return await self._talk(exchange, reader, writer)
            body = await read_body(reader, fields, until_close=True)
        except (OSError, asyncio.IncompleteReadError) as error:
            if exchange.fault:
                return False
            raise Broken(f"forward: {type(error).__name__}") from None
        if status != 200:
            assert first.startswith(("HTTP/1.1 502", "HTTP/1.1 503", "HTTP/1.1 504")), first
            if exchange.is_right:
                raise Broken(f"forward: {first}")
            return False
        assert exchange.is_right, f"complete: {first}, {len(body)} bytes"
        assert body == exchange.down, f"{len(body)} of {len(exchange.down)} bytes"
        return fields.get("connection") != "close"

    @staticmethod
    def _request(exchange, url):
        if exchange.framing == "websocket":
            return (f"GET {url} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                    "\r\n").encode()  # fmt: skip
        if not exchange.up:
            return f"GET {url} HTTP/1.1\r\n\r\n".encode()
        if exchange.index % 2 == 0:
            framing, body = f"Content-Length: {len(exchange.up)}", exchange.up
        else:
            framing = "Transfer-Encoding: chunked"
            body = chunks(exchange.up)
        return f"POST {url} HTTP/1.1\r\n{framing}\r\n\r\n".encode() + body

    @staticmethod
    async def _talk(exchange, reader, writer):
        """Behind the upgrade: all of it comes back, then the end does."""
        writer.write(exchange.down)
        await writer.drain()
        assert await reader.readexactly(len(exchange.down)) == exchange.down
        writer.write_eof()
        assert await reader.read() == b""
        return False

    def judge(self):
        print(f"forwarded: {dict(self.seen)}; broken: {dict(self.broken)}")
        failures = self.failures + self.origin.failures
        assert not failures, "\n".join(failures)
