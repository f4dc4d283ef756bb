# SPDX-License-Identifier: MIT
"""
Hostile tests: crowds, scarcity, losses, liars.

    WSTUNNEL_BUILD=build pytest test/hostile

HOSTILE_SEED repeats a run that failed; SOAK_SECONDS (default 60) is the length of the soak, which is
a program of its own, too (soak.py). A build without sanitizers needs unwind tables for test_memory.py
(-Dc_args=-fasynchronous-unwind-tables). Memory is not measured in builds with sanitizers, whose allocators
keep what is freed.

./test/run.sh runs all with the release build, of the soak 20 seconds; --ci runs 60 seconds of it, and
20 seconds of it, the losses and the resumptions with ASan and UBSan; on demand test/soak runs half an
hour of it with these, and test_resume_network.py says how to cut a link for longer.
"""
import os
import random
import resource
import sys
from pathlib import Path

import pytest

sys.path.insert(1, str(Path(__file__).parents[1] / "e2e"))

from arena import Arena  # noqa: E402
from processes import BUILD  # noqa: E402
from sites import Site, echo  # noqa: E402

DESCRIPTORS = 8192  # for clients and sites in this process, and the programs it starts


def pytest_configure():
    if not (BUILD / "test" / "quick").exists():
        pytest.exit(f"no programs in {BUILD}/test: set WSTUNNEL_BUILD", returncode=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.exit(f"{DESCRIPTORS} descriptors are needed, {hard} allowed", returncode=2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))


@pytest.fixture
def world():
    arena = Arena()
    yield arena
    arena.end()


@pytest.fixture
def seed():
    """Printed if the test fails."""
    value = int(os.environ.get("HOSTILE_SEED", random.SystemRandom().getrandbits(32)))
    print(f"HOSTILE_SEED={value}")
    return value


@pytest.fixture
def echo_site(world):
    return world.site(Site(echo))
