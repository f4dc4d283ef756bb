# SPDX-License-Identifier: MIT
"""Whole files through server and agent, by curl: one big, many at once, both encodings."""
import hashlib
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from payload import hash_of, make_payload
from processes import PATIENCE

MIB = 1 << 20


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


@pytest.fixture(scope="module")
def upload_site(certificate):
    """URL of an HTTPS site that takes uploads."""
    key, chain = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    site = ThreadingHTTPServer(("127.0.0.1", 0), HashingHandler)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    thread = threading.Thread(target=site.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{site.server_port}/"
    site.shutdown()
    thread.join()
    site.server_close()


@pytest.fixture
def curl(certificate):
    def command(server, *arguments):
        return ["curl", "--silent", "--show-error", "--fail", "--proxy", server.proxy,
                "--cacert", certificate[1], *arguments]  # fmt: skip

    return command


def download(command):
    """SHA-256 of what the command prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        digest, _ = hash_of(process.stdout.readinto)
    assert process.returncode == 0
    return digest


def upload(command):
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return result.stdout.decode()


def test_big_download(world, curl, nginx, big_file):
    path, digest = big_file
    server, _ = world.tunnel()
    assert download(curl(server, f"{nginx.https}/{path.name}")) == digest


def test_big_upload(world, curl, upload_site, big_file):
    path, digest = big_file
    server, _ = world.tunnel()
    assert upload(curl(server, "--upload-file", path, upload_site)) == digest


def test_json_both_ways(world, curl, nginx, upload_site, tmp_path):
    path = nginx.root / "medium"
    digest = make_payload(path, 64 * MIB)
    server, _ = world.tunnel("--encoding", "json")
    assert download(curl(server, f"{nginx.https}/{path.name}")) == digest
    assert upload(curl(server, "--upload-file", path, upload_site)) == digest
    path.unlink()


def test_http_through_a_tunnel(world, curl, nginx):
    (nginx.root / "small").write_text("hello\n")
    server, _ = world.tunnel()
    command = curl(server, "--proxytunnel", f"{nginx.http}/small")
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"hello\n"


def test_200_at_once(world, curl, nginx, tmp_path):
    """Each gets its own contents: no byte goes to another stream."""
    count, directory = 200, nginx.root / "many"
    directory.mkdir()
    digests = [make_payload(directory / str(i), 100_000 + i) for i in range(count)]
    config = tmp_path / "curl.config"
    config.write_text(
        "".join(f'url="{nginx.https}/many/{i}"\noutput="{tmp_path}/{i}"\n' for i in range(count))
    )
    server, _ = world.tunnel()
    command = curl(server, "--parallel", "--parallel-immediate", "--parallel-max", str(count),
                   "--config", config)  # fmt: skip
    subprocess.run(command, check=True, timeout=PATIENCE, stderr=subprocess.DEVNULL)
    for i in range(count):
        assert hashlib.sha256((tmp_path / str(i)).read_bytes()).hexdigest() == digests[i]


def test_a_slow_reader_holds_up_nobody(world, nginx):
    """A tunnel whose client does not read is full; another one works, and then the first too."""
    (nginx.root / "slow").write_bytes(bytes(32 * MIB))
    (nginx.root / "small").write_text("hello\n")
    request = "GET /%s HTTP/1.0\r\n\r\n"
    server, agent = world.tunnel()
    slow = world.client(server).open(nginx.address)
    slow.send((request % "slow").encode())
    slow.read_head()
    for _ in range(3):
        quick = world.client(server).open(nginx.address)
        quick.send((request % "small").encode())
        quick.read_head()
        assert quick.read_to_end() == b"hello\n"
    assert len(slow.read_to_end()) == 32 * MIB
