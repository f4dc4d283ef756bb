# SPDX-License-Identifier: MIT
"""
Allocations fail at random in the running programs. Each request is served rightly or refused
cleanly; nothing dies, nothing is kept, and when there is memory again all is as before.
"""
import asyncio
import collections
import itertools
import random
import re
import time

import pytest

import web
from arena import QUICK, Baseline
from crowd import PATIENCE, Broken, Crowd, Plan, Site
from processes import wait_until
from scarcity import Memory
from sites import Closed, Deaf

RATES = (5_000, 20_000, 80_000, 300_000)  # of a million
BURST, PAUSE = 0.06, 0.1  # seconds; pauses let in what fails then
WANTED = (250, 20)  # failures in each program, in so many of our functions
AT_MOST = 8  # seconds for that; on a slow machine this will do:
AT_LEAST = (100, 12)
GIVE_UP = 60  # for which there is more time
STARTS = 30
TUNNELS, BROWSERS = 12, 6  # at the same time
BACKOFF = {"backoff_min": 5, "backoff_max": 20}
QUICK_TIMES = {"ping": 200, "dead": 5000}

# Beside being cut off, the answers that there may be.
REFUSALS = {
    "HTTP/1.1 502 Name of destination not found",  # so says glibc if it has no memory to look it up
    "HTTP/1.1 503 Agent lost",
    "HTTP/1.1 503 No agent available",
    "HTTP/1.1 503 Out of memory",
}


class Traffic:
    """Tunnels and forwarded requests, so many at a time, until it is stopped."""

    def __init__(self, world, server, seed):
        self.seed, self.address = seed, server.address
        self.site = Site(seed, self.plan, lenient=True)
        self.origin = web.Origin(seed)
        refused, deaf = world.site(Closed()), world.site(Deaf())
        self.crowd = Crowd(server.address, self.site, refused.address, deaf.address)
        self.numbers = itertools.count()
        self.running = True
        self.right, self.broken, self.failures = 0, collections.Counter(), []

    def plan(self, index):
        return Plan(self.seed, index)

    async def run(self, during):
        accepting = asyncio.create_task(self.site.accept())
        await self.origin.start()
        work = [self._work(self._tunnel) for _ in range(TUNNELS)]
        work += [self._work(self._browse) for _ in range(BROWSERS)]
        await asyncio.gather(self._stop_after(during), *work)
        await self.site.settle()
        accepting.cancel()
        self.site.close()
        await self.origin.close()

    async def _stop_after(self, during):
        try:
            await during()
        finally:
            self.running = False

    async def _tunnel(self):
        await self.crowd.run(self.plan(next(self.numbers)))
        return 1

    async def _browse(self):
        exchanges = [web.Exchange(self.seed, next(self.numbers)) for _ in range(4)]
        async with asyncio.timeout(PATIENCE):
            return await web.ask(self.address, self.origin, exchanges)

    async def _work(self, what):
        while self.running:
            try:
                self.right += await what()
            except Broken as error:
                self.broken[str(error)] += 1
                await asyncio.sleep(0.02)  # what refuses at once may do so in peace
            except Exception as error:
                self.failures.append(repr(error))

    def judge(self):
        print(f"{self.right} right; broken: {dict(self.broken)}")
        failures = self.failures + self.site.failures + self.origin.failures
        assert not failures, "\n".join(failures)
        answers = {text for text in self.broken if text.startswith("HTTP/")}
        assert answers <= REFUSALS, answers - REFUSALS


def has_failed(memory, wanted):
    return memory.failures >= wanted[0] and len(memory.functions()) >= wanted[1]


def check_failures(name, memory):
    functions = memory.functions()
    assert functions != {"?"}, "no unwind tables: build with -Dc_args=-fasynchronous-unwind-tables"
    print(f"{name}: {memory.failures} allocations failed, at {memory.control.site_count} places,"
          f" in {len(functions)} functions: {' '.join(sorted(functions))}")  # fmt: skip
    assert has_failed(memory, AT_LEAST)


def run(traffic, during):
    asyncio.run(traffic.run(during))
    traffic.judge()


def check_works(traffic):
    """Everything is right: nothing is refused or broken any more."""

    async def enough():
        async with asyncio.timeout(PATIENCE):
            while traffic.right < 60:
                await asyncio.sleep(0.01)

    run(traffic, enough)
    assert not traffic.broken


async def starve(memories, seed):
    """The server, the agent or both, in bursts."""
    draw, start = random.Random(seed), time.monotonic()

    def enough(elapsed):
        wanted = WANTED if elapsed < AT_MOST else AT_LEAST
        return elapsed > GIVE_UP or all(has_failed(memory, wanted) for memory in memories)

    while not enough(time.monotonic() - start):
        short = draw.choice([memories, memories[:1], memories[1:]])
        for memory in short:
            memory.fail(draw.choice(RATES))
        await asyncio.sleep(draw.random() * BURST)
        for memory in short:
            memory.fail(0)
        await asyncio.sleep(draw.random() * PAUSE)


@pytest.mark.parametrize("json", [0, 1], ids=["binary", "json"])
def test_failing_allocations(world, seed, tmp_path, json):
    memories = [Memory(tmp_path / name, seed + i) for i, name in enumerate(("server", "agent"))]
    server = world.quick_server(prefix=memories[0].prefix, **QUICK_TIMES)
    agent = world.quick_agent(server.url, prefix=memories[1].prefix, json=json, **QUICK_TIMES,
                              **BACKOFF)  # fmt: skip
    server.wait_for(" up from")
    agent.wait_for("connected to")
    baseline = Baseline(server, agent)
    check_works(Traffic(world, server, seed))
    baseline.wait()
    run(Traffic(world, server, seed + 1), lambda: starve(memories, seed))
    check_failures("server", memories[0])
    check_failures("agent", memories[1])
    wait_until(lambda: agent.stats()["sessions"] == 1, "connected again")
    check_works(Traffic(world, server, seed + 2))
    baseline.wait()
    for memory in memories:
        memory.fail(RATES[-1])
    agent.stop()
    server.stop()


@pytest.mark.parametrize("what", ["server", "agent"])
def test_start(world, seed, tmp_path, what):
    """It says why it does not start, or it does."""
    nobody = world.site(Closed()).address
    argv = [QUICK, what, "127.0.0.1:0" if what == "server" else f"ws://{nobody}"]
    draw, outcomes = random.Random(seed), collections.Counter()
    for i in range(STARTS):
        memory = Memory(tmp_path / str(i), seed + i)
        memory.fail(draw.choice(RATES))
        program = world.run([*memory.prefix, *argv])
        wait_until(lambda: program.ended or "listening on" in program.output
                   or "next attempt" in program.output, "started or not")  # fmt: skip
        outcomes[program.ended] += 1
        if not program.ended:
            program.stop()
        else:
            assert re.search("cannot start: (out of|not enough) memory", program.output)
            program.wait_exit(1)
    print(f"{outcomes[False]} started, {outcomes[True]} did not")
    assert min(outcomes[False], outcomes[True]) > 0
