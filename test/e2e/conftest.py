# SPDX-License-Identifier: MIT
"""
End-to-end tests: the built programs, real sockets, curl and nginx.

    WSTUNNEL_BUILD=build pytest test/e2e

Needs curl, nginx and openssl. E2E_BYTES is the size of the big transfers (default 1 GiB); set it
lower for builds with sanitizers.

./test/run.sh runs all with the release build; --ci also runs all with ASan and UBSan (transfers of 16
MiB), and what has "tls" in its name with OpenSSL as the TLS engine. On demand: a thousand cuts in
transfers of 1 GiB (test_resume_cuts.py).
"""
import os

import pytest

from fixtures import (  # noqa: F401
    authority,
    certificate,
    curl,
    identity,
    nginx,
    pytest_configure,
    upload_site,
)
from payload import make_payload
from sites import Site, echo
from succession import Line
from world import World


def pytest_addoption(parser):
    parser.addoption("--part", metavar="K/N", help="only every N-th file, from the K-th on")


def pytest_collection_modifyitems(config, items):
    """Parts run beside each other: most tests wait more than they compute."""
    if config.getoption("--part") is None:
        return
    part, parts = map(int, config.getoption("--part").split("/"))
    files = sorted({item.path for item in items})
    left_out = [item for item in items if files.index(item.path) % parts != part - 1]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def world():
    w = World()
    yield w
    w.end()


@pytest.fixture
def echo_site(world):
    return world.site(Site(echo))


@pytest.fixture
def line(world):
    """A function that makes a Line of a server, which ends with the test."""
    lines = []

    def make(first):
        lines.append(Line(first))
        return lines[-1]

    yield make
    for each in lines:
        each.end()


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
def big_file(nginx):
    """A file of E2E_BYTES bytes on the web site: its path and SHA-256."""
    path = nginx.root / "big"
    digest = make_payload(path, int(os.environ.get("E2E_BYTES", 2**30)))
    yield path, digest
    path.unlink()
