# SPDX-License-Identifier: MIT
"""The files of examples/deploy: what the tools that are to read them say of them, and what the
programs can do and cannot do under the units' confinement. systemd itself need not run: confined.py
applies the part of it that a process can apply to itself."""
import ctypes.util
import os
import re
import resource
import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from configuration import Config, basic, reload
from processes import OPEN, program, wait_until
from secure import SecureClient, client_context
from sites import Site
from world import Server

UNITS = ("wstunnel-server", "wstunnel-agent")
SOCKET = Path(__file__).parents[2] / "examples" / "deploy" / "wstunnel-server.socket"


def path_of(unit):
    """The unit as it will be installed."""
    return Path(program(unit)).with_suffix(".service")


def command_of(unit):
    """The path in the unit's ExecStart, and the options behind it."""
    return re.search(r"^ExecStart=(\S+)(.*)$", path_of(unit).read_text(), re.M).groups()


def analyze(*arguments):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze not installed")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_valid(unit, tmp_path):
    """Directives that systemd does not know would be ignored, and the sandbox be open there."""
    text = path_of(unit).read_text()
    copy = tmp_path / f"{unit}.service"
    copy.write_text(text.replace(command_of(unit)[0], program(unit)))
    result = analyze("verify", "--man=no", str(copy))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_socket_is_valid(tmp_path):
    shutil.copy(SOCKET, tmp_path)
    text = path_of("wstunnel-server").read_text()
    copy = tmp_path / "wstunnel-server.service"
    copy.write_text(text.replace(command_of("wstunnel-server")[0], program("wstunnel-server")))
    result = analyze("verify", "--man=no", str(tmp_path / "wstunnel-server.socket"))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_confined(unit):
    """As systemd judges it: 0 is closed, 10 is open; what is below 1.6 has little left to give."""
    result = analyze("security", "--offline=yes", "--no-pager", "--threshold=16",
                     str(path_of(unit)))  # fmt: skip
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_unit_names_what_is_there(unit):
    """The options in the unit are options of the program."""
    path, options = command_of(unit)
    assert Path(path).name == unit
    usage = subprocess.run([program(unit), "--help"], capture_output=True, text=True).stdout
    for option in re.findall(r"--[a-z-]+", options):
        assert f"{option} " in usage


# -- Under the confinement ------------------------------------------------------------------------


def skip_sanitizers():
    """They call more of the system, and handle crashes by themselves."""
    if b"__asan_init" in Path(program("wstunnel-server")).read_bytes():
        pytest.skip("not with the sanitizers")


def confined(unit, *argv, strict=False):
    """The command, under what a unit says."""
    skip_sanitizers()
    if shutil.which("systemd-analyze") is None or ctypes.util.find_library("seccomp") is None:
        pytest.skip("systemd-analyze or libseccomp not installed")
    return [sys.executable, "-B", str(Path(__file__).parent / "confined.py"),
            *(["--strict"] if strict else []), str(path_of(unit)), *argv]  # fmt: skip


def answer(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


@pytest.fixture
def start_confined(world, tmp_path, authority, identity):
    """A function that starts a server with TLS, users and a token, and its agent, both confined."""

    def start(strict):
        chain, key = (tmp_path / name for name in ("chain.pem", "key.pem"))
        shutil.copy(identity[0], chain)
        shutil.copy(identity[1], key)
        token = tmp_path / "token"
        token.write_text("a-token-of-this-test\n")
        config = Config(
            tmp_path / "server.json", cert=[str(chain)], key=[str(key)],
            listen=["127.0.0.1:0", f"unix:{tmp_path}/health,plain,health"],
            users=[{"name": "alice", "password": "alice's"}],
            agents=[{"name": "*", "token_file": str(token)}])  # fmt: skip
        server = Server(confined("wstunnel-server", program("wstunnel-server"), "--config",
                                 str(config.path), strict=strict))  # fmt: skip
        world.processes.append(server)
        agent = world.run(confined("wstunnel-agent", program("wstunnel-agent"), *OPEN, "--ca",
                                   authority.certificate, "--token-file", str(token), "--name",
                                   "one", server.secure_url, strict=strict))  # fmt: skip
        server.wait_for("agent one .* up from")
        return server, agent, config, (chain, key)

    return start


def secure_tunnel(world, server, authority, destination):
    client = SecureClient(server.address, client_context(authority))
    world.clients.append(client)
    fields = basic("alice", "alice's")
    client.send(f"CONNECT {destination} HTTP/1.1\r\n{fields}\r\n".encode())
    assert client.read_answer().status == 200
    return client


@pytest.mark.parametrize("strict", [False, True], ids=["as written", "strict"])
def test_at_work_confined(world, start_confined, authority, echo_site, strict):
    """A day of both programs: they start, transfer, look up names, reload, report and drain. Strict:
    the list has all that they call here, or it would be their end."""
    server, agent, config, files = start_confined(strict)
    client = secure_tunnel(world, server, authority, echo_site.address)
    for _ in range(20):
        client.send(bytes(100_000))
        assert client.read_exactly(100_000) == bytes(100_000)
    by_name = secure_tunnel(world, server, authority, f"localhost:{echo_site.port}")
    by_name.send(b"by name")
    assert by_name.read_exactly(7) == b"by name"
    site = world.site(Site(answer))
    forwarded = SecureClient(server.address, client_context(authority))
    world.clients.append(forwarded)
    fields = basic("alice", "alice's")
    forwarded.send(f"GET http://{site.address}/ HTTP/1.1\r\n{fields}\r\n".encode())
    assert forwarded.read_answer().body == b"hello"
    monitor = world.client(config.members["listen"][1].partition(",")[0])
    monitor.send(b"GET /readyz HTTP/1.1\r\n\r\n")
    assert monitor.read_answer().status == 200
    renew(authority, files)
    reload(server)
    assert serial_of(server, authority) != client.tls.getpeercert()["serialNumber"]
    reload(agent)
    for leaving in (server, agent):
        leaving.signal(signal.SIGUSR1)
        leaving.wait_for("memory: .* bytes reserved")
    client.send(b"still here")
    assert client.read_exactly(10) == b"still here"
    server.terminate()
    server.wait_for("leaving")
    client.send(b"to the end")
    assert client.read_exactly(10) == b"to the end"
    for each in world.clients:
        each.close()
    server.wait_exit(0)
    agent.stop()
    assert "changes of the network are not noticed" not in agent.output


def renew(authority, files):
    """Puts another certificate where the server's is."""
    for made, file in zip(authority.issue("renewed.test"), files):
        shutil.copy(made, file)


def serial_of(server, authority):
    client = SecureClient(server.address, client_context(authority))
    serial = client.tls.getpeercert()["serialNumber"]
    client.close()
    return serial


@pytest.mark.parametrize("who", ["server", "agent"])
def test_second_signal_confined(world, start_confined, authority, echo_site, who):
    server, agent, _, _ = start_confined(True)
    client = secure_tunnel(world, server, authority, echo_site.address)
    leaving = {"server": server, "agent": agent}[who]
    leaving.terminate()
    leaving.wait_for("leaving")
    leaving.terminate()
    leaving.wait_exit(128 + signal.SIGTERM)
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        client.read_to_end()


def test_what_a_server_cannot_do(world, tmp_path):
    """It connects nowhere and makes no directory."""
    agent = world.run(confined("wstunnel-server", program("wstunnel-agent"), "ws://127.0.0.1:9"))
    agent.wait_for("function not implemented")
    agent.stop()
    made = subprocess.run(confined("wstunnel-server", shutil.which("mkdir"), str(tmp_path / "a")),
                          capture_output=True, text=True)  # fmt: skip
    assert made.returncode != 0 and "Function not implemented" in made.stderr
    killed = subprocess.run(confined("wstunnel-server", program("wstunnel-agent"),
                                     "ws://127.0.0.1:9", strict=True), capture_output=True)  # fmt: skip
    assert killed.returncode == -signal.SIGSYS


def test_what_an_agent_cannot_do():
    """It listens nowhere."""
    server = subprocess.run(confined("wstunnel-agent", program("wstunnel-server"), "--listen",
                                     "127.0.0.1:0"), capture_output=True, text=True)  # fmt: skip
    assert server.returncode == 1
    assert "cannot listen on 127.0.0.1:0: function not implemented" in server.stderr


# -- Dumps of memory ------------------------------------------------------------------------------


def dumps_core(argv, directory, **environment):
    """Has a program crash. Whether the kernel says that it has written a dump of its memory."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    inherited = {name: value for name, value in os.environ.items() if name != "WSTUNNEL_CORE"}
    process = subprocess.Popen(
        argv, cwd=directory, env={**inherited, **environment}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)))  # fmt: skip
    wait_until(lambda: catches_signals(process.pid), "the program's loop")
    process.send_signal(signal.SIGSEGV)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -os.WTERMSIG(status)
    assert process.returncode == -signal.SIGSEGV
    return os.WCOREDUMP(status)


def catches_signals(pid):
    """Whether a program of ours has started: it catches SIGUSR1."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())[1]
    return int(caught, 16) & 1 << signal.SIGUSR1 - 1 != 0


@pytest.mark.parametrize("name", UNITS)
def test_no_dump_of_memory(name, tmp_path):
    """Unless somebody asks for one, even if the limits of the system allow it."""
    skip_sanitizers()
    argv = [program(name)]
    argv += ["--listen", "127.0.0.1:0"] if name == "wstunnel-server" else ["ws://127.0.0.1:9"]
    if not dumps_core(argv, tmp_path, WSTUNNEL_CORE="1"):
        pytest.skip("no dumps here")
    assert not dumps_core(argv, tmp_path)


# -- Debian ---------------------------------------------------------------------------------------


DEBIAN = Path(__file__).parents[2] / "examples" / "deploy" / "debian"


@pytest.mark.parametrize("directory", ["/lib/systemd/system", "/usr/lib/systemd/system"])
def test_debian_packages_units(tmp_path, directory):
    """From where the release's systemd looks for them: Debian 13 has another place than 12."""
    (tmp_path / "systemd.pc").write_text(f"systemdsystemunitdir={directory}\nName: systemd\n"
                                         "Description: systemd\nVersion: 1\n")  # fmt: skip
    environment = {**os.environ, "PKG_CONFIG_PATH": str(tmp_path)}
    told = subprocess.run(["make", "-s", "-f", DEBIAN / "rules", "--eval", "told: ; @echo $$UNIT_DIR", "told"],
                          env=environment, capture_output=True, text=True, check=True).stdout  # fmt: skip
    installed = (DEBIAN / "wstunnel.install").read_text().replace("${env:UNIT_DIR}", told.strip())
    assert directory[1:] in installed.splitlines()


# -- OpenWrt --------------------------------------------------------------------------------------


OPENWRT = Path(__file__).parents[2] / "examples" / "deploy" / "openwrt"
# What the makefile uses of an SDK.
RULES = """INCLUDE_DIR:=$(TOPDIR)
INSTALL_DIR:=install -d
INSTALL_BIN:=install -m 755
INSTALL_CONF:=install -m 600
Download=
define BuildPackage
all: $(1)
$(1):
	$(call Package/$(1)/install,$(TOPDIR)/$(1))
endef
"""


def test_openwrt_package(tmp_path):
    """What the makefile installs is there, runs, and takes the configuration that it brings."""
    for name, text in (("rules.mk", RULES), ("package.mk", ""), ("meson.mk", "")):
        (tmp_path / name).write_text(text)
    (tmp_path / "install/usr/bin").mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(program(unit), tmp_path / "install/usr/bin")
    subprocess.run(["make", "-s", "-C", OPENWRT, f"TOPDIR={tmp_path}",
                    f"PKG_INSTALL_DIR={tmp_path / 'install'}", "all"], check=True)  # fmt: skip
    for unit in UNITS:
        script = (tmp_path / unit / "etc/init.d" / unit).read_text()
        command = re.search(r"procd_set_param command (\S+) (--config) (\S+)\n", script).groups()
        assert (tmp_path / unit / command[0][1:]).is_file()
        assert (tmp_path / unit / command[2][1:]).stat().st_mode & 0o777 == 0o600
        subprocess.run(["sh", "-n", "-c", script], check=True)
        result = subprocess.run([program(unit), "--config", str(tmp_path / unit / command[2][1:]),
                                 "--log-level", "loud"], capture_output=True, text=True)  # fmt: skip
        assert re.sub(r"^\S+: ", "", result.stderr).startswith("--log-level: must be"), result.stderr


def test_packages_are_of_this_version():
    version = subprocess.run([program(UNITS[0]), "--version"], capture_output=True, text=True).stdout.split()[1]
    assert f"PKG_VERSION:={version}\n" in (OPENWRT / "Makefile").read_text()
    assert (OPENWRT.parent / "debian/changelog").read_text().startswith(f"libwstunnel ({version}) ")
