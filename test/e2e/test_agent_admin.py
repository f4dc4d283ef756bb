# SPDX-License-Identifier: MIT
"""Operators of an agent: what they see of its connections and streams, what they do, who may."""
import json
import subprocess
import sys

import pytest

from configuration import Config, reload
from processes import OPEN, wait_until
from test_admin import GUARDS, PARSER, Operator, tunnel, works

ANN = {"name": "ann", "password": "ann's"}
READER = {"name": "rob", "password": "rob's", "read_only": True}
ADDRESS = r'operators are served at ([^\s"]+)'


@pytest.fixture
def start(world):
    """A function that starts a server and its agent; gives both, and an operator of the agent."""

    def run(*options, admin="127.0.0.1:0", account=None):
        server = world.server()
        agent = world.served_by(server, "berlin", "--admin", admin, *options)
        return server, agent, Operator(agent, account, agent.wait_for(ADDRESS)[1])

    return run


def test_status(world, start, echo_site):
    server, _, operator = start()
    client = tunnel(world, server, echo_site.address)
    assert works(client)
    seen = operator.status()
    assert (seen["agent"], seen["up"], seen["draining"]) == ("berlin", True, False)
    [connection] = seen["connections"]
    assert (connection["server"], connection["state"], connection["streams"]) == (server.address, "up", 1)
    assert (connection["bytes_to_destinations"], connection["bytes_to_server"]) == (5, 5)
    [stream] = seen["streams"]
    assert (stream["destination"], stream["state"]) == (echo_site.address, "open")
    assert (stream["bytes_to_destination"], stream["bytes_to_server"]) == (5, 5)
    assert seen["health"]["descriptors"] > 5 and seen["health"]["names"] == 0
    assert seen["totals"]["streams_opened"] == 1 and seen["totals"]["bytes_to_server"] == 5
    client.close()
    wait_until(lambda: operator.status()["streams"] == [], "no stream any more")
    assert operator.status()["totals"]["bytes_to_server"] == 5


def test_lost_connection(world, start, echo_site):
    """The stream waits, and the status says so."""
    server, _, operator = start()
    tunnel(world, server, echo_site.address)
    server.kill()
    wait_until(lambda: operator.status()["connections"][0]["state"] == "suspended", "suspended")
    seen = operator.status()
    assert [c["streams"] for c in seen["connections"]] == [1] and not seen["up"]
    assert seen["totals"]["suspensions"] == 1


def test_no_server(world):
    agent = world.agent("ws://127.0.0.1:1", "--admin", "127.0.0.1:0")
    operator = Operator(agent, address=agent.wait_for(ADDRESS)[1])
    [connection] = operator.status()["connections"]
    assert connection["state"] in ("waiting", "connecting")
    assert connection["server"] == "127.0.0.1:1"


def test_metrics(world, start, echo_site):
    server, _, operator = start()
    assert works(tunnel(world, server, echo_site.address))
    code, text = operator.curl("/metrics")
    assert code == 200 and text.endswith("# EOF\n") and echo_site.address not in text
    assert '\nwstunnel_server_connections{state="up"} 1\n' in text
    assert '\nwstunnel_stream_bytes_total{direction="to_destination"} 5\n' in text
    for python in (sys.executable, "/usr/bin/python3"):
        read = subprocess.run([python, "-c", PARSER], input=text, capture_output=True, text=True)
        if read.returncode != 77:
            break
    else:
        pytest.skip("no python3-prometheus-client")
    assert read.returncode == 0, read.stderr
    assert "wstunnel_streams [] 1.0" in read.stdout


def test_page(start):
    """Its own view, by the server's page; and nothing that the page could not load from itself."""
    _, _, operator = start()
    for path, kind in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript"),
                       ("/view.js", "text/javascript")]:  # fmt: skip
        head, _, body = operator.head(path).partition("\n\n")
        assert " 200 OK" in head and f"\nContent-Type: {kind}; charset=utf-8" in head
        assert all(f"\n{field}" in head for field in GUARDS), path
        assert "://" not in body.replace("http://www.w3.org/2000/svg", ""), path
    assert 'watch("agent"' in operator.curl("/view.js")[1]
    for path in ("/server.js", "/agent.js", "/end-flow"):
        assert operator.curl(path)[0] == 404


def test_end_stream(world, start, echo_site):
    server, agent, operator = start()
    kept, ended = (tunnel(world, server, echo_site.address) for _ in range(2))
    number = max(stream["id"] for stream in operator.status()["streams"])
    assert operator.post("/end-stream", id=number) == (200, '{"count":1}\n')
    assert ended.is_reset()
    assert works(kept)
    agent.wait_for(rf"operator 127\S+: end-stream {number}: to {echo_site.address}, 1 ended")
    agent.wait_for(f"stream to {echo_site.address}: over: cancelled")
    assert [stream["id"] for stream in operator.status()["streams"]] == [number - 1]
    assert operator.post("/end-stream", id=number)[0] == 404
    assert operator.post("/end-stream")[0] == 400


def test_reconnect(start):
    server, agent, operator = start()
    assert operator.post("/reconnect") == (200, '{"count":0}\n')
    agent.wait_for(r"operator 127\S+: reconnect the agent, 0 ended")
    server.wait_for("agent berlin .* resumed")


def test_drain(world, start, echo_site):
    server, agent, operator = start()
    client = tunnel(world, server, echo_site.address)
    assert operator.post("/drain")[0] == 200
    assert operator.status()["draining"] and works(client)
    client.close()
    agent.wait_exit()


@pytest.mark.parametrize("admin", ["127.0.0.1:0", "localhost:0", "unix:{}/admin"])
def test_no_tunnel(world, start, tmp_path, admin):
    """Whatever the agent is allowed to open."""
    server, agent, operator = start(*OPEN, admin=admin.format(tmp_path))
    assert operator.status()["up"]
    port = operator.address.rpartition(":")[2]
    if not port.isdigit():
        return
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
        client = world.client(server)
        client.send(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
        assert client.read_answer().status == 403
    agent.wait_for("it is an address of the agent itself")
    assert operator.status()["streams"] == []


def test_accounts(world, start, tmp_path):
    config = Config(tmp_path / "agent.json", admins=[ANN, READER])
    _, agent, operator = start("--config", config.path, account=ANN)
    assert operator.status()["operator"]["name"] == "ann"
    reader = Operator(agent, READER, operator.address)
    assert reader.curl("/metrics")[0] == 200
    assert reader.post("/drain")[0] == 403
    assert reader.post("/end-stream", id=1)[0] == 403
    assert operator.post("/end-stream", id=1)[0] == 404
    assert Operator(agent, None, operator.address).curl("/status.json")[0] == 401
    config.change(agent, admins=[READER])
    assert operator.curl("/status.json")[0] == 401
    assert reader.curl("/status.json")[0] == 200
    config.write()
    reload(agent, "configuration not reloaded")
    assert "whether operators have accounts cannot change without a new start" in agent.output
    assert reader.curl("/status.json")[0] == 200
    assert ANN["password"] not in agent.output


def test_foreign_pages(start):
    _, _, operator = start()
    assert operator.curl("/status.json", "-H", "Host: evil.example")[0] == 403
    assert operator.curl("/drain", "-X", "POST")[0] == 403
    assert operator.curl("/end-stream", "-d", "id=1")[0] == 403
    assert operator.post("/end-stream", "-H", "Origin: http://evil.example", id=1)[0] == 403
    assert operator.post("/end-stream", "-H", "Sec-Fetch-Site: cross-site", id=1)[0] == 403
    assert operator.curl("/", "-H", "Host: evil.example")[0] == 403


@pytest.mark.parametrize("options, members, fault", [
    (["--admin", "0.0.0.0:0"], {}, "admin: beyond this machine operators need accounts"),
    (["--admin", "name:1"], {}, "admin: not IP:PORT"),
    ([], {"admin": "127.0.0.1:0", "admins": []}, "admins: must not be empty"),
    ([], {"admins": [{**ANN, "tenant": "acme"}]}, "admins: an agent has no tenants"),
    ([], {"admins": [{"name": "a"}]}, 'admins[0]: needs a "password" or "password_file"'),
])  # fmt: skip
def test_faulty_configuration(world, tmp_path, options, members, fault):
    config = Config(tmp_path / "agent.json", **members)
    agent = world.agent("ws://127.0.0.1:1", "--config", config.path, *options)
    agent.wait_exit(2)
    assert fault in agent.output


def test_address_in_use(world, start):
    _, _, operator = start()
    agent = world.agent("ws://127.0.0.1:1", "--admin", operator.address)
    agent.wait_exit(1)
    assert f"cannot serve operators at {operator.address}: address already in use" in agent.output


def test_json(start):
    """Whoever asks for the status of a server is told that this is none."""
    _, agent, operator = start()
    command = [agent.argv[0].replace("wstunnel-agent", "wstunnel-server"), "status", operator.address]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 1 and "not the status of a wstunnel-server" in said.stderr
    assert json.loads(operator.curl("/status.json")[1])["agent"] == "berlin"
