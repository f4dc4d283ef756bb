#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An agent in plain Python, written from lib/PROTOCOL.md alone, in JSON: pyagent.py HOST:PORT"""
import asyncio, base64, contextlib, hmac, json, secrets, socket, struct, sys, time  # fmt: skip

(HANDSHAKE, COMPLETED, COMMUNICATION, HELLO, CREDIT, END, RESET, PING, PONG, GOAWAY, YIELD,
 BYE) = range(1, 13)  # fmt: skip
MAX_FRAME, WINDOW, DEAD = 16384, 32768, 45  # the last one in seconds
TEXT, BINARY, WS_CLOSE = 1, 2, 8  # opcodes of frames


def prove(secret, sid, epoch, conn=0):
    """Shows that we know the session's secret, without telling it."""
    text = b"wstunnel resume 1\0" + bytes.fromhex(sid) + struct.pack(">QI", epoch, conn)
    return hmac.digest(bytes.fromhex(secret), text, "sha256").hex()


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
        self.credit, self.news = credit, asyncio.Event()  # we may send up to this offset
        self.kept, self.end, self.sent = b"", 0, 0  # bytes not confirmed; their end; offset said
        self.arrived = self.taken = 0  # offsets of the server's bytes: here; at the destination
        self.is_open = self.ended = self.is_confirmed = self.peer_has_ended = False
        self.is_mentioned = True  # by the server, on this connection: until then we send nothing
        self.inbox = asyncio.Queue()  # data for the destination; empty: its end

    async def run(self, destination):
        host, _, port = destination.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError as error:
            codes = {ConnectionRefusedError: -32001, socket.gaierror: -32003, TimeoutError: -32005}
            return self.say(COMPLETED, error={"code": codes.get(type(error), -32002)})
        self.is_open = True
        self.say(COMPLETED)
        self.confirm()
        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self.to_server(reader))
                directions.create_task(self.to_destination(writer))
            writer.close()
        except* OSError:
            self.say(RESET, error={"code": -32009})
        finally:  # unless all is well, also if the server has reset the stream: a reset
            if not writer.is_closing():
                linger, sock = struct.pack("ii", 1, 0), writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()

    def confirm(self):
        """Early data are confirmed only with the answer."""
        if self.is_open and self.arrived > 0:
            self.say(CREDIT, received=self.arrived, credit=self.taken + WINDOW)

    async def to_server(self, reader):
        while not self.is_confirmed:
            if self.ended or self.credit == self.end:
                self.news.clear()
                await self.news.wait()
            else:
                data = await reader.read(min(MAX_FRAME, self.credit - self.end))
                self.kept, self.end, self.ended = self.kept + data, self.end + len(data), not data
                self.go_on()

    def go_on(self):
        while self.is_mentioned and self.sent < self.end:
            data = self.kept[self.sent - self.end :][:MAX_FRAME]
            self.say(COMMUNICATION, data=base64.b64encode(data).decode())
            self.sent += len(data)
        if self.is_mentioned and self.ended and self.sent == self.end:
            self.say(END, offset=self.end)
            self.sent += 1  # an end is numbered like a byte

    def hear_credit(self, received, credit):
        if not self.is_mentioned:
            self.is_mentioned, self.sent = True, received
        self.credit, self.is_confirmed = credit, received > self.end
        self.kept = self.kept[received - self.end :] if received < self.end else b""
        self.news.set()
        self.go_on()

    async def to_destination(self, writer):
        while data := await self.inbox.get():
            writer.write(data)
            await writer.drain()  # no more credit before the destination has taken what there is
            self.taken += len(data)
            self.say(CREDIT, received=self.arrived, credit=self.taken + WINDOW)
        writer.write_eof()


class Session:
    """Its streams outlive a connection that is lost, for as long as the server keeps them."""

    def __init__(self):
        self.instance, self.epoch, self.hello = secrets.token_hex(16), 0, {}  # the server's hello
        self.streams, self.highest, self.writer = {}, 0, None  # no writer: not attached

    def say(self, method, **members):
        if self.writer is not None:  # else the account of the next connection tells
            self.writer.write(frame(TEXT, json.dumps({"method": method} | members).encode()))

    async def run(self, address):
        kept_until = 0
        while True:
            try:
                await self.connect(address)
            except (OSError, EOFError) as error:
                print("lost:", error, flush=True)
            if self.writer is not None:
                kept_until = time.monotonic() + self.hello.get("grace", 0) / 1000
            self.writer = None
            for stream in self.streams.values():
                stream.is_mentioned = False
                if time.monotonic() >= kept_until:
                    stream.task.cancel()
            await asyncio.sleep(0.2)

    async def connect(self, address):
        self.epoch += 1
        field = "Wstunnel-Session: new"
        if sid := self.hello.get("session"):
            proof = prove(self.hello["secret"], sid, self.epoch)
            field = f"Wstunnel-Session: resume {sid} {self.epoch} {proof}"
        reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
        with contextlib.closing(writer):
            writer.write(upgrade_request(address, "wstunnel.v1.json", fields=field + "\r\n"))
            answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            if " 101 " not in answer.partition("\r\n")[0]:
                raise ConnectionError(answer)
            hello = {"method": HELLO, "version": 1, "features": ["resume", "early"],
                     "max_frame": MAX_FRAME, "initial_credit": WINDOW, "max_streams": 1000,
                     "name": "python", "instance": self.instance, "epoch": self.epoch}  # fmt: skip
            writer.write(frame(TEXT, json.dumps(hello).encode()))
            while True:
                opcode, payload = await asyncio.wait_for(read_frame(reader), DEAD)
                if opcode == WS_CLOSE:
                    raise ConnectionError("closed")
                self.hear(writer, **json.loads(payload))  # nothing else comes: pings are messages

    def hear(self, writer, method, id=None, **members):
        streams, stream = self.streams, self.streams.get(id)
        if method == HELLO:
            self.hello, self.writer = members, writer
            if not members.get("resumed"):
                for stream in streams.values():
                    stream.task.cancel()
                self.streams, self.highest = {}, 0
            for stream in [s for s in self.streams.values() if s.is_open or s.arrived > 0]:
                if stream.is_open:
                    stream.say(COMPLETED)
                stream.say(CREDIT, received=stream.arrived, credit=stream.taken + WINDOW)
            self.say(PING, seq=1)  # which ends the account
        elif method == PING:
            self.say(PONG, **members)
            for stream in [s for s in streams.values() if not s.is_mentioned]:
                has_finished = stream.sent > stream.end and stream.peer_has_ended
                stream.hear_credit(stream.end + 1, 0) if has_finished else stream.task.cancel()
        elif method == BYE:
            sys.exit()
        elif method == HANDSHAKE and id > self.highest:
            self.highest, streams[id] = id, Stream(self.say, id, self.hello["initial_credit"])
            task = streams[id].task = asyncio.create_task(streams[id].run(members["dest"]))
            task.add_done_callback(lambda _: streams.pop(id))
        elif stream is None:  # late
            if method == HANDSHAKE:
                self.say(COMPLETED, id=id, error={"code": -32012})
        elif method == HANDSHAKE:  # once more: the answer was lost
            stream.hear_credit(0, stream.credit)
        elif method in (COMMUNICATION, END):
            data = base64.b64decode(members.get("data", ""))
            stream.arrived, stream.peer_has_ended = stream.arrived + (len(data) or 1), not data
            stream.inbox.put_nowait(data)
            if not stream.is_open:
                print("early data:", len(data), flush=True)
            stream.confirm()
        elif method == CREDIT:
            stream.hear_credit(**members)
        elif method == RESET:
            stream.task.cancel()


if __name__ == "__main__":
    asyncio.run(Session().run(sys.argv[1]))
