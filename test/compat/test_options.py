# SPDX-License-Identifier: MIT
"""Command lines for 0.1.0: programs of both versions take every option that its --help names."""
import re
import subprocess

import pytest

from authority import pin_of
from configuration import OK, basic, phrase
from mixed import HASTY, UP, limits_file
from processes import PASSWORD, TOKEN, USER
from secure import SecureClient, client_context


@pytest.fixture
def named_by(release):
    """A function that returns the options in the --help of a program of 0.1.0."""

    def options(name):
        command = [release / "examples" / name, "--help"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return set(re.findall(r"--[a-z-]+", text)) - {"--help", "--version"}

    return options


@pytest.fixture
def files(tmp_path):
    texts = {"token": TOKEN, "users": f"{USER}:{PASSWORD}"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text + "\n")
    return tmp_path


def line(options):
    """The words of a command line. A flag has the value True, a repeated option a list."""
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        for each in values:
            words += [name] if each is True else [name, each]
    return words


def test_all_together(world, named_by, files, authority, identity, echo_site):
    """With all options at once a tunnel works."""
    shown = authority.issue("somebody.test", names=None)
    of_server = {
        "--config": limits_file(files / "server.json", max_pending=10)[1],
        "--listen": "127.0.0.1:0,connect,agents,health,tls",
        "--cert": identity.certificate, "--key": identity.key,
        "--client-ca": authority.certificate, "--client-cert": "required",
        "--path": "/tunnels", "--protocol": "wstunnel",
        "--agent-token-file": files / "token", "--user-file": files / "users",
        "--insecure-open": True, "--log-level": "debug", "--log-format": "text",
    }  # fmt: skip
    outer = world.proxy(authority, identity, files)
    of_agent = {
        "--config": limits_file(files / "agent.json", **HASTY)[1], "--name": "berlin",
        "--token-file": files / "token", "--ca": authority.certificate,
        "--pin": [pin_of(identity.certificate), pin_of(shown.certificate)],
        "--cert": shown.certificate, "--key": shown.key,
        "--sni": "front.test", "--insecure": True, "--host": "back.test:1",
        "--header": ["X-One: 1", "X-Two: 2"],
        "--proxy": outer.secure_proxy, "--proxy-user-file": files / "outer",
        "--proxy-ca": authority.certificate, "--encoding": "json", "--protocol": "wstunnel",
        "--spare-connections": "1", "--exit-on-refusal": True,
        "--log-level": "debug", "--log-format": "text",
    }  # fmt: skip
    assert set(of_server) == named_by("wstunnel-server")
    assert set(of_agent) == named_by("wstunnel-agent")
    server = world.server(*line(of_server), listen=None)
    world.agent(f"{server.secure_url}/tunnels", *line(of_agent))
    server.wait_for("agent berlin .* up from")
    outer.wait_for(f"tunnel 1 open: outer at .* to localhost:{server.port}")

    client = SecureClient(server.address, client_context(authority, shown))
    world.clients.append(client)
    request = f"CONNECT {echo_site.address} HTTP/1.1\r\n"
    assert client.ask(f"{request}\r\n".encode()).status == 407
    client.send(f"{request}{basic(USER, PASSWORD)}\r\nping".encode())
    assert phrase(client.read_answer()) == OK
    assert client.read_exactly(4) == b"ping"


def test_environment(world, files, authority, identity, monkeypatch):
    """Secrets in the environment instead of in files."""
    outer = world.proxy(authority, identity, files)
    monkeypatch.setenv("WSTUNNEL_AGENT_TOKEN", TOKEN)
    server = world.server()
    monkeypatch.delenv("WSTUNNEL_AGENT_TOKEN")
    monkeypatch.setenv("WSTUNNEL_TOKEN", TOKEN)
    monkeypatch.setenv("WSTUNNEL_PROXY_USER", "outer:outer's")
    world.agent(server.url, "--proxy", outer.secure_proxy, "--proxy-ca", authority.certificate)
    server.wait_for(UP)
