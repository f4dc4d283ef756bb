# SPDX-License-Identifier: MIT
"""TLS, pins, certificates, tokens and passwords between two versions."""
import ssl

import pytest

from authority import pin_of
from configuration import OK, ask, phrase
from mixed import OWN, UP, WIRES
from payload import blocks
from processes import PASSWORD, TOKEN, USER
from secure import SecureClient, client_context
from sites import Site, read_exactly


@pytest.fixture
def join(world, wire, authority, identity):
    """A function that starts a server with TLS and an agent with a pin."""

    def run(server_options=(), agent_options=()):
        server = world.server_speaking(wire, "--cert", identity.certificate, "--key", identity.key,
                                       *server_options)  # fmt: skip
        agent = world.agent(server.secure_url, *WIRES[wire][1], "--ca", authority.certificate,
                            "--pin", pin_of(identity.certificate), *agent_options)  # fmt: skip
        return server, agent

    return run


@pytest.fixture
def secure_client(world, authority):
    def connect(server):
        client = SecureClient(server.address, client_context(authority))
        world.clients.append(client)
        return client

    return connect


# -- TLS ------------------------------------------------------------------------------------------


def test_tls(join, secure_client, echo_site, wire):
    server, _ = join()
    server.wait_for(UP)
    client = secure_client(server).open(echo_site.address, more=b"early ")
    client.send(b"and late")
    assert client.read_exactly(14) == b"early and late"
    if wire in OWN:
        client.end()
        assert client.read_to_end() == b""


@pytest.mark.parametrize("wire", ["binary"])
def test_much(join, secure_client, world):
    """Full TLS records, both ways."""
    data = b"".join(blocks(4 << 20))

    def serve(connection):
        assert read_exactly(connection, len(data)) == data
        connection.sendall(data)

    site = world.site(Site(serve))
    server, _ = join()
    server.wait_for(UP)
    client = secure_client(server).open(site.address, more=data)
    assert client.read_exactly(len(data)) == data


def test_agent_killed(join, secure_client, echo_site):
    """A stream that is cut off does not end by close_notify."""
    server, agent = join()
    server.wait_for(UP)
    client = secure_client(server).open(echo_site.address, more=b"x")
    client.read_exactly(1)
    agent.kill()
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        client.read_to_end()


@pytest.mark.parametrize("wire", OWN)
def test_server_killed(join, secure_client, echo_site):
    server, agent = join()
    server.wait_for(UP)
    client = secure_client(server).open(echo_site.address, more=b"x")
    client.read_exactly(1)
    server.kill()
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        client.read_to_end()
    agent.wait_for("next attempt in")


def test_pin_of_another(join, authority, identity, world, wire):
    server, _ = join()
    other = pin_of(authority.issue("other.test").certificate)
    agent = world.agent(server.secure_url, *WIRES[wire][1], "--ca", authority.certificate,
                        "--pin", other)  # fmt: skip
    agent.wait_for("public key is not pinned")


def test_certificates_of_agents(join, authority):
    shown = authority.issue("agent.test", names=None)
    server, _ = join(("--client-ca", authority.certificate, "--client-cert", "required"),
                     ("--cert", shown.certificate, "--key", shown.key))  # fmt: skip
    server.wait_for(UP)


def test_agent_without_a_certificate(join, authority):
    server, agent = join(("--client-ca", authority.certificate), ())
    agent.wait_for("next attempt in")
    server.wait_for(r"connection from \S+: TLS: ")


# -- Tokens and passwords -------------------------------------------------------------------------


@pytest.fixture
def secrets(tmp_path):
    """A directory with files for the token, a wrong token, and the users."""
    files = {"token": TOKEN, "other": "tok-of-nobody", "users": f"{USER}:{PASSWORD}"}
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def test_token(world, wire, echo_site, secrets):
    options = ("--agent-token-file", secrets / "token", "--user-file", secrets / "users")
    server, _ = world.join(wire, options, ("--token-file", secrets / "token"))
    assert phrase(ask(world, server, echo_site.address, USER, PASSWORD)) == OK
    assert ask(world, server, echo_site.address).status == 407
    assert ask(world, server, echo_site.address, USER, "wrong").status == 407


@pytest.mark.parametrize("options", [[], ["--token-file", "other"]], ids=["none", "another's"])
def test_wrong_token(world, wire, secrets, monkeypatch, options):
    monkeypatch.chdir(secrets)
    server = world.server_speaking(wire, "--agent-token-file", "token")
    agent = world.agent_speaking(wire, server, "--exit-on-refusal", *options)
    agent.wait_exit(1)
    assert "401" in agent.output
    server.wait_for("refused: 401 Unauthorized")
