# SPDX-License-Identifier: MIT
"""A thousand tunnels at once, of which every one is right, and nothing of which is left over."""
import asyncio
import collections

from arena import SLACK, Baseline, check_memory, memory
from crowd import Crowd, Plan, Site
from sites import Closed, Deaf

CROWD, STORMS, WARM = 1000, 12, 4
OPENED = ("whole", "ask", "tell", "early", "client_resets", "site_resets")


async def storm(server, seed, refused, deaf):
    """Opens all, and lets them go on when all are open."""
    plans = [Plan(seed, i) for i in range(CROWD)]
    missing = sum(plan.fate in OPENED for plan in plans)
    all_open = asyncio.Event()

    async def gate(plan):
        nonlocal missing
        if plan.fate in OPENED:
            missing -= 1
            if missing == 0:
                all_open.set()
            await all_open.wait()

    site = Site(seed, plans.__getitem__)
    accepting = asyncio.create_task(site.accept())
    crowd = Crowd(server.address, site, refused.address, deaf.address, gate)
    results = await asyncio.gather(*map(crowd.run, plans), return_exceptions=True)
    await site.settle()
    accepting.cancel()
    site.close()
    failures = [f"{plan.index} {plan.fate}: {result!r}" for plan, result in zip(plans, results)
                if result is not None]  # fmt: skip
    assert not failures + site.failures, "\n".join(failures + site.failures)
    expected = collections.Counter(plan.fate for plan in plans)
    assert crowd.seen == expected
    for fate in ("whole", "ask", "tell", "early"):
        assert site.seen[fate, "right"] == expected[fate]
    assert site.seen["client_resets", "reset"] == expected["client_resets"]


def test_storm(world, seed):
    """Many times over: what the first ones leave behind is the allocator's, what the others add would
    be a leak. The bound is some 500 bytes a tunnel."""
    server, agent = world.quick_tunnel()
    refused, deaf = world.site(Closed()), world.site(Deaf())
    baseline = Baseline(server, agent)
    warm = {}
    for i in range(STORMS):
        asyncio.run(storm(server, seed + i, refused, deaf))
        baseline.wait()
        if i == WARM:
            warm = {process: memory(process) for process in (server, agent)}
    for process, before in warm.items():
        check_memory(process, before, SLACK / 2)
