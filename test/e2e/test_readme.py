# SPDX-License-Identifier: MIT
"""Sections of the README, done as they say, but for names and ports."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processes import PASSWORD, PATIENCE, TOKEN, program
from sites import free_port

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def section():
    return re.search(r"^## On the Internet$(.*?)^## ", README.read_text(), re.M | re.S)[1]


def printed(directory, section, line):
    """What a command line of the section prints, or the first word of it."""
    command = re.search(rf"^    ({line}.*?)( +#.*)?$", section, re.M)[1]
    output = subprocess.run(["bash", "-c", command.replace("PASSWORD", PASSWORD)], text=True,
                            cwd=directory, check=True, capture_output=True).stdout  # fmt: skip
    return output.split()[:1]


def test_it(world, tmp_path, section, authority, identity, nginx, certificate):
    shutil.copy(identity.certificate, tmp_path / "fullchain.pem")
    shutil.copy(identity.key, tmp_path / "privkey.pem")
    assert printed(tmp_path, section, r"\(umask") == []
    assert (tmp_path / "agent.token").stat().st_mode & 0o077 == 0
    [token_hash] = printed(tmp_path, section, "sha256sum")
    [password_hash] = printed(tmp_path, section, "printf")

    site = nginx.https.removeprefix("https://")
    server_json, agent_json = re.findall(r"^```json$(.*?)^```$", section, re.M | re.S)
    assert len(server_json.strip().splitlines()) <= 10
    server_json = server_json.replace("0.0.0.0:443", "127.0.0.1:0")
    server_json = server_json.replace("*.intranet.example:80,443", site)
    config = json.loads(server_json)
    config["users"][0]["ha1_sha256"] = password_hash
    config["agents"][0]["tokens_sha256"] = token_hash
    (tmp_path / "server.json").write_text(json.dumps(config))
    server = world.run([program("wstunnel-server"), "--config", "server.json"], cwd=tmp_path)
    port = server.wait_for(r"listening on 127.0.0.1:(\d+)")[1]

    agent_json = agent_json.replace("wiki.intranet.example:443", site)
    config = json.loads(agent_json.replace("server.example", f"localhost:{port}"))
    assert config["token_file"] == "agent.token" and config["rules"]
    config["ca"] = str(authority.certificate)  # a public one would be in the trust store
    (tmp_path / "agent.json").write_text(json.dumps(config))
    world.run([program("wstunnel-agent"), "--config", "agent.json"], cwd=tmp_path)
    server.wait_for("agent_up")

    def fetch(url, user=f"alice:{PASSWORD}"):
        return subprocess.run(
            ["curl", "-sS", "--proxy", f"https://localhost:{port}", "--proxy-cacert",
             authority.certificate,
             "--proxy-user", user, "--proxy-digest", "--cacert", certificate[1],
             "--write-out", "%{http_connect}", "--output", "/dev/null", url],
            capture_output=True, text=True)  # fmt: skip

    assert "--proxy-user alice --proxy-digest https://wiki.intranet.example/" in section
    result = fetch(f"https://{site}/")
    assert (result.returncode, result.stdout) == (0, "200"), result.stderr
    assert fetch(f"https://{site}/", "alice:wrong").stdout == "407"
    assert fetch("https://10.1.2.3/").stdout == "403"
    assert fetch("https://169.254.169.254/").stdout == "403"
    open_event = json.loads(server.wait_for(r'"stream_open"').string)
    assert (open_event["user"], open_event["agent"]) == ("alice", "berlin")


# -- Use it ---------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path, authority):
    """The front of a command line: a machine on which the README's names are known, the intranet is
    one of its addresses, and the ports are free. Its shell finds the programs."""
    address = "10.66.0.1"
    (tmp_path / "hosts").write_text(f"127.0.0.1 server.example\n{address} intranet.example\n")
    script = ('mount --bind hosts /etc/hosts && ip link set lo up && '
              f'ip address add {address}/32 dev lo && echo ready && exec sleep infinity')  # fmt: skip
    keeper = subprocess.Popen(["unshare", "--mount", "--net", "sh", "-c", script], cwd=tmp_path,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    if keeper.stdout.readline() != "ready\n":
        keeper.wait()
        pytest.skip(f"THE README'S LINES ARE NOT TESTED: no namespaces: {keeper.stderr.read()}")
    path = f"{Path(program('wstunnel-server')).parent}:{os.environ['PATH']}"
    yield ["nsenter", "--target", str(keeper.pid), "--mount", "--net", f"--wdns={tmp_path}", "env",
           f"PATH={path}", f"CURL_CA_BUNDLE={authority.certificate}"]  # fmt: skip
    keeper.kill()
    keeper.communicate()


SITE = """
import ssl, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
server = HTTPServer(("10.66.0.1", 443), SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("serving", flush=True)
server.serve_forever()
"""


def test_use_it(world, tmp_path, machine, authority):
    """Exactly the README's lines; where it has words in capitals, the line that init has printed."""
    use_it = re.search(r"^## Use it$(.*?)^The same without", README.read_text(), re.M | re.S)[1]
    lines = re.findall(r"^    (.*)$", use_it, re.M)
    assert [line.split()[0] for line in lines] == [
        "wstunnel-server", "wstunnel-server", "(umask", "wstunnel-agent", "curl"]  # fmt: skip
    site = authority.issue("intranet.example", names="DNS:intranet.example")
    (tmp_path / "index.html").write_text("the intranet")

    def shell(line, **options):
        return subprocess.run([*machine, "sh", "-c", line], text=True, capture_output=True,
                              timeout=PATIENCE, check=True, **options).stdout  # fmt: skip

    text = shell(lines[0])
    printed = re.findall(r"^    ((?:wst|\(|curl).*)$", text, re.M)
    secrets = r"(?<=echo )\S+|(?<=sha256/)\S+|(?<=client:)[^@]+"
    names = iter(["TOKEN", "PIN", "PASSWORD"])
    shown = "\n".join(printed).replace(f"{tmp_path}/", "")
    assert re.sub(secrets, lambda _: next(names), shown).splitlines() == lines[1:]

    intranet = world.run([*machine, sys.executable, "-c", SITE, *site])
    intranet.wait_for("serving")
    server = world.run([*machine, "sh", "-c", f"exec {lines[1]}"])
    server.wait_for("listening on ")
    shell(printed[1])
    world.run([*machine, "sh", "-c", f"exec {printed[2]}"])
    server.wait_for("agent .* up from")
    assert shell(f"{printed[3]} -sS") == "the intranet"
    intranet.stop(-signal.SIGTERM)


# -- Fixed ports ----------------------------------------------------------------------------------


FIXED_PORTS = re.search(r"^## Fixed ports$(.*?)^## ", README.read_text(), re.M | re.S)[1]
ROWS = [
    [cell.strip() for cell in row.split("|")]
    for row in re.findall(r"^\|(.*)\|$", FIXED_PORTS, re.M)[2:]  # behind the heading
]


def test_table_of_ports_is_complete():
    names = [name.split()[0] for name, _, _ in ROWS if name]
    assert names == ["ssh", "chisel", "frp", "rathole", "wstunnel"]


@pytest.mark.parametrize("theirs, ours", [row[1:] for row in ROWS])
def test_lines_of_the_table(world, tmp_path, echo_site, theirs, ours):
    """Done as they say, but for numbers, the path, and hosts that stand for the private network;
    and they name the destination that the other program's line names."""
    number = free_port()
    option, value = ours.strip("`").split()
    [destination] = re.findall(r"=([a-z0-9.]+:\d+)", value)
    host, _, destination_port = destination.partition(":")
    assert host in theirs and destination_port in theirs
    value = value.replace(destination, echo_site.address.replace("127.0.0.1", "localhost"))
    value = value.replace("2222=", f"{number}=").replace("/run/", f"{tmp_path}/")
    server = world.server(option, value)
    world.served_by(server, "one")
    address = server.wait_for(r"port (\S+) leads to")[1]
    is_unix, is_open = address.startswith("unix:"), ",open" in ours
    client = world.client(address.replace("0.0.0.0", "127.0.0.1"))
    client.send(b"ping")
    assert client.read_exactly(4) == b"ping"
    if not is_unix and not is_open:
        with pytest.raises(ConnectionRefusedError):
            world.client(f"127.0.0.2:{number}")
    elif is_open:
        world.client(f"127.0.0.2:{number}").send(b"ping")


def test_other_lines_of_the_section(world, tmp_path, echo_site, identity, authority):
    """The command above, and the member "ports"."""
    command = re.search(r"^    (wstunnel-server (?:.*\\\n)*.*)$", FIXED_PORTS, re.M)[1]
    words = command.replace("\\\n", " ").split()[1:]
    (tmp_path / "agent.token").write_text(TOKEN)
    (tmp_path / "agent.token").chmod(0o600)
    shutil.copy(identity.certificate, tmp_path / "chain.pem")
    shutil.copy(identity.key, tmp_path / "key.pem")
    destinations = ["build-host:22", "db.intranet:5432"]
    for i, word in enumerate(words):
        word = re.sub(r"^(2222|5432)=", lambda _: f"{free_port()}=", word)
        for destination in destinations:
            word = word.replace(destination, echo_site.address)
        words[i] = word.replace("0.0.0.0:8443", "127.0.0.1:0")
    server = world.run([program("wstunnel-server"), *words], cwd=tmp_path)
    number = server.wait_for(r"listening on 127.0.0.1:(\d+)")[1]
    world.agent(f"wss://localhost:{number}", "--name", "berlin", "--ca", authority.certificate,
                "--token-file", tmp_path / "agent.token")  # fmt: skip
    server.wait_for("agent berlin .* up from")
    for n in (1, 2):
        client = world.client(server.wait_for(r"port (\S+) leads to", n)[1])
        client.send(b"ping")
        assert client.read_exactly(4) == b"ping"

    [member] = re.findall(r"^```json$(.*?)^```$", FIXED_PORTS, re.M | re.S)
    config = json.loads("{" + member + "}")
    config["ports"][0].update(listen=f"0.0.0.0:{free_port()}", destination=echo_site.address)
    config["users"] = [{"name": "alice", "password": PASSWORD}]
    (tmp_path / "server.json").write_text(json.dumps(config))
    (tmp_path / "server.json").chmod(0o600)
    server = world.server("--config", tmp_path / "server.json")
    world.served_by(server, "berlin")
    opened = server.wait_for(r"port 0.0.0.0(:\d+) leads to .* through berlin for alice")
    client = world.client("127.0.0.1" + opened[1])
    client.send(b"ping")
    assert client.read_exactly(4) == b"ping"
