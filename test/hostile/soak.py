#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A day in minutes: mixed work through a server and two agents while one thing after the other is
broken. What, when and for how long is drawn from a seed, which repeats it.

    WSTUNNEL_BUILD=build test/hostile/soak.py [--seconds 60] [--seed NUMBER]
    test/soak                  # the same under AddressSanitizer, for half an hour: on demand

./test/run.sh runs it for 20 seconds; --ci for 60, and for 20 under AddressSanitizer (test_soak.py).

One agent is hardly touched, so that work goes on; the other one, which speaks JSON, is on a machine of
its own, whose link is cut, if there are network namespaces (root). Four parts: the first one warms
up; behind the second one the memory of server and agent is held against that; in the third one
allocations fail in the one or the other; in the last one it is the server that comes and goes. Behind
each of them nothing may be left over, and all must work.
"""
import argparse
import asyncio
import collections
import random
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(1, str(Path(__file__).parents[1] / "e2e"))

from arena import SLACK, Arena, Baseline, check_memory, memory  # noqa: E402
from crowd import FATES, Mill, storm  # noqa: E402
from forwarding import KINDS, Forwarder  # noqa: E402
from netns import Machine  # noqa: E402
from processes import wait_until  # noqa: E402
from sites import Closed, Deaf  # noqa: E402

DEAD = 2.0  # seconds
TIMES = {"ping": 400, "dead": int(DEAD * 1000), "drain": 1500}
BACKOFF = {"backoff_min": 50, "backoff_max": 300, "connect": 2000}
FAIL = 1000  # of a million allocations, while a program is starved
CALM = 100  # tunnels behind each part, of which every one must be right

Part = collections.namedtuple("Part", "name share faults")
Fault = collections.namedtuple("Fault", "pause kind lasting")

OF_AGENTS = ("agent_killed", "agent_leaves", "agent_frozen", "agent_given_up", "link_shaken",
             "link_cut", "all_frozen")  # fmt: skip
PARTS = [
    Part("warm up", 0.25, OF_AGENTS),
    Part("agents", 0.4, OF_AGENTS),
    Part("memory", 0.1, ("server_starved", "agent_starved")),
    Part("server", 0.25, ("server_leaves", "server_killed", "server_frozen", "server_given_up",
                          "agent_killed", "link_cut")),
]  # fmt: skip
LONG = ("agent_given_up", "link_cut", "server_given_up")  # until the others have given it up


def draw_faults(seed, part, seconds):
    """What is broken in one part: each kind once, in random order, then each once again, ..."""
    drawn = random.Random(f"{seed}:{part.name}")
    faults, deck, left = [], [], seconds * part.share
    while left > 0:
        if not deck:
            deck = drawn.sample(part.faults, len(part.faults))
        kind = deck.pop()
        lasting = drawn.uniform(DEAD + 0.5, DEAD + 1.5) if kind in LONG else drawn.uniform(0.1, 1)
        faults.append(Fault(drawn.uniform(0.2, 1.5), kind, lasting))
        left -= faults[-1].pause + lasting
    return faults


class Soak:
    def __init__(self, arena, seed, seconds):
        self.arena, self.seed, self.seconds = arena, seed, seconds
        self.seen = collections.Counter()  # what has gone right, of each kind
        self.machine, self.host, listen, prefix = None, "127.0.0.1", "127.0.0.1:0", ()
        try:
            self.machine = arena.site(Machine())
            self.host, listen, prefix = self.machine.server, "0.0.0.0:0", self.machine.prefix
        except pytest.skip.Exception as why:
            print(why)
        self.server = arena.quick_server(listen, **TIMES, fail=FAIL, seed=seed)
        self.prefix = prefix
        self.steady = self._agent("steady", "127.0.0.1", fail=FAIL, seed=seed)
        self.shaky = self._shaky_agent()
        self.refused, self.deaf = arena.site(Closed()).address, arena.site(Deaf()).address
        self.baseline = Baseline(self.server, self.steady, self.shaky)

    def _agent(self, name, host, **options):
        url = f"ws://{host}:{self.server.port}"
        agent = self.arena.quick_agent(url, name, **TIMES, **BACKOFF, **options)
        agent.wait_for("connected to")
        return agent

    def _shaky_agent(self):
        return self._agent("shaky", self.host, prefix=self.prefix, json=1)

    @property
    def address(self):
        return f"127.0.0.1:{self.server.port}"

    # -- What is broken, for a time

    async def agent_killed(self, lasting):
        self.shaky.kill()
        await self._new_agent(lasting)

    async def agent_leaves(self, lasting):
        await asyncio.to_thread(self.shaky.stop)
        await self._new_agent(lasting)

    async def _new_agent(self, after):
        await asyncio.sleep(after)
        old = self.shaky
        self.shaky = await asyncio.to_thread(self._shaky_agent)
        self.baseline.replace(old, self.shaky)

    async def agent_frozen(self, lasting):
        await self._freeze([self.shaky], lasting)

    agent_given_up = agent_frozen

    async def all_frozen(self, lasting):
        await self._freeze([self.server, self.steady, self.shaky], lasting)

    async def server_frozen(self, lasting):
        await self._freeze([self.server], lasting)

    server_given_up = server_frozen

    @staticmethod
    async def _freeze(processes, lasting):
        for process in processes:
            process.freeze()
        await asyncio.sleep(lasting)
        for process in processes:
            process.thaw()

    async def server_starved(self, lasting):
        await self._starve(self.server, lasting)

    async def agent_starved(self, lasting):
        await self._starve(self.steady, lasting)

    @staticmethod
    async def _starve(process, lasting):
        process.signal(signal.SIGUSR2)
        await asyncio.sleep(lasting)
        process.signal(signal.SIGUSR2)

    async def link_cut(self, lasting):
        if self.machine is not None:
            self.machine.cut()
            await asyncio.sleep(lasting)
            self.machine.mend()

    link_shaken = link_cut

    async def server_leaves(self, lasting):
        """The next one is there before it has gone."""
        old = self.server
        old.terminate()
        await asyncio.to_thread(old.wait_for, "leaving")
        await self._new_server()
        await asyncio.to_thread(old.wait_exit)
        await asyncio.sleep(lasting)

    async def server_killed(self, lasting):
        self.server.kill()
        await asyncio.sleep(lasting)
        await self._new_server()

    async def _new_server(self):
        old = self.server
        self.server = await asyncio.to_thread(self.arena.quick_server, old.address, **TIMES)
        self.baseline.replace(old, self.server)

    # -- Work

    async def work(self, part):
        seed, address = f"{self.seed}:{part.name}", self.address
        mill = Mill(address, seed, host=self.host, refused=self.refused, deaf=self.deaf)
        forwarder = Forwarder(address, seed, self.host)
        mills = [asyncio.create_task(mill.run()), asyncio.create_task(forwarder.run())]
        try:
            for fault in draw_faults(self.seed, part, self.seconds):
                await asyncio.sleep(fault.pause)
                print(f"{part.name}: {fault.kind} for {fault.lasting:.2f} s", flush=True)
                await getattr(self, fault.kind)(fault.lasting)
        finally:
            mill.running = forwarder.running = False
            await asyncio.gather(*mills)
        mill.judge()
        forwarder.judge()
        self.seen += mill.crowd.seen + forwarder.seen

    def settle(self, part):
        """All is as at the beginning, and works."""
        wait_until(lambda: self.server.stats()["agents"] == 2, "both agents there")
        self.baseline.wait()
        seed = f"{self.seed}:{part.name}:calm"
        asyncio.run(storm(self.address, seed, CALM, self.refused, self.deaf, self.host))
        self.baseline.wait()

    def run(self):
        warm = {}
        for part in PARTS:
            asyncio.run(self.work(part))
            self.settle(part)
            if not warm:
                warm = {process: memory(process) for process in (self.server, self.steady)}
            for process, before in warm.items():
                if not process.judged:  # a server that has been replaced
                    check_memory(process, before, SLACK / 2)
        assert set(self.seen) == set(Mill.FATES) | set(KINDS), f"too little: {self.seen}"
        self.shaky.stop()  # while it has a link over which to part


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    arguments = parser.parse_args()
    print(f"--seed {arguments.seed}", flush=True)
    arena = Arena()
    try:
        Soak(arena, arguments.seed, arguments.seconds).run()
    finally:
        arena.end()


if __name__ == "__main__":
    main()
