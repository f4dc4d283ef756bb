# SPDX-License-Identifier: MIT
"""
Real clients through the built programs, across two network namespaces (root only):

    sudo ./test/clients/install.sh
    sudo WSTUNNEL_BUILD=build pytest test/clients

Clients and server are outside, agent and sites inside, and nothing but the tunnel leads in. A
client that is not installed is skipped, and named at the end.

./test/run.sh and --ci run all, with the release build.
"""
import signal
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "e2e"))

from authority import Authority, pin_of  # noqa: E402
from intranet import Intranet  # noqa: E402
from network import INSIDE, OUTSIDE, Network, Unavailable  # noqa: E402
from processes import BUILD, OPEN, PASSWORD, TOKEN, USER, program  # noqa: E402
from world import Server, World  # noqa: E402


def pytest_configure():
    if not (BUILD / "examples" / "wstunnel-server").exists():
        pytest.exit(f"no programs in {BUILD}/examples: set WSTUNNEL_BUILD", returncode=2)
    # Namespaces outlive whoever made them: however this ends, what is to be cleaned up is.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    """Which tests did not run and why, whatever pytest was asked to print."""
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        terminalreporter.write_line(f"not run: {report.nodeid.rpartition('/')[2]}: {reason}")


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    try:
        made = Network(tmp_path_factory.mktemp("network"))
    except Unavailable as error:
        pytest.skip(str(error))
    yield made
    left = made.close()
    assert not left, "still running at the end:\n" + "\n".join(left)


@pytest.fixture(scope="session")
def outside(network):
    return network.outside


@pytest.fixture(scope="session")
def inside(network):
    return network.inside


@pytest.fixture(scope="session")
def intranet(tmp_path_factory, network):
    site = Intranet(tmp_path_factory.mktemp("intranet"), network.inside, network.ipv6)
    yield site
    site.close()


class Proxy:
    """A server outside and an agent inside, for clients that all may come or that have a name. At
    another address the server speaks SOCKS5."""

    def __init__(self, world, network, port, credentials=None, authority=None, more=(), agent=()):
        options, token = ["--insecure-open"], []
        if credentials is not None:
            (credentials / "token").write_text(TOKEN + "\n")
            (credentials / "users").write_text(f"{USER}:{PASSWORD}\n")
            token = ["--token-file", credentials / "token"]
            options = ["--agent-token-file", credentials / "token",
                       "--user-file", credentials / "users"]  # fmt: skip
        web, http = "ws", "http"
        if authority is not None:
            own = authority.issue("proxy", names=f"IP:{OUTSIDE}")
            options += ["--cert", own.certificate, "--key", own.key]
            token += ["--ca", authority.certificate]
            web, http = "wss", "https"
        self.address = f"{OUTSIDE}:{port}"
        self.socks = f"{OUTSIDE}:{port + 1000}"
        listen = ("--listen", self.address, "--listen", f"{self.socks},socks")
        argv = network.outside.command(program("wstunnel-server"), *listen, *options, *more)
        self.server = Server(argv)
        world.processes.append(self.server)
        self.agent = world.run(
            network.inside.command(
                program("wstunnel-agent"), *OPEN, *token, *agent, f"{web}://{self.address}"
            )
        )
        self.server.wait_for(rf"agent .* up from {INSIDE}")
        self.user = f"{USER}:{PASSWORD}@" if credentials is not None else ""
        self.url = f"{http}://{self.user}{self.address}"

    def socks_url(self, scheme):
        return f"{scheme}://{self.user}{self.socks}"


@pytest.fixture(scope="session")
def session_world(network):
    """What runs all the time; judged at the end, as in the other end-to-end tests. It needs the
    network to the last: older pytest ends fixtures in another order than it has begun them."""
    world = World()
    yield world
    world.end()


@pytest.fixture(scope="session")
def proxy(session_world, network, intranet):
    """For everybody."""
    return Proxy(session_world, network, 3128)


@pytest.fixture(scope="session")
def users_proxy(session_world, network, intranet, tmp_path_factory):
    """For clients with a password."""
    return Proxy(session_world, network, 3129, tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="session")
def secure_proxy(session_world, network, intranet, tmp_path_factory):
    """For clients that speak TLS to it; `bundle` has whose certificates they need to know."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    made = Proxy(session_world, network, 3130, authority=authority)
    made.bundle = authority.directory / "bundle.pem"
    made.bundle.write_bytes(
        authority.certificate.read_bytes() + Path(intranet.certificate).read_bytes()
    )
    made.pin = pin_of(authority.certificate).removeprefix("sha256/")
    return made


@pytest.fixture(params=["open", "users"])
def either_proxy(request):
    """The one and the other."""
    return request.getfixturevalue("proxy" if request.param == "open" else "users_proxy")


@pytest.fixture
def world():
    """What one test runs."""
    w = World()
    yield w
    w.end()
