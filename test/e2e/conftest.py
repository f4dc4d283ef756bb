# SPDX-License-Identifier: MIT
"""
End-to-end tests: the built programs, real sockets, curl and nginx.

    WSTUNNEL_BUILD=build pytest test/e2e

Needs curl, nginx and openssl. E2E_BYTES is the size of the big transfers (default 1 GiB); set it
lower for builds with sanitizers.
"""
import os

import pytest

from authority import Authority
from nginx import Nginx, make_certificate
from payload import make_payload
from processes import BUILD
from sites import Site, echo
from transfer import UploadSite
from world import World


def pytest_configure():
    if not (BUILD / "examples" / "wstunnel-server").exists():
        pytest.exit(f"no programs in {BUILD}/examples: set WSTUNNEL_BUILD", returncode=2)


@pytest.fixture
def world():
    w = World()
    yield w
    w.end()


@pytest.fixture
def echo_site(world):
    return world.site(Site(echo))


@pytest.fixture
def start():
    """A function that makes a proxy, which ends with the test."""
    proxies = []

    def make(kind, *arguments, **options):
        proxies.append(kind(*arguments, **options))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Paths of a key and a self-signed certificate for 127.0.0.1."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def identity(authority):
    """A certificate and key for localhost and 127.0.0.1."""
    return authority.issue("server.test")


@pytest.fixture(scope="session")
def nginx(tmp_path_factory, certificate):
    """The private web site, by http and https; files in its `root` are served."""
    site = Nginx(tmp_path_factory.mktemp("nginx"), certificate)
    yield site
    site.close()


@pytest.fixture(scope="session")
def big_file(nginx):
    """A file of E2E_BYTES bytes on the web site: its path and SHA-256."""
    path = nginx.root / "big"
    digest = make_payload(path, int(os.environ.get("E2E_BYTES", 2**30)))
    yield path, digest
    path.unlink()


@pytest.fixture(scope="session")
def upload_site(certificate):
    site = UploadSite(certificate)
    yield site
    site.close()


@pytest.fixture
def curl(certificate):
    """A function that makes the command of a curl that goes through a server."""

    def command(server, *arguments):
        return ["curl", "--silent", "--show-error", "--fail", "--proxy", server.proxy,
                "--cacert", certificate[1], *arguments]  # fmt: skip

    return command
