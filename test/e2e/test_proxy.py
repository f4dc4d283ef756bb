# SPDX-License-Identifier: MIT
"""
Agents that reach their server through real proxies: tinyproxy and squid with Basic and Digest,
squid with TLS to itself, SOCKS5 by microsocks and dante; with TLS inside the tunnel; and what they
say when the proxy refuses. Nothing is reached but by the proxy: the name server.test is known to
squid alone, and what goes to 127.0.0.1 goes through the proxy because --proxy says so.
"""
import base64
import re
import struct
import subprocess
from pathlib import Path

import pytest

from processes import BUILD, PASSWORD, PATIENCE, USER
from proxies import Dante, Microsocks, Squid, Tinyproxy, agent
from secure import SecureClient, client_context
from sites import Site

UP = "agent .* up from"


LOGIN = f"{USER}:{PASSWORD}"


def url_of(proxy, scheme="http", user=None):
    return f"{scheme}://{user + '@' if user else ''}{proxy.address}"


def use(world, server, site, proxy=None, authority=None):
    """The agent has come from that proxy, and a tunnel through the server, by TLS if there is an
    authority, works."""
    server.wait_for(f"{UP} {re.escape(proxy.host if proxy else '127.0.0.1')}:")
    if authority is None:
        client = world.client(server)
    else:
        client = SecureClient(server.address, client_context(authority), name=server.name)
        world.clients.append(client)
    client.open(site.address, more=b"through")
    assert client.read_exactly(7) == b"through"


def assert_down(running, proxy, text):
    """The reason that it gives, exactly, and no password in any line (which the end checks)."""
    found = running.wait_for(r": (the proxy .*); next attempt in")
    assert found[1] == f"the proxy {proxy.address} {text}"


# -- HTTP -----------------------------------------------------------------------------------------


def test_tinyproxy(world, echo_site, start):
    proxy = start(Tinyproxy)
    server = world.server()
    agent(world, server.url, "--proxy", url_of(proxy))
    use(world, server, echo_site, proxy)
    proxy.process.wait_for(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1")


def test_tinyproxy_with_a_password(world, echo_site, start):
    """It answers 407 by HTTP/1.0 and closes: the second request goes out on another connection."""
    proxy = start(Tinyproxy, password=PASSWORD)
    server = world.server()
    agent(world, server.url, "--proxy", url_of(proxy, user=LOGIN))
    use(world, server, echo_site, proxy)


def test_tinyproxy_refuses(world, start):
    proxy = start(Tinyproxy, password=PASSWORD)
    server = world.server()
    running = agent(world, server.url, "--proxy", url_of(proxy))
    assert_down(running, proxy, "wants a user name and password and offers: Basic")
    running = agent(world, server.url, "--proxy", url_of(proxy, user=f"{USER}:wrong"))
    assert_down(running, proxy, "refused the user name or password (401 Unauthorized)")
    other = start(Tinyproxy, connect_port=1)
    running = agent(world, server.url, "--proxy", url_of(other))
    assert_down(running, other, "answered 403 Access violation")


@pytest.mark.parametrize("schemes", [(), ("basic",), ("digest",), ("basic", "digest")])
def test_squid(world, echo_site, start, schemes):
    """By a name that only the proxy knows. With both schemes it must be Digest that is taken."""
    wrong = {"basic": "not-this-one"} if len(schemes) == 2 else {}
    proxy = start(Squid, *schemes, passwords=wrong)
    server = world.server()
    user = LOGIN if schemes else None
    agent(world, f"ws://server.test:{server.port}", "--proxy", url_of(proxy, user=user))
    use(world, server, echo_site, proxy)


@pytest.mark.parametrize("scheme, name", [("basic", "Basic"), ("digest", "Digest")])
def test_squid_wrong_password(world, start, scheme, name):
    proxy = start(Squid, scheme)
    server = world.server()
    running = agent(world, server.url, "--proxy", url_of(proxy, user=f"{USER}:wrong"))
    assert_down(running, proxy, "refused the user name or password (407 Proxy Authentication "
                                f"Required); it offers: {name}")  # fmt: skip
    # It waits the longest time: another try could lock the account.
    assert "next attempt in 30000 ms" in running.output


def test_squid_offers_what_is_not_built_in(world, start):
    proxy = start(Squid, "ntlm")
    server = world.server()
    running = agent(world, server.url, "--proxy", url_of(proxy, user=LOGIN))
    assert_down(running, proxy, "wants authentication and offers: NTLM; Basic and Digest are built in")


def ntlm(kind):
    """A token of NTLM: of the first leg, or of the third, which names the user. That is as much as
    squid's own test helper wants."""
    if kind == 1:
        token = b"NTLMSSP\0" + struct.pack("<II", 1, 0x00000206) + bytes(16)
    else:
        user = USER.encode()
        field = struct.pack("<HHI", len(user), len(user), 64)
        nothing = struct.pack("<HHI", 0, 0, 64)
        token = (b"NTLMSSP\0" + struct.pack("<I", 3) + nothing * 3 + field + nothing * 2
                 + struct.pack("<I", 0x00000202) + user)  # fmt: skip
    return base64.b64encode(token).decode()


def legs(proxy, site, *tokens):
    done = subprocess.run(
        [BUILD / "test" / "legs", url_of(proxy), "server.test", str(site.port), *tokens],
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_squid_several_legs(world, start):
    """NTLM by an embedder: three requests on one connection, which is what is authenticated."""
    site = world.site(Site(lambda connection: connection.sendall(b"220 hello\n")))
    proxy = start(Squid, "ntlm")
    status, lines = legs(proxy, site, ntlm(1), ntlm(3))
    assert lines[0] == "challenge: NTLM"
    assert lines[1].startswith("challenge: NTLM TlRMTVNTUAAC")
    assert lines[2:] == ["220 hello"] and status == 0
    status, lines = legs(proxy, site, ntlm(1))
    assert lines[2] == (f"WST_ECANCELLED: the proxy {proxy.address} wants authentication and "
                        "offers: NTLM; no more tokens")  # fmt: skip
    assert status == 1


def test_squid_refuses(world, start):
    proxy = start(Squid)
    running = agent(world, "ws://forbidden.test", "--proxy", url_of(proxy))
    assert_down(running, proxy, "answered 403 Forbidden: ERR_ACCESS_DENIED 0")
    running = agent(world, "ws://server.test:1", "--proxy", url_of(proxy))
    assert_down(running, proxy, "answered 503 Service Unavailable: ERR_CONNECT_FAIL 111")


def test_exit_on_refusal(world, start):
    proxy = start(Squid, "basic")
    running = agent(world, "ws://server.test", "--proxy", url_of(proxy), "--exit-on-refusal")
    running.wait_exit(1)


def test_no_proxy_there(world):
    running = agent(world, "ws://server.test", "--proxy", "http://127.0.0.1:9")
    running.wait_for("the proxy 127.0.0.1:9 cannot be reached: connection refused; next attempt in")


# -- TLS to the proxy, TLS inside the tunnel ------------------------------------------------------


def test_https_proxy(world, echo_site, start, authority):
    proxy = start(Squid, "basic", authority=authority)
    server = world.server()
    options = ["--proxy", f"https://{LOGIN}@{proxy.secure_address}"]
    running = agent(world, f"ws://server.test:{server.port}", *options)
    running.wait_for(f"the proxy {proxy.secure_address} fails at TLS: issuer not trusted")
    agent(world, f"ws://server.test:{server.port}", *options, "--proxy-ca", authority.certificate)
    use(world, server, echo_site, proxy)


@pytest.fixture
def secure_server(world, authority):
    """With a certificate for server.test only."""
    identity = authority.issue("server.test", names="DNS:server.test")
    server = world.server("--cert", identity.certificate, "--key", identity.key)
    server.name = "server.test"
    return server


def test_wss_through_squid(world, echo_site, start, authority, secure_server):
    """The server's certificate is the one that counts, and the proxy sees no more than its name."""
    proxy = start(Squid, "digest")
    url = f"wss://server.test:{secure_server.port}"
    agent(world, url, "--ca", authority.certificate, "--proxy", url_of(proxy, user=LOGIN))
    use(world, secure_server, echo_site, proxy, authority)


def test_wss_through_an_https_proxy(world, echo_site, start, authority, secure_server):
    """TLS in TLS."""
    proxy = start(Squid, "basic", authority=authority)
    url = f"wss://server.test:{secure_server.port}"
    agent(world, url, "--ca", authority.certificate, "--proxy-ca", authority.certificate,
          "--proxy", f"https://{LOGIN}@{proxy.secure_address}")  # fmt: skip
    use(world, secure_server, echo_site, proxy, authority)


def test_wss_through_socks(world, echo_site, start, identity, authority):
    proxy = start(Microsocks, password=PASSWORD)
    server = world.server("--cert", identity.certificate, "--key", identity.key)
    server.name = "localhost"
    agent(world, server.secure_url, "--ca", authority.certificate,
          "--proxy", url_of(proxy, "socks5", LOGIN))  # fmt: skip
    use(world, server, echo_site, proxy, authority)


# -- SOCKS5 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_microsocks(world, echo_site, start, password):
    proxy = start(Microsocks, password=password)
    server = world.server()
    user = LOGIN if password else None
    agent(world, server.url, "--proxy", url_of(proxy, "socks5h", user))
    use(world, server, echo_site, proxy)


def test_microsocks_refuses(world, start):
    proxy = start(Microsocks, password=PASSWORD)
    server = world.server()
    running = agent(world, server.url, "--proxy", url_of(proxy, "socks5", f"{USER}:wrong"))
    assert_down(running, proxy, "refused the user name or password")
    running = agent(world, server.url, "--proxy", url_of(proxy, "socks5"))
    assert_down(running, proxy, "wants authentication")
    open_one = start(Microsocks)
    running = agent(world, "ws://127.0.0.1:1", "--proxy", url_of(open_one, "socks5"))
    assert_down(running, open_one, "says: connection refused (SOCKS reply 5)")


def test_dante(world, echo_site, start):
    proxy = start(Dante)
    server = world.server()
    agent(world, server.url, "--proxy", url_of(proxy, "socks5"))
    use(world, server, echo_site, proxy)
    proxy.process.wait_for(rf"pass.*tcp/connect.*127\.0\.0\.1\.{server.port}\b")
    running = agent(world, "ws://127.0.0.1:1", "--proxy", url_of(proxy, "socks5"))
    assert_down(running, proxy, "says: connection refused (SOCKS reply 5)")


# -- The conventions of the environment -----------------------------------------------------------


def test_environment(world, echo_site, start, authority, secure_server):
    proxy = start(Squid)
    server = world.server()
    agent(world, f"ws://server.test:{server.port}", http_proxy=url_of(proxy))
    use(world, server, echo_site, proxy)
    agent(world, f"wss://server.test:{secure_server.port}", "--ca", authority.certificate,
          HTTPS_PROXY=url_of(proxy))  # fmt: skip
    use(world, secure_server, echo_site, proxy, authority)


def test_environment_all(world, echo_site, start):
    proxy = start(Squid)
    server = world.server()
    running = agent(world, f"ws://server.test:{server.port}", ALL_PROXY=url_of(proxy))
    running.wait_for(f"by way of the proxy http://{re.escape(proxy.address)}$")
    use(world, server, echo_site, proxy)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"no_proxy": "example.com,0.0.0.0"},
        {"NO_PROXY": "0.0.0.0/8"},
    ],
)
def test_no_proxy(world, echo_site, variables):
    """0.0.0.0 is this machine to the kernel, but not to the conventions."""
    server = world.server()
    running = agent(world, f"ws://0.0.0.0:{server.port}", http_proxy="http://127.0.0.1:9", **variables)
    if variables:
        use(world, server, echo_site)
        assert "proxy" not in running.output
    else:
        running.wait_for("the proxy 127.0.0.1:9 cannot be reached")


def test_environment_is_overruled(world, echo_site):
    server = world.server()
    agent(world, f"ws://0.0.0.0:{server.port}", "--proxy", "none", http_proxy="http://127.0.0.1:9")
    use(world, server, echo_site)


def test_environment_of_a_web_server(world, echo_site):
    """HTTP_PROXY may be what a web server makes of a request's field; curl ignores it, too. And
    what is on this machine is reached directly."""
    server = world.server()
    agent(world, f"ws://0.0.0.0:{server.port}", HTTP_PROXY="http://127.0.0.1:9")
    use(world, server, echo_site)
    agent(world, server.url, http_proxy="http://127.0.0.1:9", all_proxy="http://127.0.0.1:9")
    server.wait_for(UP, 2)


# -- Secrets --------------------------------------------------------------------------------------


def test_password_is_not_in_the_process_list(world, echo_site, start):
    proxy = start(Tinyproxy, password=PASSWORD)
    server = world.server()
    for option in (["--proxy", url_of(proxy, user=LOGIN)], [f"--proxy={url_of(proxy, user=LOGIN)}"]):
        running = agent(world, server.url, *option)
        running.wait_for("connected to")
        shown = Path(f"/proc/{running.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        assert f"http://{'*' * len(LOGIN)}@{proxy.address}" in shown
        assert PASSWORD not in shown and USER not in shown
        running.wait_for(f"by way of the proxy {re.escape(proxy.address)}$")


def test_password_from_elsewhere(world, echo_site, start, tmp_path):
    proxy = start(Tinyproxy, password=PASSWORD)
    server = world.server()
    file = tmp_path / "proxy-user"
    file.write_text(LOGIN + "\n")
    agent(world, server.url, "--proxy", url_of(proxy), "--proxy-user-file", file)
    server.wait_for(UP, 1)
    agent(world, server.url, "--proxy", url_of(proxy), WSTUNNEL_PROXY_USER=LOGIN)
    server.wait_for(UP, 2)
    config = tmp_path / "agent.json"
    config.write_text(f'{{"proxy": "{url_of(proxy)}", "proxy_user": "{LOGIN}"}}')
    agent(world, server.url, "--config", config)
    server.wait_for(UP, 3)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--proxy", "ftp://u:" + PASSWORD + "@p"], "proxy: the scheme must be http, https, socks5"),
        (["--proxy", "http://p/path"], "proxy: the URL of a proxy has no path"),
        (["--proxy", "http://p", "--proxy-user-file", "/nowhere"], "--proxy-user-file: cannot open"),
        (["--proxy", "https://p", "--proxy-ca", "/nowhere"], "proxy_ca: cannot read /nowhere"),
    ],
)
def test_bad_options(world, options, message):
    running = agent(world, "ws://server.test", *options)
    running.wait_exit(2)
    assert message.removeprefix("--").replace("-", "_").split(":")[0] in running.output
    assert message.split(": ", 1)[1] in running.output
