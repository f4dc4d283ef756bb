# SPDX-License-Identifier: MIT
"""wstunnel-server init: what it makes, that it is enough to start, and that it harms nothing."""
import json
import os
import re
import resource
import shlex
import stat
import subprocess

import pytest

from processes import DISASTERS, PATIENCE, program

FILES = {"cert.pem", "key.pem", "agent.token", "users", "wstunnel.json"}


def init(*arguments, **options):
    result = subprocess.run([program("wstunnel-server"), "init", *arguments],
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                            text=True, **options)  # fmt: skip
    assert not DISASTERS.search(result.stderr), result.stderr
    return result


def made(directory, name="localhost", *more, **options):
    result = init("--name", name, *more, directory, **options)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def printed(text, program_name):
    """The words of a printed line that begins with this program."""
    [line] = re.findall(rf"^    ({program_name} .*)$", text, re.M)
    return shlex.split(line)


def content(directory):
    return {entry.name: entry.read_bytes() for entry in directory.iterdir()}


@pytest.mark.parametrize("umask", [0o022, 0, 0o277])
def test_files_are_ours_alone(tmp_path, umask):
    directory = tmp_path / "conf"
    text = made(directory, umask=umask)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {entry.name for entry in directory.iterdir()} == FILES
    assert {stat.S_IMODE(entry.lstat().st_mode) for entry in directory.iterdir()} == {0o600}
    token = (directory / "agent.token").read_text()
    assert re.fullmatch(r"[\w-]{43}\n", token) and token.strip() in text
    user, password = (directory / "users").read_text().strip().split(":")
    assert user == "client" and len(password) == 24 and password in text
    config = json.loads((directory / "wstunnel.json").read_text())
    assert config["rules"] and config["cert"] == str(directory / "cert.pem")


def test_all_is_random(tmp_path):
    made(tmp_path / "a")
    made(tmp_path / "b")
    for name in FILES - {"wstunnel.json"}:
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_enough_to_start(world, tmp_path, name, nginx):
    """The configuration as it is, but for the port; agents by pin and by certificate; curl."""
    directory = tmp_path / "conf"
    text = made(directory, name, "--user", "alice")
    assert printed(text, "wstunnel-server")[1:] == ["--config", str(directory / "wstunnel.json")]
    host = f"[{name}]" if ":" in name else name
    server = world.server("--config", directory / "wstunnel.json", listen=f"{host}:0")

    agent = printed(text, "wstunnel-agent")
    assert agent.pop() == f"wss://{host}:8443"
    url = f"wss://{host}:{server.port}"
    pin = agent[agent.index("--pin") + 1]
    for n, trust in enumerate((["--pin", pin], ["--ca", directory / "cert.pem"]), 1):
        world.agent(url, *trust, "--token-file", directory / "agent.token", "--name", f"a{n}")
        server.wait_for(f"agent a{n} .* up from")

    (nginx.root / "small").write_text("small\n")
    if ":" in name:
        return  # curl 7.88 compares the brackets of a proxy's address with the certificate's names
    curl = [word.replace(":8443", f":{server.port}") for word in printed(text, "curl")[:-1]]
    answer = subprocess.run([*curl, "-sS", f"{nginx.http}/small"], capture_output=True,
                            text=True, timeout=PATIENCE)  # fmt: skip
    assert (answer.returncode, answer.stderr, answer.stdout) == (0, "", "small\n")
    wrong = [re.sub(r"alice:[^@]*@", "alice:wrong@", word) for word in curl]
    answer = subprocess.run([*wrong, "-sS", "-w", "%{http_code}", f"{nginx.http}/small"],
                            capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    assert answer.stdout.endswith("407")


def test_certificate(tmp_path):
    """Others' eyes: OpenSSL takes it for this name, strictly, and for no other; it is no authority."""
    certificate = tmp_path / "conf" / "cert.pem"
    made(tmp_path / "conf", "server.example")

    def verify(*options):
        return subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", "sslserver",
                               "-CAfile", certificate, *options, certificate],
                              capture_output=True, text=True).returncode == 0  # fmt: skip

    assert verify("-verify_hostname", "server.example")
    assert not verify("-verify_hostname", "other.example")
    said = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-text"],
                          capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert "CA:TRUE" not in said and "DNS:server.example" in said and "prime256v1" in said


def test_certbot_is_told_for_names_only(tmp_path):
    assert "/etc/letsencrypt/live/server.example/" in made(tmp_path / "a", "server.example")
    for n, name in enumerate(["192.0.2.7", "2001:db8::1", "localhost"]):
        assert "letsencrypt" not in made(tmp_path / str(n), name)


def test_path_that_a_shell_would_take_apart(world, tmp_path):
    directory = tmp_path / "it's a $(dir)"
    text = made(directory)
    [line] = re.findall(r"^    (wstunnel-server .*)$", text, re.M)
    line = line.replace("wstunnel-server", f"exec {program('wstunnel-server')} --listen 127.0.0.1:0")
    server = world.run(["sh", "-c", line])
    server.wait_for("listening on 127.0.0.1")


def test_into_a_directory_that_is_there(tmp_path):
    (tmp_path / "other").write_text("kept")
    made(tmp_path)
    assert set(content(tmp_path)) == FILES | {"other"}


# -- What it refuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_nothing_is_overwritten(tmp_path, name, kind):
    path = tmp_path / name
    if kind == "file":
        path.write_text("kept")
    elif kind == "link":
        path.symlink_to(tmp_path.parent / "elsewhere")
    else:
        path.mkdir()
    before = path.lstat()
    result = init("--name", "localhost", tmp_path)
    assert result.returncode == 1
    assert result.stderr == (f"wstunnel-server init: {tmp_path}/{name} exists, and nothing is "
                             "overwritten\n")  # fmt: skip
    assert result.stdout == ""
    assert path.lstat() == before and os.listdir(tmp_path) == [name]
    assert not (tmp_path.parent / "elsewhere").exists()


def test_directory_that_others_may_write_to(tmp_path):
    tmp_path.chmod(0o777)
    result = init("--name", "localhost", tmp_path)
    assert result.returncode == 1 and "other users may write to it" in result.stderr
    assert os.listdir(tmp_path) == []


def test_directory_of_another_user(tmp_path):
    directory = tmp_path / "theirs"
    directory.mkdir()
    try:
        os.chown(directory, 1234, 1234)
    except PermissionError:
        pytest.skip("ANOTHER'S DIRECTORY IS NOT TESTED: needs root")
    result = init("--name", "localhost", directory)
    assert result.returncode == 1 and "belongs to another user" in result.stderr
    assert os.listdir(directory) == []


def test_no_directory(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path)
    for path in ("file", "link", "a/b"):
        result = init("--name", "localhost", tmp_path / path)
        assert result.returncode == 1
        assert result.stderr.startswith(f"wstunnel-server init: {tmp_path / path}: ")
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("limit", [0, 100, 300])
def test_no_room(tmp_path, there, limit):
    """The first file that does not fit undoes the others."""
    directory = tmp_path / "conf"
    if there:
        directory.mkdir()
        (directory / "other").write_text("kept")

    def confine():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    result = init("--name", "localhost", directory, preexec_fn=confine)
    assert result.returncode == 1
    assert re.search(r"/(key|cert)\.pem: cannot write it: File too large$", result.stderr.strip())
    assert result.stdout == ""
    assert content(directory) == {"other": b"kept"} if there else not directory.exists()


def test_path_that_a_configuration_cannot_have(tmp_path):
    for name in (b"latin-\xe9", b"two\nlines"):
        directory = os.path.join(os.fsencode(tmp_path), name)
        result = init("--name", "localhost", directory)
        assert result.returncode == 1 and "the name cannot be in a configuration" in result.stderr
        assert os.listdir(tmp_path) == []


def test_nobody_reads(tmp_path):
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run(
            [program("wstunnel-server"), "init", "--name", "localhost", tmp_path / "conf"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)  # fmt: skip
    assert result.returncode == 1
    assert "the files are made, but not all is printed: No space left" in result.stderr
    assert set(content(tmp_path / "conf")) == FILES


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["DIR"], "--name: is needed"),
        (["--name", "localhost"], "a directory is needed"),
        (["--name", "localhost", "DIR", "more"], "unexpected argument 'more'"),
        (["--nmae", "localhost", "DIR"], "unknown option --nmae; did you mean --name?"),
        (["--config", "x", "DIR"], "unknown option --config"),
        (["--name", "a b", "DIR"], "--name: 'a b' is neither a DNS name nor an IP address\n"),
        (["--name", "*.test", "DIR"], "is neither a DNS name nor an IP address\n"),
        (["--name", "https://a.test", "DIR"], "; write the name alone, not a URL\n"),
        (["--name", "a.test:8443", "DIR"], "; write the name alone, without a port\n"),
        (["--name", "[::1]", "DIR"], "; write the address without brackets\n"),
        (["--name", "a.test", "--user", "a:b", "DIR"], "--user: must be of A-Z a-z 0-9 . _ -"),
        (["--name", "a.test", "--user", "x" * 65, "DIR"], "--user: must be 1 to 64 bytes long"),
    ],
)
def test_bad_options(tmp_path, arguments, complaint):
    result = init(*(str(tmp_path / "d") if word == "DIR" else word for word in arguments))
    assert result.returncode == 2
    assert complaint in result.stderr and "Try wstunnel-server init --help" in result.stderr
    assert result.stdout == "" and os.listdir(tmp_path) == []


def test_help():
    for option in ("--help", "-h"):
        result = init(option)
        assert result.returncode == 0 and result.stdout.startswith("usage: wstunnel-server init ")
