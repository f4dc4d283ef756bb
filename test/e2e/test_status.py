# SPDX-License-Identifier: MIT
"""wstunnel-server status: at a terminal, into a pipe; real servers, and some that are none."""
import contextlib
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from configuration import Config
from processes import DISASTERS, PATIENCE, program, wait_until
from sites import free_port

ANN = {"name": "ann", "password": "pw-5c1d-ann"}
BOB = {"name": "bob", "password": "pw-77aa-bob"}
COMMAND = [program("wstunnel-server"), "status"]
ADDRESS = r'listening on ([^\s"]+)'
TAKEN, GIVEN_BACK = "\x1b[?1049h", "\x1b[?1049l"
UTF8 = os.environ | {"LC_ALL": "C.UTF-8", "TERM": "xterm"}


@pytest.fixture
def serve(world, tmp_path):
    """A function that starts a server for operators; gives it and their address."""

    def run(*options, admin="127.0.0.1:0", **members):
        config = Config(tmp_path / "server.json", **members)
        server = world.server("--listen", f"{admin},admin", "--config", config.path, *options)
        return server, server.wait_for(ADDRESS, count=2)[1]

    return run


def status(*arguments, text="", **options):
    """What it prints if that is no terminal."""
    result = subprocess.run([*COMMAND, *map(str, arguments)], input=text, capture_output=True,
                            text=True, timeout=PATIENCE, env=UTF8, **options)  # fmt: skip
    assert not DISASTERS.search(result.stderr), result.stderr
    return result.returncode, result.stdout, result.stderr


def secret(path, account):
    path.write_text(account["password"] + "\n")
    path.chmod(0o600)
    return path


def tunnel(world, server, destination, sends=b""):
    client = world.client(server).open(destination)
    client.send(sends)
    assert client.read_exactly(len(sends)) == sends
    return client


class Terminal:
    """A terminal of some size, with a program on it; what is on the screen, line by line."""

    def __init__(self, argv, rows=24, columns=100, env=UTF8):
        self.ours, self.theirs = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.theirs)
        self.seen = b""
        self.process = subprocess.Popen(
            [str(each) for each in argv], stdin=self.theirs, stdout=self.theirs,
            stderr=self.theirs, start_new_session=True, env=env,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))  # fmt: skip

    def resize(self, rows, columns):
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    @property
    def text(self):
        return self.seen.decode(errors="replace")

    def lines(self):
        """Those of the last frame, as far as it has come."""
        frame = self.text.rpartition("\x1b[H")[2]
        assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]", frame), repr(frame)
        return re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\r", "", frame).split("\n")

    def wait(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            left = end - time.monotonic()
            assert left > 0 and select.select([self.ours], [], [], left)[0], f"never: {what}: {self.text!r}"
            try:
                more = os.read(self.ours, 65536)
            except OSError:  # nobody has the other end
                more = b""
            assert more, f"never: {what}: {self.text!r}"
            self.seen += more

    def wait_for(self, text):
        self.wait(lambda: text in self.text, text)

    def wait_for_line(self, pattern):
        self.wait(lambda: any(re.search(pattern, line) for line in self.lines()), pattern)

    def order(self, *words):
        """The words, as the lines of the last frame have them at their beginning."""
        firsts = [line.split(" ")[0] for line in self.lines()]
        return [word for word in firsts if word in words]

    def type(self, text):
        os.write(self.ours, text.encode())

    def is_given_back(self):
        return termios.tcgetattr(self.theirs) == self.before and self.text.endswith(GIVEN_BACK)

    def end(self, exit_status=0):
        """Waits for the end of the program, which must leave the terminal as it was."""
        while self.process.poll() is None:
            if select.select([self.ours], [], [], 0.05)[0]:
                self.seen += os.read(self.ours, 65536)
        while select.select([self.ours], [], [], 0)[0]:
            self.seen += os.read(self.ours, 65536)
        assert termios.tcgetattr(self.theirs) == self.before
        assert self.text.count(TAKEN) == self.text.count(GIVEN_BACK)
        assert not DISASTERS.search(self.text)
        assert self.process.returncode == exit_status, self.text
        os.close(self.theirs)
        os.close(self.ours)


@pytest.fixture
def terminal():
    """A function that runs the command at a terminal."""
    made = []

    def run(*arguments, **options):
        made.append(Terminal([*COMMAND, *arguments], **options))
        return made[-1]

    yield run
    for each in made:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()


# -- At a terminal ----------------------------------------------------------------------------------


def test_shows_and_sorts(world, serve, terminal, echo_site):
    server, address = serve()
    world.served_by(server, "berlin")
    port = echo_site.address.rpartition(":")[2]
    older, newer = f"localhost:{port}", f"127.0.0.1:{port}"
    tunnel(world, server, older, b"x" * 10)
    tunnel(world, server, newer, b"x" * 100000)
    screen = terminal(f"http://{address}")
    screen.wait_for_line(r"^berlin +ready +2 ")
    screen.wait_for_line(r"^agents 1, 0 suspended; flows 2, 0 opening, ")
    screen.wait_for_line(r"by rate")
    screen.type("b")
    screen.wait_for_line("by bytes")
    screen.wait(lambda: screen.order(older, newer) == [newer, older], "more bytes first")
    screen.type("d")
    screen.wait_for_line("by destination")
    screen.type("a")
    screen.wait_for_line("by age")
    screen.wait(lambda: screen.order(older, newer) == [older, newer], "the older first")
    screen.type("/LOCALHOST\r")
    screen.wait(lambda: screen.order(older, newer) == [older], "that one only")
    assert not screen.is_given_back()
    screen.type("q")
    screen.end()


def test_is_renewed(world, serve, terminal, echo_site):
    server, address = serve()
    screen = terminal(address)
    screen.wait_for_line("^agents 0")
    agent = world.served_by(server, "one")
    screen.wait_for_line("^one +ready")
    client = tunnel(world, server, echo_site.address)
    screen.wait_for_line(re.escape(echo_site.address))
    client.close()
    screen.wait_for_line("flows 0, 0 opening")
    agent.stop()
    screen.wait_for_line("^agents 0")
    screen.type("q")
    screen.end()


def test_size_changes(serve, terminal):
    address = serve()[1]
    screen = terminal(address, rows=10, columns=40)
    screen.wait(lambda: len(screen.lines()) == 10, "ten lines")
    assert max(map(len, screen.lines())) <= 40
    screen.resize(30, 120)
    screen.wait(lambda: len(screen.lines()) == 30, "thirty lines")
    screen.type("q")
    screen.end()


@pytest.mark.parametrize("number, typed", [(signal.SIGINT, "\x03"), (signal.SIGQUIT, "\x1c"),
                                           (signal.SIGTERM, None), (signal.SIGHUP, None),
                                           (signal.SIGSEGV, None), (signal.SIGABRT, None)])  # fmt: skip
def test_signal_restores_the_terminal(serve, terminal, number, typed):
    quiet = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0"  # it would report the signal
    screen = terminal(serve()[1], env=UTF8 | {"ASAN_OPTIONS": quiet})
    screen.wait_for_line("^agents 0")
    if typed is not None:
        screen.type(typed)
    else:
        screen.process.send_signal(number)
    screen.end(-number)


def test_suspend(serve, tmp_path):
    """Ctrl-Z gives the terminal to the shell; fg takes it again."""
    address = serve()[1]
    script = 'stty -g >"$0"; "$@"; [ "$(stty -g)" = "$(cat "$0")" ] && echo back in the shell; fg'
    screen = Terminal(["bash", "-mc", script, tmp_path / "stty", *COMMAND, address])
    screen.wait_for_line("^agents 0")
    screen.type("\x1a")
    screen.wait(lambda: screen.text.count(TAKEN) == 2, "the screen again")
    assert "back in the shell" in screen.text.partition(GIVEN_BACK)[2].partition(TAKEN)[0]
    screen.wait_for_line("^agents 0")
    screen.type("q")
    screen.end()


def test_server_that_ends(world, serve, terminal, echo_site, tmp_path):
    """While it drains it goes on to answer; then the last status stays, and the reason."""
    server, _ = serve(admin=f"unix:{tmp_path}/admin")
    world.served_by(server, "one")
    client = tunnel(world, server, echo_site.address)
    screen = terminal(f"unix:{tmp_path}/admin")
    screen.wait_for_line("^agents 1")
    server.terminate()
    screen.wait_for_line(", draining, up ")
    client.close()
    server.wait_exit()
    screen.wait_for_line("^this was .* ago: ")
    screen.wait_for_line("^wstunnel-server .*, draining, ")
    screen.type("q")
    screen.end()


def test_password_at_the_terminal(serve, terminal):
    address = serve(admins=[ANN])[1]
    screen = terminal("--user", "ann", address)
    screen.wait_for("Password: ")
    wait_until(lambda: not termios.tcgetattr(screen.theirs)[3] & termios.ECHO, "no echo")
    screen.type(ANN["password"] + "\n")
    screen.wait_for_line("^agents 0")
    screen.type("q")
    screen.end()
    assert ANN["password"] not in screen.text


def test_wrong_password_at_the_terminal(serve, terminal):
    address = serve(admins=[ANN])[1]
    screen = terminal("--user", "ann", address)
    screen.wait_for("Password: ")
    wait_until(lambda: not termios.tcgetattr(screen.theirs)[3] & termios.ECHO, "no echo")
    screen.type("wrong\n")
    screen.end(1)
    assert f"{address}: the name or the password of the operator is wrong" in screen.text
    assert TAKEN not in screen.text


def test_dumb_terminal(serve, terminal):
    """It gets lines, once."""
    screen = terminal(serve()[1], env=UTF8 | {"TERM": "dumb"})
    screen.end()
    assert "agents 0, 0 suspended" in screen.text and "\x1b" not in screen.text


# -- Into a pipe ------------------------------------------------------------------------------------


def test_once(world, serve, echo_site):
    server, address = serve()
    world.served_by(server, "berlin")
    tunnel(world, server, echo_site.address, b"x" * 5)
    code, printed, complaint = status(address)
    assert (code, complaint) == (0, "")
    assert re.search(r"^wstunnel-server \S+, up \w+, at \S+$", printed, re.M)
    assert re.search(r"^berlin +ready +1 +5 B +5 B ", printed, re.M)
    assert re.search(rf"^{re.escape(echo_site.address)} +- +berlin +\S+ \S+/s +5 B +5 B ", printed, re.M)
    assert "memory " in printed and "refused 0" in printed and "\x1b" not in printed


def test_json(world, serve):
    server, address = serve()
    world.served_by(server, "berlin")
    code, printed, _ = status("--json", f"http://{address}/")
    assert code == 0
    assert [agent["name"] for agent in json.loads(printed)["agents"]] == ["berlin"]


def test_accounts(serve, tmp_path):
    address = serve(admins=[ANN, BOB])[1]
    word = secret(tmp_path / "word", ANN)
    assert status("--user", "ann", "--password-file", word, address)[0] == 0
    assert status("--user", "ann", address, text=ANN["password"] + "\n")[0] == 0
    assert status("--config", tmp_path / "server.json", address)[0] == 0
    assert status("--config", tmp_path / "server.json", "--user", "bob", address)[0] == 0
    code, printed, complaint = status("--user", "bob", "--password-file", word, address)
    assert (code, printed) == (1, "") and "the name or the password of the operator is wrong" in complaint
    code, printed, complaint = status(address)
    assert (code, printed) == (1, "") and "wants an operator's name and password: --user NAME" in complaint
    assert status("--user", "ann", address)[0] == 1


@pytest.mark.parametrize("kind", ["any", "unix", "tls"])
def test_configuration_alone(world, tmp_path, identity, kind):
    """Address, account and certificate of the server's own file."""
    where = {"any": f":{free_port()}", "unix": f"unix:{tmp_path}/admin",
             "tls": f"127.0.0.1:{free_port()}"}[kind]  # fmt: skip
    members = {"listen": ["127.0.0.1:0,plain", f"{where},admin"], "admins": [BOB, ANN]}
    if kind == "tls":
        members |= {"cert": str(identity.certificate), "key": str(identity.key)}
    config = Config(tmp_path / "server.json", **members)
    server = world.server("--config", config.path, listen=None)
    server.wait_for(ADDRESS, count=2)
    code, printed, complaint = status("--config", config.path)
    assert (code, complaint) == (0, "") and "agents 0" in printed
    assert status("--config", config.path, "--user", "ann", "--json")[0] == 0


def test_tls(serve, identity, authority, tmp_path):
    address = serve("--cert", identity.certificate, "--key", identity.key)[1]
    port = address.rpartition(":")[2]
    https = f"https://localhost:{port}"
    assert status("--ca", authority.certificate, https)[0] == 0
    code, _, complaint = status(https)
    assert code == 1 and "TLS: " in complaint
    code, _, complaint = status("--ca", authority.certificate, "--pin", "sha256/" + "A" * 43 + "=", https)
    assert code == 1 and "TLS: " in complaint
    code, _, complaint = status(f"http://localhost:{port}")
    assert code == 1 and "400" in complaint


@pytest.mark.parametrize("arguments, complaint", [
    ([], "an address is needed"),
    (["http://127.0.0.1:1", "x"], "unexpected argument 'x'"),
    (["http://127.0.0.1"], "ADDRESS: '127.0.0.1': "),
    (["ftp://127.0.0.1:1"], "ADDRESS: 'ftp://127.0.0.1:1': "),
    (["http://127.0.0.1:1/metrics"], "ADDRESS: "),
    (["--password-file", "/dev/null", "127.0.0.1:1"], "--password-file"),
    (["--user", "a:b", "127.0.0.1:1"], "--user: must have no colon"),
    (["--sort", "size", "127.0.0.1:1"], "--sort: must be rate, bytes, age, user or destination"),
    (["--interval", "0", "127.0.0.1:1"], "--interval: "),
    (["--pin", "sha256/x", "127.0.0.1:1"], "--pin: needs an ADDRESS with https://"),
    (["--onse", "127.0.0.1:1"], "did you mean --once?"),
    (["--config", "/nonexistent.json"], "/nonexistent.json: cannot open it"),
])  # fmt: skip
def test_bad_options(arguments, complaint):
    code, printed, said = status(*arguments)
    assert (code, printed) == (2, "") and complaint in said


def test_configuration_without_operators(tmp_path):
    config = Config(tmp_path / "server.json", listen="127.0.0.1:8080")
    code, _, complaint = status("--config", config.path)
    assert code == 2 and "has no address with the role admin" in complaint


def test_nobody_listens(tmp_path):
    for address in (f"127.0.0.1:{free_port()}", f"unix:{tmp_path}/none"):
        code, printed, complaint = status(address)
        assert (code, printed) == (1, "") and complaint.startswith(f"wstunnel-server status: {address}: ")


def test_other_address(world):
    """One for clients."""
    code, _, complaint = status(world.server().address)
    assert code == 1 and "is it an address for operators (role admin)?" in complaint


# -- Servers that are none --------------------------------------------------------------------------


class Impostor:
    """Answers each connection with these bytes, then goes on as told: "end", or "keep"."""

    def __init__(self, answer, then="end"):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.answer, self.then = answer, then
        self.connections = self.requests = 0
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                self.connections += 1
                with connection, contextlib.suppress(OSError):
                    while b"\r\n\r\n" in connection.recv(65536):
                        self.requests += 1
                        connection.sendall(self.answer)
                        if self.then == "end":
                            break
                        if self.requests % 3 == 0 and self.then == "sometimes":
                            break

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def impostor():
    made = []

    def make(*arguments, **options):
        made.append(Impostor(*arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def http(body, status="200 OK", fields=""):
    if isinstance(body, str):
        body = body.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


EMPTY = json.dumps({"version": "1", "agents": [], "flows": []})


@pytest.mark.parametrize("answer, complaint", [
    (b"", "the connection ended before the answer did"),
    (b"SSH-2.0-OpenSSH\r\n", "the answer is not HTTP"),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10000, "the answer is not HTTP"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "the connection ended before the answer did"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "the answer is not HTTP"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "the connection ended"),
    (http("{}"), "not the status of a wstunnel-server"),
    (http("<html>"), "not the JSON of a wstunnel-server"),
    (http("", "500 No\x1b[2J"), "the answer is not HTTP"),
    (http("", "500 \u202eNo"), "the server answers 500 \\u202eNo"),
    (http("", "403 Forbidden"), "the server answers 403 Forbidden"),
])  # fmt: skip
def test_bad_answers(impostor, answer, complaint):
    server = impostor(answer)
    code, printed, said = status(server.address)
    assert (code, printed) == (1, "") and complaint in said


def test_endless_answer(impostor):
    server = impostor(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * (70 << 20))
    assert status(server.address)[0:2] == (1, "")


@pytest.mark.parametrize("answer", [
    http(EMPTY),
    b"HTTP/1.0 200 OK\r\n\r\n" + EMPTY.encode(),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(EMPTY), EMPTY.encode()),
])  # fmt: skip
def test_framing(impostor, answer):
    assert status(impostor(answer).address)[0] == 0


def test_one_connection(impostor, terminal):
    """It is kept, and replaced when it has ended."""
    server = impostor(http(EMPTY), then="sometimes")
    screen = terminal(server.address)
    screen.wait(lambda: server.requests >= 5, "five questions")
    screen.type("q")
    screen.end()
    assert server.connections == 2 and "this was" not in screen.text


HOSTILE = {"version": "\x1b[2J", "agents": [{"name": "\x1b]0;title\x07", "state": "\r\n"}],
           "flows": [{"id": 1, "user": "\u202e\u009b31m", "destination": "\x1b[H", "client": "\x7f",
                      "agent": "\u0085", "rate": 1}]}  # fmt: skip


def test_hostile_names(impostor, terminal):
    """Nothing of them reaches the terminal as it is, in a table or as JSON."""
    for escaped in (True, False):
        server = impostor(http(json.dumps(HOSTILE, ensure_ascii=escaped)), then="keep")
        screen = terminal(server.address)
        screen.wait_for_line(r"\\u001b\[H")
        screen.type("q")
        screen.end()
        for arguments in ([], ["--json"]):
            printed = status(*arguments, server.address)[1]
            assert printed and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", printed)
        assert json.loads(printed) == HOSTILE and printed.isascii()
