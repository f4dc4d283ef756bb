# SPDX-License-Identifier: MIT
"""
nginx and HAProxy with the very configurations of examples/deploy, but for addresses, certificates and
the timeouts of idle connections, which are 3 s.
"""
import signal
from pathlib import Path

from proxies import Proxy, need, nginx_command

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"


def changed(name, changes):
    """The text of a configuration, each change found in it and made everywhere."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, str(new))
    return text


class Nginx(Proxy):
    """`more`: directives of its main context."""

    def __init__(self, server, authority, more=""):
        super().__init__(4443)
        identity = authority.issue("front", names=f"IP:{self.host}")
        http = changed(
            "nginx.conf",
            {
                "listen 443 ssl": f"listen {self.address} ssl",
                "/etc/letsencrypt/live/tunnel.example/fullchain.pem": identity.certificate,
                "/etc/letsencrypt/live/tunnel.example/privkey.pem": identity.key,
                "http://127.0.0.1:8080;": f"http://{server.address};",
                "timeout 60s": "timeout 3s",
            },
        )
        self.start(nginx_command(need("nginx"), self.directory, http=http, main=more))

    def reload(self):
        self.process.signal(signal.SIGHUP)


class Haproxy(Proxy):
    """`more`: a section before the others."""

    def __init__(self, server, authority, more=""):
        super().__init__(4443)
        identity = authority.issue("front", names=f"IP:{self.host}")
        pem = self.write(
            "identity.pem", identity.certificate.read_text() + identity.key.read_text()
        )
        config = self.write(
            "haproxy.cfg",
            changed(
                "haproxy.cfg",
                {
                    "defaults\n": f"{more}\ndefaults\n",
                    "bind :443 ssl": f"bind {self.address} ssl",
                    "/etc/haproxy/tunnel.example.pem": pem,
                    "server wstunnel 127.0.0.1:8080": f"server wstunnel {server.address}",
                    "timeout client 60s": "timeout client 3s",
                    "timeout server 60s": "timeout server 3s",
                    "timeout tunnel 24h": "timeout tunnel 3s",
                },
            ),
        )
        self.start([need("haproxy"), "-W", "-db", "-f", config])

    def reload(self):
        self.process.signal(signal.SIGUSR2)
