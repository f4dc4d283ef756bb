# SPDX-License-Identifier: MIT
"""The gallery (examples/gallery): each program with the real ones that it is for."""
import http.client
import json
import os
import re
import signal
import subprocess

import pytest

import postgres
from processes import PASSWORD, PATIENCE, TOKEN, USER, Process, program, wait_until
from proxies import need
from sites import Closed, Relay, Site, echo


def gallery(name):
    return program(f"gallery/{name}")


def kill(process):
    """The end of a program that knows no orderly one."""
    process.terminate()
    process.wait_exit(-signal.SIGTERM)


@pytest.mark.parametrize("name", ["appliance", "ci-runner", "database", "grid-node"])
def test_usage(name):
    result = subprocess.run([gallery(name)], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"usage: {name} ")


# -- An appliance that calls home -----------------------------------------------------------------


def fetch(server, url, *options):
    """What curl gets through a server, and the status."""
    command = ["curl", "-sS", "--proxy", server.proxy, "--write-out", r"\n%{http_code}", *options, url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    return result.stdout.rsplit("\n", 1)


def test_appliance(world):
    server = world.server()
    appliance = world.run([gallery("appliance"), server.url, "pump-7"])
    server.wait_for("agent pump-7 .* up from")

    def strokes(*options):
        body, status = fetch(server, "http://pump-7/", *options)
        assert status == "200"
        return int(re.fullmatch(r"(\d+) strokes\n", body)[1])

    before = strokes()
    wait_until(lambda: strokes() > before, "the appliance works while it serves its page")
    assert strokes("--proxytunnel") > before
    client = world.client(server).open("pump-7:80")
    for _ in range(2):  # a connection serves more than one request
        assert client.ask(b"GET / HTTP/1.1\r\nHost: pump-7\r\n\r\n").status == 200
    for url in ("http://pump-8/", "http://pump-7:81/", "http://127.0.0.1/"):
        assert fetch(server, url)[1] == "403"
    kill(appliance)


def test_appliance_comes_back(world):
    server = world.server()
    way = world.site(Relay(server.address))
    appliance = world.run([gallery("appliance"), f"ws://{way.address}", "pump-7"])
    server.wait_for("agent pump-7 .* up from")
    server.kill()
    way.cut()
    appliance.wait_for("not connected: ")
    server = world.server()
    way.target = ("127.0.0.1", server.port)
    server.wait_for("agent pump-7 .* up from")
    assert fetch(server, "http://pump-7/")[1] == "200"
    kill(appliance)


# -- A CI runner ----------------------------------------------------------------------------------


def run_job(server, address, *command):
    """A whole job: its exit status, what its tests and itself have printed."""
    job = subprocess.run([gallery("ci-runner"), server.url, address, *command],
                         capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    return job.returncode, job.stdout, job.stderr


def test_ci_runner(world, nginx):
    (nginx.root / "index.html").write_text("the application\n")
    server = world.server()
    curl = ["curl", "-sS", "--proxytunnel", "--proxy", server.proxy]
    assert run_job(server, nginx.address, *curl, nginx.http) == (0, "the application\n", "")
    status, output, errors = run_job(server, nginx.address, *curl, nginx.https)
    assert (status, output) == (56, "") and "403" in errors  # only the address that was named
    assert run_job(server, nginx.address, "sh", "-c", "exit 7") == (7, "", "")
    assert run_job(server, nginx.address, "sh", "-c", "kill -KILL $$")[0] == 128 + signal.SIGKILL
    assert run_job(server, nginx.address, "/nonexistent") == (
        1, "", "ci-runner: cannot run the tests\n")  # fmt: skip


@pytest.fixture
def tests(tmp_path):
    """What `cat` is to read: opened when it runs, it ends when that is closed."""
    os.mkfifo(tmp_path / "tests")
    return tmp_path / "tests"


def test_ci_runner_lets_finish(world, echo_site, tests):
    """What is open when the tests have ended goes on to its own end; the job waits for that."""
    server = world.server()
    job = world.run([gallery("ci-runner"), server.url, echo_site.address, "cat", tests])
    with open(tests, "w"):
        client = world.client(server).open(echo_site.address)
        client.send(b"before")
        assert client.read_exactly(6) == b"before"
    server.wait_for("takes no more streams: going away")
    client.send(b"after")
    assert client.read_exactly(5) == b"after"
    client.end()
    assert client.read_to_end() == b""
    job.wait_exit(0)


def test_ci_runner_whose_server_goes(world, tests):
    server = world.server()
    job = world.run([gallery("ci-runner"), server.url, "127.0.0.1:1", "cat", tests])
    with open(tests, "w"):
        server.kill()
        job.wait_for("no tunnel: ")
    job.wait_exit(0)


def test_ci_runner_without_server(world, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    server = world.server("--agent-token-file", tmp_path / "token")
    status, output, errors = run_job(server, "127.0.0.1:1", "echo", "ran")
    assert (status, output) == (1, "")
    assert errors.endswith("ci-runner: the server does not want this job\n")
    server.stop()
    job = world.run([gallery("ci-runner"), server.url, "127.0.0.1:1", "echo", "ran"])
    job.wait_for("no tunnel: ")  # and it goes on to try
    kill(job)
    assert "ran" not in job.lines


# -- A browser grid -------------------------------------------------------------------------------

SERVICE = "webdriver.localhost:4444"


def start_node(world, server, name, port, slots):
    node = world.run([gallery("grid-node"), server.url, name, str(port), str(slots)])
    server.wait_for(f"agent {name} .* up from")
    return node


def test_grid_node(world, echo_site):
    """Two nodes with a slot each: sessions are shared out, a third one finds no slot."""
    server = world.server()
    nodes = [start_node(world, server, name, echo_site.port, 1) for name in ("one", "two")]
    clients = [world.client(server).open(SERVICE) for _ in nodes]
    for node in nodes:
        node.wait_for("1 of 1 slots are busy")
    assert world.client(server).connect(SERVICE).status == 503
    clients[0].end()
    assert clients[0].read_to_end() == b""
    wait_until(lambda: any("0 of 1 slots are busy" in node.lines for node in nodes), "a free slot")
    assert world.client(server).connect(echo_site.address).status == 403
    assert world.client(server).open(SERVICE)
    for node in nodes:
        kill(node)


class Grid:
    """A WebDriver client that keeps its connection through a server."""

    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        self.connection.set_tunnel("webdriver.localhost", 4444)

    def call(self, method, path, **parameters):
        body = json.dumps(parameters) if method == "POST" else None
        self.connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        value = json.load(answer)["value"]
        assert answer.status == 200, value
        return value


OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
           "--no-first-run", "--disable-background-networking"]  # fmt: skip


def test_grid_node_with_a_browser(world, nginx, tmp_path):
    chromedriver, chromium = need("chromedriver"), need("chromium")
    (nginx.root / "grid.html").write_text("<title>seen through the grid</title>")
    driver = Process([chromedriver, "--port=0"], env=os.environ | {"HOME": str(tmp_path)})
    world.processes.append(driver)
    port = driver.wait_for(r"started successfully on port (\d+)")[1]
    server = world.server()
    node = start_node(world, server, "one", port, 4)
    grid = Grid(server)
    assert grid.call("GET", "/status")["ready"] is True
    wanted = {"alwaysMatch": {"goog:chromeOptions": {"binary": chromium, "args": OPTIONS}}}
    session = grid.call("POST", "/session", capabilities=wanted)["sessionId"]
    node.wait_for("1 of 4 slots are busy")
    grid.call("POST", f"/session/{session}/url", url=f"{nginx.http}/grid.html")
    assert grid.call("GET", f"/session/{session}/title") == "seen through the grid"
    grid.call("DELETE", f"/session/{session}")
    grid.connection.close()
    node.wait_for("0 of 4 slots are busy")
    kill(node)
    driver.terminate()
    driver.wait_exit(driver.popen.wait(PATIENCE))  # which says nothing


# -- A database -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database():
    made = postgres.Postgres()
    yield made
    made.close()


@pytest.fixture
def open_port(world, tmp_path):
    """A function that runs the program; its port is where psql looks for one."""

    def run(destination):
        socket = f"unix:{tmp_path}/.s.PGSQL.5432"
        process = world.run([gallery("database"), "127.0.0.1:0", socket, destination])
        process.agents = process.wait_for(r"agents at (\S+), port at unix:")[1]
        process.psql = [postgres.need("psql"), "--host", tmp_path, "--username", USER, "--no-psqlrc",
                        "--tuples-only", "--no-align", "--dbname", "postgres"]  # fmt: skip
        return process

    return run


def serve(world, port):
    """An agent, which knows that it is connected."""
    port.agent = world.agent(f"ws://{port.agents}", "--name", "berlin")
    port.wait_for("agent berlin is there")
    port.agent.wait_for("connected to")
    return port


ENVIRONMENT = os.environ | {"PGPASSWORD": PASSWORD}


def psql(port, statements):
    return subprocess.run([*port.psql, "--command", statements], capture_output=True, text=True,
                          timeout=PATIENCE, env=ENVIRONMENT)  # fmt: skip


def test_database(world, open_port, database):
    port = serve(world, open_port(database.address))
    result = psql(port, "select inet_server_addr()")
    assert (result.stdout, result.stderr) == (database.address.partition(":")[0] + "\n", "")
    opened = port.wait_for(rf"(\d+): open to {database.address}")
    port.wait_for(rf"^{opened[1]}: ended, \d+ ms, \d+ bytes in, \d+ bytes out")
    numbers = psql(port, "copy (select generate_series(1, 300000)) to stdout").stdout
    assert numbers == "".join(f"{n}\n" for n in range(1, 300001))


def test_database_cannot_be_reached(world, open_port):
    port = open_port(world.site(Closed()).address)
    assert psql(port, "select 1").returncode == 2
    port.wait_for("refused: No agent available")
    serve(world, port)
    assert psql(port, "select 1").returncode == 2
    port.wait_for("refused: Connection refused by destination")


def test_database_drains(world, open_port, database):
    """A session that is open goes on."""
    port = serve(world, open_port(database.address))
    session = subprocess.Popen(port.psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=ENVIRONMENT)  # fmt: skip
    session.stdin.write("select 'begun';\n")
    session.stdin.flush()
    assert session.stdout.readline() == "begun\n"
    port.terminate()
    port.agent.wait_for("going away")
    assert psql(port, "select 1").returncode == 2  # nobody new
    assert session.communicate("select 'done';\n", timeout=PATIENCE)[0] == "done\n"
    port.wait_exit(0)
