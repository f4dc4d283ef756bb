# SPDX-License-Identifier: MIT
"""
Configuration files for 0.1.0, which together have every member that it knows: programs of both
versions read and obey them.
"""
import hashlib
import re
import subprocess

import pytest

import released
from authority import pin_of
from configuration import OK, Config, ask, phrase, reload
from processes import PASSWORD, TOKEN, USER

SERVER_TABLES = ["access_config.c", "rules_config.c", "server_config.c"]

# The tests see the effect of max_failures; the other limits must be accepted.
SERVER_LIMITS = {
    "max_connections": 500, "max_pending": 50, "max_agent_streams": 100, "max_agent_sessions": 20,
    "max_handshakes": 30, "stream_window": 65536, "stream_window_max": 1048576,
    "memory_budget": 67108864, "max_failures": 3, "failure_window_ms": 30000,
    "tls_timeout_ms": 9000, "head_timeout_ms": 9000, "decision_timeout_ms": 9000,
    "hello_timeout_ms": 9000, "dial_timeout_ms": 9000, "half_closed_timeout_ms": 60000,
    "ping_interval_ms": 10000, "dead_after_ms": 40000, "drain_timeout_ms": 20000,
}  # fmt: skip
AGENT_LIMITS = {
    "max_streams": 100, "max_pending": 20, "stream_window": 65536, "stream_window_max": 1048576,
    "memory_budget": 67108864, "dial_timeout_ms": 9000, "connect_timeout_ms": 9000,
    "half_closed_timeout_ms": 60000, "ping_interval_ms": 10000, "dead_after_ms": 40000,
    "backoff_min_ms": 100, "backoff_max_ms": 1000, "drain_timeout_ms": 20000,
}  # fmt: skip


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def secret(tmp_path):
    """A function that makes a file with a text."""

    def make(name, text):
        path = tmp_path / name
        path.write_text(f"{text}\n")
        path.chmod(0o600)
        return str(path)

    return make


# -- The files ------------------------------------------------------------------------------------


@pytest.fixture
def secure_server(secret, authority, identity):
    """TLS, and users and agents with every kind of credential, some of a tenant."""
    return {
        "listen": ["127.0.0.1:0,connect,agents,health,tls"],
        "cert": [str(identity.certificate)],
        "key": str(identity.key),
        "client_ca": str(authority.certificate),
        "client_cert": "optional",
        "path": "/tunnels",
        "protocol": "wstunnel",
        "insecure_open": True,
        "log_level": "debug",
        "log_format": "text",
        "users": [
            {"name": USER, "password": PASSWORD, "tenant": "acme"},
            {"name": "bob", "password_file": secret("bob", "bob's")},
            {"name": "carol", "ha1_sha256": sha256("carol:the house:carol's"), "tenant": "acme"},
            {"name": "dora", "ha1_md5": hashlib.md5(b"dora:the house:dora's").hexdigest()},
            {"name": "erin", "certificate": "CN:erin.test", "tenant": "acme"},
        ],
        "user_file": secret("users", "# a comment\nfrank:frank's"),
        "agents": [
            {"name": "berlin", "token": TOKEN, "tenant": "acme", "labels": ["eu", "new"]},
            {"name": "lab-*", "token_file": secret("lab", "token-of-lab"), "labels": "old"},
            {"name": "prague", "tokens_sha256": [sha256("old"), sha256("new")], "tenant": "acme"},
            {"name": "certified", "certificate": "CN:agent.test", "tenant": "acme"},
        ],
        "rules": [
            {"deny": "127.0.0.5", "users": ["dora", "none-*"]},
            {"deny": "*", "agents": "label:none"},
            {"allow": ["127.0.0.0/8", "*.intranet.test:80,8000-8999"]},
        ],
        "routes": [
            {"users": "carol", "destinations": ["127.0.0.1"], "agents": "label:eu"},
            {"users": "erin", "agents": ["certified", "berl*"]},
        ],
        "user_selects_agent": True,
        "realm": "the house",
        "no_basic": False,
        "limits": SERVER_LIMITS,
    }


@pytest.fixture
def secure_agent(secret, authority, identity):
    """An agent that reaches the server through a proxy with TLS."""
    shown = authority.issue("berlin.test", names=None)
    return {
        "name": "berlin",
        "token": TOKEN,
        "ca": str(authority.certificate),
        "pin": [pin_of(authority.certificate), pin_of(identity.certificate)],
        "cert": str(shown.certificate),
        "key": str(shown.key),
        "sni": "front.test",
        "insecure": False,
        "host": "tunnels.test:8443",
        "header": ["X-One: 1", "X-Two: 2"],
        "proxy_user": "outer:outer's",
        "proxy_ca": str(authority.certificate),
        "encoding": "json",
        "protocol": "wstunnel",
        "spare_connections": 1,
        "exit_on_refusal": True,
        "log_level": "debug",
        "log_format": "text",
        "rules": [{"deny": ["127.0.0.9", "*:25"]}, {"allow": "127.0.0.0/8"}],
        "limits": AGENT_LIMITS,
    }


@pytest.fixture
def lab_agent(secret):
    return {
        "name": "lab-1",
        "token_file": secret("lab-token", "token-of-lab"),
        "insecure": True,
        "header": "X-One: 1",
        "proxy": "none",
        "proxy_user_file": secret("proxy-user", "outer:outer's"),
        "encoding": "binary",
    }


@pytest.fixture
def talk_server():
    return {
        "listen": "127.0.0.1:0",
        "protocol": "talk",
        "agent_token": TOKEN,
        "no_basic": True,
        "users": [{"name": "carol", "ha1_sha256": sha256("carol:wstunnel:carol's")}],
        "log_format": "json",
    }


TALK_AGENT = {"protocol": "talk", "spare_connections": 4, "token": TOKEN, "log_format": "json"}


@pytest.fixture
def unix_server(tmp_path, secret):
    return {
        "listen": ["127.0.0.1:0,agents,health,plain", f"unix:{tmp_path}/socket,connect"],
        "client_cert": "none",
        "agent_token_file": secret("agent-token", TOKEN),
        "user_file": secret("unix-users", f"{USER}:{PASSWORD}"),
    }


def names(value):
    """The names of all members, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(names, value.values()))
    if isinstance(value, list):
        return set().union(*map(names, value))
    return set()


def known_to_release(tables):
    found = set()
    for table in tables:
        text = (released.SOURCE / "examples" / table).read_text()
        found |= {a or b for a, b in re.findall(r'\.name = "(\w+)"|^    LIMIT\((\w+),', text, re.M)}
    return found


def test_every_member_is_tried(release, secure_server, secure_agent, lab_agent, talk_server,
                               unix_server):  # fmt: skip
    servers = names([secure_server, talk_server, unix_server])
    assert known_to_release(SERVER_TABLES) - servers == set()
    agents = names([secure_agent, lab_agent, TALK_AGENT])
    assert known_to_release(["agent_config.c"]) - agents == {"url"}  # each test sets it


# -- Obeyed ---------------------------------------------------------------------------------------


class Clients:
    """Users of the server with TLS, by curl."""

    def __init__(self, server, authority, certificate, url):
        self.server, self.url = server, url
        self.command = ["curl", "--silent", "--output", "/dev/null", "--proxy", server.secure_proxy,
                        "--proxy-cacert", authority.certificate, "--cacert", certificate[1],
                        "--write-out", "%{http_connect}"]  # fmt: skip

    def status(self, *options, url=None):
        command = [*self.command, *options, url or self.url]
        return subprocess.run(command, capture_output=True, text=True).stdout

    def go_through(self, agent, user, *options):
        """The user is served by that agent."""
        opened = rf"open: {user} at .* through {agent},"
        before = len(self.server._matches(opened))
        assert self.status(*options) == "200", user
        self.server.wait_for(opened, before + 1)


def as_user(user, scheme="basic", password=None):
    return [f"--proxy-{scheme}", "--proxy-user", f"{user}:{password or user + chr(39) + 's'}"]


def keeps_all(process):
    """Reading the unchanged file again takes effect in full."""
    reload(process)
    assert "next start only" not in process.output


def test_secure(world, tmp_path, secret, authority, identity, certificate, nginx, secure_server,
                secure_agent, lab_agent):  # fmt: skip
    (nginx.root / "small").write_text("hello\n")
    outer = world.proxy(authority, identity, tmp_path)
    server_file = Config(tmp_path / "server.json", **secure_server)
    server = world.server("--config", server_file.path, listen=None)
    url = f"{server.secure_url}/tunnels"
    berlin_file = Config(tmp_path / "berlin.json", url=url, proxy=outer.secure_proxy,
                         **secure_agent)  # fmt: skip
    berlin = world.agent(None, "--config", berlin_file.path)
    lab_file = Config(tmp_path / "lab.json", url=url, **lab_agent)
    lab = world.agent(None, "--config", lab_file.path)
    shown = authority.issue("agent.test", names=None)
    world.agent(url, "--insecure", "--name", "certified",
                "--cert", shown.certificate, "--key", shown.key)  # fmt: skip
    world.agent(url, "--insecure", "--name", "prague", "--token-file", secret("prague", "new"))
    for name in ("berlin", "lab-1", "certified", "prague"):
        server.wait_for(f"agent (acme/)?{name} .* up from")
    outer.wait_for(f"tunnel 1 open: outer at .* to localhost:{server.port} through outer")

    clients = Clients(server, authority, certificate, f"{nginx.https}/small")
    alice = as_user(USER, password=PASSWORD)
    erin = authority.issue("erin.test", names=None)
    by_certificate = ["--proxy-cert", erin.certificate, "--proxy-key", erin.key]
    by_berlin = as_user(f"{USER}+berlin", password=PASSWORD)
    clients.go_through("berlin", USER, *by_berlin)
    clients.go_through("certified", USER, *as_user(f"{USER}+certified", password=PASSWORD))
    clients.go_through("prague", USER, *as_user(f"{USER}+prague", password=PASSWORD))
    clients.go_through("lab-1", "bob", *as_user("bob"))
    clients.go_through("berlin", "carol", *as_user("carol", "digest"))
    clients.go_through("lab-1", "dora", *as_user("dora"))
    clients.go_through("(berlin|certified)", "erin", *by_certificate)
    clients.go_through("lab-1", "frank", *as_user("frank"))

    assert clients.status() == "407"
    assert clients.status(*as_user("dora"), url="https://127.0.0.5:443/") == "403"
    assert clients.status(*alice, url="https://192.0.2.1/") == "403"
    assert clients.status(*by_berlin, url="https://127.0.0.9:443/") == "403"
    berlin.wait_for("stream to 127.0.0.9:443: destination not allowed")
    wrong = as_user("frank", password="wrong")
    assert [clients.status(*wrong) for _ in range(5)][-2:] == ["429"] * 2  # max_failures: 3
    for process in (server, berlin, lab):
        keeps_all(process)
    clients.go_through("lab-1", "bob", *as_user("bob"))


def test_talk(world, tmp_path, nginx, talk_server):
    (nginx.root / "small").write_text("hello\n")
    server_file = Config(tmp_path / "server.json", **talk_server)
    server = world.server("--config", server_file.path, listen=None)
    agent_file = Config(tmp_path / "agent.json", url=server.url, **TALK_AGENT)
    agent = world.agent(None, "--config", agent_file.path)
    server.wait_for('"event":"agent_up"')
    assert ask(world, server, nginx.address, "carol", "carol's").status == 407  # by Basic
    command = ["curl", "--silent", "--proxy", server.proxy, "--proxytunnel", "--proxy-digest",
               "--proxy-user", "carol:carol's", f"{nginx.http}/small"]  # fmt: skip
    assert subprocess.run(command, capture_output=True, text=True).stdout == "hello\n"
    for process in (server, agent):
        keeps_all(process)


def test_unix(world, tmp_path, unix_server, echo_site, secret):
    server_file = Config(tmp_path / "server.json", **unix_server)
    server = world.server("--config", server_file.path, listen=None)
    world.served_by(server, "one", "--token-file", secret("its-token", TOKEN))
    socket = f"unix:{tmp_path}/socket"
    assert phrase(ask(world, socket, echo_site.address, USER, PASSWORD)) == OK
    assert ask(world, server, echo_site.address, USER, PASSWORD).status == 403
    keeps_all(server)
