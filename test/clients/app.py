# SPDX-License-Identifier: MIT
"""A private web application: takes uploads and forms, shows requests, streams, breaks off, speaks
WebSocket and git."""
import base64
import email
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from client import LINGER_RESET
from processes import PATIENCE

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
CONTINUED, TEXT, BINARY, CLOSE = 0, 1, 2, 8


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def log_message(self, *_):
        pass

    def pieces(self):
        """The request's body as it comes."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while n := int(self.rfile.readline(), 16):
                yield self.rfile.read(n)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            left = int(self.headers.get("Content-Length", 0))
            while left > 0 and (data := self.rfile.read(min(left, 1 << 18))):
                left -= len(data)
                yield data
            assert left == 0, f"{self.requestline}: the body is cut short by {left}"

    def answer(self, body, content_type="text/plain", status=200, fields=()):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self):
        path = self.path.partition("?")[0]
        if path.startswith("/git/"):
            self.git()
        elif action := getattr(self, "serve_" + path.removeprefix("/app/"), None):
            action()
        else:
            self.answer(b"no such thing\n", status=404)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = serve

    def serve_hash(self):
        """Says the SHA-256 of the body and how it came."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        self.answer(digest.hexdigest().encode())

    def serve_request(self):
        """Shows the request as it is here."""
        body = b"".join(self.pieces()).decode()
        shown = {"line": self.requestline, "fields": self.headers.items(), "body": body,
                 "peer": self.client_address[0]}  # fmt: skip
        self.answer(json.dumps(shown).encode(), "application/json")

    def serve_form(self):
        """Shows the parts of a form: their names, file names and SHA-256."""
        head = f"Content-Type: {self.headers['Content-Type']}\n\n".encode()
        message = email.message_from_bytes(head + b"".join(self.pieces()))
        assert message.is_multipart(), head
        lines = []
        for part in message.get_payload():
            name = part.get_param("name", header="Content-Disposition")
            digest = hashlib.sha256(part.get_payload(decode=True)).hexdigest()
            lines.append(f"{name} {part.get_filename('-')} {digest}")
        self.answer("\n".join(lines).encode())

    def serve_stream(self):
        """Says something, and goes on when the test says so."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"6\r\nfirst\n\r\n")
        assert self.server.gate.wait(PATIENCE)
        self.wfile.write(b"5\r\nlast\n\r\n0\r\n\r\n")

    def serve_broken(self):
        """Promises more than it sends, or nothing, and resets when the test says so."""
        self.send_response(200)
        if self.path.endswith("?length"):
            self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"first\n")
        assert self.server.gate.wait(PATIENCE)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self.close_connection = True
        self.server.resets.add(self.connection)

    def serve_hints(self):
        """An informational answer comes before the final one."""
        self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style>; rel=preload\r\n\r\n")
        self.answer(b"final\n")

    def serve_endless(self):
        """Has no length: ends with the connection."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"all of it\n")
        self.close_connection = True

    def serve_websocket(self):
        """Echoes messages."""
        key = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(key).decode())
        self.end_headers()
        self.close_connection = True
        opcode = None
        while opcode != CLOSE:
            opcode, payload = self.receive_frame()
            assert opcode in (CONTINUED, TEXT, BINARY, CLOSE), opcode
            self.send_frame(opcode, payload)

    def receive_frame(self):
        if len(head := self.rfile.read(2)) < 2:
            raise ConnectionAbortedError("ended without a close frame")
        first, second = head
        n = second & 127
        if n >= 126:
            n = int.from_bytes(self.rfile.read(2 if n == 126 else 8), "big")
        mask = self.rfile.read(4)
        payload = int.from_bytes(self.rfile.read(n), "big")
        key = int.from_bytes((mask * (n // 4 + 1))[:n], "big")
        self.final = first & 128
        return first & 15, (payload ^ key).to_bytes(n, "big")

    def send_frame(self, opcode, payload):
        n = len(payload)
        if n < 126:
            length = bytes([n])
        elif n < 65536:
            length = struct.pack(">BH", 126, n)
        else:
            length = struct.pack(">BQ", 127, n)
        self.wfile.write(bytes([self.final | opcode]) + length + payload)

    def git(self):
        """Runs git's own CGI program."""
        path, _, query = self.path.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": self.server.git_root,
            "GIT_HTTP_EXPORT_ALL": "",
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "tester",
            "HOME": self.server.git_root,
        }
        body = b"".join(self.pieces())
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            stdout=subprocess.PIPE,
            env=os.environ | variables | {"CONTENT_LENGTH": str(len(body))},
            check=True,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(v.split()[0]) for name, v in fields if name == "Status"), 200)
        kind = next(v for name, v in fields if name == "Content-Type")
        fields = [f for f in fields if f[0] not in ("Status", "Content-Type", "Content-Length")]
        self.answer(body, kind, status, fields)


class App(ThreadingHTTPServer):
    """Listens where it is told, which must be in a namespace that has been entered."""

    daemon_threads = False
    request_queue_size = 512

    def __init__(self, address, git_root):
        super().__init__(address, Handler)
        self.git_root = str(git_root)
        self.gate = threading.Event()
        self.failures = []
        self.resets = set()  # connections that end by RST
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.thread.start()

    def shutdown_request(self, request):
        if request in self.resets:
            self.resets.remove(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """What fails in a handler fails the test; that a client goes away is its right."""
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):
            self.failures.append(repr(error))

    def close(self):
        self.gate.set()
        self.shutdown()
        self.thread.join()
        self.server_close()
        assert not self.failures, "\n".join(self.failures)
