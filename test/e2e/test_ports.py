# SPDX-License-Identifier: MIT
"""Ports: addresses of the server that lead to one destination each."""
import json
import re
import socket
import subprocess

import pytest

from configuration import Config, count, reload
from processes import PASSWORD, PATIENCE, TOKEN, USER, program
from sites import Site, free_port, read_all

LISTEN_FAULT = "must be PORT, IP:PORT, [IP]:PORT, :PORT, localhost:PORT or unix:/PATH"
FORM = "must be LISTEN=HOST:PORT[@AGENT][,user=NAME][,open]"


def port(server, destination, n=1):
    """Where the n-th port listens that has been opened to a destination."""
    return server.wait_for(rf"port ([^\s\"]+) leads to {re.escape(destination)}", n)[1]


@pytest.fixture
def config(tmp_path):
    """A function that makes a server's configuration file."""

    def make(**members):
        return Config(tmp_path / "server.json", listen="127.0.0.1:0", **members)

    return make


def speak_first(connection):
    connection.sendall(b"220 ready\r\n")
    connection.sendall(b"you said " + read_all(connection))


def is_echoing(client, text=b"ping"):
    client.send(text)
    return client.read_exactly(len(text)) == text


def is_reset(world, address, text=b""):
    """Whether a client that comes to a port is reset, if only as soon as it is there."""
    try:
        client = world.client(address)
        client.send(text)
        return client.is_reset()
    except ConnectionResetError:
        return True


# -- Connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("listen", ["0", "127.0.0.1:0", "[::1]:0", "localhost:0", "unix:"])
def test_server_speaks_first_and_ends_last(world, tmp_path, listen):
    site = world.site(Site(speak_first))
    listen += f"{tmp_path}/a=b.sock" if listen == "unix:" else ""
    server = world.server("--port", f"{listen}={site.address}")
    world.served_by(server, "one")
    client = world.client(port(server, site.address))
    assert client.read_exactly(11) == b"220 ready\r\n"
    client.send(b"hello")
    client.end()
    assert client.read_to_end() == b"you said hello"
    server.wait_for("over: ended by the client .* 5 bytes to the agent, 25 to the client")


def test_all_that_is_sent_ahead_arrives(world):
    """printf ... | nc -N: data and the end are there before the destination is."""
    site = world.site(Site(lambda connection: connection.sendall(read_all(connection))))
    server = world.server("--port", f"0={site.address}")
    world.served_by(server, "one")
    data = bytes(range(256)) * 1000  # more than is kept
    for _ in range(20):
        client = world.client(port(server, site.address))
        client.send(data)
        client.end()
        assert client.read_to_end() == data


def test_the_agent_that_is_named(world, echo_site):
    server = world.server("--port", f"0={echo_site.address}@two")
    world.served_by(server, "one")
    address = port(server, echo_site.address)
    assert is_reset(world, address)
    server.wait_for(f"client 127.0.0.1:.*: {echo_site.address} refused: 503 No agent available")
    world.served_by(server, "two")
    for _ in range(3):
        assert is_echoing(world.client(address))
    server.wait_for("through two, dialled", 3)


def test_refused(world):
    nobody = f"127.0.0.1:{free_port()}"
    server = world.server("--port", f"0={nobody}", "--log-format", "json")
    agent = world.agent(server.url)
    server.wait_for("agent_up")
    address = server.wait_for(rf"port (\S+) leads to {nobody}")[1]
    assert is_reset(world, address, b"ahead")
    event = json.loads(server.wait_for('"refused"').string)
    assert (event["destination"], event["http_status"]) == (nobody, 502)
    assert event["client"].startswith("127.0.0.1:") and event["error"] == "connection_refused"
    agent.stop()
    server.wait_for("agent_down")
    assert is_reset(world, address)
    assert json.loads(server.wait_for('"refused"', 2).string)["http_status"] == 503


def test_drain(world, echo_site):
    server = world.server("--port", f"0={echo_site.address}")
    agent = world.served_by(server, "one")
    address = port(server, echo_site.address)
    client = world.client(address)
    assert is_echoing(client)
    server.terminate()
    agent.wait_for("the server takes no more streams")
    with pytest.raises(ConnectionRefusedError):
        world.client(address)
    assert is_echoing(client)
    client.end()
    assert client.read_to_end() == b""
    server.wait_exit(0)


# -- For whom -------------------------------------------------------------------------------------


def test_rules_of_the_user(world, config, echo_site):
    users = [{"name": name, "password": PASSWORD, "tenant": "acme"} for name in (USER, "bob")]
    file = config(
        users=users,
        agents=[{"name": "one", "token": TOKEN, "tenant": "acme"}],
        rules=[{"allow": echo_site.address, "users": USER}],
        ports=[
            {"listen": "0", "destination": echo_site.address, "user": USER},
            {"listen": "0", "destination": echo_site.address, "user": "bob"},
            {"listen": "0", "destination": "127.0.0.1:1", "user": USER},
        ],
    )
    token = file.path.parent / "token"
    token.write_text(TOKEN)
    server = world.server("--config", file.path, listen=None)
    server.wait_for(f"port .* leads to {echo_site.address} for bob")
    world.served_by(server, "one", "--token-file", token)
    alice = world.client(port(server, echo_site.address, 1))
    assert is_echoing(alice)
    server.wait_for(rf"tunnel 1 open: {USER} at 127.0.0.1:\d+ to {echo_site.address}")
    assert is_reset(world, port(server, echo_site.address, 2))
    server.wait_for(f"{echo_site.address} refused: 403 No rule of the server allows it")
    assert is_reset(world, port(server, "127.0.0.1:1"))
    server.wait_for("127.0.0.1:1 refused: 403 No rule of the server allows it")
    file.change(server, rules=[{"allow": "*"}])
    assert is_echoing(world.client(port(server, echo_site.address, 2)))


def test_user_of_a_user_file(world, tmp_path, echo_site):
    (tmp_path / "users").write_text(f"{USER}:{PASSWORD}\n")
    (tmp_path / "users").chmod(0o600)
    options = ["--user-file", tmp_path / "users"]
    server = world.server(*options, "--port", f"0={echo_site.address},user={USER}")
    world.served_by(server, "one")
    assert is_echoing(world.client(port(server, echo_site.address)))


# -- Read again -----------------------------------------------------------------------------------


def test_reload(world, config, echo_site):
    """Ports come, go and change; those that stay, and all that is connected, are not touched."""
    other = world.site(Site(speak_first))
    numbers = [free_port() for _ in range(3)]
    kept, gone, changed = (
        {"listen": f"{number}", "destination": echo_site.address} for number in numbers
    )
    file = config(ports=[gone, kept, changed])
    server = world.server("--config", file.path, "--port", f"0={echo_site.address}", listen=None)
    world.served_by(server, "one")
    addresses = [f"127.0.0.1:{number}" for number in numbers]
    assert port(server, echo_site.address, 1) == addresses[1]
    by_line = port(server, echo_site.address, 4)
    clients = [world.client(address) for address in [*addresses, by_line]]
    assert all(is_echoing(client) for client in clients)

    new = {"listen": "0", "destination": other.address, "agent": "one"}
    changed = {**changed, "destination": other.address}
    file.change(server, ports=[new, changed, kept])
    assert count(server, " leads to ") == 6 and count(server, " closed") == 2
    assert all(is_echoing(client) for client in clients)
    assert is_echoing(world.client(addresses[0]))
    assert is_echoing(world.client(by_line))
    with pytest.raises(ConnectionRefusedError):
        world.client(addresses[1])
    assert world.client(addresses[2]).read_exactly(3) == b"220"
    assert world.client(port(server, other.address)).read_exactly(3) == b"220"

    file.change(server, ports=None)
    assert count(server, " closed") == 5
    assert all(is_echoing(client) for client in clients)
    assert is_echoing(world.client(by_line))
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            world.client(address)
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    "ports, complaint",
    [
        ([{"listen": "x", "destination": "a:1"}], "ports[0].listen: " + LISTEN_FAULT),
        ([{"listen": "1", "destination": "a"}], "ports[0].destination: must be HOST:PORT"),
        ("none", "ports: must be an array of objects"),
    ],
)
def test_faulty_reload_changes_nothing(world, config, echo_site, ports, complaint):
    file = config(ports=[{"listen": "0", "destination": echo_site.address}])
    server = world.server("--config", file.path, listen=None)
    world.served_by(server, "one")
    client = world.client(port(server, echo_site.address))
    file.write(listen="127.0.0.1:0", ports=ports)
    reload(server, "configuration not reloaded: nothing has changed")
    server.wait_for(re.escape(f"{file.path}: {complaint}"))
    assert is_echoing(client)
    assert is_echoing(world.client(port(server, echo_site.address)))


def test_port_of_a_user_who_is_gone(world, config, echo_site):
    """It is an error of the file: nobody is served in his name, and nothing changes."""
    alice, bob = ({"name": name, "password": PASSWORD} for name in (USER, "bob"))
    mine = {"listen": "0", "destination": echo_site.address, "user": "bob"}
    file = config(users=[alice, bob], ports=[mine])
    server = world.server("--config", file.path, listen=None)
    world.served_by(server, "one")
    file.write(listen="127.0.0.1:0", users=[alice], ports=[mine])
    reload(server, "configuration not reloaded: nothing has changed")
    server.wait_for(re.escape(f"{file.path}: ports[0].user: there is no such user"))
    assert is_echoing(world.client(port(server, echo_site.address)))
    file.change(server, ports=None)
    assert count(server, " closed") == 1


def test_address_in_use_at_reload(world, config, echo_site):
    """It is told and leaves the others; the next reload tries again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        kept = {"listen": "0", "destination": echo_site.address}
        busy = {"listen": f"{number}", "destination": echo_site.address}
        wide = {"listen": "0.0.0.0:0", "destination": echo_site.address}
        file = config(ports=[kept])
        server = world.server("--config", file.path, listen=None)
        world.served_by(server, "one")
        client = world.client(port(server, echo_site.address))
        file.change(server, ports=[busy, wide, kept])
        server.wait_for(
            f"cannot open port 127.0.0.1:{number} to {echo_site.address}: address already in use"
        )
        server.wait_for(f"cannot open port 0.0.0.0:0 to {echo_site.address}: ")
        assert is_echoing(client)
        assert is_echoing(world.client(port(server, echo_site.address)))
    file.change(server, ports=[busy, kept])
    assert port(server, echo_site.address, 2) == f"127.0.0.1:{number}"
    assert is_echoing(world.client(f"127.0.0.1:{number}"))
    assert count(server, " closed") == 0


# -- What is wrong --------------------------------------------------------------------------------


def complaints(status, *options):
    """What the server says that does not start."""
    argv = [program("wstunnel-server"), "--listen", "127.0.0.1:0", *options]
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=PATIENCE)  # fmt: skip
    assert result.returncode == status, result.stderr
    return result.stderr


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("2222", FORM),
        ("2222=a:1,shut", FORM),
        ("2222=a:1,user=", FORM),
        ("2222=a:1@", FORM),
        ("2222=a:1@" + "x" * 65, FORM),
        ("=a:1", "LISTEN " + LISTEN_FAULT),
        ("70000=a:1", "LISTEN " + LISTEN_FAULT),
        ("a.test:1=a:1", "LISTEN " + LISTEN_FAULT),
        ("[127.0.0.1]:1=a:1", "LISTEN " + LISTEN_FAULT),
        ("::1=a:1", "LISTEN " + LISTEN_FAULT),
        ("unix:=a:1", "LISTEN " + LISTEN_FAULT),
        ("2222=a", "the destination must be HOST:PORT"),
        ("2222=:1", "the destination must be HOST:PORT"),
        ("2222=a:0", "the destination must be HOST:PORT"),
        ("2222=", "the destination must be HOST:PORT"),
    ],
)
def test_faults_of_the_command_line(text, complaint):
    lines = complaints(2, "--port", text).splitlines()
    assert lines[0] == f"wstunnel-server: --port: {text}: {complaint}"
    assert len(lines) == 2


GOOD = {"listen": "2222", "destination": "a:1"}


@pytest.mark.parametrize(
    "members, expected",
    [
        ({"ports": {}}, ["ports: must be an array of objects"]),
        ({"ports": [{}]},
         ['ports[0]: "listen" is needed', 'ports[0]: "destination" is needed']),
        ({"ports": [GOOD, {**GOOD, "listen": "x"}]}, ["ports[1].listen: " + LISTEN_FAULT]),
        ({"ports": [{**GOOD, "destination": "a"}]}, ["ports[0].destination: must be HOST:PORT"]),
        ({"ports": [{**GOOD, "open": "yes"}]}, ["ports[0].open: must be true or false"]),
        ({"ports": [{**GOOD, "agent": "x" * 65}]},
         ["ports[0].agent: must be 1 to 64 bytes long"]),
        ({"ports": [{**GOOD, "user": "x" * 128}]},
         ["ports[0].user: must be 1 to 127 bytes long"]),
        ({"ports": [{**GOOD, "label": "x"}]}, ["ports[0].label: unknown member"]),
        ({"ports": [GOOD, {**GOOD, "listen": "127.0.0.1:2222"}]},
         ["ports[1].listen: another port has this address"]),
        ({"ports": [{**GOOD, "listen": f"{n + 1}"} for n in range(65)]},
         ["ports: more than 64 ports"]),
        ({"ports": [GOOD, {**GOOD, "listen": "1", "user": "bob"}],
          "users": [{"name": USER, "password": PASSWORD}]},
         ["ports[0].user: is needed, since there are users",
          "ports[1].user: there is no such user"]),
        ({"port": "2222=a:1"}, ['port: unknown member; did you mean "ports"?']),
    ],
)  # fmt: skip
def test_faults_of_the_file(tmp_path, members, expected):
    path = tmp_path / "server.json"
    path.write_text(json.dumps(members))
    path.chmod(0o600)
    lines = complaints(2, "--config", path).splitlines()
    assert lines[:-1] == [f"wstunnel-server: {path}: {line}" for line in expected]


def test_faults_of_both(tmp_path):
    path = tmp_path / "server.json"
    users = [{"name": USER, "password": PASSWORD}]
    path.write_text(json.dumps({"users": users, "ports": [{**GOOD, "user": USER}]}))
    path.chmod(0o600)
    lines = complaints(2, "--config", path, "--port", "2222=b:2").splitlines()
    assert lines[:-1] == [
        "wstunnel-server: --port: 2222=b:2: user: is needed, since there are users",
        "wstunnel-server: --port: 2222=b:2: listen: another port has this address",
    ]


def test_beyond_this_machine(world, echo_site):
    """Only if it is said to be meant; another address of this machine stands for other machines."""
    for listen in ("0.0.0.0:0", ":0", "[::]:0"):
        text = complaints(1, "--port", f"{listen}={echo_site.address}")
        assert f"cannot open port {listen} to {echo_site.address}: " in text
        assert "whoever reaches a port can use it" in text
    server = world.server("--port", f"0.0.0.0:0={echo_site.address},open",
                          "--port", f"0={echo_site.address}")  # fmt: skip
    world.served_by(server, "one")
    wide, narrow = (port(server, echo_site.address, n).rpartition(":")[2] for n in (1, 2))
    assert is_echoing(world.client(f"127.0.0.2:{wide}"))
    assert is_echoing(world.client(f"127.0.0.1:{narrow}"))
    with pytest.raises(ConnectionRefusedError):
        world.client(f"127.0.0.2:{narrow}")


def test_address_in_use_at_the_start():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        text = complaints(1, "--port", f"{number}=a:1")
        assert f"cannot open port 127.0.0.1:{number} to a:1: address already in use" in text


def test_not_to_itself(world):
    number = free_port()
    server = world.server("--port", f"{number}=127.0.0.1:{number}")
    world.served_by(server, "one")
    assert is_reset(world, f"127.0.0.1:{number}")
    server.wait_for(f"127.0.0.1:{number} refused: 403 The destination is this proxy")
