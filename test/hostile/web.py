# SPDX-License-Identifier: MIT
"""Plain HTTP through the proxy, with contents drawn from a seed: an origin and a client that know
what must come. What is cut short must be seen to be so, by both of them."""
import asyncio
import random

from crowd import Broken

SIZES = (0, 1, 1000, 20_000, 150_000)
FRAMINGS = ("length", "chunked", "close")


class Exchange:
    """Request number `index`: what is sent, and what is answered."""

    def __init__(self, seed, index):
        self.index = index
        draw = random.Random(f"{seed}:{index}:web")
        self.up = draw.randbytes(draw.choice(SIZES)) if draw.random() < 0.5 else None
        self.up_chunked = draw.random() < 0.5
        self.down = draw.randbytes(draw.choice(SIZES))
        self.framing = draw.choice(FRAMINGS)

    def request(self, origin):
        head = f"http://{origin}/{self.index} HTTP/1.1\r\nHost: {origin}\r\n"
        if self.up is None:
            return f"GET {head}\r\n".encode()
        if self.up_chunked:
            return f"POST {head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks(self.up)
        return f"POST {head}Content-Length: {len(self.up)}\r\n\r\n".encode() + self.up

    def answer(self):
        head = b"HTTP/1.1 200 OK\r\n"
        if self.framing == "length":
            return head + b"Content-Length: %d\r\n\r\n" % len(self.down) + self.down
        if self.framing == "chunked":
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(self.down)
        return head + b"Connection: close\r\n\r\n" + self.down


def chunks(data, size=7000):
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def read_head(reader):
    """First line and fields; None: ended before it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    first, *lines = head.decode("ascii").split("\r\n")[:-2]
    return first, dict(line.lower().split(": ", 1) for line in lines)


async def read_body(reader, fields, until_close):
    if "content-length" in fields:
        return await reader.readexactly(int(fields["content-length"]))
    if fields.get("transfer-encoding") != "chunked":
        return await reader.read() if until_close else b""
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    assert await reader.readexactly(2) == b"\r\n"
    return body


class Origin:
    def __init__(self, seed):
        self.seed, self.failures, self.tasks = seed, [], set()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        try:
            while (head := await read_head(reader)) is not None:
                exchange = Exchange(self.seed, int(head[0].split()[1][1:]))
                body = await read_body(reader, head[1], until_close=False)
                if body != (exchange.up or b""):
                    self.failures.append(f"origin: request {exchange.index}: another body")
                writer.write(exchange.answer())
                await writer.drain()
                if exchange.framing == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # cut short, and seen to be so
        except Exception as error:
            self.failures.append(f"origin: {error!r}")
        finally:
            writer.close()
            self.tasks.discard(asyncio.current_task())

    async def close(self):
        """When all connections have ended."""
        self.server.close()
        while self.tasks:
            await asyncio.wait(self.tasks)


async def ask(server, origin, exchanges):
    """These requests on one connection, each when the one before has been answered. Broken: refused
    or cut short; returns how many were served rightly."""
    host, _, port = server.rpartition(":")
    served, writer = 0, None
    try:
        reader, writer = await asyncio.open_connection(host, int(port))
        for exchange in exchanges:
            writer.write(exchange.request(origin.address))
            await writer.drain()
            head = await read_head(reader)
            if head is None and served > 0:
                break  # a connection may be closed between requests
            if head is None:
                raise Broken("no answer")
            line, fields = head
            body = await read_body(reader, fields, until_close=True)
            if line != "HTTP/1.1 200 OK":
                assert fields["proxy-status"].startswith("libwstunnel; error="), head
                raise Broken(line)
            assert body == exchange.down, f"{exchange.index} {exchange.framing}: {len(body)} bytes"
            served += 1
            if fields.get("connection") == "close":
                break
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        raise Broken(f"cut short: {type(error).__name__}") from None
    finally:
        if writer is not None:
            writer.close()
    return served
