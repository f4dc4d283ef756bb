# SPDX-License-Identifier: MIT
"""More clients and destinations than server and agent have descriptors for: each is served rightly
or told that there are too many; then all is as before."""
import asyncio
import collections

import pytest

from arena import Baseline
from crowd import Broken, Crowd, Plan, Site
from processes import with_descriptors

CROWD, PLENTY = 300, 8192
SCARCE = {"server": 64, "agent": 40}
FULL = "HTTP/1.1 503 Agent has too many streams"
FATES = {"whole": 4, "ask": 3, "tell": 3, "early": 2, "client_resets": 2, "site_resets": 2}


async def storm(server, seed):
    """All at once, each from a source of its own. How many there were of each outcome."""
    plans = [Plan(seed, i, fates=FATES) for i in range(CROWD)]
    site = Site(seed, plans.__getitem__)
    accepting = asyncio.create_task(site.accept())
    sources = (f"127.1.{i // 250}.{i % 250 + 1}" for i in range(CROWD))
    crowd = Crowd(server.address, site, openers=CROWD, sources=sources)
    results = await asyncio.gather(*map(crowd.run, plans), return_exceptions=True)
    await site.settle()
    accepting.cancel()
    site.close()
    outcomes, failures = collections.Counter(), list(site.failures)
    for plan, result in zip(plans, results):
        if result is None or isinstance(result, Broken):
            outcomes["right" if result is None else str(result)] += 1
        else:
            failures.append(f"{plan.index} {plan.fate}: {result!r}")
    assert not failures, "\n".join(failures)
    return outcomes


@pytest.mark.parametrize("short", ["server", "agent", "both"])
def test_few_descriptors(world, seed, short):
    limits = {name: few if short in (name, "both") else PLENTY for name, few in SCARCE.items()}
    server = world.quick_server(prefix=with_descriptors(limits["server"], []))
    agent = world.quick_agent(server.url, prefix=with_descriptors(limits["agent"], []))
    server.wait_for(" up from")
    agent.wait_for("connected to")
    baseline = Baseline(server, agent)
    for i in range(3):
        outcomes = asyncio.run(storm(server, seed + i))
        print(outcomes)
        if short == "server":  # they wait until there is room
            assert outcomes == {"right": CROWD}
        else:
            assert set(outcomes) <= {"right", FULL}
            assert outcomes["right"] > 0 and outcomes[FULL] > 0
        baseline.wait()
