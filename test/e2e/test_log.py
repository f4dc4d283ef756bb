# SPDX-License-Identifier: MIT
"""--log-format json: each line an object, held against what has happened."""
import base64
import contextlib
import json
import re
import signal

import pytest

from configuration import OK, Config, ask, phrase
from processes import PASSWORD, TOKEN, USER
from sites import Closed, Site
from websocket import WebSocket

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def basic(name, password, encoding="utf-8"):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode(encoding)).decode()


UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def strict(pairs):
    assert len(dict(pairs)) == len(pairs), "a member twice"
    return dict(pairs)


def events(process, name=None):
    """The objects of a program that has ended, without their times; of that event."""
    found = []
    for line in process.lines:
        assert not UNSAFE.search(line)
        event = json.loads(line, object_pairs_hook=strict)
        assert STAMP.fullmatch(event.pop("time"))
        assert event["level"] in ("error", "warn", "info", "debug")
        found.append(event)
    return [e for e in found if name is None or e["event"] == name]


@pytest.fixture
def server(world, tmp_path):
    file = Config(
        tmp_path / "server.json",
        listen="127.0.0.1:0",
        log_format="json",
        log_level="debug",
        users=[{"name": USER, "password": PASSWORD, "tenant": "acme"}],
        agents=[{"name": "berlin", "token": TOKEN, "tenant": "acme"}],
        rules=[{"deny": "secret.test"}, {"allow": "*"}],
    )
    return world.server("--config", file.path, listen=None)


@pytest.fixture
def agent(world, server, tmp_path):
    file = Config(
        tmp_path / "agent.json",
        url=server.url,
        name="berlin",
        token=TOKEN,
        log_format="json",
        rules=[{"deny": "127.0.0.9"}, {"allow": ["*", "127.0.0.0/8"]}],
    )
    process = world.agent(None, "--config", file.path)
    server.wait_for('"event":"agent_up"')
    return process


def five_bytes(connection):
    connection.recv(3)
    connection.sendall(b"12345")


def one(found):
    assert len(found) == 1, found
    return found[0]


def stop(*processes):
    for process in processes:
        process.stop()


def test_access_log(world, server, agent):
    site = world.site(Site(five_bytes))
    answer = ask(world, server, f"localhost:{site.port}", USER, PASSWORD)
    assert phrase(answer) == OK
    client = answer.client
    client.send(b"abc")
    assert client.read_to_end() == b"12345"
    client.end()
    server.wait_for('"event":"stream_close"')
    address = "127.0.0.1:%d" % client.socket.getsockname()[1]
    stop(server, agent)

    begun = one(events(server, "stream_open"))
    over = one(events(server, "stream_close"))
    assert isinstance(begun["dial_ms"], int) and begun["dial_ms"] < 60000
    assert begun == {
        "level": "info",
        "event": "stream_open",
        "id": 1,
        "client": address,
        "user": USER,
        "tenant": "acme",
        "agent": "berlin",
        "destination": f"localhost:{site.port}",
        "address": "127.0.0.1",
        "dial_ms": begun["dial_ms"],
    }
    assert isinstance(over["duration_ms"], int) and over["duration_ms"] < 60000
    assert over == {
        **begun,
        "event": "stream_close",
        "duration_ms": over["duration_ms"],
        "bytes_to_agent": 3,
        "bytes_to_client": 5,
        "ended_by": "agent",
        "status": "ok",
        "reason": "",
    }

    agent_over = one(events(agent, "stream_close"))
    assert agent_over == {
        "level": "info",
        "event": "stream_close",
        "destination": f"localhost:{site.port}",
        "bytes_to_destination": 3,
        "bytes_to_server": 5,
        "status": "ok",
        "reason": "",
    }


def test_reset_by_the_client(world, server, agent, echo_site):
    client = ask(world, server, echo_site.address, USER, PASSWORD).client
    client.reset()
    server.wait_for('"event":"stream_close"')
    stop(server, agent)
    over = one(events(server, "stream_close"))
    assert (over["ended_by"], over["status"]) == ("client", "ECONNRESET")


def test_refusals(world, server, agent):
    closed = world.site(Closed())
    asked = [
        (("secret.test:1", USER, PASSWORD), 403, "http_request_denied",
         "Denied by rule 1 of the server", "", ""),
        (("127.0.0.9:1", USER, PASSWORD), 403, "http_request_denied",
         "Destination denied by the agent", "berlin", "denied by the agent's rule 1"),
        ((closed.address, USER, PASSWORD), 502, "connection_refused",
         "Connection refused by destination", "berlin", None),
        (("a.test:1", USER, "wrong"), 407, "http_request_denied",
         "Proxy Authentication Required", "", ""),
        (("nonsense", USER, PASSWORD), 400, "http_request_error", "Bad Request: no port", "", ""),
    ]  # fmt: skip
    for question, *_ in asked:
        ask(world, server, *question)
    server.wait_for('"event":"refused"', len(asked))
    stop(server, agent)
    for (question, status, error, reason, by, detail), event in zip(
        asked, events(server, "refused"), strict=True
    ):
        assert event["http_status"] == status
        assert event["destination"] == question[0]
        assert event["error"] == error
        assert event["reason"] == reason
        assert event["agent"] == by
        assert detail is None or event["detail"] == detail
        assert event["client"].startswith("127.0.0.1:")
        if status in (403, 502):
            assert (event["user"], event["tenant"]) == (USER, "acme")


NO_CREDENTIALS = ""
LOGINS = [
    (NO_CREDENTIALS, "", "no credentials"),
    (basic(USER, "wrong"), USER, "wrong password"),
    (basic("mallory", PASSWORD), "mallory", "unknown user"),
    (basic('eve", user "alice\n\u202e\u009b2J', "x"), 'eve", user "alice\n\u202e\u009b2J', "unknown user"),
    (basic(b"\xff\xc3".decode("latin-1"), "x", "latin-1"), "\ufffd\ufffd", "unknown user"),
    (basic("n" * 200, "x"), "n" * 127, "unknown user"),
    ("Basic !", "", "malformed credentials"),
    ("Negotiate abc", "", "malformed credentials"),
]  # fmt: skip


def log_in(world, server):
    """Asks with each of these; all get the same answer."""
    for credentials, *_ in LOGINS:
        client = world.client(server)
        field = f"Proxy-Authorization: {credentials}\r\n" if credentials else ""
        client.send(f"CONNECT a.test:1 HTTP/1.1\r\n{field}\r\n".encode())
        answer = client.read_answer()
        assert phrase(answer) == "407 Proxy Authentication Required"
        assert not re.search("password|unknown|cause", answer.body.decode() + str(answer.fields))


def test_failed_logins(world, server):
    log_in(world, server)
    server.stop()
    told = [(e["user"], e["claimed_user"], e["cause"]) for e in events(server, "refused")]
    assert told == [("", name, cause) for _, name, cause in LOGINS]


def test_failed_logins_for_people(world, tmp_path):
    file = Config(tmp_path / "server.json", listen="127.0.0.1:0",
                  users=[{"name": USER, "password": PASSWORD}])  # fmt: skip
    server = world.server("--config", file.path, listen=None)
    log_in(world, server)
    server.stop()
    told = re.findall(r"refused: 407 Proxy Authentication Required \((.*)\)$", server.output, re.M)
    assert told[:4] == [
        "no credentials",
        f'wrong password, user "{USER}"',
        'unknown user, user "mallory"',
        r'unknown user, user "eve\", user \"alice\u000a\u202e\u009b2J"',
    ]
    assert len(told) == len(LOGINS)
    assert not UNSAFE.search("".join(server.lines))


def test_guessing_names_the_user(world, tmp_path):
    """Also once the guesses are not looked at any more."""
    file = Config(tmp_path / "server.json", listen="127.0.0.1:0", log_format="json",
                  limits={"max_failures": 2}, users=[{"name": USER, "password": PASSWORD}])  # fmt: skip
    server = world.server("--config", file.path, listen=None)
    answers = [ask(world, server, "a.test:1", "mallory", "guess").status for _ in range(3)]
    assert answers == [407, 407, 429]
    server.stop()
    last = events(server, "refused")[-1]
    assert (last["http_status"], last["claimed_user"], last["cause"]) == (429, "mallory", "")


@pytest.mark.parametrize("form", ["text", "json"])
def test_refusals_of_one_source_are_bounded(world, tmp_path, form):
    """20 are told by themselves, the others by one line."""
    server = world.server("--log-format", form)
    client = world.client(server)
    for _ in range(2000):
        client.send(b"CONNECT nowhere.test:1 HTTP/1.1\r\n\r\n")
        assert client.read_answer().status == 503
        client = world.client(server)
    server.stop()
    check_bounded(server, form, " refused: ", 2000)


def check_bounded(server, form, said, count):
    """`said`: in each line about one of the `count` refusals, in a text."""
    if form == "json":
        told = len(events(server, "refused"))
        more = [(e["source"], e["count"], e["seconds"]) for e in events(server, "more_refused")]
    else:
        told = len(re.findall(said, server.output))
        pattern = r"info  (\d+) more refusals of (\S+) in the last (\d+) s$"
        more = [(source, int(count), int(seconds))
                for count, source, seconds in re.findall(pattern, server.output, re.M)]  # fmt: skip
    windows = len(more)
    assert 1 <= windows and told <= 20 * (windows + 1)
    assert told + sum(count for _, count, _ in more) == count
    assert all(source == "127.0.0.1" and 0 < seconds <= 12 for source, _, seconds in more)


@pytest.mark.parametrize("form", ["text", "json"])
def test_destinations_not_opened_are_bounded(world, form):
    """In the agent's log: 20 are told by themselves, the others by one line for their host."""
    server, agent = world.tunnel("--log-format", form, "--deny", "secret.test")
    for port in range(1, 101):
        client = world.client(server)
        assert client.ask(f"CONNECT secret.test:{port} HTTP/1.1\r\n\r\n".encode()).status == 403
        client.close()
    agent.stop()
    if form == "json":
        told = len([e for e in events(agent, "stream_open") if e["status"] != "ok"])
        more = [(e["host"], e["count"]) for e in events(agent, "more_not_opened")]
    else:
        told = len(re.findall(r"info  stream to secret.test:\d+: ", agent.output))
        more = re.findall(r"info  (\d+) more streams to (\S+) not opened in the last \d+ s$",
                          agent.output, re.M)  # fmt: skip
        more = [(host, int(count)) for count, host in more]
    assert 1 <= len(more) and told <= 20 * (len(more) + 1)
    assert told + sum(count for _, count in more) == 100
    assert {host for host, _ in more} == {"secret.test"}


BEFORE_A_REQUEST = {
    "TLS": ("", None, b"\x16garbage that is no TLS at all, whatever it looks like", ": TLS: "),
    "header": (",proxy", "127.0.0.1", b"GET / HTTP/1.1\r\n\r\n", ": no PROXY header"),
    "source": (",proxy", "192.0.2.1", b"PROXY UNKNOWN\r\n", ": not trusted to send a PROXY header"),
}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("kind", BEFORE_A_REQUEST)
def test_what_ends_before_a_request_is_bounded(world, identity, kind, form):
    """So are the lines about connections that bear none."""
    flags, trusted, data, said = BEFORE_A_REQUEST[kind]
    options = ["--log-format", form]
    if kind == "TLS":
        options += ["--cert", identity.certificate, "--key", identity.key]
    else:
        options += ["--insecure-open", "--trust", trusted]
    server = world.server(*options, listen="127.0.0.1:0" + flags)
    for _ in range(300):
        with contextlib.suppress(ConnectionError):  # already of the connect
            client = world.client(server)
            client.send(data)
            client.read_to_end()
            client.close()
    server.stop()
    check_bounded(server, form, said, 300)
    if form == "json":
        for e in events(server, "refused"):
            assert e["reason"].startswith(said[2:]) and e["http_status"] == 0


def test_agents(world, server, agent, tmp_path):
    peer = json.loads(server.wait_for(r'.*"event":"agent_up".*')[0])
    wrong = WebSocket(server.address, "wstunnel.v1.bin", "/websocket", "")
    world.clients.append(wrong)
    (tmp_path / "token").write_text(TOKEN)
    stranger = world.agent(server.url, "--name", "paris", "--token-file", tmp_path / "token")
    stranger.wait_for("of another name")
    stranger.stop()
    agent.stop()
    server.wait_for('"event":"agent_down"')
    server.stop()

    up, down = one(events(server, "agent_up")), one(events(server, "agent_down"))
    assert re.fullmatch("[0-9a-f]{32}", up["instance"])
    assert up == {"level": "info", "event": "agent_up", "agent": "berlin", "tenant": "acme",
                  "instance": up["instance"], "address": peer["address"]}  # fmt: skip
    assert (down["agent"], down["instance"], down["error"]) == ("berlin", up["instance"], "")
    without, named = events(server, "agent_refused")[:2]
    assert (without["http_status"], without["reason"]) == (401, "Unauthorized: no agent's token")
    assert (named["http_status"], named["agent"]) == (0, "paris")
    assert named["reason"] == "these credentials are those of an agent of another name"
    assert one(events(agent, "up"))["agent"] == "berlin"


def test_agent_tells_why_it_is_down(world, server, tmp_path):
    lost = world.agent(server.url, "--name", "x", "--exit-on-refusal", "--log-format", "json")
    lost.wait_exit(1)
    down = one(events(lost, "down"))
    assert down["http_status"] == 401
    assert down["agent"] == "x"
    assert down["error"] == "WST_EREJECTED"
    assert down["retry_in_ms"] == 30000


HOSTILE = [
    b'quote"\\back',
    b"\xff\xfe\x80",
    b"\xc3",
    b"\xed\xa0\x80",
    "sch\u00f6n\u2028\U0001f600".encode(),
    b'"},{"event":"forged"',
    "\u009b2Jcleared\u009d".encode(),
    "\u202egnp.exe\u2066\u200f\u061c".encode(),
    b"a" * 3000,
]


def test_hostile_names(world, server):
    """Whatever a destination is made of: one line, one object, and what it was as far as text can
    tell. Bytes that are not UTF-8 are seen as such."""
    for name in HOSTILE:
        client = world.client(server)
        client.send(b"CONNECT " + name + b" HTTP/1.1\r\n\r\n")
        assert client.read_answer().status == 400
    server.wait_for('"event":"(refused|log)".*40', len(HOSTILE))
    server.stop()
    told = [e["destination"] for e in events(server, "refused")]
    assert len(told) <= len(HOSTILE)
    for name in HOSTILE:
        text = name.decode(errors="replace")
        assert any(t and text.startswith(t.rstrip("\ufffd")[:100]) for t in told), name
    assert not events(server, "forged")


def test_hostile_names_for_people(world):
    """They do not move the cursor, nor turn the text around; and each byte is seen."""
    server = world.server("--log-level", "debug")
    for name in HOSTILE:
        client = world.client(server)
        client.send(b"CONNECT " + name + b" HTTP/1.1\r\n\r\n")
        assert client.read_answer().status == 400
    server.wait_for("refused", len(HOSTILE) - 1)
    server.stop()
    assert not [line for line in server.lines if UNSAFE.search(line) or "\ufffd" in line]
    for seen in (r"\xff\xfe\x80", r"\u009b2Jcleared\u009d", r"\u202egnp.exe\u2066\u200f\u061c",
                 "sch\u00f6n\\u2028\U0001f600"):  # fmt: skip
        assert seen in server.output


def test_reload_changes_the_format(world, tmp_path):
    file = Config(tmp_path / "server.json", listen="127.0.0.1:0", log_format="json")
    server = world.server("--config", file.path, listen=None)
    file.change(server, log_format="text")
    assert json.loads(server.lines[0])["message"].startswith("listening on")
    assert re.search(r"Z info  configuration reloaded$", server.lines[-1])
    file.path.write_text('{"a\\u001b[31m\\n": 1}')  # terminals are not told what to do
    server.signal(signal.SIGHUP)
    server.wait_for(r"a\\u001b\[31m\\u000a: unknown member$")


@pytest.mark.parametrize("name", ["server", "agent"])
def test_figures(request, name):
    """At a SIGUSR1; the peak begins anew with each report."""
    process = request.getfixturevalue(name)
    for count in (1, 2):
        process.signal(signal.SIGUSR1)
        process.wait_for('"event":"figures"', count)
    process.stop()
    first, second = events(process, "figures")
    assert first["level"] == "info"
    assert first["turns"] < second["turns"]
    assert first["turn_peak_us"] == first["turn_max_us"] <= second["turn_max_us"]
    assert second["turn_peak_us"] <= second["turn_max_us"]
    for figures in (first, second):
        assert figures["turns"] >= figures["turns_over_1ms"] >= figures["turns_over_10ms"]
        assert figures["memory_used"] == 0 < figures["memory_budget"]
        assert figures["handles"] > 0


def test_figures_for_people(world):
    server = world.server()
    server.signal(signal.SIGUSR1)
    server.wait_for(r"info +loop: \d+ turns, .* us; memory: 0 of \d+ bytes reserved, \d+ chunks")
