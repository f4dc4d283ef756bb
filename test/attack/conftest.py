# SPDX-License-Identifier: MIT
"""
Attacks, tried: on the programs as they are run, each with the answer it must have, while an honest
client and an honest agent are served.

    WSTUNNEL_BUILD=build pytest test/attack

Needs openssl. As root also network namespaces are made, for peers that do not come from this machine;
12,000 descriptors must be allowed.

./test/run.sh runs all with the release build; --ci also runs what has "tls" in its name with OpenSSL
as the TLS engine.
"""
import resource
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path[1:1] = [str(TESTS / "e2e"), str(TESTS / "hostile")]

from arena import Arena  # noqa: E402
from authority import Authority  # noqa: E402
from processes import BUILD  # noqa: E402
from sites import Site, echo  # noqa: E402

DESCRIPTORS = 12000  # for attackers in this process, and the programs it starts


def pytest_configure():
    if not (BUILD / "examples" / "wstunnel-server").exists():
        pytest.exit(f"no programs in {BUILD}/examples: set WSTUNNEL_BUILD", returncode=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.exit(f"{DESCRIPTORS} descriptors are needed, {hard} allowed", returncode=2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))


@pytest.fixture
def world():
    arena = Arena()
    yield arena
    arena.end()


@pytest.fixture(scope="module")
def arena():
    """A world for all tests of a file."""
    shared = Arena()
    yield shared
    shared.end()


@pytest.fixture
def echo_site(world):
    return world.site(Site(echo))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def identity(authority):
    """A certificate and key for localhost and 127.0.0.1."""
    return authority.issue("server.test")
