# SPDX-License-Identifier: MIT
"""
Tunnels under a check: every byte of them follows from its offset, so none can be lost, doubled or
moved unnoticed, and how each direction ends is looked at, too.
"""
import asyncio
import random
import socket
import struct
import threading

from client import Client, reset
from processes import PATIENCE, wait_until
from sites import read_exactly

PERIOD = 65521  # a prime: no window and no buffer is as long, or a multiple of it
PATTERN = memoryview(random.Random(12).randbytes(PERIOD) * 3)
PIECE = 16384


def pattern(key, offset, size):
    """The bytes of a direction; size is at most PERIOD."""
    at = (key * 7919 + offset) % PERIOD
    return PATTERN[at : at + size]


class End:
    """One end of a tunnel: writes until it is told to finish or to pause, and checks what it reads.
    `how` is how the other direction has ended: "end" or "reset"."""

    def __init__(self, sock, key_out, key_in):
        self.sock, self.key_out, self.key_in = sock, key_out, key_in
        self.sent = self.received = 0
        self.how = None
        self.goes_on, self.finishes = asyncio.Event(), False
        self.goes_on.set()
        self.random = random.Random(key_out)
        self.reader = asyncio.create_task(self._read())
        self.writer = asyncio.create_task(self._write())

    async def _read(self):
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(self.sock, PIECE):
                expected = pattern(self.key_in, self.received, len(data))
                assert data == expected, f"wrong bytes behind {self.received}"
                self.received += len(data)
            self.how = self.how or "end"
        except ConnectionError:
            self.how = "reset"

    async def _write(self):
        loop = asyncio.get_running_loop()
        try:
            while not self.finishes:
                await self.goes_on.wait()
                size = self.random.randint(1, PIECE)
                await loop.sock_sendall(self.sock, pattern(self.key_out, self.sent, size))
                self.sent += size
                await asyncio.sleep(0.1)  # many tunnels, few processors
            self.sock.shutdown(socket.SHUT_WR)
        except ConnectionError:  # which is told once: the reader may take it for an end
            self.how = "reset"

    async def finish(self):
        self.finishes = True
        self.goes_on.set()
        await self.writer

    async def reset(self):
        await self.stop()
        reset(self.sock)

    async def stop(self):
        for task in (self.reader, self.writer):
            task.cancel()
        await asyncio.gather(self.reader, self.writer, return_exceptions=True)


class Tunnel:
    """Both ends of one. `kind` says what becomes of it: see Traffic."""

    def __init__(self, number, kind, client, site):
        self.number, self.kind = number, kind
        self.client = End(client, 2 * number, 2 * number + 1)
        self.site = End(site, 2 * number + 1, 2 * number)
        self.ends = (self.client, self.site)

    def failures(self):
        for end in self.ends:
            if end.reader.done() and not end.reader.cancelled() and end.reader.exception():
                yield f"tunnel {self.number} ({self.kind}): {end.reader.exception()}"


# What becomes of the tunnels, in turn: most of them move bytes both ways all the time.
KINDS = ("busy", "busy", "busy", "busy", "idle", "client ends", "site ends", "client ended",
         "busy", "busy", "busy", "busy", "idle", "client resets", "site resets", "site ended")  # fmt: skip


class Traffic:
    """
    Tunnels through a server to sites that `make` makes the listener of. They run in a thread of
    their own, whatever the test waits for.

        busy            both ends write all the time
        idle            both ends pause once they have moved something, until finish()
        ... ended       has sent its end before break_off() is called; the other end goes on
        ... ends        sends its end in break_off()
        ... resets      resets its connection in break_off()
    """

    def __init__(self, server, make=socket.socket, count=64, host="127.0.0.1", fields=""):
        self.fields = fields  # of each CONNECT
        self.listener = make()
        self.listener.bind((host, 0))
        self.listener.listen(count)
        self.listener.settimeout(PATIENCE)
        self.address = f"{host}:{self.listener.getsockname()[1]}"
        self.is_broken_off = False
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.tunnels = [self._open(server, number) for number in range(count)]
        self.wait_advance()
        self._run(self._prepare())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def _open(self, server, number):
        client = Client(server)
        client.send(f"CONNECT {self.address} HTTP/1.1\r\n{self.fields}\r\n".encode())
        assert client.read_answer().status == 200
        client.send(struct.pack(">I", number))
        site, told = self._accept()
        assert told == struct.pack(">I", number)
        for sock in (client.socket, site):
            sock.setblocking(False)
        assert not client.buffer

        async def begin():
            return Tunnel(number, KINDS[number % len(KINDS)], client.socket, site)

        return self._run(begin())

    def _accept(self):
        """The connection of a tunnel, and its first bytes. One without any is of an open whose answer
        was lost with the agent's connection, so that it was tried again."""
        while True:
            site, _ = self.listener.accept()
            site.settimeout(PATIENCE)
            try:
                return site, read_exactly(site, 4)
            except ConnectionResetError:
                site.close()

    async def _prepare(self):
        for tunnel in self.tunnels:
            if tunnel.kind == "idle":
                for end in tunnel.ends:
                    end.goes_on.clear()
        await asyncio.gather(*(end.finish() for end in self._ends("ended")))

    def _ends(self, what):
        """The ends of which the kind of their tunnel says that."""
        for tunnel in self.tunnels:
            who, _, does = tunnel.kind.partition(" ")
            if does == what:
                yield getattr(tunnel, who)

    def break_off(self):
        """Ends and resets come now."""
        self.is_broken_off = True

        async def act():
            for end in self._ends("ends"):
                await end.finish()
            for end in self._ends("resets"):
                await end.reset()

        self._run(act())

    def check(self):
        failures = [failure for tunnel in self.tunnels for failure in tunnel.failures()]
        assert not failures, "\n".join(failures)

    def wait_advance(self, size=PIECE):
        """Until all that move bytes have got further by that many."""
        before = {end: end.received for tunnel in self.tunnels for end in tunnel.ends}
        moving = [end for tunnel in self.tunnels for end, other in (tunnel.ends, tunnel.ends[::-1])
                  if not end.reader.done() and not other.writer.done() and other.goes_on.is_set()]  # fmt: skip
        assert moving

        def advanced():
            self.check()
            behind = [end for end in moving if end.received < before[end] + size]
            for end in behind:
                assert end.how is None, f"{end.how} after {end.received} bytes"
            return not behind

        wait_until(advanced, "all tunnels move bytes")

    def finish(self):
        """All tunnels end in order, with all their bytes, but for those that have been reset."""

        async def end_all():
            for tunnel in self.tunnels:
                if not (self.is_broken_off and tunnel.kind.endswith("resets")):
                    await asyncio.gather(*(end.finish() for end in tunnel.ends))

        self._run(end_all())
        wait_until(lambda: all(end.reader.done() for tunnel in self.tunnels for end in tunnel.ends),
                   "all tunnels have ended")  # fmt: skip
        self.check()
        for tunnel in self.tunnels:
            who, _, does = tunnel.kind.partition(" ")
            if does == "resets" and self.is_broken_off:
                other = tunnel.site if who == "client" else tunnel.client
                assert other.how == "reset", (tunnel.kind, other.how)
                continue
            assert [end.how for end in tunnel.ends] == ["end", "end"], (tunnel.number, tunnel.kind)
            assert tunnel.client.received == tunnel.site.sent, tunnel.number
            assert tunnel.site.received == tunnel.client.sent, tunnel.number

    def see_resets(self):
        """All are reset at both ends, and not one direction looks complete that is not."""
        wait_until(lambda: all(end.reader.done() for tunnel in self.tunnels for end in tunnel.ends),
                   "all tunnels are reset")  # fmt: skip
        self.check()
        for tunnel in self.tunnels:
            who, _, does = tunnel.kind.partition(" ")
            for name, end in zip(("client", "site"), tunnel.ends):
                finished = does in ("ended", "ends") and who != name  # the end has been passed on
                told = end.how == "reset" or (finished and end.how == "end")
                assert told, (tunnel.number, tunnel.kind, name, end.how)

    def close(self):
        if self.loop.is_closed():
            return

        async def stop():
            for tunnel in self.tunnels:
                for end in tunnel.ends:
                    await end.stop()
                    if end.sock.fileno() >= 0:
                        reset(end.sock)

        self._run(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.listener.close()
