# SPDX-License-Identifier: MIT
"""wstunnel-server passwd: what it prints lets the user in, and what is typed does not appear."""
import hashlib
import os
import select
import signal
import subprocess
import termios

import pytest

from processes import DISASTERS, PASSWORD, PATIENCE, program

COMMAND = [program("wstunnel-server"), "passwd"]


def passwd(*arguments, text=f"{PASSWORD}\n"):
    result = subprocess.run([*COMMAND, *arguments], input=text.encode(), capture_output=True,
                            timeout=PATIENCE)  # fmt: skip
    assert not DISASTERS.search(result.stderr.decode()), result.stderr
    return result.returncode, result.stdout.decode(), result.stderr.decode()


def line_of(name, password, realm="wstunnel"):
    digest = hashlib.sha256(f"{name}:{realm}:{password}".encode()).hexdigest()
    return f"{name}:{{ha1-sha256}}{digest}\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "", "\nmore\n"])
def test_line_of_standard_input(end):
    assert passwd("alice", text=PASSWORD + end) == (0, line_of("alice", PASSWORD), "")


def test_realm_and_longest():
    secret = "x" * 255
    said = passwd("--realm", "office", "ä" * 63, text=f"{secret}\n")
    assert said == (0, line_of("ä" * 63, secret, "office"), "")


@pytest.mark.parametrize("scheme", ["--proxy-basic", "--proxy-digest"])
def test_lets_the_user_in(world, tmp_path, nginx, scheme):
    """Beside a user whose password is there in clear."""
    (nginx.root / "small").write_text("small\n")
    users = tmp_path / "users"
    users.write_text("bob:clear\n" + passwd("alice")[1])
    users.chmod(0o600)
    server = world.server("--user-file", users)
    world.served_by(server, "one")

    def fetch(user):
        return subprocess.run(["curl", "-sS", "--proxy", server.proxy, scheme, "--proxy-user", user,
                               "-o", "/dev/null", "-w", "%{http_code}", f"{nginx.http}/small"],
                              capture_output=True, text=True, timeout=PATIENCE).stdout  # fmt: skip

    assert [fetch(user) for user in (f"alice:{PASSWORD}", "bob:clear")] == ["200", "200"]
    hashed = users.read_text().splitlines()[1].partition(":")[2]
    assert [fetch(user) for user in ("alice:wrong", f"alice:{hashed}")] == ["407", "407"]


def test_hash_that_is_cut_off(tmp_path):
    users = tmp_path / "users"
    users.write_text(passwd("alice")[1][:-9] + "\n")
    result = subprocess.run([program("wstunnel-server"), "-t", "--user-file", users],
                            capture_output=True, text=True, timeout=PATIENCE)  # fmt: skip
    assert result.returncode == 2
    assert "user_file: user alice: ha1_sha256: not 64 hexadecimal digits" in result.stderr


@pytest.mark.parametrize("text", ["", "\n", "x" * 256 + "\n", "a\0b\n", "a\tb\n"])
def test_no_password(text):
    status, printed, complaint = passwd("alice", text=text)
    assert (status, printed) == (1, "")
    assert complaint.startswith("wstunnel-server passwd: the password")


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ([], "a name is needed"),
        (["a:b"], "the name must be 1 to 127 bytes"),
        (["#a"], "the name must be 1 to 127 bytes"),
        (["x" * 128], "the name must be 1 to 127 bytes"),
        (["alice", PASSWORD], "; the password is asked for\n"),
        (["--relam", "x", "alice"], "did you mean --realm?"),
    ],
)
def test_bad_options(arguments, complaint):
    status, printed, said = passwd(*arguments)
    assert (status, printed) == (2, "") and complaint.replace(PASSWORD, "") in said


# -- At a terminal --------------------------------------------------------------------------------


def heed_interrupts():
    """As at a terminal, also if these tests run in the background of a shell, which ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A terminal at which the program asks; what it prints goes to a pipe."""

    def __init__(self):
        self.ours, theirs = os.openpty()
        self.name = os.ttyname(theirs)
        self.process = subprocess.Popen([*COMMAND, "alice"], stdin=theirs, stderr=theirs,
                                        stdout=subprocess.PIPE, start_new_session=True,
                                        preexec_fn=heed_interrupts)  # fmt: skip
        self.theirs = theirs
        self.seen = ""

    def wait_for(self, text):
        while text not in self.seen:
            assert select.select([self.ours], [], [], PATIENCE)[0], f"never: {text!r}: {self.seen!r}"
            self.seen += os.read(self.ours, 4096).decode()

    def wait_until_silent(self):
        while self.echoes():
            assert self.process.poll() is None, self.seen

    def answer(self, prompt, text):
        self.wait_for(prompt)
        self.wait_until_silent()
        os.write(self.ours, text.encode())
        self.wait_for("\r\n")
        before, _, self.seen = self.seen.partition("\r\n")
        assert text.strip() not in before

    def echoes(self):
        return termios.tcgetattr(self.theirs)[3] & termios.ECHO != 0

    def end(self):
        printed = self.process.communicate(timeout=PATIENCE)[0].decode()
        os.close(self.theirs)
        try:
            while more := os.read(self.ours, 4096).decode():
                self.seen += more
        except OSError:  # nobody has the other end
            pass
        os.close(self.ours)
        return self.process.returncode, printed


def test_terminal():
    terminal = Terminal()
    terminal.answer("Password: ", f"{PASSWORD}\n")
    terminal.answer("The same again: ", f"{PASSWORD}\n")
    terminal.process.wait(PATIENCE)
    assert terminal.echoes()
    assert terminal.end() == (0, line_of("alice", PASSWORD))
    assert PASSWORD not in terminal.seen


def test_terminal_mistyped():
    terminal = Terminal()
    terminal.answer("Password: ", f"{PASSWORD}\n")
    terminal.answer("The same again: ", "other\n")
    assert terminal.end() == (1, "")
    assert "these are two passwords: nothing is printed" in terminal.seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_restores_the_terminal(number):
    terminal = Terminal()
    terminal.wait_for("Password: ")
    terminal.wait_until_silent()
    terminal.process.send_signal(number)
    terminal.process.wait(PATIENCE)
    assert terminal.echoes()
    assert terminal.end() == (-number, "")
