# SPDX-License-Identifier: MIT
"""-t: what would not start is found without a start, and nothing is disturbed."""
import json
import subprocess

import pytest

from processes import DISASTERS, PASSWORD, PATIENCE, TOKEN, program

SERVER, AGENT = "wstunnel-server", "wstunnel-agent"
IN_ORDER = "the configuration, and all that it names, is in order\n"


def check(name, *options):
    result = subprocess.run([program(name), "-t", *options], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    assert not DISASTERS.search(result.stderr), result.stderr
    return result


def is_good(result):
    name = result.args[0].rpartition("/")[2]
    return (result.returncode, result.stdout) == (0, f"{name}: {IN_ORDER}")


def secret(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def config(tmp_path, identity):
    """A server's members; all are right."""
    return {
        "listen": "0.0.0.0:8443",
        "cert": str(identity.certificate),
        "key": str(identity.key),
        "agent_token_file": secret(tmp_path / "token", TOKEN),
        "user_file": secret(tmp_path / "users", f"alice:{PASSWORD}\n"),
        "rules": [{"allow": "*"}],
        "ports": [{"listen": "0.0.0.0:2222", "destination": "a.test:22", "user": "alice", "open": True}],
    }


def write(tmp_path, members):
    return secret(tmp_path / "server.json", json.dumps(members))


def test_server_in_order(tmp_path, config):
    result = check(SERVER, "--config", write(tmp_path, config))
    assert is_good(result) and result.stderr == ""


def test_beside_the_running_server(world, tmp_path, config, echo_site):
    """It asks for none of its addresses, and leaves its socket alone."""
    server = world.server()
    path = tmp_path / "socket"
    other = world.server(listen=f"unix:{path}")
    config["listen"] = [server.address, other.address]
    config["ports"][0]["listen"] = echo_site.address
    assert is_good(check(SERVER, "--config", write(tmp_path, config)))
    world.client(other).send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    world.served_by(server, "one")


def test_warnings_are_printed(tmp_path, config):
    (tmp_path / "token").chmod(0o644)
    result = check(SERVER, "--config", write(tmp_path, config), "--log-level", "error")
    assert is_good(result) and "token holds secrets" in result.stderr


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"listen": "server.test:80"}, "cannot listen on server.test:80: not IP:PORT, "),
        ({"listen": "127.0.0.1:99999"}, "cannot listen on 127.0.0.1:99999: not IP:PORT, "),
        ({"listen": "unix:/" + "x" * 200}, "not IP:PORT, "),
        ({"listen": "192.0.2.1:8443"}, "cannot listen on 192.0.2.1:8443: address not available"),
        ({"agent_token_file": None}, "--insecure-open"),
        ({"agent_token_file": "/nowhere"}, "agent_token_file: cannot open /nowhere"),
        ({"user_file": "/nowhere"}, "/nowhere: cannot open it"),
        ({"cert": "/nowhere"}, "/nowhere: no such file or directory"),
        ({"key": "OTHER"}, "the key does not belong to the certificate"),
        ({"client_ca": "/nowhere"}, "/nowhere: no such file or directory"),
        ({"rules": [{"allow": "a:b:c"}]}, "rules[0].allow: 'a:b:c': "),
        ({"ports": [{"listen": "0.0.0.0:1", "destination": "a.test:1", "user": "alice"}]},
         'say "open" if that is meant'),
        ({"path": "no-slash"}, "cannot start: "),
        ({"users": [{"name": "bob", "ha1_md5": "x"}]}, "users[0].ha1_md5: not 32 hex"),
        ({"agents": [{"name": "a", "tokens_sha256": "x"}]}, "agents[0].tokens_sha256: "),
        ({"lisen": "x"}, 'lisen: unknown member; did you mean "listen"?'),
    ],
)  # fmt: skip
def test_server_faults(tmp_path, config, authority, change, complaint):
    if change.get("key") == "OTHER":
        change = {"key": str(authority.issue("other.test").key)}
    members = {k: v for k, v in {**config, **change}.items() if v is not None}
    result = check(SERVER, "--config", write(tmp_path, members))
    assert result.returncode == 2
    assert complaint in result.stderr and result.stdout == ""


def test_agent_in_order(world, tmp_path, identity, authority):
    """And the server hears nothing of it."""
    server = world.server()
    token = secret(tmp_path / "token", TOKEN)
    assert is_good(check(AGENT, "--token-file", token, server.url))
    assert is_good(check(AGENT, "--ca", authority.certificate, "--cert", identity.certificate,
                         "--key", identity.key, server.url.replace("ws:", "https:")))  # fmt: skip
    server.stop()
    assert "agent" not in "\n".join(server.lines).replace("of agents", "")


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--token-file", "/nowhere", "wss://a.test"], "token_file: cannot open /nowhere"),
        (["--ca", "/nowhere", "wss://a.test"], "ca: cannot read /nowhere"),
        (["--pin", "sha256/short", "wss://a.test"], "not a pin"),
        (["--allow", "a:b:c", "wss://a.test"], "--allow: 'a:b:c': "),
        (["--proxy", "ftp://a.test", "wss://a.test"], "proxy: the scheme must be "),
        (["wss://a.test:port"], "server URL: "),
        ([], "a URL is needed"),
    ],
)
def test_agent_faults(options, complaint):
    result = check(AGENT, *options)
    assert result.returncode == 2
    assert complaint in result.stderr and result.stdout == ""


def test_http_url_is_that_of_a_websocket(world):
    server = world.server()
    world.agent(server.url.replace("ws:", "HTTP:"))
    server.wait_for("agent .* up from")
