# SPDX-License-Identifier: MIT
"""ssh and scp with nc as their proxy command, to an sshd with its own keys and configuration."""
import hashlib
import os
import pwd
import subprocess

import pytest

from intranet import CLOSED, need
from network import SITE, SITES
from processes import PATIENCE, Process

SERVER = """
ListenAddress {address}:22
HostKey {dir}/host
AuthorizedKeysFile {dir}/client.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp
"""
CLIENT = """
Host *
    User {user}
    IdentityFile {dir}/client
    IdentitiesOnly yes
    UserKnownHostsFile {dir}/known
    StrictHostKeyChecking yes
    BatchMode yes
    LogLevel ERROR
    ProxyCommand {nc} {proxy} %h %p
"""


@pytest.fixture(scope="module", params=["connect", "socks"])
def ssh_config(request, tmp_path_factory, inside, proxy):
    """A running sshd inside; what ssh is to be given to reach it, by CONNECT or by SOCKS5."""
    sshd, keygen, nc, _ = need("sshd", "ssh-keygen", "nc", "ssh")
    if b"-X proxy_protocol" not in subprocess.run([nc, "-h"], capture_output=True).stderr:
        pytest.skip("this nc knows no proxies: netcat-openbsd not installed")
    user = pwd.getpwuid(os.geteuid()).pw_name
    directory = tmp_path_factory.mktemp("ssh")
    for name in ("host", "client"):
        subprocess.run(
            [keygen, "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True
        )
    key_type, key, *_ = (directory / "host.pub").read_text().split()
    (directory / "known").write_text(f"{SITE} {key_type} {key}\n")
    (directory / "sshd").write_text(SERVER.format(dir=directory, address=SITES))
    config = directory / "ssh"
    way = {"connect": f"-X connect -x {proxy.address}", "socks": f"-X 5 -x {proxy.socks}"}
    config.write_text(
        CLIENT.format(dir=directory, user=user, nc=nc, proxy=way[request.param])
    )
    # It keeps its privilege separation directory in /run, which need not be there.
    daemon = f"mkdir -p /run/sshd && exec {sshd} -D -e -f {directory}/sshd"
    process = Process(inside.command("sh", "-c", daemon))
    try:
        process.wait_for("Server listening on")
        yield config
        assert not process.ended, process.output
    finally:
        process.terminate()
        process.wait_exit(process.popen.wait(PATIENCE))  # the status depends on its version


def test_command(outside, ssh_config):
    done = outside.run("ssh", "-F", ssh_config, SITE, "echo $SSH_CONNECTION; exit 7", status=7)
    assert done.stdout.split()[0].decode() == SITES  # the agent's address, not ours


def test_megabytes_both_ways(outside, ssh_config, intranet):
    data = intranet.file.read_bytes()
    back = outside.run("ssh", "-F", ssh_config, SITE, "cat", input=data).stdout
    assert hashlib.sha256(back).hexdigest() == intranet.digest


def test_end_of_input_arrives(outside, ssh_config):
    """The command ends only when its input does."""
    assert outside.run("ssh", "-F", ssh_config, SITE, "wc -c", input=b"12345").stdout == b"5\n"


@pytest.mark.parametrize("protocol", [[], ["-O"]])
def test_scp(outside, ssh_config, intranet, tmp_path, protocol):
    """To the site and back, by SFTP and by the protocol of old."""
    scp = ("scp", "-q", *protocol, "-F", ssh_config)
    outside.run(*scp, intranet.file, f"{SITE}:{tmp_path}/there")
    outside.run(*scp, f"{SITE}:{tmp_path}/there", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == intranet.file.read_bytes()


def test_many_at_once(outside, ssh_config):
    command = outside.command("ssh", "-F", ssh_config, SITE, "cat")
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(8)
    ]
    try:
        for i, process in enumerate(running):
            assert process.communicate(b"%d" % i, timeout=PATIENCE)[0] == b"%d" % i
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_refused(outside, ssh_config):
    """nc says what the proxy says; by SOCKS5 that is a number, which it has no words for."""
    host, _, port = CLOSED.rpartition(":")
    told = outside.run("ssh", "-F", ssh_config, "-p", port, host, "true", status=255).stderr
    by_socks = b"-X 5" in ssh_config.read_bytes()
    assert (b"onnection failed" if by_socks else b"502") in told and (by_socks or b"refused" in told)
