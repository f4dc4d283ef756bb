# SPDX-License-Identifier: MIT
"""Peers at the level of frames, in either role, that do only what they are told; and honest ones,
to see whether they are served all the while."""
import base64
import hashlib
import json
import secrets
import socket
import struct
import threading
from typing import NamedTuple

from arena import SLACK, Baseline, check_memory, memory
from client import Answer, Client
from processes import PATIENCE, wait_until
from pyagent import HELLO, PING, PONG, WS_CLOSE, upgrade_request

PROTOCOLS = {"json": "wstunnel.v1.json", "binary": "wstunnel.v1.bin"}
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Frame(NamedTuple):
    """A frame as it is wanted, right or not."""

    first: int  # its first byte
    payload: bytes = b""
    masked: bool | None = None  # None: as is due
    length: int | None = None  # what it says of itself; None: that of the payload
    form: int | None = None  # in 7, 16 or 64 bits; None: the shortest

    def bytes(self, is_client, wrong_mask=False):
        n = len(self.payload) if self.length is None else self.length
        form = self.form or (7 if n < 126 else 16 if n < 65536 else 64)
        masked = is_client != wrong_mask if self.masked is None else self.masked
        bit = 0x80 if masked else 0
        head = bytes([self.first]) + (
            bytes([bit | n]) if form == 7
            else struct.pack(">BH", bit | 126, n) if form == 16
            else struct.pack(">BQ", bit | 127, n))  # fmt: skip
        key = secrets.token_bytes(4) if masked else b""
        return head + key + xor(self.payload, key)


def xor(data, key):
    if not key:
        return data
    mask = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(data), "big")


def text(message):
    """A message as JSON, or a text that is to pass for one."""
    if isinstance(message, dict):
        message = json.dumps(message)
    return Frame(0x81, message if isinstance(message, bytes) else message.encode())


def binary(payload):
    return Frame(0x82, payload)


def hello(**members):
    message = {"method": HELLO, "version": 1, "max_frame": 16384, "initial_credit": 32768,
               "max_streams": 0}  # fmt: skip
    return text(message | members)


def as_agent(**members):
    """An agent's. It is asked for nothing unless it says otherwise."""
    return hello(**{"name": "liar", "instance": secrets.token_hex(16)} | members)


class Peer:
    """One end of an open WebSocket."""

    def __init__(self, client, is_client):
        self.client, self.is_client = client, is_client

    def put(self, *frames):
        self.client.send(b"".join(frame.bytes(self.is_client) for frame in frames))

    def say(self, method, **members):
        self.put(text({"method": method} | members))

    def receive(self):
        """The next frame: opcode and payload."""
        first, second = self.client.read_exactly(2)
        n = second & 0x7F
        if n == 126:
            (n,) = struct.unpack(">H", self.client.read_exactly(2))
        elif n == 127:
            (n,) = struct.unpack(">Q", self.client.read_exactly(8))
        assert bool(second & 0x80) != self.is_client
        key = self.client.read_exactly(4) if second & 0x80 else b""
        return first & 15, xor(self.client.read_exactly(n), key)

    def hear(self):
        """The next message in JSON; pings are answered."""
        while True:
            opcode, payload = self.receive()
            assert opcode == 1, (opcode, payload)
            message = json.loads(payload)
            if message["method"] != PING:
                return message
            self.say(PONG, seq=message["seq"])

    def sync(self):
        """Returns when the other side has taken in all that was said, and nothing was an error."""
        self.say(PING, seq=77)
        while (message := self.hear())["method"] != PONG or message["seq"] != 77:
            pass

    def closed(self):
        """The code and reason of the close frame, behind whatever else comes; it is answered, and
        the connection ends in order."""
        opcode = None
        while opcode != WS_CLOSE:
            opcode, payload = self.receive()
        return self._end(payload)

    def _end(self, payload):
        self.put(Frame(0x88, payload))
        self.client.end()
        assert self.client.read_to_end() == b""
        self.client.close()
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()


    def flood(self, data):
        """Sends it over and over until it is told to stop. What it was told."""
        told = threading.Event()

        def send():
            try:
                while not told.is_set():
                    self.client.send(data)
            except ConnectionError:
                pass

        sending = threading.Thread(target=send)
        sending.start()
        opcode = None
        while opcode != WS_CLOSE:
            opcode, payload = self.receive()
        told.set()
        sending.join()
        return self._end(payload)


def dial(server, encoding="json"):
    """An agent's connection to a server, open, before hello."""
    client = Client(server.address)
    client.send(upgrade_request(server.address, PROTOCOLS[encoding]))
    answer = Answer(client.read_head())
    assert answer.status == 101, answer.status_line
    return Peer(client, is_client=True)


class Listener:
    """In the place of a server: what an agent dials."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self.url = "ws://127.0.0.1:%d" % self.socket.getsockname()[1]

    def accept(self):
        """A connection of the agent, not yet upgraded, and its request. Those that it has given up
        since they had to wait here are passed over."""
        while True:
            connection, _ = self.socket.accept()
            connection.settimeout(PATIENCE)
            client = Client.__new__(Client)
            client.socket, client.buffer = connection, bytearray()
            request = client.read_head().decode()
            connection.setblocking(False)
            try:
                connection.recv(1)
            except BlockingIOError:
                connection.settimeout(PATIENCE)
                return client, request
            except ConnectionError:
                pass
            connection.close()

    @staticmethod
    def answer(request, encoding="json"):
        fields = dict(line.split(": ", 1) for line in request.split("\r\n")[1:-2])
        digest = hashlib.sha1((fields["Sec-WebSocket-Key"] + GUID).encode()).digest()
        return ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n"
                f"Sec-WebSocket-Protocol: {PROTOCOLS[encoding]}\r\n\r\n").encode()  # fmt: skip

    def open(self, encoding="json"):
        """The next connection, open, before hello."""
        client, request = self.accept()
        client.send(self.answer(request, encoding))
        return Peer(client, is_client=False)

    def close(self):
        self.socket.close()


class ServerScene:
    """A server to be attacked, with an honest agent and a client whose tunnel stays open. The agent
    pings often: then it acknowledges the last bytes of an idle stream."""

    def __init__(self, world, site, **options):
        self.world, self.site = world, site
        self.server = world.quick_server(**options)
        self.agent = world.quick_agent(self.server.url, "honest", ping=100)
        self.server.wait_for("agent honest .* up from")
        self.agent.wait_for("connected to")
        self.tunnel = world.client(self.server).open(site.address)
        self.check()
        wait_until(self._is_quiet, "nothing but these")
        self.baseline = Baseline(self.server)
        self.before = memory(self.server)

    def _is_quiet(self):
        stats = self.server.stats()
        return (stats["connections"], stats["chunks"]) == (2, 0)

    def check(self):
        """The open tunnel goes on, and a new one can be had."""
        for client in (self.tunnel, Client(self.server.address).open(self.site.address)):
            token = secrets.token_bytes(16)
            client.send(token)
            assert client.read_exactly(16) == token
        client.close()

    def check_memory(self, more=0):
        check_memory(self.server, self.before, SLACK / 4 + more)

    def finish(self, more=0):
        self.check()
        self.baseline.wait()
        self.check_memory(more)


class AgentScene:
    """An agent to be attacked by its server; each time it comes back at once."""

    def __init__(self, world, site, **options):
        self.site = site
        self.listener = world.site(Listener())
        self.agent = world.quick_agent(self.listener.url, backoff_min=5, backoff_max=20, **options)
        self.check()
        self.before = memory(self.agent)

    def check(self):
        """It serves an honest server."""
        peer = self.listener.open()
        peer.put(hello())
        assert peer.hear()["method"] == HELLO
        token = base64.b64encode(secrets.token_bytes(16)).decode()
        peer.say(1, id=2, dest=self.site.address)
        assert peer.hear() == {"method": 2, "id": 2, "address": "127.0.0.1"}
        peer.say(3, id=2, data=token)
        answer = peer.hear()
        while answer["method"] == 5:
            answer = peer.hear()
        assert answer == {"method": 3, "id": 2, "data": token}
        peer.client.close()

    def check_memory(self, more=0):
        check_memory(self.agent, self.before, SLACK / 4 + more)
