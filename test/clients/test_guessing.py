# SPDX-License-Identifier: MIT
"""Somebody on the network tries passwords, or tokens; everybody else is served on."""
import json

import pytest

from conftest import Proxy
from intranet import HTTP, need
from processes import PASSWORD, TOKEN, USER

ALLOWED = 20  # failures at once, of a user from one address, or of agents from there
RIGHT = f"{USER}:{PASSWORD}"


@pytest.fixture
def guessed_proxy(world, network, intranet, tmp_path):
    """A proxy that forgets slowly: the test may take its time."""
    (tmp_path / "server.json").write_text(json.dumps({"limits": {"failure_window_ms": 7200000}}))
    return Proxy(world, network, 3132, tmp_path, more=["--config", tmp_path / "server.json"])


def status(space, proxy, login):
    """What a CONNECT is answered."""
    return space.run(
        need("curl"), "-s", "--proxy", f"http://{login}@{proxy.address}", "-p", "-o", "/dev/null",
        "-w", "%{http_connect}", f"{HTTP}/", status=None,
    ).stdout.decode()  # fmt: skip


def upgrade_status(space, proxy, token):
    return space.run(
        need("curl"), "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}",
        "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
        "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "-H", "Sec-WebSocket-Protocol: wstunnel.v1.bin",
        "-H", f"Authorization: Bearer {token}", f"http://{proxy.address}/websocket", status=None,
    ).stdout.decode()  # fmt: skip


@pytest.mark.parametrize("guess", ["passwords", "tokens"])
def test_guessing(network, guessed_proxy, guess):
    """From then on none of that kind is taken from that address, right or wrong, while clients and
    agents do not hinder each other; others are served."""
    for i in range(ALLOWED):
        if guess == "passwords":
            assert status(network.outside, guessed_proxy, f"{USER}:{i}") == "407"
        else:
            assert upgrade_status(network.outside, guessed_proxy, f"{i}") == "401"
    passwords = guess == "passwords"
    assert status(network.outside, guessed_proxy, RIGHT) == ("429" if passwords else "200")
    token = upgrade_status(network.outside, guessed_proxy, TOKEN)
    assert token == ("101" if passwords else "429")
    assert status(network.inside, guessed_proxy, RIGHT) == "200"
    guessed_proxy.server.wait_for("too many failed attempts to authenticate")
    assert " down: " not in guessed_proxy.server.output
