# SPDX-License-Identifier: MIT
"""One side is killed, frozen, or cut off: that is found out in time, everybody is told, nothing is
kept, and all goes on by itself. Without resuming, for which test_resume_network.py is."""
import asyncio
import socket
import time

import pytest

from arena import Baseline
from client import reset
from crowd import PATIENCE, Broken, connect, read_head, receive, send
from netns import Machine
from processes import wait_until
from sites import Deaf

DEAD = 2  # seconds; the programs' default, 45, would take too long
LATE = 15  # what a busy machine may add to it
TIMES = {"ping": 400, "dead": DEAD * 1000, "dial": 60000, "no_resume": 1}
BACKOFF = {"backoff_min": 50, "backoff_max": 300, "connect": DEAD * 1000}
TUNNELS = 12


class End:
    """One end of a tunnel: reads all the time, writes all the time if it is busy, and knows how the
    connection came to its end."""

    def __init__(self, sock, busy):
        self.sock, self.moved, self.how = sock, 0, None
        self.task = asyncio.create_task(self._watch(busy))

    async def _watch(self, busy):
        both = [asyncio.create_task(self._read())]
        if busy:
            both.append(asyncio.create_task(self._write()))
        # A reset is told once, to whichever of them comes first; to the other it looks like an end.
        results = await asyncio.gather(*both, return_exceptions=True)
        is_reset = any(isinstance(result, ConnectionResetError) for result in results)
        self.how = "reset" if is_reset else f"no reset: {results}"

    async def _read(self):
        while piece := await asyncio.get_running_loop().sock_recv(self.sock, 65536):
            self.moved += len(piece)

    async def _write(self):
        while True:
            await asyncio.get_running_loop().sock_sendall(self.sock, bytes(65536))

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        reset(self.sock)


class Scene:
    """A server; an agent, which may be on a machine of its own; beside the agent a site, and one
    that does not answer."""

    def __init__(self, world, machine=None):
        self.world, self.machine = world, machine
        make = machine.socket if machine else socket.socket
        self.server = world.quick_server("0.0.0.0:0" if machine else "127.0.0.1:0", **TIMES)
        self.listener = make()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.site = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.deaf = world.site(Deaf(make)).address
        self.agent = self.start_agent()
        self.clients, self.sites = [], []

    def start_agent(self):
        host = self.machine.server if self.machine else "127.0.0.1"
        prefix = self.machine.prefix if self.machine else ()
        ups = self.server.output.count(" up from")
        url = f"ws://{host}:{self.server.port}"
        agent = self.world.quick_agent(url, prefix=prefix, **TIMES, **BACKOFF)
        self.server.wait_for(" up from", ups + 1)
        agent.wait_for("connected to")
        return agent

    async def ask(self, destination):
        client = await connect(f"127.0.0.1:{self.server.port}")
        await send(client, f"CONNECT {destination} HTTP/1.1\r\n\r\n".encode())
        return client

    async def fill(self, busy):
        """Opens all tunnels, idle or busy, and has one client wait for an answer."""
        for _ in range(TUNNELS):
            client = await self.ask(self.site)
            head = await read_head(client)
            assert b" 200 " in head, head
            site, _ = await asyncio.get_running_loop().sock_accept(self.listener)
            self.clients.append(End(client, busy))
            self.sites.append(End(site, busy))
        self.waiting = await self.ask(self.deaf)
        wait_until(lambda: self.agent.stats()["streams"] == TUNNELS + 1, "dialling")
        while busy and min(end.moved for end in self.clients + self.sites) < 1_000_000:
            await asyncio.sleep(0.01)

    async def see_resets(self, ends, seconds):
        """That all of them are told, by a reset, and in time."""
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(end.task for end in ends))
        assert {end.how for end in ends} == {"reset"}

    async def clear(self):
        for end in self.clients + self.sites:
            await end.close()

    async def works_again(self):
        """By itself, before long."""
        end = time.monotonic() + PATIENCE
        head = b""
        while b" 200 " not in head:
            assert time.monotonic() < end, head
            client = await self.ask(self.site)
            head = await read_head(client)
            if b" 200 " not in head:
                assert head.startswith((b"HTTP/1.1 503", b"HTTP/1.1 504")), head
                client.close()
                await asyncio.sleep(0.05)
        await send(client, b"ping")
        site = await self._accept(b"ping")
        await send(site, b"pong")
        assert await receive(client, 4) == b"pong"
        client.close()
        site.close()

    async def _accept(self, greeting):
        """Before it, a connection may wait that a frozen agent was asked for and has no use for."""
        async with asyncio.timeout(PATIENCE):
            while True:
                site, _ = await asyncio.get_running_loop().sock_accept(self.listener)
                try:
                    if await receive(site, len(greeting)) == greeting:
                        return site
                except Broken:
                    pass
                site.close()

    def end(self):
        """While there is still a link over which they can part."""
        self.agent.stop()
        self.server.stop()
        self.listener.close()


def is_empty(process):
    stats = process.stats()
    return stats["streams"] == stats["budget_used"] == stats["pending"] == stats["sessions"] == 0


async def agent_is_lost(scene, seconds):
    """What the server and its clients see of it."""
    late = await scene.ask(scene.site)  # perhaps before the loss is known, perhaps after
    await scene.see_resets(scene.clients, seconds)
    async with asyncio.timeout(LATE):
        assert (await read_head(scene.waiting)).startswith(b"HTTP/1.1 503 Agent lost\r\n")
        head = await read_head(late)
    assert head.startswith((b"HTTP/1.1 503 Agent lost", b"HTTP/1.1 503 No agent available")), head
    scene.waiting.close()
    late.close()
    wait_until(lambda: is_empty(scene.server), "nothing left at the server")
    assert scene.server.stats()["agents"] == 0
    now = await scene.ask(scene.site)
    assert (await read_head(now)).startswith(b"HTTP/1.1 503 No agent available\r\n")
    now.close()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("how", ["killed", "frozen", "cut off"])
def test_agent_lost(world, how, busy):
    scene = Scene(world, world.site(Machine()) if how == "cut off" else None)
    baseline = Baseline(scene.server)

    async def play():
        await scene.fill(busy)
        if how == "killed":
            scene.agent.kill()
            await agent_is_lost(scene, LATE)
            await scene.see_resets(scene.sites, LATE)
            scene.agent = scene.start_agent()
        elif how == "frozen":
            scene.agent.freeze()
            await agent_is_lost(scene, DEAD + LATE)
            scene.agent.thaw()
            await scene.see_resets(scene.sites, LATE)
        else:
            scene.machine.cut()
            await agent_is_lost(scene, DEAD + LATE)
            await scene.see_resets(scene.sites, LATE)
            wait_until(lambda: is_empty(scene.agent), "nothing left at the agent")
            scene.machine.mend()
        await scene.works_again()
        await scene.clear()
        wait_until(lambda: scene.agent.stats()["budget_used"] == 0, "nothing left at the agent")

    asyncio.run(play())
    baseline.wait()
    scene.end()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("how", ["killed", "frozen", "cut off"])
def test_server_lost(world, how, busy):
    scene = Scene(world, world.site(Machine()) if how == "cut off" else None)
    baseline = Baseline(scene.agent)

    async def play():
        await scene.fill(busy)
        if how == "killed":
            scene.server.kill()
            await scene.see_resets(scene.clients + [End(scene.waiting, False)], LATE)
        elif how == "frozen":
            scene.server.freeze()
        else:
            scene.machine.cut_server()
        await scene.see_resets(scene.sites, DEAD + LATE)
        wait_until(lambda: is_empty(scene.agent), "nothing left at the agent")
        if how == "killed":
            scene.server = world.quick_server(scene.server.address, **TIMES)
        else:
            scene.server.thaw() if how == "frozen" else scene.machine.mend_server()
            await scene.see_resets(scene.clients, DEAD + LATE)
            assert (await read_head(scene.waiting)).startswith(b"HTTP/1.1 503 Agent lost\r\n")
        scene.waiting.close()
        await scene.works_again()
        await scene.clear()
        wait_until(lambda: scene.server.stats()["budget_used"] == 0, "nothing left at the server")

    asyncio.run(play())
    baseline.wait()
    scene.end()


def test_short_freezes_harm_nobody(world):
    """Shorter than the time after which the other side is given up: no byte is lost."""
    server, agent = world.quick_tunnel(ping=400, dead=60000)
    data = bytes(range(256)) * 65536

    async def play():
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        site = "127.0.0.1:%d" % listener.getsockname()[1]

        async def move():
            client = await connect(server.address)
            await send(client, f"CONNECT {site} HTTP/1.1\r\n\r\n".encode())
            assert b" 200 " in await read_head(client)
            there, _ = await asyncio.get_running_loop().sock_accept(listener)
            sending = asyncio.gather(send(client, data), send(there, data))
            for sock in (client, there):
                assert await receive(sock, len(data)) == data
            await sending
            client.close()
            there.close()

        async def freeze():
            for process in (agent, server) * 3:
                process.freeze()
                await asyncio.sleep(0.8)  # two pings
                process.thaw()
                await asyncio.sleep(0.05)

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(freeze(), *(move() for _ in range(4)))
        listener.close()

    asyncio.run(play())
    assert " down" not in server.output


class Twins:
    """A server and two agents of one name. One has much to do, so that requests go to the other,
    which is then frozen."""

    LOAD = 60

    def __init__(self, world, **times):
        self.world, self.times = world, times
        self.server = world.quick_server(**times)
        self.busy = world.quick_agent(self.server.url, "twin", **times)
        self.server.wait_for("agent twin .* up from")
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.site = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.clients = []

    async def prepare(self):
        await asyncio.gather(*[await self.ask() for _ in range(self.LOAD)])
        self.frozen = self.world.quick_agent(self.server.url, "twin", **self.times)
        self.server.wait_for("agent twin .* up from", 2)
        self.frozen.freeze()

    async def ask(self):
        """A task that waits for the answer, which must be the right one."""
        client = await connect(self.server.address)
        self.clients.append(client)
        await send(client, f"CONNECT {self.site} HTTP/1.1\r\n\r\n".encode())
        return asyncio.create_task(self._see_opened(client))

    async def _see_opened(self, client):
        async with asyncio.timeout(PATIENCE):
            assert await read_head(client) == b"HTTP/1.1 200 Connection established\r\n\r\n"

    def end(self):
        for client in self.clients:
            client.close()
        self.listener.close()


def test_twin_of_a_frozen_agent(world):
    """As soon as a ping has stayed without an answer for 2 s requests go to the twin, though it has
    more to do; what the frozen one was asked before is done when it goes on."""
    twins = Twins(world, ping=400, dead=60000, dial=60000)

    async def play():
        await twins.prepare()
        asked = [await twins.ask()]
        while not any(answer.done() for answer in asked):
            assert len(asked) < twins.LOAD, "none of them has gone to the twin"
            await asyncio.wait(asked, timeout=0.2)
            asked.append(await twins.ask())
        more = [await twins.ask() for _ in range(20)]
        await asyncio.gather(*more)
        stuck = [answer for answer in asked if not answer.done()]
        assert len(stuck) > 0
        served = len(asked) + len(more) - len(stuck)
        assert twins.busy.stats()["streams"] == twins.LOAD + served
        twins.frozen.thaw()
        await asyncio.gather(*asked)
        assert twins.frozen.stats()["streams"] == len(stuck)

    asyncio.run(play())
    assert " down" not in twins.server.output
    twins.end()


def test_twin_takes_over(world):
    """What a frozen agent was asked goes to its twin when it is given up: no byte has passed."""
    twins = Twins(world, **TIMES)

    async def play():
        await twins.prepare()
        asked = [await twins.ask() for _ in range(10)]
        wait_until(lambda: twins.server.stats()["pending"] == 10, "asked")
        await asyncio.gather(*asked)
        assert twins.busy.stats()["streams"] == twins.LOAD + 10

    asyncio.run(play())
    twins.server.wait_for("agent twin .* down")
    twins.end()
