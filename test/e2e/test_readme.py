# SPDX-License-Identifier: MIT
"""The section "On the Internet" of the README, done as it says, but for names and ports."""
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from processes import PASSWORD, program

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
