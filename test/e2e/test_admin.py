# SPDX-License-Identifier: MIT
"""Operators: curl at an address with the role admin; what they see, what they do, who may."""
import base64
import http.client
import json
import os
import re
import subprocess
import sys

import pytest

from configuration import Config, basic, reload
from processes import PATIENCE, wait_until

ANN = {"name": "ann", "password": "ann's"}
READER = {"name": "rob", "password": "rob's", "read_only": True}
ACME = {"name": "cat", "password": "cat's", "tenant": "acme"}
MARK = ("-H", "Wstunnel-Admin: 1")
ADDRESS = r'listening on ([^\s"]+)'

# Reads OpenMetrics as Prometheus does; exits with 77 if the parser is not installed.
PARSER = """
import sys
try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families
except ImportError:
    sys.exit(77)
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(sample.name, sorted(sample.labels.items()), float(sample.value))
"""


class Operator:
    """curl, as an operator with that account."""

    scheme = "http"

    def __init__(self, server, account=None, address=None):
        self.address = address or server.wait_for(ADDRESS, count=2)[1]
        self.account = account

    def curl(self, path, *options):
        """The status and the body."""
        argv = ["curl", "-sS", "--compressed", "--max-time", str(PATIENCE), "-w", "\n%{http_code}", *options]
        if self.account is not None:
            argv += ["-u", f"{self.account['name']}:{self.account['password']}"]
        if self.address.startswith("unix:"):
            argv += ["--unix-socket", self.address[5:], f"http://localhost{path}"]
        else:
            argv.append(f"{self.scheme}://{self.address}{path}")
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def head(self, path, *options):
        return self.curl(path, "-i", *options)[1]

    def status(self):
        code, body = self.curl("/status.json")
        assert code == 200, body
        return json.loads(body)

    def post(self, path, *options, **fields):
        for name, value in fields.items():
            options += ("--data-urlencode", f"{name}={value}")
        return self.curl(path, "-X", "POST", *MARK, *options)


def tunnel(world, server, destination, user=None):
    client = world.client(server)
    fields = basic(user["name"], user["password"]) if user else ""
    client.send(f"CONNECT {destination} HTTP/1.1\r\n{fields}\r\n".encode())
    assert client.read_answer().status == 200
    return client


def serve_with_token(world, server, name, token):
    world.run([world.program("wstunnel-agent"), "--name", name, *world.opens(), server.url],
              env=os.environ | {"WSTUNNEL_TOKEN": token})  # fmt: skip
    server.wait_for(f"agent {name} .* up from")


def works(client):
    client.send(b"hello")
    return client.read_exactly(5) == b"hello"


@pytest.fixture
def start(world, tmp_path):
    """A function that starts a server whose second address is for operators."""

    def run(*options, admin="127.0.0.1:0", **members):
        config = Config(tmp_path / "server.json", **members)
        server = world.server("--listen", f"{admin},admin", "--config", config.path, *options)
        return server, config

    return run


def test_status(world, start, echo_site):
    server, _ = start()
    operator = Operator(server)
    assert operator.status()["agents"] == []
    agent = world.served_by(server, "one")
    client = tunnel(world, server, echo_site.address)
    assert works(client)
    seen = operator.status()
    assert [a["name"] for a in seen["agents"]] == ["one"]
    assert seen["agents"][0]["state"] == "ready" and seen["agents"][0]["streams"] == 1
    assert seen["agents"][0]["software"].startswith("libwstunnel/")
    [flow] = seen["flows"]
    assert flow["destination"] == echo_site.address and flow["address"] == "127.0.0.1"
    assert flow["agent"] == "one" and flow["state"] == "relaying"
    assert (flow["bytes_to_agent"], flow["bytes_to_client"]) == (5, 5)
    assert seen["health"]["dial_p99_ms"] > 0 and seen["health"]["descriptors"] > 10
    assert seen["totals"]["streams"] == 1 and seen["totals"]["bytes_to_agents"] == 5
    client.close()
    agent.stop()
    server.wait_for("agent one .* down")
    [gone] = operator.status()["gone"]
    assert gone["name"] == "one" and gone["why"]


def test_metrics(world, start, echo_site):
    server, _ = start(users=[{**ANN, "tenant": "t"}],
                      agents=[{"name": "one", "token": "t" * 20, "tenant": "t"}])  # fmt: skip
    operator = Operator(server)
    serve_with_token(world, server, "one", "t" * 20)
    assert works(tunnel(world, server, echo_site.address, ANN))
    code, text = operator.curl("/metrics")
    assert code == 200 and text.endswith("# EOF\n")
    assert "application/openmetrics-text; version=1.0.0; charset=utf-8" in operator.head("/metrics")
    assert "ann" not in text and echo_site.address not in text
    for python in (sys.executable, "/usr/bin/python3"):
        read = subprocess.run([python, "-c", PARSER], input=text, capture_output=True, text=True)
        if read.returncode != 77:
            break
    else:
        pytest.skip("no python3-prometheus-client")
    assert read.returncode == 0, read.stderr
    assert "wstunnel_streams [] 1.0" in read.stdout
    assert "wstunnel_stream_bytes_total [('direction', 'to_agent')] 5.0" in read.stdout
    assert "wstunnel_dial_seconds_count [] 1.0" in read.stdout
    assert re.search(r"wstunnel_agent_up \[\('agent', 'one'\), \('agent_instance', '[0-9a-f]{32}'\), "
                     r"\('tenant', 't'\)\] 1.0", read.stdout)  # fmt: skip


def test_errors(start):
    server, _ = start()
    operator = Operator(server)
    status, page = operator.curl("/")
    assert status == 200 and page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n")
    assert '\nwatch("server", ' in operator.curl("/view.js")[1]
    assert operator.curl("/none")[0] == 404
    assert operator.curl("/metrics", *MARK, "-X", "POST")[0] == 405
    assert "Allow: POST" in operator.head("/drain")
    assert operator.post("/end-flow", id="x" * 5000)[0] == 413
    assert operator.post("/end-flow", "-H", "Content-Type: text/plain", id=1)[0] == 415
    assert operator.post("/end-flow")[0] == 400
    assert operator.post("/end-flow", id=77)[0] == 404
    assert operator.post("/end-flow", "-H", "Expect: 100-continue", id=77)[0] == 404
    assert operator.curl("/", "-I")[0] == 200
    for path in ("/", "/none", "/metrics", "/drain"):
        head = operator.head(path)
        for field in ("Cache-Control: no-store", "X-Content-Type-Options: nosniff",
                      "X-Frame-Options: DENY", "Content-Security-Policy: default-src 'none';"):
            assert field in head, (path, field)  # fmt: skip


def test_end_flow(world, start, echo_site):
    server, _ = start()
    operator = Operator(server)
    world.served_by(server, "one")
    kept, ended = (tunnel(world, server, echo_site.address) for _ in range(2))
    number = max(flow["id"] for flow in operator.status()["flows"])
    assert operator.post("/end-flow", id=number) == (200, '{"count":1}\n')
    assert ended.is_reset()
    assert works(kept)
    server.wait_for(rf"operator 127\S+: end-flow {number}: 127\S+ to {echo_site.address}, 1 ended")
    server.wait_for(f"tunnel {number} over: .*: ended by an operator")


def test_end_agent(world, start, echo_site):
    server, _ = start()
    operator = Operator(server)
    world.served_by(server, "one")
    client = tunnel(world, server, echo_site.address)
    [agent] = operator.status()["agents"]
    assert operator.post("/end-agent", name="one", instance=agent["instance"])[0] == 200
    assert client.is_reset()
    server.wait_for("agent one .* up from", count=2)
    assert works(tunnel(world, server, echo_site.address))


def test_end_user(world, start, echo_site):
    bob = {"name": "bob & co", "password": "b"}
    server, _ = start(users=[ANN, bob])
    operator = Operator(server)
    world.served_by(server, "one")
    anns = tunnel(world, server, echo_site.address, ANN)
    bobs = [tunnel(world, server, echo_site.address, bob) for _ in range(200)]
    assert operator.post("/end-user", user="bob & co") == (200, '{"count":200}\n')
    assert all([client.is_reset() for client in bobs])
    assert works(anns)
    assert operator.post("/end-user", user="bob & co")[0] == 404


def test_drain(world, start, echo_site):
    server, _ = start("--log-format", "json", admins=[ANN])
    operator = Operator(server, ANN)
    world.served_by(server, "one")
    client = tunnel(world, server, echo_site.address)
    watching = http.client.HTTPConnection(operator.address, timeout=PATIENCE)

    def drains():
        token = base64.b64encode(b"ann:ann's").decode()
        watching.request("GET", "/status.json", headers={"Authorization": f"Basic {token}"})
        return json.load(watching.getresponse())["draining"]

    assert not drains()
    assert operator.post("/drain")[0] == 200
    event = json.loads(server.wait_for('.*"event":"admin_action".*')[0])
    assert (event["operator"], event["action"]) == ("ann", "drain")
    assert drains()  # a new connection would not be accepted
    assert works(client)
    client.close()
    server.wait_exit()
    watching.close()


def test_drain_of_idle_server(start):
    """The answer arrives although the server ends at once."""
    server, _ = start()
    assert Operator(server).post("/drain")[0] == 200
    server.wait_exit()


def test_accounts(start):
    server, config = start(admins=[ANN, READER, ACME])
    assert Operator(server).curl("/status.json")[0] == 401
    assert Operator(server, {**ANN, "password": "x"}).curl("/status.json")[0] == 401
    assert Operator(server, ANN).status()["operator"] == {"name": "ann", "tenant": "", "read_only": False}
    assert Operator(server, READER).curl("/metrics")[0] == 200
    assert Operator(server, READER).post("/drain")[0] == 403
    assert Operator(server, ACME).post("/drain")[0] == 403
    assert "totals" not in Operator(server, ACME).status()
    config.change(server, admins=[READER])
    assert Operator(server, ANN).curl("/status.json")[0] == 401
    assert Operator(server, READER).curl("/status.json")[0] == 200
    config.write(admins=[])
    reload(server, "configuration not reloaded")
    config.write()
    reload(server, "configuration not reloaded")
    assert "whether operators have accounts cannot change without a new start" in server.output
    assert Operator(server).curl("/status.json")[0] == 401
    for account in (ANN, READER):
        assert account["password"] not in server.output


def test_tenants(world, start, echo_site):
    users = [{"name": tenant, "password": "x", "tenant": tenant} for tenant in ("acme", "zoo")]
    tokens = {tenant: tenant * 5 for tenant in ("acme", "zoo")}
    server, _ = start(admins=[ANN, ACME], users=users,
                      agents=[{"name": t, "token": tokens[t], "tenant": t} for t in tokens])  # fmt: skip
    for tenant, token in tokens.items():
        serve_with_token(world, server, tenant, token)
    acmes, zoos = (tunnel(world, server, echo_site.address, user) for user in users)
    whole, part = Operator(server, ANN).status(), Operator(server, ACME).status()
    assert sorted(agent["name"] for agent in whole["agents"]) == ["acme", "zoo"]
    assert [agent["name"] for agent in part["agents"]] == ["acme"]
    assert [flow["user"] for flow in part["flows"]] == ["acme"]
    numbers = {flow["user"]: flow["id"] for flow in whole["flows"]}
    operator = Operator(server, ACME)
    assert operator.post("/end-flow", id=numbers["zoo"])[0] == 404
    assert operator.post("/end-user", user="zoo")[0] == 404
    assert operator.post("/end-user", user="acme")[0] == 200
    assert acmes.is_reset() and works(zoos)
    assert "zoo" not in operator.curl("/metrics")[1]


def test_foreign_pages(start):
    """Of a name that was pointed at this machine, and of another site."""
    server, _ = start()
    operator = Operator(server)
    assert operator.curl("/status.json", "-H", "Host: evil.example")[0] == 403
    assert operator.curl("/status.json", "-H", "X-Forwarded-For: 192.0.2.1")[0] == 403
    assert operator.curl("/drain", "-X", "POST")[0] == 403
    assert operator.post("/drain", "-H", "Origin: http://evil.example")[0] == 403
    assert operator.post("/drain", "-H", "Sec-Fetch-Site: cross-site")[0] == 403
    own = f"Origin: http://{operator.address}"
    assert operator.post("/end-flow", "-H", own, "-H", "Sec-Fetch-Site: same-origin", id=1)[0] == 404


def test_no_tunnel(world, start):
    """No agent leads to an operator's address."""
    server, _ = start()
    operator = Operator(server)
    agent = world.agent(server.url, "--allow", "127.0.0.1", opens=False)
    server.wait_for("agent .* up from")
    client = world.client(server)
    client.send(f"CONNECT {operator.address} HTTP/1.1\r\n\r\n".encode())
    assert client.read_answer().status == 403
    assert agent.popen.poll() is None


def test_unix_socket(start, tmp_path):
    server, _ = start(admin=f"unix:{tmp_path}/admin")
    assert Operator(server, address=f"unix:{tmp_path}/admin").status()["agents"] == []


def test_tls(start, identity):
    """At an address with TLS, the page's own origin is one of https."""
    server, _ = start("--cert", identity.certificate, "--key", identity.key, admins=[ANN])
    operator = Operator(server, ANN)
    operator.scheme = "https"
    code, body = operator.curl("/status.json", "-k")
    assert code == 200 and json.loads(body)["health"]["certificate_days"] >= 0
    origin = ("-k", "-H", f"Origin: https://{operator.address}")
    assert operator.post("/end-flow", *origin, id=1)[0] == 404
    operator.scheme = "http"
    answer = operator.head("/status.json")
    assert " 400 Bad Request: this address speaks TLS" in answer
    assert all(field in answer for field in GUARDS)


# Fields that every answer has.
GUARDS = ("Cache-Control: no-store", "X-Content-Type-Options: nosniff", "X-Frame-Options: DENY",
          "Content-Security-Policy: default-src 'none'; ")  # fmt: skip


@pytest.mark.parametrize("head, status", [
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    (b"GET\r\n\r\n", 400),
    (b"GET /" + 9000 * b"x" + b" HTTP/1.1\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\n" + 2000 * b"X: 123456\r\n" + b"\r\n", 431),
])  # fmt: skip
def test_same_fields(world, start, head, status):
    """Whatever an operator's browser, or what poses as one, has sent."""
    server, _ = start()
    client = world.client(Operator(server).address)
    client.send(head)
    answer = client.read_head().decode()
    assert f"HTTP/1.1 {status} " in answer
    assert all(f"\r\n{field}" in answer for field in GUARDS)


@pytest.mark.parametrize("options, members, fault", [
    (["--listen", "0.0.0.0:0,admin"], {}, "beyond this machine operators need accounts"),
    (["--listen", "127.0.0.1:0,admin,health"], {}, "admin needs an address of its own"),
    ([], {"admins": []}, "admins: must not be empty"),
    ([], {"admins": [{"name": "a"}]}, 'admins[0]: needs a "password" or "password_file"'),
    ([], {"admins": [{"name": "a:b", "password": "x"}]}, 'admins[0]: needs a "name", without a colon'),
    ([], {"admins": [ANN, ANN]}, 'two operators are named "ann"'),
])  # fmt: skip
def test_faulty_configuration(world, tmp_path, options, members, fault):
    config = Config(tmp_path / "server.json", **members)
    argv = [world.program("wstunnel-server"), "--config", config.path, "--listen", "127.0.0.1:0", *options]
    server = world.run(argv)
    server.wait_exit(1 if "beyond" in fault else 2)
    assert fault in server.output


def test_certificate_is_no_account(world, identity, authority):
    """Where every client must show a certificate, operators still need accounts."""
    server = world.run([world.program("wstunnel-server"), "--cert", identity.certificate, "--key",
                        identity.key, "--client-ca", authority.certificate, "--listen",
                        "127.0.0.1:0", "--listen", "0.0.0.0:0,admin"])  # fmt: skip
    server.wait_exit(1)
    assert "beyond this machine operators need accounts" in server.output


def test_open_beyond_this_machine(world, start, tmp_path):
    server, _ = start("--insecure-open", admin="0.0.0.0:0")
    port = server.wait_for(ADDRESS, count=2)[1].rpartition(":")[2]
    assert Operator(server, address=f"127.0.0.1:{port}").curl("/status.json")[0] == 200
    (tmp_path / "password").write_text("from a file\n")
    members = {"admins": [{"name": "x", "password_file": str(tmp_path / "password")}]}
    other, _ = start(admin="0.0.0.0:0", **members)
    port = other.wait_for(ADDRESS, count=2)[1].rpartition(":")[2]
    account = {"name": "x", "password": "from a file"}
    assert Operator(other, account, f"127.0.0.1:{port}").curl("/status.json")[0] == 200


def test_many_flows(world, start, echo_site):
    """All are in the status, while they come and go."""
    server, _ = start()
    operator = Operator(server)
    world.served_by(server, "one")
    clients = [tunnel(world, server, echo_site.address) for _ in range(300)]
    assert len(operator.status()["flows"]) == 300
    for client in clients[:100]:
        client.close()
    wait_until(lambda: len(operator.status()["flows"]) == 200, "closed tunnels are gone")
