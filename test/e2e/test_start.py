# SPDX-License-Identifier: MIT
"""What the programs say at the start: who must authenticate, the pin, what to type next, and what to
do about an attempt that fails."""
import os
import re
import subprocess

import pytest

from processes import PASSWORD, PATIENCE, TOKEN, program


@pytest.mark.parametrize("users", [False, True])
@pytest.mark.parametrize("agents", [False, True])
def test_authentication_is_told(world, tmp_path, users, agents):
    (tmp_path / "users").write_text(f"alice:{PASSWORD}\n")
    (tmp_path / "token").write_text(TOKEN)
    options = ["--user-file", tmp_path / "users"] if users else []
    options += ["--agent-token-file", tmp_path / "token"] if agents else []
    server = world.server(*options)
    state = {True: "on", False: "off"}
    server.wait_for(f"info +authentication of clients: {state[users]}; of agents: {state[agents]}$")


@pytest.mark.parametrize("agents", [False, True])
def test_authentication_by_certificate_is_told(world, tmp_path, authority, identity, agents):
    (tmp_path / "token").write_text(TOKEN)
    options = ["--agent-token-file", tmp_path / "token"] if agents else []
    server = world.server("--cert", identity.certificate, "--key", identity.key,
                          "--client-ca", authority.certificate, *options)  # fmt: skip
    of_agents = "on, and by certificate" if agents else "by certificate"
    server.wait_for(f"authentication of clients: by certificate; of agents: {of_agents}$")


def at_terminal(*options):
    """What the server prints at a terminal until it listens, and that it is orderly."""
    ours, theirs = os.openpty()
    process = subprocess.Popen([program("wstunnel-server"), *options], stdin=subprocess.DEVNULL,
                               stdout=theirs, stderr=theirs)  # fmt: skip
    os.close(theirs)
    text = ""
    while "authentication" not in text:
        text += os.read(ours, 65536).decode()
    process.terminate()
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # the terminal is closed
            break
        text += more.decode()
    os.close(ours)
    assert process.wait(PATIENCE) == 0, text
    return text


def next_of(text):
    return re.findall(r"inside the private network, type next: (.*)\r\n", text)


def test_next_command_at_a_terminal(world, authority, tmp_path):
    """It is one that works: but for the port, this one has begun."""
    own = authority.issue("x", names="DNS:localhost", self_signed=True)
    (tmp_path / "agent.token").write_text(TOKEN)
    options = ["--cert", own.certificate, "--key", own.key,
               "--agent-token-file", tmp_path / "agent.token"]  # fmt: skip
    [command] = next_of(at_terminal("--listen", "127.0.0.1:0", *options))
    server = world.server(*options)
    assert not next_of("\r\n".join(server.lines))
    words = re.sub(r":\d+$", f":{server.port}", command).split()
    assert words[0] == "wstunnel-agent" and words[-1] == server.secure_url
    world.run([program(words[0]), *words[1:]], cwd=tmp_path)
    server.wait_for("agent .* up from")


@pytest.mark.parametrize(
    "options", [["--listen", "127.0.0.1:0", "--log-format", "json"], ["--listen", "127.0.0.1:0,connect"]]
)
def test_no_next_command(options):
    """A log for programs has none, nor an address that no agent can use."""
    text = at_terminal(*options)
    assert "listening" in text and "type next" not in text


def test_404_asks_about_the_path(world):
    server = world.server("--path", "/agents")
    agent = world.agent(server.url)
    agent.wait_for("404: is the path of the URL .* the one of the server's --path\\?$")
    agent.wait_for("404 Not Found", 2)
    assert len([line for line in agent.lines if "--path" in line]) == 1
    world.agent(f"{server.url}/agents")
    server.wait_for("agent .* up from")
