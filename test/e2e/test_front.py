# SPDX-License-Identifier: MIT
"""
A server behind nginx and behind HAProxy, which end TLS: the very configurations of examples/deploy,
with other addresses, certificate and timeouts. An idle session must outlive their idle timeouts:
both are scaled down here, the timeouts from 60 s to 3 s and the pings of the agent from 15 s to
0.3 s; an agent that does not ping shows that the timeouts are in force.
"""
import json
import os
import subprocess
from pathlib import Path

import pytest

from proxies import Proxy, agent, need

UP = "agent .* up from"
DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"


def changed(name, changes):
    """The text of a configuration, each change found in it and made everywhere."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, str(new))
    return text


NGINX = """
daemon off;
worker_processes 1;
{user}
pid {directory}/pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/wstunnel.conf;
}}
"""


class Nginx(Proxy):
    def __init__(self, server, authority):
        super().__init__(4443)
        identity = authority.issue("front", names=f"IP:{self.host}")
        self.write(
            "wstunnel.conf",
            changed(
                "nginx.conf",
                {
                    "listen 443 ssl": f"listen {self.address} ssl",
                    "/etc/letsencrypt/live/tunnel.example/fullchain.pem": identity.certificate,
                    "/etc/letsencrypt/live/tunnel.example/privkey.pem": identity.key,
                    "http://127.0.0.1:8080;": f"http://{server.address};",
                    "timeout 60s": "timeout 3s",
                },
            ),
        )
        user = "user root;" if os.geteuid() == 0 else ""
        main = self.write("main.conf", NGINX.format(directory=self.directory, user=user))
        self.start([need("nginx"), "-p", self.directory, "-e", "stderr", "-c", main])


class Haproxy(Proxy):
    def __init__(self, server, authority):
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
                    "bind :443 ssl": f"bind {self.address} ssl",
                    "/etc/haproxy/tunnel.example.pem": pem,
                    "server wstunnel 127.0.0.1:8080": f"server wstunnel {server.address}",
                    "timeout client 60s": "timeout client 3s",
                    "timeout server 60s": "timeout server 3s",
                    "timeout tunnel 24h": "timeout tunnel 3s",
                },
            ),
        )
        self.start([need("haproxy"), "-db", "-f", config])


@pytest.fixture
def front(world, start, authority, request):
    """A server, and what stands before it."""
    server = world.server()
    proxy = start(request.param, server, authority)
    proxy.certificate = authority.certificate
    return server, proxy


def connect(world, tmp_path, proxy, name, ping_interval_ms):
    """An agent that comes by the front. Its own idea of a dead server is far away."""
    config = tmp_path / f"{name}.json"
    limits = {"ping_interval_ms": ping_interval_ms, "dead_after_ms": 600000, "backoff_max_ms": 500}
    config.write_text(json.dumps({"limits": limits}))
    return agent(world, f"wss://{proxy.address}", "--name", name, "--config", config,
                 "--ca", proxy.certificate)  # fmt: skip


@pytest.mark.parametrize("front", [Nginx, Haproxy], indirect=True)
def test_idle_sessions_live(world, tmp_path, echo_site, front):
    server, proxy = front
    pinging = connect(world, tmp_path, proxy, "pinging", 300)
    server.wait_for("agent pinging .* up from")
    client = world.client(server).open(echo_site.address, more=b"begin")
    assert client.read_exactly(5) == b"begin"
    silent = connect(world, tmp_path, proxy, "silent", 600000)
    silent.wait_for("next attempt in", 2)
    server.wait_for("agent silent .* up from", 2)
    assert "next attempt in" not in pinging.output
    client.send(b"end")
    assert client.read_exactly(3) == b"end"


def curl(proxy, *arguments):
    """What curl prints: the body, then the status."""
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--noproxy", "", "--cacert", proxy.certificate,
         "--proxy-cacert", proxy.certificate, "--write-out", "%{http_code}", *arguments],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("front", [Nginx, Haproxy], indirect=True)
def test_tls_ends_there(world, tmp_path, front):
    server, proxy = front
    agent(world, f"wss://{proxy.address}").wait_for("issuer not trusted")
    assert curl(proxy, f"https://{proxy.address}/readyz").endswith("503")
    connect(world, tmp_path, proxy, "one", 500)
    server.wait_for(UP)
    assert curl(proxy, f"https://{proxy.address}/readyz").endswith("200")


@pytest.mark.parametrize("front", [Haproxy], indirect=True)
@pytest.mark.parametrize("options", [(), ("--proxytunnel",)])
def test_clients_pass_haproxy(world, tmp_path, nginx, front, options):
    """By CONNECT and by absolute form, with TLS to the proxy."""
    server, proxy = front
    connect(world, tmp_path, proxy, "one", 500)
    server.wait_for(UP)
    (nginx.root / "front").write_text("through HAProxy\n")
    got = curl(proxy, "--proxy", f"https://{proxy.address}", *options, f"{nginx.http}/front")
    assert got == "through HAProxy\n200"


@pytest.mark.parametrize("front", [Nginx], indirect=True)
def test_clients_do_not_pass_nginx(front):
    """So its file says."""
    server, proxy = front
    with pytest.raises(subprocess.CalledProcessError):
        curl(proxy, "--proxy", f"https://{proxy.address}", "--proxytunnel", "http://127.0.0.1:9/")
    assert "CONNECT" not in server.output
