# SPDX-License-Identifier: MIT
"""What the end-to-end and the compatibility tests share: certificates, nginx, uploads, curl."""
import pytest

from authority import Authority
from nginx import Nginx, make_certificate
from processes import BUILD
from transfer import UploadSite


def pytest_configure():
    if not (BUILD / "examples" / "wstunnel-server").exists():
        pytest.exit(f"no programs in {BUILD}/examples: set WSTUNNEL_BUILD", returncode=2)


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
