# SPDX-License-Identifier: MIT
"""
nginx and HAProxy between agents and their server are reloaded, or killed and started anew: they cut
all WebSockets, a second after a reload here, and tunnels go on.

./test/run.sh and --ci run all.
"""
import json

import pytest

from checked import Traffic
from deployed import Haproxy, Nginx
from processes import PASSWORD, TOKEN, USER, USER_BASIC, OPEN
from proxies import agent

FRONTS = {
    "nginx": (Nginx, "worker_shutdown_timeout 1s;"),
    "HAProxy": (Haproxy, "global\n    hard-stop-after 1s\n"),
}
RELOADS = 3
RESUMED = r"agent one \(\w+\) resumed after [\d.]+ s from 127.0.0.1"


@pytest.fixture(params=FRONTS)
def scene(world, start, authority, request, tmp_path):
    """A server, what stands before it, and tunnels through an agent that comes that way."""
    kind, more = FRONTS[request.param]
    users, token, config = (tmp_path / name for name in ("users", "token", "agent.json"))
    users.write_text(f"{USER}:{PASSWORD}\n")
    token.write_text(TOKEN)
    config.write_text(json.dumps({"limits": {"ping_interval_ms": 500, "backoff_max_ms": 200}}))
    server = world.server("--agent-token-file", token, "--user-file", users, "--trust", "127.0.0.1")
    front = start(kind, server, authority, more)
    one = agent(world, f"wss://{front.address}", "--name", "one", "--config", config, "--ca",
                authority.certificate, "--token-file", token, *OPEN)  # fmt: skip
    server.wait_for("agent one .* up from")
    traffic = world.site(Traffic(server.address, fields=f"Proxy-Authorization: Basic {USER_BASIC}\r\n"))
    return server, front, one, traffic


def test_reload(scene):
    server, front, one, traffic = scene
    for n in range(1, RELOADS + 1):
        front.reload()
        server.wait_for(RESUMED, n)
        if n == 1:
            traffic.break_off()
        traffic.wait_advance()
    traffic.finish()
    assert " down" not in server.output


def test_killed_and_started_anew(scene):
    """While it is away the agent finds nobody."""
    server, front, one, traffic = scene
    front.stop()
    one.wait_for("lost .*; (next attempt in|another one)")
    one.wait_for("connection refused.*next attempt in", 2)
    traffic.break_off()
    front.start_again()
    server.wait_for(RESUMED)
    traffic.wait_advance()
    traffic.finish()
    assert " down" not in server.output
