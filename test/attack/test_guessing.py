# SPDX-License-Identifier: MIT
"""Passwords and tokens guessed, from real addresses: limited by user and address, and by address,
whatever is tried and however; others are not hindered, at the same address neither; and no answer
tells whether there is such a user."""
import base64
import hashlib
import re
import secrets
import time

import pytest

from client import Answer, Client
from netns import Machine
from processes import PASSWORD, PATIENCE, TOKEN, USER, wait_until
from pyagent import upgrade_request
from scene import serve
from sites import Site, echo
from socks import EITHER, WITH_LOGIN, login, reply, request

LIMIT = 5  # for a user from an address; twice as many for all users
FOREVER_MS = 3600_000  # a window: nothing of it passes meanwhile
LIMITED = "HTTP/1.1 429 Too many failed attempts to authenticate"
DENIED = "HTTP/1.1 407 Proxy Authentication Required"
USERS = [
    {"name": USER, "password": PASSWORD},
    {"name": "bob", "password": "bob's own"},
    {"name": "hashed", "ha1_sha256": hashlib.sha256(b"hashed:wstunnel:secret").hexdigest()},
    {"name": "certified", "certificate": "CN:certified.test"},
]


@pytest.fixture(scope="module")
def attacker():
    machine = Machine()
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def neighbour():
    machine = Machine()
    yield machine
    machine.close()


class Guarded:
    """A server with users and an agent, to be reached from other machines, also by SOCKS5."""

    def __init__(self, world, tmp_path, window_ms=FOREVER_MS, token=TOKEN):
        self.server = serve(world, tmp_path, "--listen", "0.0.0.0:0,socks", listen="0.0.0.0:0",
                            users=USERS, log_level="debug",
                            agents=[{"name": "*", "token": token}],
                            limits={"max_failures": LIMIT, "failure_window_ms": window_ms})  # fmt: skip
        token_file = tmp_path / "token"
        token_file.write_text(token)
        self.socks_port = int(self.server.wait_for(r"listening on \S+:(\d+) \(SOCKS5\)")[1])
        self.site = world.site(Site(echo))
        world.agent(self.server.url, "--name", "honest", "--token-file", token_file)
        self.server.wait_for("agent honest .* up from")

    def connect(self, machine=None, port=None):
        """From that machine, or from this one."""
        port = port or self.server.port
        if machine is None:
            return Client(f"127.0.0.1:{port}")
        client = Client.__new__(Client)
        client.socket, client.buffer = machine.socket(), bytearray()
        client.socket.settimeout(PATIENCE)
        client.socket.connect((machine.server, port))
        return client

    def ask_by_socks(self, machine, says):
        """All that it is told."""
        client = self.connect(machine, self.socks_port)
        client.send(says)
        told = client.read_to_end()
        client.close()
        return told

    def check_served(self, machine=None):
        client = self.connect(machine)
        assert client.ask(self.request(basic(USER, PASSWORD))).status == 200
        client.send(b"ping")
        assert client.read_exactly(4) == b"ping"
        client.close()

    def request(self, *fields):
        return connect(self.site.address, *fields)


def connect(destination, *fields):
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"CONNECT {destination} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


def basic(user, password):
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Proxy-Authorization: Basic {pair}"


def bearer(token):
    return upgrade_request("a", "wstunnel.v1.json", fields=f"Authorization: Bearer {token}\r\n")


def digest(challenge, user, password, target, algorithm="SHA-256"):
    """To a challenge of that algorithm (RFC 7616)."""
    name = {"SHA-256": "sha256", "MD5": "md5"}[algorithm]
    nonce = re.search(r'nonce="([^"]*)"', challenge)[1]
    cnonce = secrets.token_hex(8)

    def h(text):
        return hashlib.new(name, text.encode()).hexdigest()

    ha1, ha2 = h(f"{user}:wstunnel:{password}"), h(f"CONNECT:{target}")
    response = h(f"{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}")
    return (f'Proxy-Authorization: Digest username="{user}", realm="wstunnel", nonce="{nonce}", '
            f'uri="{target}", qop=auth, nc=00000001, cnonce="{cnonce}", response="{response}", '
            f"algorithm={algorithm}")  # fmt: skip


@pytest.fixture
def guarded(world, tmp_path):
    return Guarded(world, tmp_path)


def challenge_of(client, algorithm):
    """Asked without credentials; that is no failure."""
    client.send(connect("a.test:1"))
    head = client.read_head().decode()
    answer = Answer(head.encode())
    client.read_exactly(int(answer.fields["Content-Length"]))
    return next(line for line in head.split("\r\n") if f"algorithm={algorithm}," in line)


def try_digest(guarded, client, user, password, algorithm="SHA-256"):
    challenge = challenge_of(client, algorithm)
    target = guarded.site.address
    return client.ask(guarded.request(digest(challenge, user, password, target, algorithm)))


GUESSES = {
    "basic": lambda g, c, n: c.ask(g.request(basic(USER, f"guess {n}"))),
    "basic, over many users": lambda g, c, n: c.ask(g.request(basic(f"user{n}", "123456"))),
    "malformed": lambda g, c, n: c.ask(g.request(f"Proxy-Authorization: Basic !{n}")),
    "another scheme": lambda g, c, n: c.ask(g.request(f"Proxy-Authorization: Bearer {n}")),
    "digest": lambda g, c, n: try_digest(g, c, USER, f"guess {n}"),
    "digest, over many users": lambda g, c, n: try_digest(g, c, f"user{n}", "123456"),
    "MD5": lambda g, c, n: try_digest(g, c, USER, f"guess {n}", "MD5"),
    "forwarded for others": lambda g, c, n: c.ask(g.request(
        basic(USER, f"guess {n}"), f"X-Forwarded-For: 192.0.2.{n}", f"Forwarded: for=192.0.2.{n}")),
    "by turns": lambda g, c, n: [GUESSES["basic"], GUESSES["digest"], GUESSES["malformed"]][n % 3](
        g, c, n),
}  # fmt: skip


def check_limited(guarded, attacker, neighbour):
    """Right and wrong from there are answered alike; others are served."""
    for field in (basic(USER, PASSWORD), basic(USER, "wrong")):
        client = guarded.connect(attacker)
        answer = client.ask(guarded.request(field))
        assert answer.status_line == LIMITED
        assert answer.fields["Connection"] == "close"
        assert answer.fields["Proxy-Status"].startswith("libwstunnel; error=http_request_denied; ")
        wait = int(answer.fields["Retry-After"])
        assert 0 < wait <= FOREVER_MS / LIMIT / 1000
        assert client.read_to_end() == b""
        client.close()
    guarded.server.wait_for(r"warn .*10\.\d+\.\d+\.2:\d+: too many failed attempts to authenticate")
    client = guarded.connect(attacker)  # asking is no attempt
    assert client.ask(guarded.request("X: no credentials")).status_line == DENIED
    client.close()
    for other in (neighbour, None):
        guarded.check_served(other)


TRIES = {"malformed": 2 * LIMIT, "another scheme": 2 * LIMIT, "basic, over many users": 2 * LIMIT,
         "digest, over many users": 2 * LIMIT,
         "by turns": 7}  # fmt: skip  # of which 5 are for one user


@pytest.mark.parametrize("kept", [True, False], ids=["one connection", "many connections"])
@pytest.mark.parametrize("name", GUESSES)
def test_guesses(guarded, attacker, neighbour, name, kept):
    client = guarded.connect(attacker)
    for n in range(TRIES.get(name, LIMIT)):
        answer = GUESSES[name](guarded, client, n)
        assert answer.status_line == DENIED
        if not kept:
            client.close()
            client = guarded.connect(attacker)
    client.close()
    check_limited(guarded, attacker, neighbour)


def test_success_clears_nothing(guarded, attacker, neighbour):
    """Who has an account of his own cannot use it to guess on."""
    for n in range(LIMIT - 1):
        client = guarded.connect(attacker)
        assert client.ask(guarded.request(basic(USER, f"guess {n}"))).status == 407
        assert client.ask(guarded.request(basic("bob", "bob's own"))).status == 200
        client.close()
    client = guarded.connect(attacker)
    assert client.ask(guarded.request(basic(USER, "the last guess"))).status == 407
    client.close()
    check_limited(guarded, attacker, neighbour)


def test_others_at_the_address(guarded, attacker):
    """A user who was there before the guesses, and one who comes after some of them."""
    def served(user, password):
        client = guarded.connect(attacker)
        status = client.ask(guarded.request(basic(user, password))).status
        client.close()
        return status == 200

    assert served("bob", "bob's own")
    for n in range(4 * LIMIT):
        client = guarded.connect(attacker)
        client.ask(guarded.request(basic("nobody", f"guess {n}")))
        client.close()
    assert served("bob", "bob's own")
    assert served(USER, PASSWORD)
    for n in range(4 * LIMIT):
        client = guarded.connect(attacker)
        client.ask(guarded.request(basic(f"user{n}", "123456")))
        client.close()
    assert served("bob", "bob's own")
    assert served(USER, PASSWORD)


def test_long_tokens(world, tmp_path, attacker):
    """They are taken whatever others at the address have tried."""
    guarded = Guarded(world, tmp_path, token="0123456789abcdef" * 2)
    for n in range(3 * LIMIT):
        client = guarded.connect(attacker)
        client.send(bearer(f"guess{n}" * 10))
        assert client.read_answer().status == (401 if n < LIMIT else 429)
        client.close()
    client = guarded.connect(attacker)
    client.send(bearer("0123456789abcdef" * 2))
    assert Answer(client.read_head()).status == 101
    client.close()


def test_absolute_form(guarded, attacker, neighbour):
    """Counted together with CONNECT."""
    client = guarded.connect(attacker)
    for n in range(LIMIT):
        field = basic(USER, f"guess {n}")
        uri = f"http://{guarded.site.address}/"
        request = f"GET {uri} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n".encode()
        answer = client.ask(guarded.request(field) if n % 2 else request)
        assert answer.status == 407
    client.close()
    check_limited(guarded, attacker, neighbour)


def test_socks(guarded, attacker, neighbour):
    """A flood of logins; counted together with those of HTTP, whether they are whole or not."""
    client = guarded.connect(attacker)
    assert client.ask(guarded.request(basic(USER, "guess"))).status == 407
    client.close()
    for n in range(2 * LIMIT - 1):
        wrong = [login(USER, f"guess {n}"), login(f"user{n}", "123456"), login("", "")][n % 3]
        assert guarded.ask_by_socks(attacker, EITHER + wrong) == b"\5\2\1\1"
    for _ in range(20):
        refused = guarded.ask_by_socks(attacker, EITHER + login(USER, PASSWORD))
        assert refused == b"\5\2\1\1"
    check_limited(guarded, attacker, neighbour)
    for other in (neighbour, None):
        client = guarded.connect(other, guarded.socks_port)
        client.send(EITHER + login(USER, PASSWORD) + request(guarded.site.address) + b"ping")
        assert client.read_exactly(18) == b"\5\2\1\0" + reply(0) + b"ping"
        client.close()


def test_socks_does_not_tell_who_is_a_user(guarded, attacker):
    """What a stranger is told is the same for a user, a user without password and nobody."""
    names = (USER, "hashed", "certified", "nobody", "x" * 255)
    told = {guarded.ask_by_socks(attacker, WITH_LOGIN + login(name, "no")) for name in names}
    assert told == {b"\5\2\1\1"}


def test_tokens(guarded, attacker, neighbour, world):
    """Those of agents; the honest agent stays. What is guessed as a client is counted apart."""
    for n in range(3 * LIMIT):
        client = guarded.connect(attacker)
        assert client.ask(guarded.request(basic(f"user{n}", "x"))).status in (407, 429)
        client.close()
    for n in range(LIMIT):
        client = guarded.connect(attacker)
        client.send(bearer(f"guess{n}"))
        answer = client.read_answer()
        assert answer.status_line == "HTTP/1.1 401 Unauthorized: this token is nobody's"
        client.close()
    client = guarded.connect(attacker)
    client.send(bearer(TOKEN))
    assert client.read_answer().status_line == LIMITED
    client.close()
    check_limited(guarded, attacker, neighbour)
    client = guarded.connect(neighbour)
    client.send(bearer(TOKEN))
    assert Answer(client.read_head()).status == 101
    client.close()


def test_the_end_of_it(world, tmp_path, attacker):
    """One more try for each part of the window that passes: its answer is held back until then; of
    many at once most are refused."""
    guarded = Guarded(world, tmp_path, window_ms=LIMIT * 1000)

    def start():
        client = guarded.connect(attacker)
        client.send(guarded.request(basic(USER, "wrong")))
        return client

    def finish(client):
        head = client.read_head()
        client.close()
        return int(head.split()[1])

    began = time.monotonic()
    assert [finish(start()) for _ in range(LIMIT)] == [407] * LIMIT
    assert time.monotonic() - began < 0.9, "too slow to tell"
    assert [finish(start()) for _ in range(3)] == [407] * 3
    assert time.monotonic() - began > 2
    told = [finish(client) for client in [start() for _ in range(20)]]
    assert 3 <= told.count(407) <= 6 and told.count(429) == 20 - told.count(407)
    wait_until(lambda: client_served(guarded, attacker), "the right password")


def client_served(guarded, machine):
    client = guarded.connect(machine)
    status = client.ask(guarded.request(basic(USER, PASSWORD))).status
    client.close()
    return status == 200


def test_from_this_machine(guarded, neighbour):
    """Where a reverse proxy may stand for everybody: by the name that is tried."""
    client = guarded.connect()
    for n in range(LIMIT):
        assert client.ask(guarded.request(basic("bob", f"guess {n}"))).status == 407
    assert client.ask(guarded.request(basic("bob", "bob's own"))).status_line == LIMITED
    client.close()
    client = guarded.connect()
    for n in range(LIMIT):  # one who is nobody has a limit of his own
        assert client.ask(guarded.request(basic("nobody", f"guess {n}"))).status == 407
    assert client.ask(guarded.request(basic("nobody", "x"))).status_line == LIMITED
    client.close()
    for machine in (None, neighbour):
        guarded.check_served(machine)
    for n in range(3 * LIMIT):  # agents behind it are not counted: tokens cannot be guessed
        client = guarded.connect()
        client.send(bearer(f"guess{n}"))
        assert client.read_answer().status == 401
        client.close()


# -- What answers tell ----------------------------------------------------------------------------


def whole_answer(client, request):
    """Every byte, but for nonces and the second that the clock says."""
    client.send(request)
    head = client.read_head()
    body = client.read_exactly(int(Answer(head).fields["Content-Length"]))
    head = re.sub(rb'nonce="[^"]*"', b"nonce", head)
    return re.sub(rb"\r\nDate: [^\r]*", b"\r\nDate", head) + body


NAMES = [USER, "bob", "hashed", "certified", "nobody", "", "x" * 127, "x" * 128, "x" * 2000, "al\u00efce",
         f"{USER}+berlin", "nobody+berlin"]  # fmt: skip


def test_no_oracle(world, tmp_path):
    """Users that there are and that there are not, with a password, a hash or a certificate; wrong and
    malformed credentials: all the same answer."""
    guarded = Guarded(world, tmp_path)
    answers = {}
    for name in NAMES:
        for password in ("wrong", "", "x" * 5000):
            client = guarded.connect()
            answers[name[:20], password[:20]] = whole_answer(
                client, guarded.request(basic(name, password)))  # fmt: skip
            client.close()
        for algorithm in ("SHA-256", "MD5"):
            client = guarded.connect()
            challenge = challenge_of(client, algorithm)
            field = digest(challenge, name, "wrong", guarded.site.address, algorithm)
            answers[name[:20], algorithm] = whole_answer(client, guarded.request(field))
            client.close()
    for field in ("Proxy-Authorization:", "Proxy-Authorization: Basic", "X: none",
                  "Proxy-Authorization: Digest username=x"):  # fmt: skip
        client = guarded.connect()
        answers[field, ""] = whole_answer(client, guarded.request(field))
        client.close()
    assert len(set(answers.values())) == 1, answers
    assert answers["X: none", ""].startswith(DENIED.encode())
