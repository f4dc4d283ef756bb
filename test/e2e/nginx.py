# SPDX-License-Identifier: MIT
"""A private web site: nginx with a configuration of its own, as whoever runs the tests."""
import os
import shutil
import socket
import subprocess

import pytest

from processes import Process
from proxies import nginx_command

SERVER = """
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        sendfile on;
        root {root};
    }}
"""


def _need(name):
    # Debian has nginx in sbin, which is not in everybody's path.
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if path is None:
        pytest.fail(f"{name} is needed: install curl, nginx-light and openssl")
    return path


def make_certificate(directory):
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        [_need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return key, certificate


class Nginx:
    def __init__(self, directory, certificate):
        self.root = directory / "root"
        self.root.mkdir()
        # It cannot be asked for a free port, but it takes over listening sockets (a way that it
        # has for its own upgrades), and so nobody can take the port in between.
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(2)]
        http, https = (listener.getsockname()[1] for listener in listeners)
        server = SERVER.format(
            root=self.root, http=http, https=https, key=certificate[0], certificate=certificate[1]
        )
        numbers = [listener.fileno() for listener in listeners]
        self.process = Process(
            nginx_command(_need("nginx"), directory, http=server),
            env=os.environ | {"NGINX": "".join(f"{n};" for n in numbers)},
            pass_fds=numbers,
        )
        for listener in listeners:
            listener.close()
        self.http, self.https = f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}"
        self.address = f"127.0.0.1:{http}"

    def close(self):
        self.process.stop()
