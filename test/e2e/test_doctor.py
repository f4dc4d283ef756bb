# SPDX-License-Identifier: MIT
"""wstunnel-agent doctor, wstunnel-server doctor: the step that fails is the right one, and what is told
of it helps."""
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess

import pytest

from authority import Authority, chained, pin_of
from processes import DISASTERS, PASSWORD, PATIENCE, SECRETS, TOKEN, USER, program
from proxies import PROXY_VARIABLES
from sites import Site

SERVER, AGENT = "wstunnel-server", "wstunnel-agent"
COOKIE = "session-51c09be2"
LIMITS = {"limits": {"connect_timeout_ms": 500}}


def run(name, *arguments, **variables):
    """What it prints, without any secret, and its exit status."""
    environment = {k: v for k, v in os.environ.items() if not PROXY_VARIABLES.fullmatch(k)}
    result = subprocess.run([program(name), "doctor", *map(str, arguments)], text=True,
                            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
                            env=environment | variables)  # fmt: skip
    assert not DISASTERS.search(result.stderr), result.stderr
    for secret in (*SECRETS, COOKIE):
        assert secret not in result.stdout + result.stderr
    return result


class Diagnosis:
    """The steps, by their names; a later step of the same name counts."""

    def __init__(self, name, *arguments, **variables):
        result = run(name, *arguments, "--json", **variables)
        assert result.returncode in (0, 1), result.stderr
        said = json.loads(result.stdout)
        assert said["program"] == f"{name} doctor"
        assert said["ok"] == (result.returncode == 0)
        self.ok, self.steps = said["ok"], said["steps"]
        self.by_name = {step["step"]: step for step in self.steps}

    def chain(self):
        """The certificates of the step "tls": outcome, subject, issuer, and the fault if there is one."""
        return [(c["outcome"], c["subject"], c["issuer"], c.get("fault"))
                for c in self.by_name["tls"]["certificates"]]  # fmt: skip

    def outcomes(self):
        return [(step["step"], step["outcome"]) for step in self.steps]

    def fails_at(self, step, text, advice=None):
        """That step, which is the last one, says this, as regular expressions."""
        last = self.steps[-1]
        assert not self.ok and (last["step"], last["outcome"]) == (step, "failed"), self.steps
        assert all(other["outcome"] != "failed" for other in self.steps[:-1])
        assert re.search(text, last["text"]), last
        if advice is not None:
            assert re.search(advice, last["advice"]), last


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def user(tmp_path):
    path = tmp_path / "user"
    path.write_text(f"{USER}:{PASSWORD}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def impatient(tmp_path):
    """Options by which a step takes half a second at most."""
    path = tmp_path / "limits.json"
    path.write_text(json.dumps(LIMITS))
    return ["--config", path]


def secure_server(world, identity, *options):
    return world.server("--cert", identity.certificate, "--key", identity.key, *options)


def answering(world, answer):
    """A server that answers each request, a text, by this."""

    def serve(connection):
        request = b""
        while b"\r\n\r\n" not in request:
            more = connection.recv(65536)
            if not more:
                return
            request += more
        said = answer(request.decode()) if callable(answer) else answer
        connection.sendall(said.encode())
        listen(connection)

    return world.site(Site(forgiving(serve))).address


def forgiving(serve):
    """A site that may be reset: who diagnoses breaks off what it has seen."""

    def serve_so_long(connection):
        try:
            serve(connection)
        except ConnectionError:
            pass

    return serve_so_long


def listen(connection):
    while connection.recv(65536):
        pass


# -- The agent's way ------------------------------------------------------------------------------


def test_all_well(world, authority, identity, token, user, echo_site):
    """Beside the agent, which serves on."""
    server = secure_server(world, identity, "--agent-token-file", token, "--user-file", user)
    world.agent(server.secure_url, "--name", "one", "--ca", authority.certificate,
                "--token-file", token)  # fmt: skip
    server.wait_for("agent one .* up from")
    said = Diagnosis(AGENT, "--name", "one", "--ca", authority.certificate, "--token-file", token,
                     "--via", server.secure_proxy, "--via-ca", authority.certificate,
                     "--via-user-file", user, "--echo", echo_site.address, server.secure_url)  # fmt: skip
    assert said.outcomes() == [
        ("name", "passed"), ("tcp", "passed"), ("proxy", "skipped"), ("tls", "passed"),
        ("upgrade", "passed"), ("hello", "passed"), ("round-trip", "passed"),
        ("connect", "passed"), ("round-trip", "passed"), ("bulk", "passed"),
    ]  # fmt: skip
    assert said.ok
    assert said.steps[0]["target"] == server.secure_url
    assert said.steps[-1]["target"] == server.secure_proxy
    assert all(step["ms"] >= 0 and step["text"] for step in said.steps)
    assert re.fullmatch(r"TLSv1\.[23], TLS_\w+", said.by_name["tls"]["text"])
    assert said.chain() == [("passed", "CN=server.test", "CN=Test CA", None)]
    (own,) = said.by_name["tls"]["certificates"]
    assert own["pin"] == pin_of(identity.certificate) and own["days_left"] in (29, 30)
    server.wait_for("agent one .* up from .*, takes no streams$")
    server.wait_for("agent one .* down", count=1)
    assert len(re.findall("agent one .* down", server.output)) == 1


def test_lines(world):
    """A line for each step, without TLS and without a client's way."""
    server = world.server()
    result = run(AGENT, server.url, "--encoding", "json")
    assert result.returncode == 0 and result.stderr == ""
    target, *lines = result.stdout.splitlines()
    assert target == server.url
    assert [line.split()[:2] for line in lines] == [
        ["ok", "name"], ["ok", "tcp"], ["skip", "proxy"], ["skip", "tls"], ["ok", "upgrade"],
        ["ok", "hello"], ["ok", "round-trip"], ["skip", "connect"],
    ]  # fmt: skip
    for line in lines:
        assert re.match(r"  (ok    [a-z-]+ +\d+\.\d ms  \S|skip  [a-z-]+ +\S)", line), line
    assert "101, wstunnel.v1.json" in lines[4] and "--via URL" in lines[7]


def test_several_urls(world):
    """One that fails does not keep the others from being tried."""
    server = world.server()
    said = Diagnosis(AGENT, server.url + "/nowhere", server.url)
    outcomes = {(step["target"], step["step"]): step["outcome"] for step in said.steps}
    assert outcomes[server.url + "/nowhere", "upgrade"] == "failed"
    assert outcomes[server.url, "round-trip"] == "passed"


def test_takes_no_place(world, echo_site, user):
    """Without an agent the server has none, whoever looks."""
    server = world.server()
    said = Diagnosis(AGENT, server.url, "--via", server.proxy, "--echo", echo_site.address)
    said.fails_at("connect", "answered 503 ", "is wstunnel-agent running")


@pytest.mark.parametrize("text, advice", [("other", "does not know this token"), (None, "wants a token")])
def test_wrong_token(world, token, tmp_path, text, advice):
    server = world.server("--agent-token-file", token)
    options = []
    if text is not None:
        (tmp_path / "other").write_text(text)
        options = ["--token-file", tmp_path / "other"]
    said = Diagnosis(AGENT, server.url, *options)
    said.fails_at("upgrade", "the server answered 401", advice)


def test_name_of_another(world, tmp_path, token):
    """The credentials are right, but not for that name."""
    config = {"listen": "127.0.0.1:0", "agents": [{"name": "two", "token_file": str(token)}]}
    (tmp_path / "server.json").write_text(json.dumps(config))
    server = world.server("--config", tmp_path / "server.json", listen=None)
    said = Diagnosis(AGENT, server.url, "--name", "one", "--token-file", token)
    said.fails_at("hello", "agent of another name", "its words tell why")
    assert Diagnosis(AGENT, server.url, "--name", "two", "--token-file", token).ok


def test_wrong_pin(world, authority, identity):
    server = secure_server(world, identity)
    pin = pin_of(authority.issue("other.test").certificate)
    said = Diagnosis(AGENT, server.secure_url, "--ca", authority.certificate, "--pin", pin)
    said.fails_at("tls", "not pinned: " + re.escape(pin_of(identity.certificate)), "--pin")
    assert said.by_name["tls"]["certificates"][0]["pin"] == pin_of(identity.certificate)


def test_wrong_ca(world, identity, tmp_path):
    server = secure_server(world, identity)
    other = Authority(tmp_path, "Other CA")
    said = Diagnosis(AGENT, server.secure_url, "--ca", other.certificate)
    said.fails_at("tls", "issuer not trusted: CN=Test CA", "--ca FILE")


def test_self_signed(world, authority):
    own = authority.issue("self.test", self_signed=True)
    server = secure_server(world, own)
    said = Diagnosis(AGENT, server.secure_url, "--ca", authority.certificate)
    said.fails_at("tls", "self-signed.*" + re.escape(pin_of(own.certificate)), "--pin")
    assert Diagnosis(AGENT, server.secure_url, "--pin", pin_of(own.certificate)).ok


def test_expired(world, authority):
    server = secure_server(world, authority.issue("old.test", expired=True))
    said = Diagnosis(AGENT, server.secure_url, "--ca", authority.certificate)
    said.fails_at("tls", "^certificate expired on 2020-01-31$", "renewed")
    (own,) = said.by_name["tls"]["certificates"]
    assert own["not_after"] == "2020-01-31T00:00:00Z" and own["days_left"] < -2000


def test_other_name(world, authority):
    server = secure_server(world, authority.issue("elsewhere.test", names="DNS:elsewhere.test"))
    said = Diagnosis(AGENT, server.secure_url, "--ca", authority.certificate)
    said.fails_at("tls", "for other names: elsewhere.test", "use one of these names")


# -- The chain that the server sends --------------------------------------------------------------


LEAF, MIDDLE = "CN=server.test", "CN=Test Intermediate"
ALONE = "the server sent only its own certificate, whose issuer is not among the trusted ones"


@pytest.fixture
def middle(authority):
    return authority.intermediate("Test Intermediate")


@pytest.fixture(params=[AGENT, SERVER])
def diagnose(request, world, authority):
    """What is said of a server with that identity, by the agent's way and by a client's."""

    def run(identity):
        server = secure_server(world, identity)
        url = server.secure_url if request.param == AGENT else server.secure_proxy
        return Diagnosis(request.param, "--ca", authority.certificate, url)

    return run


def test_whole_chain(diagnose, authority, middle):
    said = diagnose(chained(middle.issue("server.test"), middle.certificate, authority.certificate))
    assert said.by_name["tls"]["outcome"] == "passed"
    assert said.chain() == [("passed", LEAF, MIDDLE, None), ("passed", MIDDLE, "CN=Test CA", None),
                            ("passed", "CN=Test CA", "CN=Test CA", None)]  # fmt: skip


def test_missing_intermediate(diagnose, middle):
    said = diagnose(middle.issue("server.test"))
    said.fails_at("tls", f"^issuer not trusted: {MIDDLE}; {ALONE}$", "install the full chain.*--ca FILE")
    assert said.chain() == [("failed", LEAF, MIDDLE, f"issuer not trusted: {MIDDLE}")]


def test_wrong_intermediate(diagnose, authority, middle):
    """Another one is sent instead; it is not needed, and so not verified."""
    other = authority.intermediate("Other Intermediate")
    said = diagnose(chained(middle.issue("server.test"), other.certificate))
    said.fails_at("tls", "did not send the certificate of that issuer", "install the full chain")
    assert said.chain() == [("failed", LEAF, MIDDLE, f"issuer not trusted: {MIDDLE}"),
                            ("skipped", "CN=Other Intermediate", "CN=Test CA", None)]  # fmt: skip


def test_forged_intermediate(diagnose, authority, middle):
    """One of the same name has not issued the server's."""
    forged = authority.intermediate("Test Intermediate")
    said = diagnose(chained(middle.issue("server.test"), forged.certificate))
    said.fails_at("tls", "not trusted: .*which does not fit", "install the full chain")


def test_expired_intermediate(diagnose, authority):
    old = authority.intermediate("Test Intermediate", expired=True)
    said = diagnose(chained(old.issue("server.test"), old.certificate))
    said.fails_at("tls", f"^certificate of the issuer {MIDDLE} expired on 2020-01-31$", "renewed")
    assert said.chain() == [
        ("passed", LEAF, MIDDLE, None),
        ("failed", MIDDLE, "CN=Test CA", "certificate expired on 2020-01-31"),
    ]
    assert [c["days_left"] > 0 for c in said.by_name["tls"]["certificates"]] == [True, False]


def test_self_signed_chain(diagnose, authority):
    own = authority.issue("self.test", self_signed=True)
    said = diagnose(own)
    fault = f"self-signed certificate, not trusted: CN=self.test, with the pin {pin_of(own.certificate)}"
    said.fails_at("tls", f"^{re.escape(fault)}$")
    assert said.chain() == [("failed", "CN=self.test", "CN=self.test", fault)]


def test_insecure_chain(world, middle):
    """Nothing is verified, and nothing claims to be."""
    server = secure_server(world, chained(middle.issue("server.test"), middle.certificate))
    said = Diagnosis(AGENT, "--insecure", server.secure_url)
    assert said.ok and said.by_name["tls"]["text"].endswith("; not verified")
    assert said.chain() == [("skipped", LEAF, MIDDLE, None), ("skipped", MIDDLE, "CN=Test CA", None)]


def test_certificate_without_subject(world, authority):
    """It has a name for hosts alone."""
    server = secure_server(world, authority.issue(""))
    arguments = AGENT, "--ca", authority.certificate, server.secure_url
    assert Diagnosis(*arguments).chain() == [("passed", "", "CN=Test CA", None)]
    assert "        1 ok    no subject, issued by CN=Test CA, valid" in run(*arguments).stdout


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_certificate_has_no_secret(world, authority, token, options):
    """Even if a server puts it there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(TOKEN, self_signed=True))

    def serve(connection):
        with contextlib.suppress(ssl.SSLError):  # it is not accepted
            context.wrap_socket(connection, server_side=True)

    url = "wss://" + world.site(Site(forgiving(serve))).address
    result = run(AGENT, "--ca", authority.certificate, "--token-file", token, *options, url)
    assert result.returncode == 1
    assert result.stdout.count("CN=***") == 4  # the step, subject and issuer, the fault


@pytest.mark.parametrize("options", [[], ["--report"]])
def test_lines_of_chain(world, authority, options):
    """Below the step, before the advice."""
    old = authority.intermediate("Test Intermediate", expired=True)
    server = secure_server(world, chained(old.issue("server.test"), old.certificate))
    result = run(AGENT, "--ca", authority.certificate, *options, server.secure_url)
    lines = result.stdout.splitlines()
    step, own, issuer, advice = lines[-4:]
    assert step.startswith("  FAIL  tls ")
    assert re.fullmatch(
        rf"        1 ok    {LEAF}, issued by {MIDDLE}, valid until \d{{4}}-\d\d-\d\d \((29|30) days left\), "
        r"pin sha256/\S{43}=", own)  # fmt: skip
    assert re.fullmatch(
        rf"        2 FAIL  {MIDDLE}, issued by CN=Test CA, expired on 2020-01-31 \(\d+ days ago\), "
        r"pin sha256/\S{43}=: certificate expired on 2020-01-31", issuer)  # fmt: skip
    assert advice.startswith("        -> the certificate must be renewed")


def test_resumed_chain(world, authority, middle):
    """A server that is visited twice does not send its chain again; its certificate is known."""
    server = secure_server(world, chained(middle.issue("server.test"), middle.certificate))
    said = Diagnosis(AGENT, "--ca", authority.certificate, server.secure_url, server.secure_url)
    first, second = [step for step in said.steps if step["step"] == "tls"]
    assert said.ok and [c["subject"] for c in first["certificates"]] == [LEAF, MIDDLE]
    if ", resumed" in second["text"]:
        assert [c["subject"] for c in second["certificates"]] == [LEAF]
    else:
        assert second["certificates"] == first["certificates"]


def test_no_tls_there(world, authority):
    said = Diagnosis(AGENT, world.server().secure_url, "--ca", authority.certificate)
    said.fails_at("tls", ".", "URL is ws://")


def test_wrong_path(world):
    server = world.server("--path", "/agents")
    Diagnosis(AGENT, server.url).fails_at("upgrade", "answered 404", "--path")
    assert Diagnosis(AGENT, server.url + "/agents").ok


@pytest.mark.parametrize(
    "status, advice",
    [
        ("403 Forbidden", "refused by rules"),
        ("429 Too Many Requests", "wait a while"),
        ("502 Bad Gateway", "does not reach the server behind it"),
        ("302 Found", "captive portal"),
        ("407 Proxy Authentication Required", "--proxy-user-file"),
        ("200 OK", "does not pass WebSockets on"),
    ],
)
def test_middlebox(world, status, advice):
    said = f"HTTP/1.1 {status}\r\nServer: gate/3\r\nVia: 1.1 lab\r\nContent-Length: 0\r\n\r\n"
    url = "ws://" + answering(world, said)
    Diagnosis(AGENT, url).fails_at(
        "upgrade", re.escape(f"answered {status} (Server: gate/3; Via: 1.1 lab)"), advice)  # fmt: skip


def test_garbage(world):
    url = "ws://" + answering(world, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
    Diagnosis(AGENT, url).fails_at("upgrade", ".", "no web server")


def test_another_protocol(world):
    """The server of the talk would use the connection at once, so that is not tried."""
    server = world.server("--protocol", "talk")
    Diagnosis(AGENT, server.url).fails_at("upgrade", "answered 400", "another protocol")
    said = Diagnosis(AGENT, server.url, "--protocol", "talk")
    assert said.ok and said.outcomes()[-2:] == [("upgrade", "skipped"), ("connect", "skipped")]


def test_silence(world, impatient):
    url = "ws://" + world.site(Site(forgiving(listen))).address
    Diagnosis(AGENT, *impatient, url).fails_at("upgrade", "not answered in time", "--proxy")


def test_name_not_found(impatient):
    """An answer or none, by the resolver of this machine."""
    Diagnosis(AGENT, *impatient, "ws://nowhere.invalid").fails_at("name", "nowhere.invalid: ", ".")


@pytest.fixture
def closed_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_port_closed(closed_port):
    said = Diagnosis(AGENT, f"ws://127.0.0.1:{closed_port}")
    said.fails_at("tcp", f"port {closed_port}: connection refused", "nothing listens there")


@pytest.fixture
def full_port():
    """One whose queue is full, so that the kernel drops each SYN."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        callers = [socket.socket() for _ in range(8)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for caller in callers:
            caller.close()


def test_swallowed(full_port, impatient):
    said = Diagnosis(AGENT, *impatient, f"ws://127.0.0.1:{full_port}")
    said.fails_at("tcp", f"port {full_port}: connection timed out", "--proxy URL")
    assert said.by_name["tcp"]["ms"] < 1000 * PATIENCE


# -- Through a proxy ------------------------------------------------------------------------------


def test_proxy_asks(world):
    answer = ("HTTP/1.1 407 Who?\r\nProxy-Authenticate: Negotiate\r\n"
              "Proxy-Authenticate: Basic realm=\"r\"\r\nContent-Length: 0\r\n"
              "Connection: close\r\n\r\n")  # fmt: skip
    proxy = answering(world, answer)
    said = Diagnosis(AGENT, "--proxy", f"http://{proxy}", "ws://server.test")
    assert said.outcomes()[:2] == [("name", "passed"), ("tcp", "passed")]
    said.fails_at("proxy", "offers: Negotiate, Basic$", "--proxy-user-file")
    said = Diagnosis(AGENT, "--proxy", f"http://{USER}:{PASSWORD}@{proxy}", "ws://server.test")
    said.fails_at("proxy", "refused the user name or password", "--proxy-user-file")


def test_proxy_refuses(world):
    answer = "HTTP/1.1 403 Port not allowed\r\nContent-Length: 0\r\n\r\n"
    said = Diagnosis(AGENT, "--proxy", answering(world, answer), "ws://server.test")
    said.fails_at("proxy", "answered 403 Port not allowed", "its operator decides")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_by_proxy(world, authority, identity, user, scheme):
    """The proxy is another server of ours, which asks for a password."""
    proxy = world.server("--user-file", user, listen="127.0.0.1:0,connect,agents,socks")
    world.served_by(proxy, "out")
    server = secure_server(world, identity)
    way = f"{scheme}://127.0.0.1:{proxy.port}"
    said = Diagnosis(AGENT, "--proxy", way, "--proxy-user-file", user, "--ca", authority.certificate,
                     server.secure_url)  # fmt: skip
    assert said.ok
    assert said.by_name["tcp"]["text"] == proxy.address
    leads = f"{way} leads to localhost:{server.port}"
    asks = "; it asks for Digest, Basic" if scheme == "http" else ""
    assert said.by_name["proxy"]["text"] == leads + asks
    said = Diagnosis(AGENT, "--proxy", way, "--ca", authority.certificate, server.secure_url)
    said.fails_at("proxy", "wants (authentication|a user name)", "--proxy-user-file")


# -- The report -----------------------------------------------------------------------------------


def test_report_has_no_secret(world, token, user, tmp_path):
    """Even if a peer sends them back, and whatever is given where."""
    def echoing(request):
        told = re.findall(r"^(?:Authorization: Bearer|Cookie:) (.*)\r$", request, re.M)
        assert told in ([f"a={COOKIE}", TOKEN], [])
        return f"HTTP/1.1 403 {' '.join(told)}\r\nServer: {TOKEN}\r\nContent-Length: 0\r\n\r\n"

    url = "ws://" + answering(world, echoing)
    options = ["--token-file", token, "--header", f"Cookie: a={COOKIE}", f"{url}/agents?key={TOKEN}"]
    result = run(AGENT, "--report", *options)
    assert result.returncode == 1
    assert result.stdout.startswith("wstunnel-agent doctor 0.")
    assert "\noptions (their values are left out): report token_file header\n" in result.stdout
    assert f"\n{url}/agents\n" in result.stdout
    assert "answered 403 *** *** (Server: ***)" in result.stdout
    assert str(token) not in result.stdout
    assert "(Server: ***)" in Diagnosis(AGENT, *options).steps[-1]["text"]
    result = run(SERVER, "--report", f"http://{USER}:{PASSWORD}@{url.removeprefix('ws://')}",
                 WSTUNNEL_PROXY_USER=f"{USER}:{PASSWORD}")  # fmt: skip
    assert result.returncode == 0 and f"\nhttp://{url.removeprefix('ws://')}\n" in result.stdout


@pytest.mark.parametrize("in_url", [False, True])
def test_password_that_comes_back(world, user, in_url):
    """As Basic sends it, and in clear."""

    def echoing(request):
        told = re.search(r"^Proxy-Authorization: (.*)\r$", request, re.M)
        if told is None:
            return ("HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=\"r\"\r\n"
                    "Content-Length: 0\r\nConnection: close\r\n\r\n")  # fmt: skip
        return f"HTTP/1.1 403 {told[1]} is {USER}, {PASSWORD}\r\nContent-Length: 0\r\n\r\n"

    proxy = answering(world, echoing)
    given = [f"http://{USER}:{PASSWORD}@{proxy}"] if in_url else [f"http://{proxy}", "--proxy-user-file", user]
    said = Diagnosis(AGENT, "--proxy", *given, "ws://server.test")
    said.fails_at("proxy", r"answered 403 Basic \*\*\* is alice, \*\*\*$")
    said = Diagnosis(SERVER, *given, "--echo", "server.test:7")
    said.fails_at("connect", r"answered 403 Basic \*\*\* is alice, \*\*\*$")


# -- A client's way -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_client_all_well(world, authority, identity, user, echo_site, scheme):
    server = secure_server(world, identity, "--user-file", user, "--listen", "127.0.0.1:0,plain",
                           "--listen", "127.0.0.1:0,socks,plain")  # fmt: skip
    ports = [server.wait_for(r"listening on 127.0.0.1:(\d+)", n)[1] for n in (1, 2, 3)]
    world.agent(server.secure_url, "--name", "one", "--ca", authority.certificate)
    server.wait_for("agent one .* up from")
    port = dict(zip(("https", "http", "socks5"), ports, strict=True))[scheme]
    url = f"{scheme}://localhost:{port}"
    said = Diagnosis(SERVER, "--ca", authority.certificate, "--echo", echo_site.address, url,
                     WSTUNNEL_PROXY_USER=f"{USER}:{PASSWORD}")  # fmt: skip
    assert said.outcomes() == [
        ("name", "passed"), ("tcp", "passed"), ("tls", "passed" if scheme == "https" else "skipped"),
        ("proxy", "passed"), ("connect", "passed"), ("round-trip", "passed"), ("bulk", "passed"),
    ]  # fmt: skip
    assert said.ok and {step["target"] for step in said.steps} == {url}
    assert said.by_name["proxy"]["text"].startswith("asks for user and password")
    if scheme != "socks5":
        assert said.by_name["proxy"]["text"].endswith("by: Digest, Basic")


def test_client_open_proxy_without_destination(world):
    server, _ = world.tunnel()
    said = Diagnosis(SERVER, server.proxy)
    assert said.by_name["proxy"]["text"].startswith("open: it asks for no password")
    assert said.outcomes()[-1] == ("connect", "skipped")
    assert "--to HOST:PORT" in said.by_name["connect"]["text"]


def test_client_destination_without_echo(world, echo_site):
    server, _ = world.tunnel()
    said = Diagnosis(SERVER, server.proxy, "--to", echo_site.address)
    assert said.ok and said.outcomes()[-2:] == [("connect", "passed"), ("bulk", "skipped")]


def test_client_wrong_password(world, user, echo_site):
    server = world.server("--user-file", user)
    world.served_by(server, "one")
    said = Diagnosis(SERVER, f"http://{USER}:wrong@127.0.0.1:{server.port}", "--echo", echo_site.address)
    said.fails_at("connect", "refused the user name or password", "password right")
    Diagnosis(SERVER, server.proxy, "--echo", echo_site.address).fails_at("connect", "wants a user name")


def test_client_destination(world, closed_port):
    server, _ = world.tunnel()
    said = Diagnosis(SERVER, server.proxy, "--echo", f"127.0.0.1:{closed_port}")
    said.fails_at("connect", "answered 502 .*refused", "can its machine reach")


@pytest.mark.parametrize("answer, text", [(b"", "ended after 0 bytes"), (b"x" * 64, "not what was sent")])
def test_client_destination_that_is_no_echo(world, answer, text):
    def serve(connection):
        connection.recv(64)
        connection.sendall(answer)

    server, _ = world.tunnel()
    said = Diagnosis(SERVER, server.proxy, "--echo", world.site(Site(serve)).address)
    said.fails_at("round-trip", text, "must send back")


def test_client_no_agent(world, echo_site):
    server = world.server()
    said = Diagnosis(SERVER, server.proxy, "--echo", echo_site.address)
    said.fails_at("connect", "answered 503", "is wstunnel-agent running")


def test_client_certificate(world, authority, identity, tmp_path):
    server = secure_server(world, identity)
    other = Authority(tmp_path, "Other CA")
    Diagnosis(SERVER, server.secure_proxy, "--ca", other.certificate).fails_at(
        "tls", "issuer not trusted: CN=Test CA", "--proxy-cacert")  # fmt: skip
    Diagnosis(SERVER, server.secure_proxy.replace("localhost", "127.0.0.1"), "--ca",
              authority.certificate)  # fmt: skip


def test_client_what_is_no_proxy(world):
    address = answering(world, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
    Diagnosis(SERVER, address).fails_at("proxy", "not HTTP", "no proxy of that kind")


def test_client_port_closed(closed_port):
    Diagnosis(SERVER, f"http://127.0.0.1:{closed_port}").fails_at("tcp", "refused", "nothing listens")


# -- Options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, arguments, complaint",
    [
        (AGENT, [], "a URL is needed"),
        (AGENT, ["ftp://a.test"], "not a ws:// or wss:// URL"),
        (AGENT, ["--echo", "a:1", "ws://a.test"], "needs --via URL"),
        (AGENT, ["--to", "a:1", "ws://a.test"], "needs --via URL"),
        (SERVER, ["--to", "a:1", "--echo", "a:1", "a.test"], "either --to or --echo"),
        (AGENT, ["--via", "a.test", "--echo", "a", "ws://a.test"], "echo: "),
        (AGENT, ["--json", "--report", "ws://a.test"], "either --json or --report"),
        (AGENT, ["--ehco", "a:1", "ws://a.test"], "did you mean --echo?"),
        (SERVER, [], "a URL is needed"),
        (SERVER, ["http://a.test", "b.test"], "unexpected argument 'b.test'"),
        (SERVER, ["http://a.test:99999"], "the proxy's URL: "),
        (SERVER, ["--ca", "/nonexistent", "https://a.test"], "cannot read /nonexistent"),
    ],
)
def test_wrong_options(name, arguments, complaint):
    result = run(name, *arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert complaint in result.stderr and f"Try {name} doctor --help" in result.stderr
