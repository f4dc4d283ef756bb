# SPDX-License-Identifier: MIT
"""Who may reach what, and through whom: rules of server and agent, routes, tenants, guarded
addresses, the server itself. Each answer exactly."""
import re
import socket
import subprocess

import pytest

from configuration import OK, Config, ask, basic, phrase
from processes import program, wait_until
from sites import Site

BY_RULE = "403 Denied by rule {} of the server"
BY_DEFAULT = "403 No rule of the server allows it"
BY_AGENT = "403 Destination denied by the agent"
GUARDED = "403 Denied: a guarded address"
SELF = "403 The destination is this proxy"
NO_AGENT = "503 No agent available"


@pytest.fixture
def start(world, tmp_path):
    """A function that starts a server with a configuration, and its agents, by name."""

    def run(*names, **members):
        file = Config(tmp_path / "server.json", listen="127.0.0.1:0", **members)
        server = world.server("--config", file.path, listen=None)
        for agent in members.get("agents", []):
            token = tmp_path / agent["name"]
            token.write_text(agent["token"] + "\n")
            name = agent["name"].replace("*", "1")
            world.served_by(server, name, "--token-file", token)
        for name in names:
            world.served_by(server, name)
        return server

    return run


def agent(name, **members):
    return {"name": name, "token": f"token-of-{name.replace('*', 'x')}-{members.get('tenant')}",
            **members}  # fmt: skip


def user(name, **members):
    return {"name": name, "password": f"{name}'s", **members}


def ask_as(world, server, destination, name):
    return ask(world, server, destination, name, f"{name.partition('+')[0]}'s")


def served_by(world, server, destination, name):
    """Opens a tunnel; the name of the agent that serves it."""
    answer = ask_as(world, server, destination, name)
    assert phrase(answer) == OK
    port = answer.client.socket.getsockname()[1]
    return server.wait_for(rf"tunnel \d+ open: .*:{port} to .* through (\S+),")[1]


# -- Rules ----------------------------------------------------------------------------------------


def test_rules_by_user(world, start, echo_site):
    server = start(
        "one",
        users=[user("alice"), user("bob"), user("build-7")],
        rules=[
            {"deny": "*", "users": "bob"},
            {"allow": "127.0.0.1", "users": ["alice", "build-*"]},
        ],
    )
    assert phrase(ask_as(world, server, echo_site.address, "alice")) == OK
    assert phrase(ask_as(world, server, echo_site.address, "build-7")) == OK
    answer = ask_as(world, server, echo_site.address, "bob")
    assert phrase(answer) == BY_RULE.format(1)
    assert "error=http_request_denied" in answer.fields["Proxy-Status"]


def test_no_rule_allows_nothing(world, start, echo_site):
    server = start("one", rules=[])
    assert phrase(ask(world, server, echo_site.address)) == BY_DEFAULT


def test_rules_by_agent_and_label(world, start, echo_site):
    """A rule decides which agents can serve: the one it denies is passed over."""
    server = start(
        agents=[agent("berlin", labels=["eu", "new"]), agent("austin", labels=["us"])],
        users=[user("alice"), user("bob"), user("carol")],
        rules=[
            {"deny": "*", "users": "alice", "agents": "label:eu"},
            {"deny": "*", "users": "bob", "agents": "aus*"},
            {"deny": "*", "users": "carol", "agents": ["label:us", "berlin"]},
            {"allow": "*"},
        ],
    )
    for _ in range(3):
        assert served_by(world, server, echo_site.address, "alice") == "austin"
        assert served_by(world, server, echo_site.address, "bob") == "berlin"
    assert phrase(ask_as(world, server, echo_site.address, "carol")) == BY_RULE.format(3)


def test_rules_by_host_and_port(world, start, echo_site):
    port = echo_site.port
    server = start(
        "one",
        rules=[
            {"deny": f"localhost:{port}"},
            {"allow": [f"127.0.0.1:{port - 1}-{port + 1}", "*.intranet.test:80,443"]},
        ],
    )
    assert phrase(ask(world, server, f"127.0.0.1:{port}")) == OK
    assert phrase(ask(world, server, f"127.0.0.1:{port + 2}")) == BY_DEFAULT
    assert phrase(ask(world, server, f"LocalHost.:{port}")) == BY_RULE.format(1)
    assert phrase(ask(world, server, "intranet.test:80")) == BY_DEFAULT
    assert phrase(ask(world, server, "a.intranet.test:81")) == BY_DEFAULT
    # allowed, and so the agent is asked for it, and cannot find it
    assert phrase(ask(world, server, "a.b.intranet.test:443")) == (
        "502 Name of destination not found"
    )


def test_networks_hold_for_literals(world, start, echo_site):
    server = start("one", rules=[{"deny": ["127.0.0.0/8", "[::1]"]}, {"allow": "*"}])
    port = echo_site.port
    for literal in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]",
                    "[0:0::1]"):  # fmt: skip
        assert phrase(ask(world, server, f"{literal}:{port}")) == BY_RULE.format(1)


def test_networks_hold_for_the_address_of_a_name(world, start):
    """Before 200, and before a byte gets to the site."""
    site = world.site(Site(lambda connection: connection.sendall(b"secret")))
    server = start("one", rules=[{"deny": ["127.0.0.0/8", "[::1]"]}, {"allow": "*"}])
    client = world.client(server)
    answer = client.connect(f"localhost:{site.port}", b"early")
    assert phrase(answer) == BY_RULE.format(1)
    assert "error=destination_ip_prohibited" in answer.fields["Proxy-Status"]
    assert client.read_to_end() == b""
    assert site.threads == []


# -- Routes ---------------------------------------------------------------------------------------


def test_routes(world, start, echo_site):
    port = echo_site.port
    server = start(
        agents=[agent("berlin", labels=["eu"]), agent("paris", labels=["eu"]), agent("austin")],
        users=[user("alice"), user("bob"), user("carol")],
        routes=[
            {"users": "alice", "agents": "austin"},
            {"destinations": f"localhost:{port}", "agents": "par*"},
            {"users": "bob", "agents": "label:eu"},
            {"users": "carol", "agents": "nowhere"},
        ],
    )
    for _ in range(2):
        assert served_by(world, server, f"localhost:{port}", "alice") == "austin"
        assert served_by(world, server, f"localhost:{port}", "bob") == "paris"
        assert served_by(world, server, f"localhost:{port}", "carol") == "paris"
    found = {served_by(world, server, echo_site.address, "bob") for _ in range(8)}
    assert found == {"berlin", "paris"}
    assert phrase(ask_as(world, server, echo_site.address, "carol")) == NO_AGENT


def test_user_selects_agent(world, start, echo_site):
    server = start("berlin", "paris", users=[user("alice")], user_selects_agent=True)
    for _ in range(3):
        assert served_by(world, server, echo_site.address, "alice+berlin") == "berlin"
        assert served_by(world, server, echo_site.address, "alice+paris") == "paris"
    assert served_by(world, server, echo_site.address, "alice") in ("berlin", "paris")
    assert phrase(ask_as(world, server, echo_site.address, "alice+rome")) == NO_AGENT
    assert ask(world, server, echo_site.address, "alice+berlin", "wrong").status == 407


def test_user_selects_nothing_unless_allowed(world, start, echo_site):
    server = start("berlin", users=[user("alice")])
    assert ask_as(world, server, echo_site.address, "alice+berlin").status == 407


# -- Tenants --------------------------------------------------------------------------------------


def test_tenants(world, start, echo_site):
    """They have agents of the same name, and neither can reach the other's, nor learn of them."""
    server = start(
        agents=[agent("berlin", tenant="acme", labels=["eu"]),
                agent("berlin", tenant="globex", labels=["eu"]),
                agent("paris", tenant="globex")],
        users=[user("alice", tenant="acme"), user("bob", tenant="globex"), user("carol")],
        user_selects_agent=True,
        routes=[{"users": "alice", "destinations": "localhost", "agents": ["paris", "label:eu"]}],
    )  # fmt: skip
    opened = []
    for _ in range(3):
        opened.append(served_by(world, server, echo_site.address, "alice"))
        opened.append(served_by(world, server, f"localhost:{echo_site.port}", "alice"))
        opened.append(served_by(world, server, echo_site.address, "alice+berlin"))
    assert set(opened) == {"berlin"}
    others = ask_as(world, server, echo_site.address, "alice+paris")
    nobodys = ask_as(world, server, echo_site.address, "alice+rome")
    assert phrase(others) == NO_AGENT
    assert (others.fields, others.body) == (nobodys.fields, nobodys.body)
    assert phrase(ask_as(world, server, echo_site.address, "carol")) == NO_AGENT
    assert phrase(ask_as(world, server, echo_site.address, "carol+berlin")) == NO_AGENT
    assert served_by(world, server, echo_site.address, "bob+paris") == "paris"


def test_same_name_of_two_tenants(world, start, tmp_path, echo_site):
    """Whose agent it is decides, not what it calls itself: acme's berlin alone serves acme."""
    server = start(
        agents=[agent("berlin", tenant="acme"), agent("berlin2", tenant="globex")],
        users=[user("alice", tenant="acme"), user("bob", tenant="globex")],
    )
    assert served_by(world, server, echo_site.address, "alice") == "berlin"
    assert served_by(world, server, echo_site.address, "bob") == "berlin2"
    # globex's token is not good for acme's name
    stranger = world.agent(server.url, "--name", "berlin", "--token-file", tmp_path / "berlin2")
    stranger.wait_for("these credentials are those of an agent of another name")
    assert served_by(world, server, echo_site.address, "alice") == "berlin"


# -- Guarded addresses ----------------------------------------------------------------------------

METADATA = "169.254.169.254"


@pytest.mark.parametrize(
    "rules",
    [None, [{"allow": "*"}], [{"allow": ["*", "0.0.0.0/0", "[::]/0"]}]],
    ids=["without rules", "all", "all networks"],
)
@pytest.mark.parametrize(
    "host", [METADATA, "169.254.1.1", "[fe80::1]", f"[::ffff:{METADATA}]", "[fd00:ec2::254]",
             "100.100.100.200"]
)  # fmt: skip
def test_guarded_addresses(world, start, rules, host):
    server = start("one", **({"rules": rules} if rules else {}))
    assert phrase(ask(world, server, f"{host}:80")) == GUARDED


def test_guarded_address_by_name(world, start, tmp_path, hosts):
    """The agent's machine takes a name for the metadata's address; nothing is opened."""
    server = start(rules=[{"allow": "*"}])
    launcher = hosts(f"{METADATA} innocent.test")
    agent = world.run([*launcher, "--name", "one", server.url])
    server.wait_for("agent one .* up from")
    answer = ask(world, server, "innocent.test:80")
    assert phrase(answer) == BY_AGENT
    assert answer.body.decode().splitlines()[1] == (
        "the agent denies link-local and metadata addresses unless a rule names them "
        "(wstunnel-agent --allow)"
    )
    assert "error=http_request_denied" in answer.fields["Proxy-Status"]
    agent.stop()


def test_guarded_address_opened_by_its_name(world, start):
    """Allowed as itself, on both sides, it is like any other: here, unreachable or silent."""
    server = start("one", rules=[{"allow": METADATA}])
    assert phrase(ask(world, server, f"{METADATA}:80")) == BY_AGENT  # the server allows it


# -- The agent's own rules ------------------------------------------------------------------------


@pytest.fixture
def hosts(tmp_path):
    """A function that gives the front of a command line: an agent with a hosts file of its own."""
    try:
        subprocess.run(["unshare", "--mount", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NAMES OF OUR OWN ARE NOT TESTED: no mount namespaces here: {error}")

    def launcher(*lines):
        file = tmp_path / "hosts"
        file.write_text("127.0.0.1 localhost\n" + "\n".join(lines) + "\n")
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, file, program("wstunnel-agent")]

    return launcher


def test_agent_denies_the_resolved_address(world, start, tmp_path, hosts, echo_site):
    """A server that is taken over, or a name server, cannot name its way around it."""
    server = start()
    port = echo_site.port
    file = Config(tmp_path / "agent.json", url=server.url, name="one",
                  rules=[{"allow": f"127.0.0.1:{port}"}, {"deny": "127.0.0.2"}, {"allow": "*.test"}])  # fmt: skip
    launcher = hosts("127.0.0.1 good.test", "127.0.0.2 rebound.test other.test")
    world.run([*launcher, "--config", file.path])
    server.wait_for("agent one .* up from")
    assert phrase(ask(world, server, f"good.test:{port}")) == OK
    for host in ("rebound.test", "other.test", "127.0.0.2"):
        answer = ask(world, server, f"{host}:{port}")
        assert phrase(answer) == BY_AGENT
        assert answer.body.decode().splitlines()[1] == "denied by the agent's rule 2"
    for destination in ("localhost:1", "8.8.8.8:53"):  # not even looked up
        answer = ask(world, server, destination)
        assert phrase(answer) == BY_AGENT
        assert answer.body.decode().splitlines()[1] == "no rule of the agent allows it"


# -- The agent's own host -------------------------------------------------------------------------

LOOPBACK = "the agent denies its own loopback addresses unless a rule names them (wstunnel-agent --allow)"


def test_agent_denies_its_own_host(world, echo_site):
    """However it is written; the client and the agent's log are told what would open it."""
    server = world.server()
    agent = world.agent(server.url, opens=False)
    server.wait_for("agent .* up from")
    port = echo_site.port
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]",
                 "127.0.0.77", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]"):  # fmt: skip
        answer = ask(world, server, f"{host}:{port}")
        assert phrase(answer) == BY_AGENT, host
        assert answer.body.decode().splitlines()[1] == LOOPBACK, host
        assert LOOPBACK in answer.fields["Proxy-Status"]
    agent.wait_for(re.escape(f"stream to 127.0.0.1:{port}: destination not allowed: {LOOPBACK}"))
    assert echo_site.threads == []


@pytest.mark.parametrize(
    "options, open_, closed",
    [
        (["--allow", "127.0.0.1:{port}"], ["127.0.0.1", "localhost"], ["127.0.0.2", "192.0.2.1"]),
        (["--allow", "localhost"], ["localhost"], ["127.0.0.1"]),
        (["--allow", "*"], [], ["127.0.0.1", "localhost"]),
        (["--deny", "192.0.2.1", "--allow", "*", "--allow", "127.0.0.0/8"], ["127.0.0.1"],
         ["192.0.2.1"]),
        (["--deny", "192.0.2.1"], [], ["127.0.0.1", "192.0.2.1"]),
        (["--allow", "127.0.0.1", "--deny", "127.0.0.0/8"], ["127.0.0.1"], ["127.0.0.2"]),
        (["--deny", "127.0.0.0/8", "--allow", "127.0.0.1"], [], ["127.0.0.1"]),
    ],
)  # fmt: skip
def test_agent_options_open_and_close(world, echo_site, options, open_, closed):
    server = world.server()
    world.agent(server.url, *[o.format(port=echo_site.port) for o in options], opens=False)
    server.wait_for("agent .* up from")
    for host in open_:
        assert phrase(ask(world, server, f"{host}:{echo_site.port}")) == OK, host
    for host in closed:
        assert phrase(ask(world, server, f"{host}:{echo_site.port}")) == BY_AGENT, host


def test_agent_options_come_before_the_rules(world, tmp_path, echo_site):
    """And again when the file is reloaded."""
    server = world.server()
    port = echo_site.port
    file = Config(tmp_path / "agent.json", url=server.url, rules=[{"allow": "127.0.0.2"}])
    agent = world.agent(None, "--config", file.path, "--allow", f"127.0.0.1:{port}")
    server.wait_for("agent .* up from")
    for rules in ([{"allow": "127.0.0.2"}], [{"deny": "127.0.0.1"}, {"allow": "127.0.0.3"}]):
        assert phrase(ask(world, server, f"127.0.0.1:{port}")) == OK
        assert phrase(ask(world, server, f"192.0.2.1:{port}")) == BY_AGENT
        file.change(agent, rules=rules)
    assert LOOPBACK in ask(world, server, f"127.0.0.2:{port}").body.decode()


@pytest.mark.parametrize(
    "rules, reason",
    [
        ([{"deny": "127.0.0.2"}, {"allow": "*"}], BY_RULE.format(1)),
        ([{"allow": ["10.0.0.0/8", "127.0.0.1"]}], BY_DEFAULT),
        ([{"allow": "*"}, {"deny": "127.0.0.2"}], GUARDED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["CONNECT", "GET"])
def test_denied_names_tell_nothing_of_ports(world, start, hosts, rules, reason, form):
    """By the server's rules: the answers for an open and a closed port are the same to the byte,
    and nothing has connected to the open one."""
    address = METADATA if reason == GUARDED else "127.0.0.2"
    site = world.site(Site(lambda connection: None, "127.0.0.2"))
    server = start(rules=rules)
    launcher = hosts(f"{address} inside.test")
    world.run([*launcher, "--name", "one", "--allow", "*", "--allow", "127.0.0.0/8",
               "--allow", METADATA, server.url])  # fmt: skip
    server.wait_for("agent one .* up from")
    answers = []
    for port in (site.port, 1):
        client = world.client(server)
        target = f"inside.test:{port}" if form == "CONNECT" else f"http://inside.test:{port}/"
        client.send(f"{form} {target} HTTP/1.1\r\nHost: inside.test:{port}\r\n\r\n".encode())
        answer = client.read_answer()
        assert phrase(answer) == reason
        assert "destination_ip_prohibited" in answer.fields["Proxy-Status"]
        answer.fields.pop("Date", None)
        answers.append((phrase(answer), answer.fields, answer.body))
    assert answers[0] == answers[1]
    assert site.threads == []


def test_prefixes_of_nat64(world, start, tmp_path):
    """Both sides see through the network's own prefix, with and without rules."""
    guarded = "[2001:db8:64::169.254.169.254]:80"
    own = "[2001:db8:64::127.0.0.1]:80"
    far = start(nat64="2001:db8:64::/96")
    near = start()
    for server, members in ((far, {}), (near, {"nat64": ["2001:db8:65::/96", "2001:db8:64::/96"]})):
        file = Config(tmp_path / f"{server.port}.json", url=server.url, **members)
        world.agent(None, "--config", file.path, opens=False)
        server.wait_for("agent .* up from")
    assert phrase(ask(world, far, guarded)) == GUARDED
    assert phrase(ask(world, near, guarded)) == BY_AGENT
    answer = ask(world, near, own)
    assert (phrase(answer), LOOPBACK in answer.body.decode()) == (BY_AGENT, True)


@pytest.mark.parametrize("option", ["--allow", "--deny"])
def test_agent_options_with_faults(option):
    run = subprocess.run([program("wstunnel-agent"), option, "10.*", "ws://a.test"],
                         capture_output=True, text=True)  # fmt: skip
    assert run.returncode == 2
    assert f"{option}: '10.*': not an address, nor a network such as 10.0.0.0/8" in run.stderr


# -- The server itself ----------------------------------------------------------------------------


def own_addresses():
    out = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    return [f"[{a}]" if ":" in a else a for a in out if not a.startswith("fe80")]


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"])
def test_never_to_itself(world, listen):
    """Else a client would be at the server's loopback address, where it trusts whoever comes."""
    server = world.server("--insecure-open", listen=listen)
    world.agent(f"ws://127.0.0.1:{server.port}", "--name", "one")
    server.wait_for("agent one .* up from")
    hosts, of_interfaces = ["127.0.0.1", "localhost"], own_addresses()
    if listen != "127.0.0.1:0":
        hosts += ["0.0.0.0", "127.0.0.2"] + [a for a in of_interfaces if ":" not in a]
    if listen == "[::]:0":
        hosts += ["[::1]", "[::]", "[::ffff:127.0.0.1]"] + of_interfaces
    for host in hosts:
        client = world.client(f"127.0.0.1:{server.port}")
        answer = client.connect(f"{host}:{server.port}")
        if host in of_interfaces and host not in own_addresses():
            continue  # its interface has gone meanwhile, which another suite had made
        assert phrase(answer) == SELF, host
        assert "error=proxy_loop_detected" in answer.fields["Proxy-Status"]


def test_not_to_another_address_of_itself(world, start, tmp_path):
    """An address for agents or monitors only is one of its own too."""
    file = Config(tmp_path / "server.json", listen=["127.0.0.1:0", "127.0.0.1:0,health"])
    server = world.server("--config", file.path, listen=None)
    world.served_by(server, "one")
    other = server.wait_for(r"listening on (\S+)", 2)[1]
    assert phrase(ask(world, server, other)) == SELF


def test_another_server_is_none_of_it(world):
    """The same port of another address is another server."""
    server = world.server()
    world.served_by(server, "one")
    other = socket.create_server(("127.0.0.2", server.port))
    with other:
        assert phrase(ask(world, server, f"127.0.0.2:{server.port}")) == OK


# -- Guessing -------------------------------------------------------------------------------------


def test_guessing_is_slowed_down(world, start, echo_site):
    server = start("one", users=[user("alice")], limits={"max_failures": 3,
                                                          "failure_window_ms": 3600000})  # fmt: skip
    for _ in range(3):
        assert ask(world, server, echo_site.address, "alice", "guess").status == 407
    answer = ask_as(world, server, echo_site.address, "alice")  # right, too late
    assert answer.status == 429
    assert int(answer.fields["Retry-After"]) > 0


def test_basic_can_be_switched_off(world, start, echo_site):
    server = start("one", users=[user("alice")], no_basic=True)
    client = world.client(server)
    request = f"CONNECT {echo_site.address} HTTP/1.1\r\n{basic('alice', chr(97))}\r\n"
    client.send(request.encode())
    head = client.read_head().decode()
    assert head.startswith("HTTP/1.1 407 ")
    assert "Digest" in head and "Proxy-Authenticate: Basic" not in head
    proxy = ["curl", "-sS", "-p", "-x", server.proxy, "-U", "alice:alice's", "--proxy-digest"]
    result = subprocess.run(
        [*proxy, "-m", "20", f"http://{echo_site.address}/"], capture_output=True, text=True
    )
    assert "CONNECT" not in result.stderr  # it was let through; an echo is no answer of HTTP
    server.wait_for("tunnel 1 open: alice at")
