# SPDX-License-Identifier: MIT
"""One side is killed, frozen, or cut off: that is found out in time, everybody is told, nothing is
kept, and all goes on by itself."""
import asyncio
import time

import pytest

from arena import Baseline
from client import LINGER_RESET
from crowd import PATIENCE, Broken, connect, read_head, receive, send
from netns import Machine
from processes import wait_until

import socket  # isort: skip

PING, DEAD, LATE = 0.3, 1.5, 1.5  # seconds; LATE is what a busy machine may add
TIMES = {"ping": 300, "dead": 1500}
BACKOFF = {"backoff_min": 50, "backoff_max": 300, "connect": 1500}
TUNNELS = 12


class Tunnel:
    """Its two ends, and how and when each of them came to an end."""

    def __init__(self, client, site):
        self.ends = {"client": client, "site": site}
        self.outcome = {}
        self.moved = 0
        self.tasks = []

    def watch(self, busy):
        for name, sock in self.ends.items():
            self.tasks.append(asyncio.create_task(self._read(name, sock)))
            if busy:
                self.tasks.append(asyncio.create_task(self._write(sock)))

    async def _read(self, name, sock):
        try:
            while piece := await receive(sock, 65536):
                self.moved += len(piece)
            how = "end"
        except Broken:
            how = "reset"
        self.outcome[name] = (how, time.monotonic())

    async def _write(self, sock):
        try:
            while True:
                await send(sock, bytes(65536))
        except Broken:
            pass

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for sock in self.ends.values():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            sock.close()


class Scene:
    """A server, an agent that may be on a machine of its own, a site beside the agent."""

    def __init__(self, world, machine=None):
        self.world, self.machine = world, machine
        self.server = world.quick_server("0.0.0.0:0" if machine else "127.0.0.1:0", **TIMES)
        self.listener = machine.socket() if machine else socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.site = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.agent = self.start_agent()
        self.tunnels = []

    @property
    def url(self):
        return f"ws://{self.machine.server if self.machine else '127.0.0.1'}:{self.server.port}"

    def start_agent(self):
        prefix = self.machine.prefix if self.machine else ()
        ups = len(self.server._matches(" up from"))
        agent = self.world.quick_agent(self.url, prefix=prefix, **TIMES, **BACKOFF)
        self.server.wait_for(" up from", ups + 1)
        return agent

    async def ask(self):
        client = await connect(f"127.0.0.1:{self.server.port}")
        await send(client, f"CONNECT {self.site} HTTP/1.1\r\n\r\n".encode())
        return client

    async def open(self):
        client = await self.ask()
        head = await read_head(client)
        assert b" 200 " in head, head
        site, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        self.tunnels.append(Tunnel(client, site))
        return self.tunnels[-1]

    async def fill(self, busy):
        for _ in range(TUNNELS):
            (await self.open()).watch(busy)
        if busy:
            while min(tunnel.moved for tunnel in self.tunnels) < 1_000_000:
                await asyncio.sleep(0.01)

    async def see(self, name, deadline):
        """That all ends of that name are reset, and by when."""
        for tunnel in self.tunnels:
            while name not in tunnel.outcome:
                assert time.monotonic() < deadline, f"the {name} was not told in time"
                await asyncio.sleep(0.01)
            how, when = tunnel.outcome[name]
            assert how == "reset", f"{name}: {how}"
            assert when < deadline

    async def clear(self):
        for tunnel in self.tunnels:
            await tunnel.close()
        self.tunnels.clear()

    async def works_again(self):
        """By itself, before long."""
        end = time.monotonic() + PATIENCE
        while True:
            client = await self.ask()
            head = await read_head(client)
            if b" 200 " in head:
                break
            assert head.startswith((b"HTTP/1.1 503", b"HTTP/1.1 504")), head
            client.close()
            assert time.monotonic() < end, head
            await asyncio.sleep(0.05)
        site, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        await send(client, b"ping")
        assert await receive(site, 4) == b"ping"
        await send(site, b"pong")
        assert await receive(client, 4) == b"pong"
        client.close()
        site.close()


def is_empty(process):
    stats = process.stats()
    return stats["streams"] == stats["budget_used"] == stats["pending"] == 0


async def lose_agent(scene, busy, lose, find):
    """`lose` loses it, `find` brings it, or another one, back."""
    deadline = time.monotonic() + await lose()
    waiting = await scene.ask()
    await scene.see("client", deadline)
    async with asyncio.timeout(deadline - time.monotonic()):
        head = await read_head(waiting)  # was it asked before the loss was known, or after?
    waiting.close()
    assert head.startswith((b"HTTP/1.1 503 Agent lost", b"HTTP/1.1 503 No agent available")), head
    wait_until(lambda: is_empty(scene.server), "nothing left")
    assert scene.server.stats()["agents"] == 0
    await find()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("how", ["killed", "frozen", "cut off"])
def test_agent_lost(world, how, busy):
    scene = Scene(world, world.site(Machine()) if how == "cut off" else None)
    baseline = Baseline(scene.server)

    async def lose():
        if how == "killed":
            scene.agent.kill()
            return LATE
        if how == "frozen":
            scene.agent.freeze()
        else:
            scene.machine.cut()
        return DEAD + LATE

    async def find():
        if how == "killed":
            scene.agent = scene.start_agent()
        elif how == "frozen":
            scene.agent.thaw()
        else:
            await scene.see("site", time.monotonic() + DEAD + LATE)
            wait_until(lambda: is_empty(scene.agent), "nothing left at the agent")
            scene.machine.mend()

    async def play():
        await scene.fill(busy)
        await lose_agent(scene, busy, lose, find)
        await scene.works_again()
        if how == "frozen":
            await scene.see("site", time.monotonic() + LATE)
        await scene.clear()
        wait_until(lambda: is_empty(scene.agent), "nothing left at the agent")

    asyncio.run(play())
    baseline.wait()
    scene.listener.close()


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_server_lost(world, how, busy):
    scene = Scene(world)
    baseline = Baseline(scene.agent)

    async def play():
        await scene.fill(busy)
        deadline = time.monotonic() + LATE
        if how == "killed":
            scene.server.kill()
        else:
            scene.server.freeze()
            deadline += DEAD
        await scene.see("site", deadline)
        wait_until(lambda: is_empty(scene.agent), "nothing left")
        assert scene.agent.stats()["sessions"] == 0
        if how == "killed":
            scene.server = world.quick_server(scene.server.address, **TIMES)
        else:
            scene.server.thaw()
            await scene.see("client", time.monotonic() + LATE)
        await scene.works_again()
        await scene.clear()
        wait_until(lambda: is_empty(scene.server), "nothing left at the server")

    asyncio.run(play())
    baseline.wait()
    scene.listener.close()


def test_short_freezes_harm_nobody(world):
    """Shorter than the time after which the other side is given up: no byte is lost."""
    scene = Scene(world)

    async def play():
        tunnels = [await scene.open() for _ in range(4)]
        data = bytes(range(256)) * 65536

        async def move(tunnel):
            client, site = tunnel.ends.values()
            sending = asyncio.gather(send(client, data), send(site, data))
            for sock in (client, site):
                assert await receive(sock, len(data)) == data
            await sending

        async def freeze():
            for process in (scene.agent, scene.server) * 3:
                process.freeze()
                await asyncio.sleep(DEAD / 5)
                process.thaw()
                await asyncio.sleep(0.05)

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(freeze(), *map(move, tunnels))
        await scene.clear()

    asyncio.run(play())
    assert "down" not in scene.server.output
    scene.listener.close()


def test_twin_of_a_frozen_agent(world):
    """From the time that a ping has stayed without an answer for 2 s, requests go to the twin, though
    it has more to do; what the frozen one was asked before is done when it goes on."""
    times = {"ping": 500, "dead": 60000, "dial": 60000}
    server = world.quick_server(**times)
    agents = [world.quick_agent(server.url, "twin", **times) for _ in range(2)]
    server.wait_for("agent twin .* up from", 2)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    listener.setblocking(False)
    destination = "127.0.0.1:%d" % listener.getsockname()[1]

    async def ask():
        client = await connect(server.address)
        await send(client, f"CONNECT {destination} HTTP/1.1\r\n\r\n".encode())
        return client

    async def open_tunnel():
        async with asyncio.timeout(LATE):
            client = await ask()
            assert b" 200 " in await read_head(client)
        return client

    async def play():
        loop = asyncio.get_running_loop()
        for _ in range(10):  # five each
            await open_tunnel()
            await loop.sock_accept(listener)
        assert [agent.stats()["streams"] for agent in agents] == [5, 5]
        frozen, twin = agents
        frozen.freeze()
        since = time.monotonic()
        stuck = [await ask() for _ in range(4)]  # some of these, it is not suspected yet
        await asyncio.sleep(times["ping"] / 1000 + 2 + LATE / 2 - (time.monotonic() - since))
        before = twin.stats()["streams"]
        for _ in range(20):
            await open_tunnel()
        assert twin.stats()["streams"] == before + 20
        frozen.thaw()
        async with asyncio.timeout(LATE):
            for client in stuck:
                assert b" 200 " in await read_head(client)

    asyncio.run(play())
    assert "down" not in server.output
    listener.close()
    for process in (server, *agents):  # the tunnels are open: at once
        process.terminate()
        process.wait_for("leaving")
        process.stop(128 + 15)
