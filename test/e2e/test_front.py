# SPDX-License-Identifier: MIT
"""
A server behind nginx and behind HAProxy, which end TLS: the very configurations of examples/deploy,
with other addresses, certificate and timeouts. An idle session must outlive their idle timeouts:
both are scaled down here, the timeouts from 60 s to 3 s and the pings of the agent from 15 s to
0.3 s; an agent that does not ping shows that the timeouts are in force.
"""
import json
import subprocess

import pytest

from deployed import Haproxy, Nginx
from processes import PASSWORD, TOKEN, USER, USER_BASIC
from proxies import agent

UP = "agent .* up from"


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return path


@pytest.fixture
def front(world, start, authority, request, tmp_path, token_file):
    """A server, and what stands before it."""
    users = tmp_path / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    server = world.server("--agent-token-file", token_file, "--user-file", users, "--trust",
                          "127.0.0.1")  # fmt: skip
    proxy = start(request.param, server, authority)
    proxy.token_file = token_file
    proxy.certificate = authority.certificate
    return server, proxy


def connect(world, tmp_path, proxy, name, ping_interval_ms):
    """An agent that comes by the front. Its own idea of a dead server is far away, and it does not
    hide that it was cut off."""
    config = tmp_path / f"{name}.json"
    limits = {"ping_interval_ms": ping_interval_ms, "dead_after_ms": 600000, "backoff_max_ms": 500}
    config.write_text(json.dumps({"limits": limits}))
    return agent(world, f"wss://{proxy.address}", "--name", name, "--config", config,
                 "--ca", proxy.certificate, "--token-file", proxy.token_file, "--no-resume")  # fmt: skip


@pytest.mark.parametrize("front", [Nginx, Haproxy], indirect=True)
def test_idle_sessions_live(world, tmp_path, echo_site, front):
    server, proxy = front
    pinging = connect(world, tmp_path, proxy, "pinging", 300)
    server.wait_for("agent pinging .* up from")
    client = world.client(server)
    client.send(f"CONNECT {echo_site.address} HTTP/1.1\r\nHost: a\r\n"
                f"Proxy-Authorization: Basic {USER_BASIC}\r\n\r\nbegin".encode())  # fmt: skip
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
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
    through = ["--proxy", f"https://{proxy.address}", *options]
    got = curl(proxy, *through, "--proxy-user", f"{USER}:{PASSWORD}", f"{nginx.http}/front")
    assert got == "through HAProxy\n200"


@pytest.mark.parametrize("front", [Nginx], indirect=True)
def test_clients_do_not_pass_nginx(front):
    """So its file says."""
    server, proxy = front
    with pytest.raises(subprocess.CalledProcessError):
        curl(proxy, "--proxy", f"https://{proxy.address}", "--proxytunnel", "http://127.0.0.1:9/")
    assert "CONNECT" not in server.output
