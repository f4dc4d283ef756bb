# SPDX-License-Identifier: MIT
"""The private sites, inside: nginx for http, https and HTTP/2, and behind it the application."""
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess

import pytest

from app import App
from network import SITE, SITES, SITES_IPV6
from payload import make_payload
from png import solid
from processes import Process
from proxies import nginx_command

FILE_BYTES = 4 << 20
TILES, TILE, COLUMNS = 200, 16, 20
APP = f"{SITES}:8000"  # the application itself, without nginx
HTTP, HTTPS = f"http://{SITE}", f"https://{SITE}"
CLOSED = f"{SITE}:9"  # where nobody listens
ORIGINS = {"http": HTTP, "https": HTTPS}

# Fixed ports: nobody else is in the namespace. `old` speaks HTTP/1.1 only over TLS.
CONFIG = """
    client_max_body_size 0;
    types {{ text/html html; image/png png; }}
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    map $http_upgrade $connection_field {{ default upgrade; '' ''; }}
    server {{
        {listen}
        root {dir}/root;
        location /download/ {{ alias {dir}/root/; add_header Content-Disposition attachment; }}
        location ~ ^/(app|git)/ {{
            proxy_pass http://{app};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_field;
            proxy_read_timeout 60s;
        }}
    }}
"""


def need(*names):
    """The paths of programs; without them the test cannot run and says so."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"  # not everybody has these in theirs
    found = [shutil.which(name, path=path) for name in names]
    missing = [name for name, where in zip(names, found) if where is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed (test/clients/install.sh)")
    return found[0] if len(found) == 1 else found


def make_certificate(directory):
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    names = f"DNS:{SITE},DNS:old.{SITE},DNS:six.{SITE},IP:{SITES},IP:{SITES_IPV6}"
    subprocess.run(
        [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", f"/CN={SITE}", "-addext", f"subjectAltName={names}",
         "-keyout", key, "-out", certificate],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return key, certificate


def tile_colour(i):
    """No two tiles have the same one."""
    return (i * 37 % 256, i, 255 - i)


def tiles_page():
    """Tiles of one colour each, side by side on a grid."""
    images = "".join(
        f'<img src="tiles/{i}.png" style="left: {i % COLUMNS * TILE}px;'
        f' top: {i // COLUMNS * TILE}px">\n'
        for i in range(TILES)
    )
    style = "body { margin: 0; background: white } img { position: absolute }"
    return f"<!doctype html><title>tiles</title><style>{style}</style>\n{images}"


class Intranet:
    def __init__(self, directory, inside, ipv6):
        self.root = directory / "root"
        self.git_root = directory / "repositories"
        (self.root / "tiles").mkdir(parents=True)
        self.git_root.mkdir()
        for i in range(TILES):
            (self.root / f"tiles/{i}.png").write_bytes(solid(TILE, TILE, tile_colour(i)))
        (self.root / "tiles.html").write_text(tiles_page())
        (self.root / "index.html").write_text("<!doctype html><title>index</title>")
        self.file = self.root / "file"
        self.digest = make_payload(self.file, FILE_BYTES)
        self.empty_digest = hashlib.sha256().hexdigest()
        key, self.certificate = make_certificate(directory)
        with contextlib.ExitStack() as stack:
            with inside.entered():
                host, _, port = APP.rpartition(":")
                self.app = App((host, int(port)), self.git_root)
            stack.callback(self.app.close)
            self.nginx = self._start_nginx(directory, inside, ipv6, key)
            stack.pop_all()

    def _start_nginx(self, directory, inside, ipv6, key):
        # nginx does not tell when it is ready, but it takes over sockets that listen already.
        wanted = [(SITES, 80, ""), (SITES, 443, "ssl http2"), (SITES, 8443, "ssl")]
        if ipv6:
            wanted += [(SITES_IPV6, 80, ""), (SITES_IPV6, 443, "ssl http2")]
        listeners, listen = [], ""
        with inside.entered():
            for host, port, options in wanted:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                listeners.append(socket.create_server((host, port), family=family, backlog=512))
                host = f"[{host}]" if ":" in host else host
                listen += f"listen {host}:{port} {options};\n"
        http = CONFIG.format(
            dir=directory, certificate=self.certificate, key=key, listen=listen, app=APP
        )
        numbers = [listener.fileno() for listener in listeners]
        nginx = Process(
            inside.command(*nginx_command(need("nginx"), directory, http=http)),
            env=os.environ | {"NGINX": "".join(f"{n};" for n in numbers)},
            pass_fds=numbers,
        )
        for listener in listeners:
            listener.close()
        return nginx

    def close(self):
        try:
            self.nginx.stop()
        finally:
            self.app.close()
