# SPDX-License-Identifier: MIT
"""How clients say who they are, and what becomes of those who guess; tenants; stolen tokens."""
import hashlib
import json
import re
import shutil
import signal
import socket
import subprocess

import pytest

from processes import PASSWORD, TOKEN, USER
from websocket import ScriptedAgent

HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def configured(world, tmp_path, agents=("berlin",), **members):
    """A server with this configuration, and agents by those names with TOKEN."""
    config = {"users": [{"name": USER, "password": PASSWORD}], "log_level": "debug"} | members
    path = tmp_path / "server.json"
    path.write_text(json.dumps(config))
    server = world.server("--config", path)
    (tmp_path / "token").write_text(TOKEN)
    for name in agents:
        world.agent(server.url, "--name", name, "--token-file", tmp_path / "token")
        server.wait_for(f"agent {name} .* up from")
    return server


# -- Digest ---------------------------------------------------------------------------------------


class DigestClient:
    """Digest as RFC 7616 has it, on one connection."""

    def __init__(self, client, algorithm, user=USER, password=PASSWORD):
        self.client, self.algorithm = client, algorithm
        self.user, self.password = user, password
        self.nonce, self.count = None, 0

    def hash(self, *texts):
        return HASHES[self.algorithm](":".join(texts).encode()).hexdigest()

    def credentials(self, method, uri, count):
        ha1 = self.hash(self.user, "wstunnel", self.password)
        response = self.hash(ha1, self.nonce, f"{count:08x}", "0a4f113b", "auth",
                             self.hash(method, uri))  # fmt: skip
        return (f'Proxy-Authorization: Digest username="{self.user}", realm="wstunnel", '
                f'nonce="{self.nonce}", uri="{uri}", algorithm={self.algorithm}, qop=auth, '
                f'nc={count:08x}, cnonce="0a4f113b", response="{response}"\r\n')  # fmt: skip

    def ask(self, destination, count=None):
        """Status, and whether the nonce was stale; a new one is kept for the next time."""
        if count is None:
            self.count = count = self.count + 1
        fields = self.credentials("CONNECT", destination, count) if self.nonce else ""
        self.client.send(f"CONNECT {destination} HTTP/1.1\r\n{fields}\r\n".encode())
        head = self.client.read_head().decode()
        if (length := re.search(r"Content-Length: (\d+)", head)) is not None:
            self.client.read_exactly(int(length[1]))
        challenge = re.search(f"Digest .*nonce=\"([^\"]+)\".*algorithm={self.algorithm}.*", head)
        if challenge is not None:
            self.nonce, self.count = challenge[1], 0
        return int(head.split()[1]), challenge is not None and "stale=true" in challenge[0]


@pytest.mark.parametrize("algorithm", HASHES)
def test_digest(world, tmp_path, echo_site, algorithm):
    """Asked, answered, and the tunnel carries bytes; what was heard once is of no use again."""
    server = configured(world, tmp_path)
    digest = DigestClient(world.client(server), algorithm)
    assert digest.ask(echo_site.address) == (407, False)
    heard = digest.nonce
    assert digest.ask(echo_site.address) == (200, False)
    digest.client.send(b"hello")
    assert digest.client.read_exactly(5) == b"hello"

    replay = DigestClient(world.client(server), algorithm)
    replay.nonce = heard
    assert replay.ask(echo_site.address, 1) == (407, True)  # the same bytes
    replay.nonce = heard
    assert replay.ask(echo_site.address, 2) == (200, False)  # its next count, from elsewhere


def test_digest_is_for_one_destination(world, tmp_path, echo_site):
    """Credentials that were heard do not open another tunnel."""
    server = configured(world, tmp_path)
    digest = DigestClient(world.client(server), "SHA-256")
    assert digest.ask(echo_site.address) == (407, False)
    fields = digest.credentials("CONNECT", echo_site.address, 1)
    digest.client.send(f"CONNECT elsewhere:1 HTTP/1.1\r\n{fields}\r\n".encode())
    assert digest.client.read_answer().status == 407
    assert digest.ask(echo_site.address) == (200, False)


# -- Clients --------------------------------------------------------------------------------------


def curl(server, *options):
    command = ["curl", "-sS", "-x", server.proxy, "--write-out", "|%{http_connect} %{http_code} "
               "%{num_connects}", *options]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True).stdout


@pytest.mark.parametrize("hidden", [False, True], ids=["password", "hashes"])
@pytest.mark.parametrize("scheme", ["basic", "digest", "anyauth"])
def test_curl(world, tmp_path, nginx, scheme, hidden):
    """Whichever scheme, with a tunnel and without; on one connection."""
    (nginx.root / "small").write_text("hello\n")
    text = f"{USER}:wstunnel:{PASSWORD}"
    user = {"name": USER, "password": PASSWORD}
    if hidden:
        user = {"name": USER, "ha1_sha256": sha256(text)}
    server = configured(world, tmp_path, users=[user])
    login = [f"--proxy-{scheme}", "-U", f"{USER}:{PASSWORD}"]
    url = f"{nginx.http}/small?a=b"
    assert curl(server, *login, url) == "hello\n|000 200 1"
    assert curl(server, *login, "-p", url) == "hello\n|200 200 1"
    assert curl(server, f"--proxy-{scheme}", "-U", f"{USER}:wrong", "-p", url) == "|407 000 1"


def test_wget(world, tmp_path, nginx):
    """It knows Basic only, unasked, and takes a 407 to CONNECT for final."""
    if shutil.which("wget") is None:
        pytest.skip("wget is not installed")
    (nginx.root / "small").write_text("hello\n")
    server = configured(world, tmp_path)
    for url in (f"{nginx.http}/small", f"{nginx.https}/small"):
        output = subprocess.run(
            ["wget", "-qO-", "--no-check-certificate", "-e", "use_proxy=on",
             "-e", f"http_proxy={server.proxy}", "-e", f"https_proxy={server.proxy}",
             f"--proxy-user={USER}", f"--proxy-password={PASSWORD}", url],
            capture_output=True, text=True)  # fmt: skip
        assert output.stdout == "hello\n", output


def test_no_basic(world, tmp_path, nginx):
    (nginx.root / "small").write_text("hello\n")
    server = configured(world, tmp_path, no_basic=True)
    login = ["-U", f"{USER}:{PASSWORD}", f"{nginx.http}/small"]
    assert curl(server, "--proxy-basic", "-p", *login) == "|407 000 1"
    assert curl(server, "--proxy-anyauth", "-p", *login) == "hello\n|200 200 1"


# -- Guessing -------------------------------------------------------------------------------------


def test_guessing(world, tmp_path, nginx):
    """After so many wrong passwords of a user the right one is not taken either, for a while; from
    this machine others are served on."""
    (nginx.root / "small").write_text("hello\n")
    users = [{"name": USER, "password": PASSWORD}, {"name": "bob", "password": "x" + PASSWORD}]
    server = configured(world, tmp_path, users=users, limits={"max_failures": 3})
    url = f"{nginx.http}/small"
    for _ in range(3):
        assert curl(server, "-p", "-U", f"{USER}:wrong", url) == "|407 000 1"
    server.wait_for("127.0.0.1:.*too many failed attempts to authenticate")
    assert curl(server, "-p", "-U", f"{USER}:{PASSWORD}", url) == "|429 000 1"
    assert curl(server, "-p", "-U", f"bob:x{PASSWORD}", url) == "hello\n|200 200 1"
    client = world.client(server)
    client.send(b"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Basic YWxpY2U6\r\n\r\n")
    answer = client.read_answer()
    assert answer.status_line == "HTTP/1.1 429 Too many failed attempts to authenticate"
    assert 1 <= int(answer.fields["Retry-After"]) <= 20
    assert client.read_to_end() == b""


# -- Agents ---------------------------------------------------------------------------------------


@pytest.fixture
def tenants(world, tmp_path):
    """A server with two tenants; acme has the agents berlin and paris, globex has berlin."""
    config = {
        "user_selects_agent": True,
        "users": [{"name": "alice", "password": PASSWORD, "tenant": "acme"},
                  {"name": "bob", "password": PASSWORD, "tenant": "globex"}],
        "agents": [{"name": "*", "token": f"acme-{TOKEN}", "tenant": "acme"},
                   {"name": "*", "token": f"globex-{TOKEN}", "tenant": "globex"}],
        "log_level": "debug",
    }  # fmt: skip
    (tmp_path / "server.json").write_text(json.dumps(config))
    server = world.server("--config", tmp_path / "server.json")
    for count, (tenant, name) in enumerate(
        [("acme", "berlin"), ("acme", "paris"), ("globex", "berlin")], 1
    ):
        (tmp_path / tenant).write_text(f"{tenant}-{TOKEN}")
        agent = world.agent(server.url, "--name", name, "--token-file", tmp_path / tenant)
        server.wait_for("agent .* up from", count)
        setattr(server, f"{tenant}_{name}", agent)
    return server


def test_tenants(tenants, nginx):
    """Nobody reaches another tenant's agent, however it is named."""
    (nginx.root / "small").write_text("hello\n")
    url = f"{nginx.http}/small"
    for user, agent in (
        ("alice+berlin", tenants.acme_berlin),
        ("alice+paris", tenants.acme_paris),
        ("bob+berlin", tenants.globex_berlin),
        ("bob", tenants.globex_berlin),
        ("bob", tenants.globex_berlin),
    ):
        before = agent.output.count(": open")
        assert curl(tenants, "-p", "-U", f"{user}:{PASSWORD}", url) == "hello\n|200 200 1"
        agent.wait_for(": open", before + 1)
    for user in ("bob+paris", "alice+rome", "alice+"):
        assert curl(tenants, "-p", "-U", f"{user}:{PASSWORD}", url) == "|503 000 1"
    assert tenants.globex_berlin.output.count(": open") == 3
    assert tenants.acme_paris.output.count(": open") == 1


class ElsewhereAgent(ScriptedAgent):
    """An agent at another address of this machine, with somebody's token."""

    def __init__(self, server, token, **hello):
        def open_there(address):
            host, _, port = address.rpartition(":")
            return socket.create_connection((host, int(port)), source_address=("127.0.0.2", 0))

        super().__init__(server, fields=f"Authorization: Bearer {token}\r\n",
                         connect=open_there, **hello)  # fmt: skip


def test_stolen_token(world, tenants):
    """Used from a second place: said loudly, with both addresses."""
    thief = ElsewhereAgent(tenants, f"acme-{TOKEN}", name="paris", instance="77" * 16)
    world.clients.append(thief)
    tenants.wait_for(
        r"agent paris at 127\.0\.0\.2:\d+ has the name and the credentials of the one at "
        r"127\.0\.0\.1:\d+"
    )


def test_withdrawn_token(world, tmp_path, nginx):
    """With its token out of the configuration an agent is out, and what runs through it."""
    (nginx.root / "small").write_text("hello\n")
    kept, withdrawn = f"kept-{TOKEN}", f"withdrawn-{TOKEN}"

    def configure(*tokens):
        agents = [{"name": f"a{i}", "token": token} for i, token in enumerate(tokens)]
        (tmp_path / "server.json").write_text(json.dumps({"agents": agents}))

    configure(kept, withdrawn)
    server = world.server("--config", tmp_path / "server.json")
    for i, token in enumerate((kept, withdrawn)):
        (tmp_path / f"token{i}").write_text(token)
        agent = world.agent(server.url, "--name", f"a{i}", "--token-file", tmp_path / f"token{i}")
        server.wait_for(f"agent a{i} .* up from")
    configure(kept)
    server.popen.send_signal(signal.SIGHUP)
    server.wait_for("configuration reloaded")
    server.wait_for(r"agent a1 \(.*\) down: ")
    agent.wait_for("1008 its credentials are not valid any more")
    agent.wait_for("401")
    assert curl(server, "-p", f"{nginx.http}/small") == "hello\n|200 200 1"
    assert "agent a0 " not in server.output.partition("reloaded")[2]
