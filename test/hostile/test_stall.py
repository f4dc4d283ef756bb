# SPDX-License-Identifier: MIT
"""Readers that stop: each stops its own stream and nobody else's, and costs no more than is said."""
import asyncio
import socket

import pytest

from arena import KIB, SEND_LOAN, SLACK, STREAM_COST, Baseline, check_memory, forget_peak, memory
from client import reset
from crowd import PATIENCE, connect, read_head, receive, send
from payload import blocks

FAST, FAST_BYTES = 20, 4 << 20
PIECE, PERIOD = 16384, 1 << 20
DATA = b"".join(blocks(PERIOD)) * 2
CONNECTION = 16 * KIB  # what a connection costs besides its stream

FIXED = 1024  # windows do not grow
LOANS = (512 << 20) // 4  # what streams borrow of the budget at most


class Transfer:
    """One side sends, the other reads: or does not yet. The sender of a stalled one has no end of
    what to say until it is told so."""

    def __init__(self, number, size=None):
        self.number, self.size = number, size
        self.sent = 0
        self.go_on = asyncio.Event()
        if size is not None:
            self.go_on.set()

    def data(self, at, n):
        at = (at + self.number * 4099) % PERIOD
        return DATA[at : at + n]

    async def write(self, sock):
        while self.sent != self.size and (self.size or not self.go_on.is_set()):
            await send(sock, self.data(self.sent, PIECE))
            self.sent += PIECE
        sock.shutdown(socket.SHUT_WR)

    async def read(self, sock):
        await self.go_on.wait()
        at = 0
        while piece := await receive(sock, PIECE):
            assert piece == self.data(at, PIECE), f"wrong bytes behind {at}"
            at += PIECE
        assert at == self.sent


def narrow(sock):
    """So that the kernel holds little for it, at the other side too, which counts in segments."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    return sock


class Place:
    """A site that hands each connection to whoever has asked for the next one."""

    def __init__(self, make=socket.socket):
        self.make = make
        self.listener = make()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(512)
        self.listener.setblocking(False)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.lock = asyncio.Lock()

    async def open(self, server):
        """Both ends of a new tunnel, or the head of an answer that is none, and None."""
        async with self.lock:
            client = await connect(server.address, self.make())
            await send(client, f"CONNECT {self.address} HTTP/1.1\r\n\r\n".encode())
            head = await read_head(client)
            if b" 200 " not in head:
                client.close()
                return head, None
            site, _ = await asyncio.get_running_loop().sock_accept(self.listener)
            return client, site


async def run(transfer, ends, upload=False):
    client, site = ends
    source, sink = (client, site) if upload else (site, client)
    await asyncio.gather(transfer.write(source), transfer.read(sink))
    client.close()
    site.close()


async def stop_moving(transfers):
    """Returns when all have stopped in the middle."""
    before = None
    while before != (now := [t.sent for t in transfers]):
        before = now
        await asyncio.sleep(0.3)
    assert min(now) > 0


async def scene(server, agent, stalled_count):
    place, narrow_place = Place(), Place(lambda: narrow(socket.socket()))
    stalled, tasks = [], []
    for i in range(stalled_count):
        transfer = Transfer(i)
        ends = await narrow_place.open(server)
        stalled.append(transfer)
        tasks.append(asyncio.create_task(run(transfer, ends, upload=i % 2 == 1)))
    await stop_moving(stalled)
    charged = {process: process.stats()["budget_used"] for process in (server, agent)}
    for up in (False, True):
        fast = []
        for i in range(FAST):
            fast.append(run(Transfer(i, FAST_BYTES), await place.open(server), up))
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*fast)
    where = [transfer.sent for transfer in stalled]
    await stop_moving(stalled)
    assert where == [transfer.sent for transfer in stalled], "they were not at a standstill"
    for transfer in stalled:
        transfer.go_on.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*tasks)
    place.listener.close()
    narrow_place.listener.close()
    return charged


@pytest.mark.parametrize("stalled_count", [1, 2, 500])
@pytest.mark.parametrize("window_max", [FIXED, 4 << 20], ids=["fixed", "growing"])
def test_stalled_readers(world, stalled_count, window_max):
    """Downloads and uploads that stop; 20 fast ones each way meanwhile; then they go on. Windows may
    have grown before."""
    server, agent = world.quick_tunnel(window_max=window_max)
    baseline = Baseline(server, agent)
    before = {process: memory(process) for process in (server, agent)}
    for process in before:
        forget_peak(process)
    charged = asyncio.run(scene(server, agent, stalled_count))
    fixed = (stalled_count + FAST) * SEND_LOAN
    loans = min(fixed, LOANS) if window_max == FIXED else LOANS
    for process in (server, agent):
        assert 0 <= charged[process] - stalled_count * STREAM_COST <= loans
        streams = stalled_count + FAST
        check_memory(process, before[process],
                     streams * (STREAM_COST + CONNECTION) + loans + SLACK, "VmHWM")  # fmt: skip
    baseline.wait()


def test_budget(world):
    """As many streams as three quarters of a user's share of it cover, and what is not lent; further
    ones are refused, and the others go on."""
    budget = 100 * STREAM_COST * 4 // 3 * 17 // 16 + STREAM_COST
    server = world.quick_server(budget=budget, window_max=FIXED)
    agent = world.quick_agent(server.url, budget=budget, window_max=FIXED)
    server.wait_for("agent .* up from")
    agent.wait_for("connected to")
    baseline = Baseline(server, agent)
    before = {process: memory(process) for process in (server, agent)}

    async def crowd():
        place, tasks, stalled = Place(lambda: narrow(socket.socket())), [], []
        for i in range(100):
            stalled.append(Transfer(i))
            ends = await place.open(server)
            tasks.append(asyncio.create_task(run(stalled[-1], ends, upload=i % 2 == 1)))
        await stop_moving(stalled)
        idle = []
        while (ends := await place.open(server))[1] is not None:
            idle.append(ends)
        assert len(idle) < 34
        for _ in range(100):
            head, _ = await place.open(server)
            assert head.startswith(b"HTTP/1.1 429 Your share of the memory budget is used up\r\n")
        for client, site in idle:
            client.close()
            site.close()
        for process in (server, agent):
            assert 100 * STREAM_COST <= process.stats()["budget_used"] <= budget
            check_memory(process, before[process], budget + 100 * CONNECTION + SLACK)
        for transfer in stalled:
            transfer.go_on.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*tasks)
        client, site = await place.open(server)
        reset(client)
        site.close()

    asyncio.run(crowd())
    baseline.wait()
