# SPDX-License-Identifier: MIT
"""
Compatibility: each test runs with the server of 0.1.0 and today's agent, and the other way round.
0.1.0 is built from the repository's history (released.py).

    WSTUNNEL_BUILD=build pytest test/compat

Only `test/run.sh --ci` runs this suite. It needs what the end-to-end tests need. In a shallow clone
or a source tree without .git it is skipped with the reason, which --ci counts as a failure.
E2E_BYTES makes the transfers smaller than 64 MiB.
"""
import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path[1:1] = [str(TESTS / "e2e"), str(TESTS / "hostile")]

import released  # noqa: E402
from fixtures import (  # noqa: F401, E402
    authority,
    certificate,
    curl,
    identity,
    nginx,
    pytest_configure,
    upload_site,
)
from mixed import WIRES, Mixed  # noqa: E402
from payload import make_payload  # noqa: E402
from processes import BUILD  # noqa: E402
from sites import Site, echo  # noqa: E402

PAIRS = ["server 0.1.0", "agent 0.1.0"]  # the other program is today's


def pytest_runtest_setup():
    """Skips every test from one place, so that the summary names the reason once."""
    try:
        released.build()
    except released.Unavailable as error:
        pytest.skip(str(error))
    except released.Failed as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def release():
    """The build directory of 0.1.0."""
    return released.build()


@pytest.fixture(params=PAIRS)
def world(request, release):
    w = Mixed(release, BUILD) if request.param == "server 0.1.0" else Mixed(BUILD, release)
    yield w
    w.end()


@pytest.fixture
def reference(release):
    """A world of 0.1.0 alone: its answers are those that a mixed pair must give."""
    w = Mixed(release, release)
    yield w
    w.end()


@pytest.fixture(params=WIRES)
def wire(request):
    return request.param


@pytest.fixture
def echo_site(world):
    return world.site(Site(echo))


@pytest.fixture(scope="session")
def big_file(nginx):
    """A file on the web site: its path and SHA-256."""
    path = nginx.root / "big"
    size = min(64 << 20, int(os.environ.get("E2E_BYTES", 64 << 20)))
    return path, make_payload(path, size)
