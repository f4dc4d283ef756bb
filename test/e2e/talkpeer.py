#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Both ends of the talk's protocol in plain Python, written from lib/PROTOCOL.md:

    talkpeer.py agent HOST:PORT [SPARE]    keeps connections that wait, one unless told otherwise
    talkpeer.py server                     an HTTP proxy (CONNECT) on a port that it prints

With --as-the-original it has the habits of the talk's programs: it closes no WebSocket at the end of
a tunnel, answers a destination that it cannot reach by dropping the connection, the agent cuts its
messages into frames, and the server answers in HTTP/1.0 and knows one agent's connection, the newest,
which it looks up anew at each step.
"""
import asyncio
import base64
import hashlib
import json
import os
import signal
import socket
import struct
import sys

from pyagent import BINARY, TEXT, WS_CLOSE, frame, upgrade_request

HANDSHAKE, COMPLETED, COMMUNICATION = 1, 2, 3
DATA_MAX = 32768
FRAME_MAX = 4096  # of the original's agent; its server uses one frame a message
CONTINUATION, PING, PONG = 0, 9, 10  # opcodes of frames
ORIGINAL = "--as-the-original" in sys.argv


def break_off(writer):
    """Ends a connection by RST."""
    sock = writer.get_extra_info("socket")
    if sock.fileno() >= 0:  # else it is gone already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class WebSocket:
    """An open one; `masked` is what the other side sends, and the contrary of what we send."""

    def __init__(self, reader, writer, masked):
        self.reader, self.writer, self.masked = reader, writer, masked
        self.close_sent = False

    async def _frame(self):
        first, n = await self.reader.readexactly(2)
        assert bool(n & 0x80) == self.masked and first & 0x80
        n &= 0x7F
        if n == 126:
            (n,) = struct.unpack(">H", await self.reader.readexactly(2))
        mask = await self.reader.readexactly(4) if self.masked else bytes(4)
        payload = await self.reader.readexactly(n)
        mask = (mask * (n // 4 + 1))[:n]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
        return first & 15, plain.to_bytes(n, "big")

    def _send(self, opcode, payload):
        if not self.masked:
            size = FRAME_MAX if ORIGINAL else len(payload) + 1
            for at in range(0, len(payload), size) or [0]:
                data = bytearray(frame(CONTINUATION if at else opcode, payload[at : at + size]))
                if at + size < len(payload):
                    data[0] &= 0x7F  # not the last one
                self.writer.write(data)
            return
        n = len(payload)
        length = bytes([n]) if n < 126 else struct.pack(">BH", 126, n)
        self.writer.write(bytes([0x80 | opcode]) + length + payload)

    def close(self, code, reason=""):
        if not self.close_sent:
            self.close_sent = True
            self._send(WS_CLOSE, struct.pack(">H", code) + reason.encode())

    async def say(self, method, dest="", data=None):
        text = None if data is None else base64.b64encode(data).decode()
        message = {"method": method, "dest": dest, "data": text}
        self._send(BINARY if method == COMMUNICATION else TEXT, json.dumps(message).encode())
        await self.writer.drain()

    async def hear(self):
        """The next message, or the code of the close frame."""
        while True:
            opcode, payload = await self._frame()
            if opcode == PING:
                self._send(PONG, payload)
            elif opcode == WS_CLOSE:
                code = int.from_bytes(payload[:2], "big")
                self.close(code)
                return code
            else:
                message = json.loads(payload)
                assert sorted(message) == ["data", "dest", "method"], message
                return message

    async def hear_method(self, method):
        message = await self.hear()
        if not isinstance(message, dict):
            raise ConnectionError(f"closed: {message}")
        assert message["method"] == method, message
        return message


async def pump(ws, reader, writer):
    """Both directions, until the WebSocket ends."""

    async def to_websocket():
        try:
            while data := await reader.read(DATA_MAX):
                if ws.close_sent:
                    raise ConnectionError
                await ws.say(COMMUNICATION, data=data)
            if not ORIGINAL:
                ws.close(1000)
        except ConnectionError:
            break_off(ws.writer)

    sending = asyncio.create_task(to_websocket())
    try:
        while isinstance(message := await ws.hear(), dict):
            assert message["method"] == COMMUNICATION, message
            data = base64.b64decode(message["data"], validate=True)
            assert 0 < len(data) <= DATA_MAX
            writer.write(data)
            await writer.drain()
        if message != 1000:
            raise ConnectionError
        if ORIGINAL:
            await asyncio.Event().wait()  # it holds on to everything
        writer.write_eof()
        await writer.drain()
        await asyncio.wait_for(sending, 5)
        writer.close()
    except (OSError, EOFError):  # ENOTCONN, too: reset, and the loop does not know yet
        break_off(writer)
    finally:
        sending.cancel()
        ws.writer.close()


# -- The agent


async def serve_one(address, waiting):
    """One connection, from its upgrade to the end of its tunnel."""
    reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
    request = upgrade_request(address, "").replace(b"Sec-WebSocket-Protocol: \r\n", b"")
    writer.write(request)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    if " 101 " not in answer.partition("\r\n")[0]:
        sys.exit(answer)
    assert "sec-websocket-protocol" not in answer.lower()
    ws = WebSocket(reader, writer, masked=False)
    waiting()
    message = await ws.hear_method(HANDSHAKE)
    host, _, port = message["dest"].rpartition(":")
    try:
        destination = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError as error:
        if not ORIGINAL:
            ws.close(1011, str(error)[:100])
        writer.close()
        return
    await ws.say(COMPLETED)
    await pump(ws, *destination)


async def agent(address, spare):
    """Keeps that many waiting: each is replaced when the server has used it."""

    async def keep():
        while True:
            try:
                await serve_one(address, lambda: print("waiting", flush=True))
            except (ConnectionError, EOFError):
                return  # the server has gone

    await asyncio.gather(*(keep() for _ in range(spare)))


# -- The server


async def upgrade(head, reader, writer, waiting):
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
    assert "Sec-WebSocket-Protocol" not in fields and "Origin" not in fields
    digest = hashlib.sha1(
        (fields["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
    ).digest()
    writer.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n").encode())
    waiting.put_nowait(WebSocket(reader, writer, masked=True))
    print("agent waits", flush=True)


class Newest:
    """In the place of a queue."""

    def put_nowait(self, ws):
        self.ws = ws

    async def get(self):
        await asyncio.sleep(0.02)  # time for another one to come in between
        return self.ws


async def connect(head, reader, writer, waiting):
    destination = head.split()[1]
    ws = await asyncio.wait_for(waiting.get(), 15)
    try:
        await ws.say(HANDSHAKE, dest=destination)
        ws = await waiting.get() if ORIGINAL else ws
        await ws.hear_method(COMPLETED)
    except (ConnectionError, EOFError) as error:
        writer.write(f"HTTP/1.1 502 {error}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()
        ws.writer.close()
        return
    version = b"1.0" if ORIGINAL else b"1.1"
    writer.write(b"HTTP/%s 200 Connection established\r\n\r\n" % version)
    ws = await waiting.get() if ORIGINAL else ws
    await pump(ws, reader, writer)


async def server():
    waiting = Newest() if ORIGINAL else asyncio.Queue()

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        handle = upgrade if head.startswith("GET /websocket ") else connect
        await handle(head, reader, writer, waiting)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("listening on 127.0.0.1:%d" % listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    arguments = [arg for arg in sys.argv[1:] if not arg.startswith("--")]
    if arguments[0] == "agent":
        asyncio.run(agent(arguments[1], int(arguments[2]) if len(arguments) > 2 else 1))
    else:
        asyncio.run(server())
    os._exit(0)  # without the end of an interpreter, in which SIGTERM is not handled any more
