# SPDX-License-Identifier: MIT
"""Command lines: what the programs say of themselves, and what they do not take."""
import re
import subprocess

import pytest

from processes import DISASTERS, PATIENCE, program

SERVER, AGENT = "wstunnel-server", "wstunnel-agent"


def run(name, *options):
    result = subprocess.run(
        [program(name), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert not DISASTERS.search(result.stderr), result.stderr
    return result


@pytest.mark.parametrize("option", ["--help", "-h", "help"])
@pytest.mark.parametrize("name", [SERVER, AGENT])
def test_help(name, option):
    result = run(name, option)
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: {name} ")
    assert len(re.findall(rf"^  {name} ", result.stdout, re.M)) == 3  # examples
    assert result.stderr == ""


@pytest.mark.parametrize("name, command", [(SERVER, "init"), (SERVER, "doctor"), (AGENT, "doctor")])
def test_help_on_a_command(name, command):
    assert run(name, "help", command).stdout == run(name, command, "--help").stdout != ""


@pytest.mark.parametrize("name", [SERVER, AGENT])
def test_version(name):
    result = run(name, "--version")
    assert result.returncode == 0
    assert re.fullmatch(rf"{name} 0\.\d+\.\d+ \((mbedTLS|OpenSSL) [23]\.[^)]+\)\n", result.stdout)


@pytest.mark.parametrize(
    "name, options, complaint",
    [
        (SERVER, ["--nonsense"], "unknown option --nonsense\nTry wstunnel-server --help\n"),
        (SERVER, ["--lisen", ":1"], "unknown option --lisen; did you mean --listen?\nTry "),
        (SERVER, ["--confg=x"], "unknown option --confg; did you mean --config?\n"),
        (SERVER, ["--cl", "x"], "ambiguous option --cl\n"),
        (SERVER, ["--listen"], "option --listen needs a value\nTry wstunnel-server --help"),
        (SERVER, ["--insecure-open=yes"], "option --insecure-open takes no value\nTry "),
        (SERVER, ["-x"], "unknown option -x\nTry "),
        (AGENT, ["--pni", "x", "wss://a.test"], "unknown option --pni; did you mean --pin?\n"),
        (AGENT, ["ws://a.test", "--token"], "option --token needs a value\n"),
        (SERVER, ["extra"], "unexpected argument 'extra'\nTry wstunnel-server --help\n"),
        (SERVER, ["--insecure-open", "extra"], "unexpected argument 'extra'"),
        (SERVER, ["inti"], "unexpected argument 'inti'; did you mean init?\n"),
        (SERVER, ["help", "inti"], "unexpected argument 'inti'; did you mean init?\n"),
        (AGENT, ["--insecure", "http://a.test"], "TLS options need a wss:// URL"),
        (SERVER, ["--listen", "127.0.0.1:0,boss"], "unknown role 'boss'"),
        (SERVER, ["--listen", ","], "needs an address"),
        (SERVER, ["--log-level", "loud"], "--log-level: must be error, warn, info or debug"),
        (AGENT, ["--nonsense"], "Try wstunnel-agent --help"),
        (AGENT, [], "a URL is needed"),
        (AGENT, ["--encoding", "morse", "ws://a.test"], "--encoding: must be binary or json"),
        (AGENT, ["--log-level", "loud", "ws://a.test"], "--log-level: must be error, warn, info or debug"),
        (AGENT, ["--name", "a b", "ws://a.test"], "name: must be of A-Z a-z 0-9 . _ -"),
        (AGENT, ["ftp://a.test"], "server URL: not a ws:// or wss:// URL"),
        (AGENT, ["https://"], "server URL: "),
        (AGENT, ["ws://"], "server URL: "),
        (AGENT, ["a.test:8443"], "URL: 'a.test:8443' has no scheme: write wss://a.test:8443, or "
                                 "without TLS ws://a.test:8443\n"),
        (AGENT, ["a.test"], "URL: 'a.test' has no scheme: write wss://a.test, or "),
        (AGENT, ["--insecure", "ws://a.test"], "TLS options need a wss:// URL"),
        (AGENT, ["--sni", "b.test", "ws://a.test"], "TLS options need a wss:// URL"),
        (AGENT, ["--cert", "c.pem", "wss://a.test"], "cert: cert and key go together"),
        (AGENT, ["--host", "a b", "ws://a.test"], "Host field: character not allowed"),
        (AGENT, ["--header", "no colon", "ws://a.test"], "not complete lines"),
        (AGENT, ["--header", "host: b.test", "ws://a.test"], "belong to the upgrade itself"),
        (SERVER, ["--cert", "c.pem"], "cert: each one needs a key"),
        (SERVER, ["--listen", "127.0.0.1:0,tls"], "listen: tls needs cert and key"),
        (SERVER, ["--client-ca", "ca.pem"], "client_ca: needs cert and key"),
        (SERVER, ["--client-cert", "optional"], "client_cert: needs client_ca"),
        (SERVER, ["--client-cert", "maybe"], "--client-cert: must be none, optional or required"),
    ],
)
def test_bad_options(name, options, complaint):
    result = run(name, *options)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "address, why",
    [
        ("nonsense", "not IP:PORT, "),
        ("127.0.0.1:99999", "not IP:PORT, "),
        ("server.test:80", "not IP:PORT, "),
        ("192.0.2.1:80", "address not available"),
        ("unix:/no/dir", "no such file or directory"),
    ],
)
def test_bad_address(address, why):
    result = run(SERVER, "--listen", address)
    assert result.returncode == 1
    assert f"cannot listen on {address}: {why}" in result.stderr


def test_address_in_use(world):
    server = world.server()
    result = run(SERVER, "--listen", server.address)
    assert result.returncode == 1
    assert "address already in use" in result.stderr


@pytest.mark.parametrize(
    "content",
    [None, "", "\n", "x" * 300 + "\n", "no-colon\n", ":no-name\n", "no-password:\n",
     "name:pass\0word"],
)  # fmt: skip
def test_bad_user_file(tmp_path, content):
    path = tmp_path / "users"
    if content is not None:
        path.write_text(content)
    result = run(SERVER, "--user-file", path)
    assert result.returncode == 2
    assert str(path) in result.stderr


def test_user_file_is_a_directory(tmp_path):
    result = run(SERVER, "--user-file", tmp_path)
    assert result.returncode == 2
    assert f"{tmp_path}: cannot read it: Is a directory" in result.stderr


@pytest.mark.parametrize("content", [None, "", "\n", "x" * 300 + "\n", "t\0o\0k\0e\0n\0"])
def test_bad_token_file(tmp_path, content):
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    result = run(SERVER, "--agent-token-file", path)
    assert result.returncode == 2
    assert str(path) in result.stderr
