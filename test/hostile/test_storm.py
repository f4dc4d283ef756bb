# SPDX-License-Identifier: MIT
"""A thousand tunnels at once, of which every one is right, and nothing of which is left over."""
import asyncio

from arena import SLACK, Baseline, check_memory, memory
from crowd import storm
from sites import Closed, Deaf

CROWD, STORMS, WARM = 1000, 12, 4


def test_storm(world, seed):
    """Many times over: what the first ones leave behind is the allocator's, what the others add would
    be a leak. The bound is some 500 bytes a tunnel."""
    server, agent = world.quick_tunnel()
    refused, deaf = world.site(Closed()).address, world.site(Deaf()).address
    baseline = Baseline(server, agent)
    warm = {}
    for i in range(STORMS):
        asyncio.run(storm(server.address, seed + i, CROWD, refused, deaf))
        baseline.wait()
        if i == WARM:
            warm = {process: memory(process) for process in (server, agent)}
    for process, before in warm.items():
        check_memory(process, before, SLACK / 2)
