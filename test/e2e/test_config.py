# SPDX-License-Identifier: MIT
"""The programs' configuration: read from a file, told to be wrong exactly, read again by SIGHUP."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from configuration import OK, Config, ask, phrase, reload
from processes import DISASTERS, PASSWORD, PATIENCE, TOKEN, USER, program
from websocket import WebSocket

SERVER, AGENT = "wstunnel-server", "wstunnel-agent"


@pytest.fixture
def config(tmp_path):
    """A function that makes a server's configuration file."""

    def make(**members):
        return Config(tmp_path / "server.json", listen="127.0.0.1:0", **members)

    return make


def faults(name, path, *options):
    """What the program says of its configuration; it must not start."""
    argv = [program(name), "--config", path, *options]
    result = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    assert not DISASTERS.search(result.stderr), result.stderr
    assert result.returncode == 2, result.stderr
    assert PASSWORD not in result.stderr and TOKEN not in result.stderr
    lines = result.stderr.splitlines()
    assert lines.pop() == f"Try {name} --help"
    return [line.removeprefix(f"{name}: ").replace(f"{path}", "FILE") for line in lines]


# -- What is wrong with a file --------------------------------------------------------------------


@pytest.mark.parametrize("name", [SERVER, AGENT])
@pytest.mark.parametrize(
    "text, complaint",
    [
        (b"", "FILE:1:1: not a JSON object"),
        (b"[]", "FILE:1:1: not a JSON object"),
        (b'{\n  "log_level": "info",\n}', "FILE:3:1: JSON member name expected"),
        (b'{"log_level": "info"}\n{}', "FILE:2:1: text behind the JSON object"),
        (b'{"log_level": "info" "a": 1}', "FILE:1:22: ',' or '}' expected in a JSON object"),
        (b'{"a": 1,\n "a": 2}', "FILE:2:2: duplicate member in a JSON object"),
        (b'{"a": "\\u0000"}', "FILE:1:8: U+0000 in a JSON string"),
        (b'{"a": "x\ty"}', "FILE:1:9: control character in a JSON string"),
        (b'{"\xc3\xa4": "\xff"}', "FILE:1:8: JSON text is not UTF-8"),
        (b'{"a": 01}', "FILE:1:8: ',' or '}' expected in a JSON object"),
        (b'{"a": [[[[[[[[1]]]]]]]]}', "FILE:1:14: JSON nested too deep"),
        pytest.param(b" " * (1 << 20) + b"{}", "FILE: longer than 1048576 bytes", id="too long"),
    ],
)
def test_syntax(tmp_path, name, text, complaint):
    path = tmp_path / "config.json"
    path.write_bytes(text)
    found = faults(name, path)
    assert found[0] == complaint
    assert len(found) == 1 or (name == AGENT and found[1:] == [URL_NEEDED])


URL_NEEDED = "a URL is needed: ws[s]://HOST[:PORT][/PATH]"


def test_no_file(tmp_path):
    complaint = "FILE: cannot open it: No such file or directory"
    assert faults(SERVER, tmp_path / "none.json") == [complaint]
    assert faults(SERVER, tmp_path)[0] == "FILE: cannot read it: Is a directory"


HASH = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

SERVER_FAULTS = [
    ({"lsten": ":1"}, ['FILE: lsten: unknown member; did you mean "listen"?']),
    ({"Listen": ":1"}, ['FILE: Listen: unknown member; did you mean "listen"?']),
    ({"a\nb": 1}, ["FILE: a\\u000ab: unknown member"]),
    ({"config": "x.json"}, ["FILE: config: unknown member"]),
    ({"path": 3}, ["FILE: path: must be a string"]),
    ({"path": ""}, ["FILE: path: must be 1 to 4096 bytes long"]),
    ({"path": "/a\tb"}, ["FILE: path: must not hold control characters"]),
    ({"listen": {}}, ["FILE: listen: must be a string or an array of strings"]),
    ({"listen": [":1", 2]}, ["FILE: listen[1]: must be a string"]),
    ({"listen": []}, ["FILE: listen: must not be empty"]),
    ({"listen": ":1,proxy"}, ["listen: proxy needs trust"]),
    ({"listen": ":1,boss"},
     ["listen: unknown role 'boss' (connect, agents, health, socks, admin, tls, plain, proxy)"]),
    ({"listen": ["127.0.0.1:0"] * 17}, ["listen: more than 16 addresses"]),
    ({"insecure_open": "yes"}, ["FILE: insecure_open: must be true or false"]),
    ({"log_level": "loud"}, ["FILE: log_level: must be error, warn, info or debug"]),
    ({"log_format": "xml"}, ["FILE: log_format: must be text or json"]),
    ({"limits": 7}, ["FILE: limits: must be an object"]),
    ({"limits": {"max_pending": 0, "stream_window": 1e300, "drain_timeout_ms": 1.5, "x": 1}},
     ["FILE: limits.max_pending: must be an integer from 1 to 1000000",
      "FILE: limits.stream_window: must be an integer from 1024 to 1073741824",
      "FILE: limits.drain_timeout_ms: must be an integer from 1 to 86400000",
      "FILE: limits.x: unknown member"]),
    ({"users": [], "agents": []},
     ["FILE: users: must not be empty", "FILE: agents: must not be empty"]),
    ({"users": {}}, ["FILE: users: must be an array of objects"]),
    ({"users": [{"name": "a", "password": 4}, 7, {"nme": "x"}]},
     ["FILE: users[0].password: must be a string",
      "FILE: users[1]: must be an object",
      'FILE: users[2].nme: unknown member; did you mean "name"?']),
    ({"users": [{"name": "a", "password": PASSWORD, "password_file": "x"}]},
     ['FILE: users[0]: only one of "password" and "password_file" may be there']),
    ({"users": [{"name": "a", "password_file": "/nonexistent"}]},
     ["FILE: users[0].password_file: cannot open /nonexistent: No such file or directory"]),
    ({"users": [{"name": "a", "password": PASSWORD}, {"name": "a", "password": PASSWORD}]},
     ["FILE: users[1].name: another user has this name"]),
    ({"users": [{"name": "a", "ha1_md5": PASSWORD}]},
     ["FILE: users[0].ha1_md5: not 32 hexadecimal digits"]),
    ({"agents": [{"name": "a", "tokens_sha256": [HASH, TOKEN]}]},
     ["FILE: agents[0].tokens_sha256: not 64 hexadecimal digits"]),
    ({"agents": [{"name": "a"}]},
     ["FILE: agents[0].tokens_sha256: neither a token nor a certificate"]),
    ({"agents": [{"name": "a*", "token": "x"}, {"name": "ab", "token": "y"}]},
     ["FILE: agents[1].name: another agent of this tenant may have the same name"]),
    ({"agent_token": TOKEN, "agent_token_file": "x"},
     ["agent_token: only one of it and agent_token_file may be there",
      "agent_token_file: cannot open x: No such file or directory"]),
    ({"agents": [{"name": "a", "token": "two words"}]},
     ["FILE: agents[0].token: must be of letters, digits and -._~+/="]),
    ({"agent_token": "two words"}, ["agent_token: must be of letters, digits and -._~+/="]),
    ({"rules": [{"alow": "*"}]}, ['FILE: rules[0].alow: unknown member; did you mean "allow"?']),
    ({"nat64": "10.0.0.0/8"}, ["FILE: nat64: '10.0.0.0/8': not a prefix of NAT64, such as 2001:db8:64::/96, "
                               "with a length of 32, 40, 48, 56, 64 or 96"]),
    ({"nat64": ["2001:db8::/96", "2001:db8::/33"]},
     ["FILE: nat64: '2001:db8::/33': not a prefix of NAT64, such as 2001:db8:64::/96, "
      "with a length of 32, 40, 48, 56, 64 or 96"]),
    ({"rules": [{"users": "a"}]}, ['FILE: rules[0]: either "allow" or "deny" is needed']),
    ({"rules": [{"allow": "*", "deny": "*"}]},
     ['FILE: rules[0]: either "allow" or "deny" is needed']),
    ({"rules": [{"allow": "*"}, {"deny": ["a.test", "10.0.0.0/33"]}]},
     ["FILE: rules[1].deny: '10.0.0.0/33': the network's length must be 0 to 32"]),
    ({"routes": [{"users": "a"}]}, ["FILE: routes[0].agents: no agent"]),
    ({"realm": 'a"b'},
     ['FILE: realm: not 1 to 127 printable characters without " and \\']),
]  # fmt: skip


@pytest.mark.parametrize("members, complaints", SERVER_FAULTS)
def test_server_faults(tmp_path, members, complaints):
    path = tmp_path / "server.json"
    path.write_text(json.dumps(members))
    assert faults(SERVER, path) == complaints


@pytest.mark.parametrize(
    "members, complaints",
    [
        ({}, [URL_NEEDED]),
        ({"url": "ws://a.test", "nam": "x"}, ['FILE: nam: unknown member; did you mean "name"?']),
        ({"url": "ws://a.test", "name": "a b"}, ["name: must be of A-Z a-z 0-9 . _ -"]),
        ({"url": "ws://a.test", "name": "x" * 65}, ["FILE: name: must be 1 to 64 bytes long"]),
        ({"url": "ws://a.test", "encoding": "morse"},
         ["FILE: encoding: must be binary or json"]),
        ({"url": "ws://a.test", "spare_connections": 1001},
         ["FILE: spare_connections: must be an integer from 1 to 1000"]),
        ({"url": "ws://a.test", "token": TOKEN + "\r\nX: y"},
         ["FILE: token: must not hold control characters"]),
        ({"url": "ws://a.test", "token": "two words"},
         ["token: must be of letters, digits and -._~+/="]),
        ({"url": "ws://a.test", "rules": [{"allow": "*", "users": "a"}]},
         ["FILE: rules[0].users: unknown member"]),
        ({"url": "ws://a.test", "rules": [{"allow": "a.test:0-"}]},
         ["FILE: rules[0].allow: 'a.test:0-': ports must be numbers from 1 to 65535, ranges of them, or *"]),
        ({"url": "ws://a.test", "limits": {"max_streams": -1}},
         ["FILE: limits.max_streams: must be an integer from 1 to 1000000"]),
    ],
)  # fmt: skip
def test_agent_faults(tmp_path, members, complaints):
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(members))
    assert faults(AGENT, path) == complaints


def test_many_faults(tmp_path):
    """As many as one can read."""
    path = tmp_path / "server.json"
    path.write_text(json.dumps({f"m{i}": 1 for i in range(30)}))
    found = faults(SERVER, path)
    assert found == [f"FILE: m{i}: unknown member" for i in range(20)] + ["there is more"]


# -- What a file says is done ---------------------------------------------------------------------


def test_all_of_a_server(world, config, tmp_path, echo_site):
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "users").write_text("bob:bob's secret\n")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    file = config(
        path="/here",
        log_level="debug",
        users=[{"name": USER, "password_file": str(tmp_path / "password")}],
        user_file=str(tmp_path / "users"),
        agents=[{"name": "berlin", "token_file": str(tmp_path / "token")}],
        rules=[{"allow": echo_site.address}],
        realm="a realm",
        limits={"max_connections": 100, "dial_timeout_ms": 4000},
    )
    server = world.server("--config", file.path, listen=None)
    agent = Config(
        tmp_path / "agent.json",
        url=f"{server.url}/here",
        name="berlin",
        token=TOKEN,
        encoding="json",
        log_level="debug",
        limits={"max_streams": 7},
    )
    world.agent(None, "--config", agent.path)
    server.wait_for("agent berlin .* up from")
    assert phrase(ask(world, server, echo_site.address, USER, PASSWORD)) == OK
    assert phrase(ask(world, server, echo_site.address, "bob", "bob's secret")) == OK
    assert phrase(ask(world, server, "a.test:1", USER, PASSWORD)) == (
        "403 No rule of the server allows it"
    )
    answer = ask(world, server, echo_site.address)
    assert answer.status == 407
    assert 'realm="a realm"' in answer.fields["Proxy-Authenticate"]
    upgrade = WebSocket(server.address, "wstunnel.v1.bin", "/websocket", "")
    world.clients.append(upgrade)
    assert upgrade.answer.status == 404


def test_several_addresses(world, config):
    file = config()
    file.write(listen=["127.0.0.1:0,health", "127.0.0.1:0,connect,agents"])
    server = world.server("--config", file.path, listen=None)
    second = server.wait_for(r"listening on (\S+)", 2)[1]
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert world.client(server).ask(health).status == 200
    assert world.client(second).ask(health).status == 404
    assert world.client(second).connect("a.test:1").status == 503


def test_secrets_by_environment(world, monkeypatch):
    monkeypatch.setenv("WSTUNNEL_AGENT_TOKEN", TOKEN)
    server = world.server()
    monkeypatch.delenv("WSTUNNEL_AGENT_TOKEN")
    agent = world.agent(server.url, "--name", "without", "--exit-on-refusal")
    agent.wait_exit(1)
    monkeypatch.setenv("WSTUNNEL_TOKEN", TOKEN)
    world.served_by(server, "with")


def test_precedence(world, config, tmp_path, monkeypatch):
    """Command line, environment, file, defaults."""
    (tmp_path / "token").write_text("by-command-line\n")
    file = config(path="/file", agent_token="by-file", log_level="error")
    tokens = ["by-file", "by-environment", "by-command-line"]

    def check(server, token, path):
        for other in tokens:
            fields = f"Authorization: Bearer {other}\r\n"
            socket = WebSocket(server.address, "wstunnel.v1.bin", path, fields)
            world.clients.append(socket)
            assert socket.answer.status == (101 if other == token else 401)

    options = ["--config", file.path, "--log-level", "info"]
    check(world.server(*options, listen=None), "by-file", "/file")
    monkeypatch.setenv("WSTUNNEL_AGENT_TOKEN", "by-environment")
    check(world.server(*options), "by-environment", "/file")
    options += ["--agent-token-file", tmp_path / "token", "--path", "/line"]
    check(world.server(*options), "by-command-line", "/line")


def test_list_on_the_command_line_takes_the_place_of_the_files(world, config):
    file = config()
    file.write(listen=["127.0.0.1:0", "127.0.0.1:0"])
    server = world.server("--config", file.path)
    reload(server)
    assert sum("listening on" in line for line in server.lines) == 1


def test_nothing_secret_in_the_process_list(world, config):
    server = world.server("--config", config(agent_token=TOKEN).path, listen=None)
    with open(f"/proc/{server.pid}/cmdline") as file:
        assert TOKEN not in file.read()
    result = subprocess.run([program(SERVER), "--agent-token", TOKEN], capture_output=True)
    assert result.returncode == 2  # an abbreviation of --agent-token-file at most: no such file


EXPOSED = "holds secrets, and every user of this system may read or change it"


def warned(process):
    return [line.split()[2] for line in process.lines if EXPOSED in line]


def test_server_warns_of_files_with_secrets_that_all_may_read(world, config, tmp_path):
    for name in ("agent.token", "alice.password", "users"):
        (tmp_path / name).write_text(f"{name}:x" if name == "users" else f"{name}\n")
        (tmp_path / name).chmod(0o640)
    file = config(
        users=[{"name": "alice", "password_file": f"{tmp_path}/alice.password"}],
        agent_token_file=f"{tmp_path}/agent.token",
    )
    file.path.chmod(0o644)  # it names secrets only
    options = ["--config", file.path, "--user-file", tmp_path / "users"]
    server = world.server(*options, listen=None)
    reload(server)
    assert warned(server) == []
    (tmp_path / "alice.password").chmod(0o644)
    (tmp_path / "users").chmod(0o642)
    reload(server)
    assert warned(server) == [f"{tmp_path}/alice.password", f"{tmp_path}/users"]
    (tmp_path / "agent.token").chmod(0o604)
    file.write(**{**file.members, "users": [{"name": "bob", "ha1_md5": 32 * "0"}]})
    server = world.server(*options, listen=None)
    assert warned(server) == [f"{file.path}", f"{tmp_path}/agent.token", f"{tmp_path}/users"]


@pytest.mark.parametrize(
    "members",
    [
        {"token": TOKEN},
        {"proxy": "http://127.0.0.1:1", "proxy_user": "a:b"},
        {"proxy": "http://a:b@127.0.0.1:1"},
    ],
)
def test_agent_warns_of_files_with_secrets_that_all_may_read(world, tmp_path, members):
    token = tmp_path / "agent.token"
    token.write_text(TOKEN)
    token.chmod(0o644)
    file = Config(tmp_path / "agent.json", url="ws://127.0.0.1:1", **members)
    file.path.chmod(0o644)
    argv = ["--config", file.path, *(["--token-file", token] if "token" not in members else [])]
    expect = [f"{file.path}"] + ([f"{token}"] if "token" not in members else [])
    agent = world.agent(None, *argv)
    agent.wait_for("for ws://127.0.0.1:1")
    assert warned(agent) == expect
    file.path.chmod(0o600)
    reload(agent)
    assert warned(agent) == expect + expect[1:]
    file.write(url="ws://127.0.0.1:1", proxy="http://127.0.0.1:1")
    file.path.chmod(0o644)
    reload(agent)
    assert warned(agent) == expect + 2 * expect[1:]


# -- Read again -----------------------------------------------------------------------------------


def test_users_come_and_go(world, config, echo_site):
    alice = {"name": USER, "password": PASSWORD}
    bob = {"name": "bob", "password": "bob's"}
    file = config(users=[alice], kick="none")
    server = world.server("--config", file.path, listen=None)
    world.served_by(server, "one")
    open_one = ask(world, server, echo_site.address, USER, PASSWORD).client
    assert ask(world, server, echo_site.address, "bob", "bob's").status == 407
    file.change(server, users=[alice, bob])
    assert ask(world, server, echo_site.address, "bob", "bob's").status == 200
    file.change(server, users=[bob])
    assert ask(world, server, echo_site.address, USER, PASSWORD).status == 407
    open_one.send(b"still")  # what is open stays open
    assert open_one.read_exactly(5) == b"still"


def test_agents_come_and_go(world, config, echo_site):
    """One that is not listed any more does not serve, although it is connected."""
    one, two = ({"name": name, "token": f"of-{name}"} for name in ("one", "two"))
    file = config(agents=[one])
    server = world.server("--config", file.path, listen=None)
    token = file.path.parent / "token"
    token.write_text("of-one\n")
    world.served_by(server, "one", "--token-file", token)
    assert ask(world, server, echo_site.address).status == 200
    file.change(server, agents=[two])
    assert ask(world, server, echo_site.address).status == 503
    second = file.path.parent / "second"
    second.write_text("of-two\n")
    world.served_by(server, "two", "--token-file", second)
    assert ask(world, server, echo_site.address).status == 200


def test_rules_change(world, config, echo_site):
    file = config(rules=[{"deny": "*"}])
    server = world.server("--config", file.path, listen=None)
    world.served_by(server, "one")
    denied = "403 Denied by rule 1 of the server"
    assert phrase(ask(world, server, echo_site.address)) == denied
    file.change(server, rules=[{"allow": "127.0.0.1"}])
    assert phrase(ask(world, server, echo_site.address)) == OK
    file.change(server, rules=None)
    assert phrase(ask(world, server, echo_site.address)) == OK


@pytest.mark.parametrize(
    "text, complaint",
    [
        ('{"users": [],,}', r"server\.json:1:14: JSON member name expected"),
        ('{"uses": []}', r"server\.json: uses: unknown member"),
        ('{"users": [{"name": "bob", "ha1_md5": "x"}]}',
         r"server\.json: users\[0\]\.ha1_md5: not 32 hexadecimal digits"),
        ('{"users": [{"name": "bob", "password": "x"}], "rules": [{"allow": "*:0"}]}',
         r"server\.json: rules\[0\]\.allow: '\*:0': ports must be numbers from 1 to 65535"),
        ("{}", "whether users, and agents, must authenticate cannot change without a new start"),
    ],
)  # fmt: skip
def test_faulty_file_changes_nothing(world, config, echo_site, text, complaint):
    file = config(users=[{"name": USER, "password": PASSWORD}])
    server = world.server("--config", file.path, listen=None)
    world.served_by(server, "one")
    file.path.write_text(text)
    reload(server, "configuration not reloaded: nothing has changed")
    server.wait_for(complaint)
    assert ask(world, server, echo_site.address, USER, PASSWORD).status == 200
    assert ask(world, server, echo_site.address).status == 407
    file.change(server)  # right again


def test_file_gone(world, config, echo_site):
    file = config()
    server = world.server("--config", file.path, listen=None)
    world.served_by(server, "one")
    file.path.unlink()
    reload(server, "configuration not reloaded: nothing has changed")
    server.wait_for("cannot open it: No such file or directory")
    assert ask(world, server, echo_site.address).status == 200


def test_what_needs_a_new_start_is_told(world, config):
    file = config()
    server = world.server("--config", file.path, listen=None)
    for _ in range(2):  # as long as it is so
        file.change(server, listen=["127.0.0.1:0", "127.0.0.1:0"], path="/x",
                    limits={"memory_budget": 1 << 24})  # fmt: skip
    server.wait_for("takes effect with the next start only: listen, path, memory_budget", 2)
    assert sum("listening on" in line for line in server.lines) == 1
    file.change(server, listen="127.0.0.1:0", path=None, limits=None)
    assert sum("next start only" in line for line in server.lines) == 2


def test_limits_change(world, config):
    file = config(limits={"max_connections": 1})
    server = world.server("--config", file.path, listen=None)
    first, second = world.client(server), world.client(server)
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert first.ask(health).status == 200
    second.send(health)  # waits in the kernel
    server.wait_for("connections: further ones wait")
    file.change(server, limits={"max_connections": 2})
    assert second.read_answer().status == 200
    assert first.ask(health).status == 200


def test_log_level_changes(world, config):
    file = config(log_level="info")
    server = world.server("--config", file.path, listen=None)
    file.write(listen="127.0.0.1:0", log_level="error")
    reload_silently(world, server)
    world.agent(server.url, "--name", "unseen")
    ready = b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"
    while world.client(server).ask(ready).status != 200:  # it is up before the level changes
        pass
    world.client(server).connect("a.test:1")
    file.change(server, log_level="debug")
    assert "up from" not in server.output
    assert "refused" not in server.output
    assert world.client(server).connect("a.test:1").status in (502, 503, 504)
    server.wait_for("refused: 50")


def reload_silently(world, server):
    """To a level at which nothing is told: a request behind the signal finds it done."""
    os.kill(server.pid, 1)
    for _ in range(2):
        world.client(server).ask(b"GET /healthz HTTP/1.0\r\n\r\n")


def test_user_file_without_configuration(world, tmp_path, echo_site):
    """SIGHUP has the other files read again too."""
    users = tmp_path / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    server = world.server("--user-file", users)
    world.served_by(server, "one")
    assert ask(world, server, echo_site.address, "bob", "bob's").status == 407
    users.write_text("bob:bob's\n")
    reload(server)
    assert ask(world, server, echo_site.address, "bob", "bob's").status == 200


def test_agent_reads_again(world, tmp_path, echo_site):
    server = world.server()
    file = Config(tmp_path / "agent.json", url=server.url, name="one",
                  rules=[{"deny": "*"}])  # fmt: skip
    agent = world.agent(None, "--config", file.path)
    server.wait_for("agent one .* up from")
    answer = ask(world, server, echo_site.address)
    assert phrase(answer) == "403 Destination denied by the agent"
    assert answer.body.decode().splitlines()[1] == "denied by the agent's rule 1"
    file.change(agent, rules=[{"allow": "127.0.0.0/8"}])
    assert phrase(ask(world, server, echo_site.address)) == OK
    file.change(agent, name="two")
    agent.wait_for("takes effect with the next start only: name")
    file.path.write_text("{")
    reload(agent, "configuration not reloaded: nothing has changed")
    assert phrase(ask(world, server, echo_site.address)) == OK


# -- What is written of it ------------------------------------------------------------------------

EXAMPLES = Path(__file__).parents[2] / "examples"


def manual(name):
    """The page as it will be installed."""
    return (Path(program(SERVER)).parent / name).read_text().replace("\\-", "-").replace("\\(dq", '"')


@pytest.mark.parametrize("name", [SERVER, AGENT])
def test_manual_has_each_option(name):
    """Of --help and of the file; and nothing that is none."""
    usage = subprocess.run([program(name), "--help"], capture_output=True, text=True).stdout
    options = set(re.findall(r"--([a-z-]+)", usage)) - {"help", "version"}
    assert len(options) > 8
    described = set(re.findall(r'^\.BI? "?.*$', manual(f"{name}.1"), re.M))
    told = set(re.findall(r"--([a-z-]+)", "\n".join(described)))
    assert options <= told
    members = set(re.findall(r"\b[a-z_0-9]+\b", manual("wstunnel.json.5")))
    own = set(re.findall(r"--([a-z-]+)", usage.partition("\n\n")[2]))  # not only those of commands
    assert {option.replace("-", "_") for option in own & options - {"config"}} <= members


def test_manual_has_each_member():
    members = set(re.findall(r"\b[a-z_0-9]+\b", manual("wstunnel.json.5")))
    for source in EXAMPLES.glob("*_config.c"):
        text = source.read_text()
        for member in re.findall(r'\.name = "(\w+)"|^    LIMIT\((\w+),', text, re.M):
            assert "".join(member) in members, source


@pytest.mark.parametrize("number, name", [(0, SERVER), (1, AGENT)])
def test_manuals_examples(tmp_path, number, name):
    """They are right, but for files that are not there; the agent's has none that it needs now."""
    example = re.findall(r"^\.nf\n(\{.*?^\})", manual("wstunnel.json.5"), re.M | re.S)[number]
    path = tmp_path / "example.json"
    path.write_text(example)
    found = faults(name, path, "--log-level", "loud")
    assert found.pop() == "--log-level: must be error, warn, info or debug"
    assert len(found) == (4 if name == SERVER else 0)
    for line in found:
        assert re.search("cannot open /[a-z/]*etc/wstunnel/", line)


def test_readmes_example(tmp_path):
    text = (EXAMPLES.parent / "README.md").read_text()
    path = tmp_path / "example.json"
    path.write_text(re.search(r"```json\n(.*?)```", text, re.S)[1])
    found = faults(SERVER, path)
    assert len(found) == 2 and all("_file: cannot open" in line for line in found)
