# SPDX-License-Identifier: MIT
"""A WebSocket client for tests, and a scripted agent on it that does only what it is told."""
import json
import struct

from client import Answer, Client, open_socket
from pyagent import HELLO, PING, PONG, TEXT, WS_CLOSE, frame, upgrade_request


class WebSocket:
    def __init__(self, address, protocol="", path="/", fields="", connect=open_socket):
        self.client = Client(address, connect)
        self.client.send(upgrade_request(address, protocol, path, fields))
        head = self.client.read_head()
        self.answer = Answer(head)

    @property
    def is_open(self):
        return self.answer.status == 101

    def send(self, opcode, payload):
        self.client.send(frame(opcode, payload))

    def receive(self):
        """Opcode and payload of the next frame."""
        first, n = self.client.read_exactly(2)
        if n == 126:
            (n,) = struct.unpack(">H", self.client.read_exactly(2))
        elif n == 127:
            (n,) = struct.unpack(">Q", self.client.read_exactly(8))
        return first & 15, self.client.read_exactly(n)

    def receive_close(self):
        """The code and reason of the close frame, after whatever else comes."""
        opcode = None
        while opcode != WS_CLOSE:
            opcode, payload = self.receive()
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def close(self):
        self.client.close()


class ScriptedAgent(WebSocket):
    """Says hello; the rest is the test's. `session` is the value of Wstunnel-Session, of an agent
    that can resume; `hello` is the server's, unless it is known to refuse the agent's."""

    def __init__(self, server, instance="00" * 16, epoch=1, max_streams=10, name="scripted", conn=0,
                 session=None, refused=False, fields="", **connection):  # fmt: skip
        features = []
        if session is not None:
            features = ["resume"]
            fields += f"Wstunnel-Session: {session}\r\n"
        super().__init__(server.address, "wstunnel.v1.json", "/websocket", fields, **connection)
        assert self.is_open, self.answer.status_line
        self.say(HELLO, version=1, features=features, max_frame=16384, initial_credit=32768,
                 max_streams=max_streams, name=name, instance=instance, conn=conn,
                 epoch=epoch)  # fmt: skip
        if not refused:
            self.hello = self.hear()
            assert self.hello["method"] == HELLO

    def sync(self):
        """Returns when the server has taken in all that was said."""
        self.say(PING, seq=1)
        while self.hear()["method"] != PONG:
            pass

    def say(self, method, **members):
        self.send(TEXT, json.dumps({"method": method} | members).encode())

    def hear(self):
        """The next message; pings are answered."""
        while True:
            opcode, payload = self.receive()
            assert opcode == TEXT, payload
            message = json.loads(payload)
            if message["method"] != PING:
                return message
            self.say(PONG, seq=message["seq"])
