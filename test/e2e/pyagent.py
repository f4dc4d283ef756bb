#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An agent in plain Python, written from lib/PROTOCOL.md alone, in JSON: pyagent.py HOST:PORT"""
import asyncio
import base64
import json
import secrets
import socket
import struct
import sys

HANDSHAKE, COMPLETED, COMMUNICATION, HELLO, CREDIT, END, RESET, PING, PONG, GOAWAY = range(1, 11)
MAX_FRAME, WINDOW = 16384, 32768
TEXT, BINARY, WS_CLOSE = 1, 2, 8  # opcodes of frames

# -- WebSocket (RFC 6455), as much of it as a client needs


def upgrade_request(host, protocol, path="/websocket", fields=""):
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    return (f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Protocol: {protocol}\r\n{fields}\r\n").encode()  # fmt: skip


def frame(opcode, payload):
    """One message in one frame, masked as a client must."""
    n, mask = len(payload), secrets.token_bytes(4)
    length = bytes([0x80 | n]) if n < 126 else struct.pack(">BH", 0x80 | 126, n)
    masked = int.from_bytes((mask * (n // 4 + 1))[:n], "big") ^ int.from_bytes(payload, "big")
    return bytes([0x80 | opcode]) + length + mask + masked.to_bytes(n, "big")


async def read_frame(reader):
    """Opcode and payload. Our max_frame keeps messages below 64 KiB; none is fragmented."""
    first, n = await reader.readexactly(2)
    if n == 126:
        (n,) = struct.unpack(">H", await reader.readexactly(2))
    return first & 15, await reader.readexactly(n)


class Stream:
    """A stream that the server has opened, and the connection to its destination."""

    def __init__(self, say, stream_id, credit):
        self.say = lambda method, **members: say(method, id=stream_id, **members)
        self.credit = credit  # we may send up to this offset
        self.more_credit = asyncio.Event()
        self.inbox = asyncio.Queue()  # data for the destination; None: its end

    async def run(self, destination):
        host, _, port = destination.rpartition(":")
        try:
            connecting = asyncio.open_connection(host.strip("[]"), int(port))
            reader, writer = await asyncio.wait_for(connecting, 10)
        except OSError as error:
            codes = {ConnectionRefusedError: -32001, socket.gaierror: -32003, TimeoutError: -32005}
            code = codes.get(type(error), -32002)
            self.say(COMPLETED, error={"code": code, "message": str(error)[:80]})
            return
        self.say(COMPLETED)
        directions = [asyncio.create_task(self.to_server(reader)),
                      asyncio.create_task(self.to_destination(writer))]  # fmt: skip
        try:
            await asyncio.gather(*directions)
            writer.close()
        except OSError as error:
            self.say(RESET, error={"code": -32009, "message": str(error)})
        finally:  # unless all is well, also if the server has reset the stream: a reset
            for direction in directions:
                direction.cancel()
            if not writer.is_closing():
                linger, sock = struct.pack("ii", 1, 0), writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()

    async def to_server(self, reader):
        sent = 0
        while True:
            while self.credit == sent:
                self.more_credit.clear()
                await self.more_credit.wait()
            data = await reader.read(min(MAX_FRAME, self.credit - sent))
            if not data:
                break
            await self.say(COMMUNICATION, data=base64.b64encode(data).decode())
            sent += len(data)
        self.say(END, offset=sent)

    async def to_destination(self, writer):
        received = 0
        while (data := await self.inbox.get()) is not None:
            writer.write(data)
            await writer.drain()  # no more credit before the destination has taken what there is
            received += len(data)
            self.say(CREDIT, received=received, credit=received + WINDOW)
        writer.write_eof()
        self.say(CREDIT, received=received + 1, credit=received + WINDOW)


# -- The session


async def run(address):
    reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
    writer.write(upgrade_request(address, "wstunnel.v1.json"))
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    if " 101 " not in answer.partition("\r\n")[0]:
        sys.exit(answer)

    def say(method, **members):
        writer.write(frame(TEXT, json.dumps({"method": method} | members).encode()))
        return writer.drain()  # to be awaited by those who can wait

    say(HELLO, version=1, max_frame=MAX_FRAME, initial_credit=WINDOW, max_streams=1000,
        name="python", instance=secrets.token_hex(16))  # fmt: skip
    streams, initial_credit = {}, 0
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == WS_CLOSE:
            writer.write(frame(WS_CLOSE, payload))
            return
        if opcode != TEXT:
            continue  # the server sends no WebSocket pings, its pings are messages
        message = json.loads(payload)
        method, stream_id = message["method"], message.get("id")
        stream = streams.get(stream_id)
        if method == HELLO:
            initial_credit = message["initial_credit"]
        elif method == PING:
            say(PONG, seq=message["seq"])
        elif method == HANDSHAKE:
            stream = streams[stream_id] = Stream(say, stream_id, initial_credit)
            stream.task = asyncio.create_task(stream.run(message["dest"]))
            stream.task.add_done_callback(lambda _, i=stream_id: streams.pop(i))
        elif stream is None:
            continue  # it is over: a late message
        elif method == COMMUNICATION:
            stream.inbox.put_nowait(base64.b64decode(message["data"]))
        elif method == END:
            stream.inbox.put_nowait(None)
        elif method == CREDIT:
            stream.credit = message["credit"]
            stream.more_credit.set()
        elif method == RESET:
            stream.task.cancel()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
