# SPDX-License-Identifier: MIT
"""TLS at the server: agents by wss://, clients of an https:// proxy, certificates, their files."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from authority import Authority, openssl, pin_of
from configuration import Config, reload
from payload import make_payload
from processes import PATIENCE, program, wait_until
from secure import SecureClient, client_context
from sites import Relay, Site, read_all, read_exactly
from transfer import download, upload

MIB = 1 << 20
UP = "agent .* up from"


def tls_server(world, identity, *options, listen="127.0.0.1:0"):
    return world.server("--cert", identity.certificate, "--key", identity.key, *options,
                        listen=listen)  # fmt: skip


def tls_tunnel(world, authority, identity, *options):
    """A server and an agent, by TLS."""
    server = tls_server(world, identity, *options)
    agent = world.agent(server.secure_url, "--ca", authority.certificate)
    server.wait_for(UP)
    return server, agent


@pytest.fixture
def secure_client(world, authority):
    """A function that opens a TLS connection to a server."""

    def connect(server, context=None, **options):
        context = context or client_context(authority)
        client = SecureClient(server.address, context, **options)
        world.clients.append(client)
        return client

    return connect


def curl(server, authority, site_ca, *arguments):
    return ["curl", "--silent", "--show-error", "--fail", "--proxy", server.secure_proxy,
            "--proxy-cacert", authority.certificate, "--cacert", site_ca, *arguments]  # fmt: skip


# -- What goes through ----------------------------------------------------------------------------


def test_files_both_ways(world, authority, identity, certificate, nginx, upload_site):
    """By curl through an https:// proxy and an agent on wss://: TLS within TLS."""
    path = nginx.root / "tls"
    digest = make_payload(path, 64 * MIB)
    server, _ = tls_tunnel(world, authority, identity)
    site_ca = certificate[1]
    assert download(curl(server, authority, site_ca, f"{nginx.https}/{path.name}")) == digest
    command = curl(server, authority, site_ca, "--upload-file", path, upload_site.url)
    assert upload(command) == digest
    path.unlink()


def test_absolute_form(world, authority, identity, nginx):
    (nginx.root / "plain").write_text("hello\n")
    server, _ = tls_tunnel(world, authority, identity)
    command = curl(server, authority, authority.certificate, f"{nginx.http}/plain")
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"hello\n"


def test_talk(world, authority, identity, echo_site, secure_client):
    server = tls_server(world, identity, "--protocol", "talk")
    world.agent(server.secure_url, "--protocol", "talk", "--ca", authority.certificate)
    server.wait_for(UP)
    client = secure_client(server).open(echo_site.address, more=b"ping")
    assert client.read_exactly(4) == b"ping"


def test_half_close(world, authority, identity, secure_client):
    """close_notify is the client's end; what the site says afterwards still comes, and its end."""

    def answer_at_the_end(connection):
        connection.sendall(b"got " + read_all(connection))

    site = world.site(Site(answer_at_the_end))
    server, _ = tls_tunnel(world, authority, identity)
    client = secure_client(server).open(site.address, more=b"all of it")
    client.end()
    assert client.read_to_end() == b"got all of it"


def test_not_to_itself(world, authority, identity, secure_client):
    """Through an agent of this machine nobody gets at the server's own address."""
    server, _ = tls_tunnel(world, authority, identity)
    answer = secure_client(server).connect(server.address)
    assert answer.status_line == "HTTP/1.1 403 The destination is this proxy"


def test_cut_off_is_not_the_end(world, authority, identity, secure_client):
    """A client's FIN without close_notify: the site sees a reset, not an end."""
    seen, heard = [], threading.Event()

    def site_of(connection):
        read_exactly(connection, 4)
        heard.set()
        try:
            seen.append(connection.recv(10))
        except ConnectionResetError:
            seen.append("reset")

    site = world.site(Site(site_of))
    server, _ = tls_tunnel(world, authority, identity)
    client = secure_client(server).open(site.address, more=b"part")
    assert heard.wait(PATIENCE)
    client.cut()
    wait_until(lambda: seen, "the end of the connection at the site")
    assert seen == ["reset"]
    server.wait_for("tunnel 1 over: .*TLS.* by the client")


def test_last_words_before_the_cut(world, authority, identity, secure_client):
    """Bytes that come together with a FIN without close_notify still reach the site."""
    seen, said = bytearray(), threading.Event()

    def site_of(connection):
        connection.sendall(b"hello")
        try:
            while piece := connection.recv(10):
                seen.extend(piece)
        except ConnectionResetError:
            said.set()

    site = world.site(Site(site_of))
    server, _ = tls_tunnel(world, authority, identity)
    client = secure_client(server).open(site.address)
    assert client.read_exactly(5) == b"hello"
    client.tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    client.send(b"last words")
    client.cut()
    assert said.wait(PATIENCE)
    assert seen == b"last words"


def test_reset_is_not_the_end(world, authority, identity, secure_client):
    """A site's RST reaches a TLS client as a connection without close_notify."""

    def reset_at_once(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    site = world.site(Site(reset_at_once))
    server, _ = tls_tunnel(world, authority, identity)
    client = secure_client(server).open(site.address, more=b"x")
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        client.read_to_end()


def test_agent_killed(world, authority, identity, echo_site, secure_client):
    """Its TCP ends without close_notify: tunnels are reset, when it does not come back in time."""
    server, agent = tls_tunnel(world, authority, identity, "--resume-grace", "1")
    client = secure_client(server).open(echo_site.address, more=b"x")
    client.read_exactly(1)
    agent.kill()
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        client.read_to_end()
    server.wait_for("agent .* down")


def test_server_restarted(world, authority, identity, echo_site, secure_client):
    server, agent = tls_tunnel(world, authority, identity)
    server.kill()
    agent.wait_for("next attempt in")
    again = tls_server(world, identity, listen=server.address)
    again.wait_for(UP)
    client = secure_client(again).open(echo_site.address, more=b"back")
    assert client.read_exactly(4) == b"back"


# -- Which protocol -------------------------------------------------------------------------------


def test_both_on_one_port(world, authority, identity, echo_site, secure_client):
    """The first byte tells: agents and clients, with and without."""
    server = tls_server(world, identity, listen="127.0.0.1:0,tls,plain")
    world.agent(server.url, "--name", "plain")
    world.agent(server.secure_url, "--name", "secure", "--ca", authority.certificate)
    server.wait_for("agent plain .* up from")
    server.wait_for("agent secure .* up from")
    for client in (world.client(server), secure_client(server)):
        client.open(echo_site.address, more=b"ping")
        assert client.read_exactly(4) == b"ping"


@pytest.mark.parametrize(
    "request_line", ["CONNECT a.test:443 HTTP/1.1", "GET http://a.test/ HTTP/1.1",
                     "GET /healthz HTTP/1.1"],
)  # fmt: skip
def test_plain_where_tls_is_spoken(world, identity, request_line):
    server = tls_server(world, identity)
    client = world.client(server)
    answer = client.ask(f"{request_line}\r\nHost: a.test\r\n\r\n".encode())
    text = "Bad Request: this address speaks TLS (https://, wss://)"
    assert answer.status_line == f"HTTP/1.1 400 {text}"
    assert answer.body == f"{text}\n".encode()
    assert client.read_to_end() == b""


def test_agent_without_tls_where_tls_is_spoken(world, identity):
    server = tls_server(world, identity)
    agent = world.agent(server.url)
    agent.wait_for(r"the server answered 400 Bad Request: this address speaks TLS")


def test_tls_where_none_is_spoken(world, authority):
    """The client is told by an alert, handshake_failure; the agent says so, and the log why."""
    server = world.server()
    client = world.client(server)
    client.send(b"\x16\x03\x01\x00\x05hello")
    assert client.read_to_end() == b"\x15\x03\x01\x00\x02\x02\x28"
    server.wait_for("speaks TLS")
    agent = world.agent(server.secure_url, "--ca", authority.certificate)
    agent.wait_for(r"server localhost:\d+: .*; next attempt in")


def test_garbage(world, authority, identity, secure_client):
    """What begins like a handshake and is none: logged, counted as no service lost."""
    server = tls_server(world, identity)
    client = world.client(server)
    client.send(b"\x16" + b"\xff" * 100)
    try:
        client.read_to_end()
    except ConnectionResetError:
        pass
    server.wait_for(r"connection from 127\.0\.0\.1:\d+: TLS: ")
    assert secure_client(server).ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 200


def test_slow_handshakes(world, authority, identity, secure_client):
    """More clients than may shake hands begin and say no more: who comes behind them is served."""
    server = tls_server(world, identity)
    for _ in range(600):
        world.client(server).send(b"\x16")
    assert secure_client(server).ask(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").status == 200
    server.wait_for("TLS: too slow while others wait")


# -- Certificates ---------------------------------------------------------------------------------


def names_of(client):
    return [name for _, name in client.tls.getpeercert()["subjectAltName"]]


def test_sni(world, authority, identity, secure_client):
    """The name asked for chooses; wildcards too; without a match the first one is shown."""
    other = authority.issue("other", names="DNS:other.test,DNS:*.wild.test")
    server = tls_server(world, identity, "--cert", other.certificate, "--key", other.key)
    assert names_of(secure_client(server, name="other.test"))[0] == "other.test"
    assert names_of(secure_client(server, name="a.wild.test"))[0] == "other.test"
    assert names_of(secure_client(server, name="localhost"))[0] == "localhost"
    context = client_context(authority)
    context.check_hostname = False
    assert names_of(secure_client(server, context, name="unknown.test"))[0] == "localhost"


def test_client_certificates(world, authority, identity, certificate, nginx, secure_client):
    """Required: agents and clients with one come in, all others do not."""
    (nginx.root / "certified").write_text("hello\n")
    mine = authority.issue("client.test", names=None)
    server = tls_server(world, identity, "--client-ca", authority.certificate)
    agent = world.agent(server.secure_url, "--ca", authority.certificate,
                        "--cert", mine.certificate, "--key", mine.key)  # fmt: skip
    server.wait_for(UP)
    command = curl(server, authority, certificate[1], f"{nginx.https}/certified")
    shown = ["--proxy-cert", mine.certificate, "--proxy-key", mine.key]
    assert subprocess.run(command + shown, capture_output=True, check=True).stdout == b"hello\n"
    assert subprocess.run(command, capture_output=True).returncode != 0
    server.wait_for(r"connection from \S+: TLS: ")
    stranger = authority.issue("stranger.test", names=None, self_signed=True)
    refused = world.agent(server.secure_url, "--ca", authority.certificate,
                          "--cert", stranger.certificate, "--key", stranger.key)  # fmt: skip
    refused.wait_for("; next attempt in")
    server.wait_for(r"connection from \S+: TLS: .*self-signed certificate, not trusted")
    assert not agent.popen.poll()


def test_client_certificates_optional(world, authority, identity, secure_client):
    """Those without come in; a bad one does not."""
    stranger = authority.issue("stranger.test", names=None, self_signed=True)
    server = tls_server(world, identity, "--client-ca", authority.certificate,
                        "--client-cert", "optional")  # fmt: skip
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    assert secure_client(server).ask(health).status == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client = secure_client(server, client_context(authority, stranger))
        client.ask(health)


def test_session_resumption(world, authority, identity, secure_client, tmp_path):
    """A client that comes back does without the full handshake; so does openssl's."""
    server = tls_server(world, identity)
    context = client_context(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # there the session is known at once
    first = secure_client(server, context)
    assert not first.tls.session_reused
    again = secure_client(server, context, session=first.tls.session)
    assert again.tls.session_reused
    session = tmp_path / "session"
    command = ["s_client", "-connect", f"127.0.0.1:{server.port}", "-CAfile",
               authority.certificate, "-tls1_2"]  # fmt: skip
    assert b"New, TLSv1.2" in openssl(*command, "-sess_out", session, input=b"")
    assert b"Reused, TLSv1.2" in openssl(*command, "-sess_in", session, input=b"")


def test_agent_resumes(world, authority, identity, echo_site, secure_client):
    """When its connection breaks, the agent's next one resumes both sessions: TLS's, and ours."""
    server = tls_server(world, identity, "--log-level", "debug")
    relay = world.site(Relay(server.address))
    agent = world.agent(f"wss://{relay.address}", "--name", "one", "--ca", authority.certificate)
    server.wait_for(r"connection from \S+: TLSv1\.\d, \S+$")
    server.wait_for(UP)
    secure_client(server).open(echo_site.address)  # the agent knows its session: it has answered
    relay.cut()
    agent.wait_for("next attempt in")
    server.wait_for(r"connection from \S+: TLSv1\.\d, \S+, resumed$")
    server.wait_for("agent one .* resumed after")


# -- Files that change ----------------------------------------------------------------------------


def swap(link, target):
    """As certbot does: a symbolic link is replaced."""
    new = link.with_suffix(".new")
    new.symlink_to(target)
    new.rename(link)


@pytest.fixture
def live(tmp_path, identity):
    """Links to a certificate and its key."""
    links = type(identity)(tmp_path / "cert.pem", tmp_path / "key.pem")
    for link, target in zip(links, identity):
        swap(link, target)
    return links


def serial_of(client):
    return client.tls.getpeercert()["serialNumber"]


def test_renewed(world, authority, identity, live, echo_site, secure_client):
    """New handshakes get the new certificate; connections that are there go on."""
    server, agent = tls_tunnel(world, authority, live)
    old = secure_client(server).open(echo_site.address, more=b"x")
    renewed = authority.issue("renewed.test")
    for link, target in zip(live, renewed):
        swap(link, target)
    server.signal(signal.SIGHUP)
    server.wait_for(r"certificate \S+: CN=renewed\.test, expires on \d{4}-\d\d-\d\d, pin sha256/\S{44}$")
    new = secure_client(server)
    assert serial_of(new) != serial_of(old)
    assert serial_of(new) == serial_of(secure_client(server))
    old.send(b"more")
    assert old.read_exactly(5) == b"xmore"
    assert len(agent._matches("connected to")) == 1


@pytest.mark.parametrize("fault, complaint", [
    ("key of another", r"{cert}, {key}: .*key"),
    ("no text", r"{cert}, {key}: .*"),
    ("missing", r"{cert}: no such file or directory"),
    ("huge", r"{cert}: larger than 1 MiB"),
])  # fmt: skip
def test_faulty_files_change_nothing(
    world, authority, identity, live, secure_client, tmp_path, fault, complaint
):
    server = tls_server(world, live)
    before = serial_of(secure_client(server))
    if fault == "key of another":
        swap(live.key, authority.issue("another.test").key)
    elif fault == "no text":
        swap(live.certificate, _write(tmp_path / "bad", b"hello\n"))
    elif fault == "missing":
        live.certificate.unlink()
    else:
        swap(live.certificate, _write(tmp_path / "bad", b"x" * (MIB + 1)))
    server.signal(signal.SIGHUP)
    names = {"cert": live.certificate, "key": live.key}
    server.wait_for("the certificates stay as they are: " + complaint.format(**names))
    assert serial_of(secure_client(server)) == before
    for link, target in zip(live, identity):  # mended
        swap(link, target)
    server.signal(signal.SIGHUP)
    server.wait_for("certificate .*: CN=server.test, expires on", 2)


def _write(path, data):
    path.write_bytes(data)
    return path


def test_other_files_by_configuration(world, authority, identity, secure_client, tmp_path):
    """Paths may change while it runs; wrong ones change nothing, nor does what stands beside them."""
    other = authority.issue("other.test")

    def pair(found):
        return {"cert": str(found.certificate), "key": str(found.key)}

    file = Config(tmp_path / "server.json", listen="127.0.0.1:0", **pair(identity))
    server = world.server("--config", file.path, listen=None)
    before = serial_of(secure_client(server))
    file.write(listen="127.0.0.1:0", cert=str(other.certificate), key=str(identity.key),
               limits={"max_connections": 1})  # fmt: skip
    reload(server, "configuration not reloaded: nothing has changed")
    server.wait_for(f"error {other.certificate}, {identity.key}: ")
    clients = [secure_client(server), secure_client(server)]
    assert [serial_of(client) for client in clients] == [before, before]
    file.write(listen="127.0.0.1:0", **pair(other))
    reload(server)
    assert serial_of(secure_client(server)) not in (before, None)
    renewed = authority.issue("renewed.test")  # the new ones are looked after now
    swap(other.certificate, renewed.certificate)
    swap(other.key, renewed.key)
    server.signal(signal.SIGHUP)
    server.wait_for(r"certificate \S+: CN=renewed\.test")
    file.write(listen="127.0.0.1:0")
    reload(server, "configuration not reloaded: nothing has changed")
    server.wait_for("whether there are certificates cannot change without a new start")
    secure_client(server)


def test_warnings(world, authority, tmp_path):
    """A certificate that expires soon, a key that everybody may read."""
    soon = authority.issue("soon.test", days=5)
    os.chmod(soon.key, 0o644)
    server = tls_server(world, soon)
    assert server.wait_for(r"warn +key file (\S+): every user of this system")[1] == str(soon.key)
    server.wait_for(r"warn +the certificate of CN=soon\.test expires on \d{4}-\d\d-\d\d$")


def test_not_started(authority, identity, tmp_path):
    """Certificates that cannot be used: the server says which file and why, and does not start."""
    other = authority.issue("other.test")

    def complaint(certificate, key, *options):
        result = subprocess.run(
            [program("wstunnel-server"), "--listen", "127.0.0.1:0", "--cert", certificate,
             "--key", key, *options], capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
        assert result.returncode == 2
        return result.stderr

    missing = tmp_path / "missing"
    assert f"wstunnel-server: {missing}: no such file or directory" in complaint(missing, identity.key)
    assert f"wstunnel-server: {identity.certificate}, {other.key}: " in complaint(
        identity.certificate, other.key
    )
    bad = _write(tmp_path / "bad", b"no certificate\n")
    assert f"wstunnel-server: {bad}: " in complaint(*identity, "--client-ca", bad)


# -- What the agent finds wrong -------------------------------------------------------------------


def complaint_of(world, url, *options):
    """What an agent that cannot connect says."""
    agent = world.agent(url, *options)
    return agent.wait_for(r"warn +server \S+: (.*); next attempt in \d+ ms$")[1]


def test_certificate_expired(world, authority):
    server = tls_server(world, authority.issue("expired.test", expired=True))
    server.wait_for(r"warn +the certificate of CN=expired\.test has expired on 2020-01-31")
    complaint = complaint_of(world, server.secure_url, "--ca", authority.certificate)
    assert complaint == "certificate expired on 2020-01-31"
    server.wait_for(r"connection from \S+: TLS: the peer sent alert \d+: .*expired")


def test_certificate_of_another_name(world, authority):
    server = tls_server(world, authority.issue("x", names="DNS:a.test,DNS:b.test,IP:127.0.0.2"))
    complaint = complaint_of(world, server.secure_url, "--ca", authority.certificate)
    assert complaint == "certificate is for other names: a.test, b.test, 127.0.0.2"


def test_certificate_by_address(world, authority, identity):
    """An address in the URL is looked for among the certificate's addresses."""
    server = tls_server(world, identity)
    world.agent(f"wss://127.0.0.1:{server.port}", "--ca", authority.certificate)
    server.wait_for(UP)
    other = tls_server(world, authority.issue("x", names="DNS:localhost,DNS:127.0.0.1"))
    url = f"wss://127.0.0.1:{other.port}"
    complaint = complaint_of(world, url, "--ca", authority.certificate)
    assert complaint == "certificate is for other names: localhost, 127.0.0.1"


def test_certificate_self_signed(world, authority):
    """The agent tells the pin that it has seen, and what to do with it, once; the server tells its."""
    own = authority.issue("self.test", self_signed=True)
    server = tls_server(world, own)
    pin = pin_of(own.certificate)
    assert server.wait_for("certificate .*, pin (.*)$")[1] == pin
    agent = world.agent(server.secure_url, "--ca", authority.certificate)
    agent.wait_for("self-signed certificate, not trusted: CN=self.test, with the pin "
                   + pin.replace("+", r"\+") + "; next attempt")  # fmt: skip
    advice = "if this is the pin that the server's log tells, trust it by --pin; or by --ca FILE"
    agent.wait_for("not trusted", 2)
    assert len([line for line in agent.lines if advice in line]) == 1


def test_certificate_of_unknown_issuer(world, identity):
    """By default the system's trust store decides, and it does not know our authority."""
    server = tls_server(world, identity)
    agent = world.agent(server.secure_url)
    agent.wait_for("issuer not trusted: CN=Test CA; next attempt")
    agent.wait_for("info +--ca FILE trusts the certificates in FILE, such as that of this issuer$")


def test_pins(world, authority, identity):
    """The server's own key, or that of its issuer; another one is no good, whoever signed it."""
    server = tls_server(world, identity)
    ca = ["--ca", authority.certificate]
    for n, pinned in enumerate((identity.certificate, authority.certificate), 1):
        world.agent(server.secure_url, *ca, "--pin", pin_of(pinned))
        server.wait_for(UP, n)
    other = pin_of(authority.issue("other.test").certificate)
    complaint = complaint_of(world, server.secure_url, *ca, "--pin", other)
    assert complaint == f"public key is not pinned: {pin_of(identity.certificate)}"


def test_pinned_self_signed(world, authority):
    """Its pin is enough to trust it, for its own names."""
    own = authority.issue("x", names="DNS:localhost", self_signed=True)
    server = tls_server(world, own)
    world.agent(server.secure_url, "--pin", pin_of(own.certificate))
    server.wait_for(UP)
    by_address = server.secure_url.replace("localhost", "127.0.0.1")
    complaint = complaint_of(world, by_address, "--pin", pin_of(own.certificate))
    assert complaint == "certificate is for other names: localhost"


def test_pinned_without_a_trust_store(world, authority):
    """As in a small container, where no authority is known."""
    own = authority.issue("x", names="DNS:localhost", self_signed=True)
    server = tls_server(world, own)
    script = 'for d in /etc/ssl /etc/pki; do test ! -d $d || mount -t tmpfs none $d; done && exec "$@"'
    hidden = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*hidden, "true"], capture_output=True).returncode != 0:
        pytest.skip("A SYSTEM WITHOUT A TRUST STORE IS NOT TESTED: no mount namespaces here")
    agent = [*hidden, program("wstunnel-agent"), server.secure_url]
    world.run([*agent, "--pin", pin_of(own.certificate)])
    server.wait_for(UP)
    trusting = world.run(agent)
    trusting.wait_exit(1)
    assert "no trust store on this system" in trusting.output


def test_insecure(world, identity, echo_site, secure_client):
    """It works, and the agent warns."""
    server = tls_server(world, identity)
    agent = world.agent(server.secure_url, "--insecure")
    agent.wait_for("warn +insecure: the server is not verified")
    server.wait_for(UP)


# -- What the agent says --------------------------------------------------------------------------


def test_names_and_fields(world, authority, identity):
    """SNI, Host and fields of its own, as a site of another kind sees them."""
    seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    context.sni_callback = lambda _socket, name, _context: seen.append(name)

    def front(connection):
        with context.wrap_socket(connection, server_side=True) as tls:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += tls.recv(1)
            seen.append(head.decode())

    site = world.site(Site(front))
    agent = world.agent(
        f"wss://localhost:{site.port}/x", "--ca", authority.certificate, "--sni", "front.test",
        "--host", "back.test", "--header", "X-One: 1", "--header", "X-Two: 2",
    )  # fmt: skip
    agent.wait_for("; next attempt in")
    assert seen[0] == "front.test"
    lines = seen[1].split("\r\n")
    assert lines[0] == "GET /x HTTP/1.1"
    assert "Host: back.test" in lines and "X-One: 1" in lines and "X-Two: 2" in lines


# -- Who they are ---------------------------------------------------------------------------------


def test_named_by_certificates(world, authority, identity, echo_site, secure_client, tmp_path):
    """An agent and a user known by what their certificates say, from a configuration file."""
    config = {
        "cert": str(identity.certificate), "key": str(identity.key),
        "client_ca": str(authority.certificate), "client_cert": "optional",
        "users": [{"name": "alice", "certificate": "CN:alice.test"}],
        "agents": [{"name": "berlin", "certificate": "dns:agent.test"}],
    }  # fmt: skip
    path = tmp_path / "server.json"
    path.write_text(json.dumps(config))
    server = world.server("--config", path)
    shown = authority.issue("x", names="DNS:agent.test")
    ca = ["--ca", authority.certificate, "--cert", shown.certificate, "--key", shown.key]
    world.agent(server.secure_url, "--name", "paris", *ca).wait_for("another name")
    world.agent(server.secure_url, "--name", "berlin", *ca)
    server.wait_for("agent berlin .* up from")
    alice = client_context(authority, authority.issue("alice.test", names=None))
    client = secure_client(server, alice).open(echo_site.address, more=b"ping")
    assert client.read_exactly(4) == b"ping"
    server.wait_for("tunnel 1 open: alice at")
    other = client_context(authority, authority.issue("bob.test", names=None))
    for context in (other, client_context(authority)):
        assert secure_client(server, context).connect(echo_site.address).status == 403


def test_agent_reads_its_files_again(world, authority, identity, tmp_path):
    """SIGHUP: another CA, another client certificate; faulty ones change nothing."""
    other = Authority(tmp_path)
    ca, cert, key = (tmp_path / name for name in ("its.ca", "its.cert", "its.key"))
    stranger = other.issue("agent.test")
    server = tls_server(world, identity, "--client-ca", authority.certificate, "--client-cert",
                        "required")  # fmt: skip
    shutil.copy(other.certificate, ca)
    shutil.copy(stranger.certificate, cert)
    shutil.copy(stranger.key, key)
    agent = world.agent(server.secure_url, "--ca", ca, "--cert", cert, "--key", key)
    agent.wait_for("issuer not trusted")
    shutil.copy(authority.certificate, ca)
    agent.signal(signal.SIGHUP)
    agent.wait_for("configuration reloaded")
    agent.wait_for("the peer sent alert|the server does not accept our certificate")
    known = authority.issue("agent.test")
    shutil.copy(known.certificate, cert)
    agent.signal(signal.SIGHUP)
    agent.wait_for("configuration not reloaded: nothing has changed")  # the key is not its
    shutil.copy(known.key, key)
    agent.signal(signal.SIGHUP)
    agent.wait_for("configuration reloaded", 2)
    server.wait_for(UP)
