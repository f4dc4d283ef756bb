# SPDX-License-Identifier: MIT
"""Whole files by curl: what went through, as SHA-256, and a site to upload to."""
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from payload import hash_of


class HashingHandler(BaseHTTPRequestHandler):
    """Takes uploads and answers with their SHA-256."""

    rbufsize = 1 << 18

    def do_PUT(self):
        left = int(self.headers["Content-Length"])

        def read(view):
            nonlocal left
            n = self.rfile.readinto(view[: min(left, len(view))])
            left -= n
            return n

        digest, _ = hash_of(read)
        self.send_response(200)
        self.send_header("Content-Length", str(len(digest)))
        self.end_headers()
        self.wfile.write(digest.encode())

    def log_message(self, *_):
        pass


class UploadSite:
    """An HTTPS site that takes uploads."""

    def __init__(self, certificate):
        key, chain = certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), HashingHandler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def download(command):
    """SHA-256 of what the command prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        digest, _ = hash_of(process.stdout.readinto)
    assert process.returncode == 0
    return digest


def upload(command):
    """What the site says: SHA-256 of what has arrived."""
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
