# SPDX-License-Identifier: MIT
"""A private web site: nginx with a configuration of its own, as whoever runs the tests."""
import os
import shutil
import socket
import subprocess

import pytest

from processes import Process

CONFIG = """
daemon off;
worker_processes 1;
{user}
pid {dir}/pid;
error_log stderr;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        sendfile on;
        root {dir}/root;
    }}
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
        config = directory / "nginx.conf"
        config.write_text(
            CONFIG.format(
                dir=directory,
                http=http,
                https=https,
                key=certificate[0],
                certificate=certificate[1],
                user="user root;" if os.geteuid() == 0 else "",  # it would become nobody
            )
        )
        numbers = [listener.fileno() for listener in listeners]
        self.process = Process(
            [_need("nginx"), "-p", directory, "-e", "stderr", "-c", config],
            env=os.environ | {"NGINX": "".join(f"{n};" for n in numbers)},
            pass_fds=numbers,
        )
        for listener in listeners:
            listener.close()
        self.http, self.https = f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}"
        self.address = f"127.0.0.1:{http}"

    def close(self):
        self.process.stop()
