# SPDX-License-Identifier: MIT
"""What may stand between clients and a server: HAProxy in both of its modes, and nginx, which relays
TCP. Each is one process, with an address for every listener of the server."""
from proxies import Proxy, need, nginx_command

LISTENERS = ("TCP", "TLS", "Unix")

HAPROXY = """
global
    stats timeout 1s
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
"""

FIRST_PORT = 4000


class Front(Proxy):
    """`addresses`: where clients find each listener of the server; `upstream`: where it is."""

    def __init__(self, host, upstream):
        super().__init__(FIRST_PORT, host)
        ports = dict(zip(LISTENERS, range(FIRST_PORT, FIRST_PORT + len(LISTENERS))))
        self.upstream = upstream
        self.addresses = {name: f"{self.host}:{port}" for name, port in ports.items()}


class HaproxyTcp(Front):
    """Passes TLS on as it is."""

    mode = "tcp"

    def __init__(self, host, upstream, ca, identity):
        super().__init__(host, upstream)
        self.ca = ca
        self.pem = self.write(
            "front.pem", identity.certificate.read_text() + identity.key.read_text()
        )
        text = HAPROXY + "".join(map(self.section, LISTENERS))
        self.start([need("haproxy"), "-db", "-f", self.write("haproxy.cfg", text)])

    def section(self, listener):
        bind, server = self.ends(listener, self.upstream[listener].replace("unix:", "unix@"))
        return (f"listen {listener}\n    mode {self.mode}\n    bind {bind}\n"
                f"    server wstunnel {server}\n")  # fmt: skip

    def ends(self, listener, server):
        return self.addresses[listener], server


class HaproxyHttp(HaproxyTcp):
    """Ends TLS, and speaks TLS to a listener that wants it."""

    mode = "http"

    def ends(self, listener, server):
        bind = self.addresses[listener]
        if listener != "TLS":
            return bind, server
        return (f"{bind} ssl crt {self.pem} alpn http/1.1",
                f"{server} ssl verify required verifyhost localhost ca-file {self.ca}")  # fmt: skip


class NginxStream(Front):
    """Passes TLS on as it is."""

    def __init__(self, host, upstream, _ca, _identity):
        super().__init__(host, upstream)
        servers = "\n".join(
            f"    server {{ listen {address}; proxy_pass {upstream[listener]}; }}"
            for listener, address in self.addresses.items()
        )
        self.start(nginx_command(need("nginx"), self.directory, stream=servers))
