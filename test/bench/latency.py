#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What comes through one tunnel where the round trip between server and agent is long.

    meson setup build-release --buildtype=release && ninja -C build-release
    test/bench/latency.py build-release [build-other ...]

Told are MB/s of a download and of an upload for each round trip: of 1 MiB, or of as much more as takes
3 s, at most --mib. It is the median of --times runs and, in brackets, the least and the most;
the builds take turns. A relay
between agent and server holds back what it reads for half the round trip, each way, and bounds
nothing else. It and the clients are this script, which limits what can be measured to some hundreds
of MB/s.
"""
import argparse
import asyncio
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path

PIECE = 1 << 18


class Relay:
    """Connections to `port` here go to `target`, each direction `delay` seconds late."""

    def __init__(self):
        self.delay, self.target = 0, None
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self.accept, "127.0.0.1", 0, limit=PIECE), self.loop).result()
        self.port = server.sockets[0].getsockname()[1]

    async def accept(self, reader, writer):
        onward = await asyncio.open_connection("127.0.0.1", self.target, limit=PIECE)
        await asyncio.gather(self.carry(reader, onward[1]), self.carry(onward[0], writer))

    async def carry(self, reader, writer):
        queue = asyncio.Queue()

        async def deliver():
            while True:
                due, data = await queue.get()
                await asyncio.sleep(due - self.loop.time())
                if not data:
                    break
                writer.write(data)
            writer.close()

        delivery = asyncio.ensure_future(deliver())
        data = b"?"
        while data:
            try:
                data = await reader.read(PIECE)
            except ConnectionError:
                data = b""
            queue.put_nowait((self.loop.time() + self.delay, data))
        await delivery


def serve_origin():
    """For each connection what its first line asks for: "GET n" or "PUT n"."""
    listener = socket.create_server(("127.0.0.1", 0))

    def converse(conn):
        with conn:
            what, length = conn.makefile("rb", buffering=0).readline().split()
            left, block = int(length), bytearray(PIECE)
            if what == b"GET":
                conn.sendall(bytes(left))
            while what == b"PUT" and left > 0:
                left -= conn.recv_into(block) or left
            conn.sendall(b"!")

    def run():
        while True:
            threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


class Build:
    def __init__(self, path, relay):
        programs = Path(path) / "examples"
        self.name, self.relay = path, relay
        self.processes = [self.start(programs / "wstunnel-server", "--listen", "127.0.0.1:0")]
        self.port = int(self.wait_for(0, "listening on ").rsplit(":", 1)[1].split()[0])
        relay.target = self.port
        self.processes.append(
            self.start(programs / "wstunnel-agent", f"ws://127.0.0.1:{relay.port}"))  # fmt: skip
        self.wait_for(0, " up from ")
        time.sleep(4 * relay.delay)  # till the first ping is answered
        for process in self.processes:
            threading.Thread(target=process.stdout.read, daemon=True).start()

    @staticmethod
    def start(program, *arguments):
        return subprocess.Popen([program, *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)  # fmt: skip

    def wait_for(self, index, text):
        for line in self.processes[index].stdout:
            if text in line:
                return line
        raise SystemExit(f"{self.name}: no '{text}'")

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def measure(self, what, length, origin):
        """How many seconds it takes."""
        with socket.create_connection(("127.0.0.1", self.port)) as conn:
            conn.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % origin)
            answer = conn.makefile("rb", buffering=0)
            if b" 200 " not in answer.readline():
                raise SystemExit(f"{self.name}: no tunnel")
            while answer.readline() != b"\r\n":
                pass
            start = time.monotonic()
            conn.sendall(b"%s %d\n" % (what, length))
            if what == b"PUT":
                conn.sendall(bytes(length))
            left, block = length + 1 if what == b"GET" else 1, bytearray(PIECE)
            while left > 0:
                left -= conn.recv_into(block) or left
            return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("builds", nargs="+")
    parser.add_argument("--rtt", type=int, nargs="+", default=[0, 10, 50, 100, 200], help="ms")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--mib", type=int, default=64, help="at most")
    options = parser.parse_args()
    origin, relay = serve_origin(), Relay()
    print(f"{'rtt ms':>6}  {'':9}" + "".join(f"{name:>30}" for name in options.builds))
    for rtt in options.rtt:
        relay.delay = rtt / 2000
        figures = {(name, what): [] for name in options.builds for what in (b"GET", b"PUT")}
        for _ in range(options.times):
            for name in options.builds:
                build = Build(name, relay)
                for what in (b"GET", b"PUT"):
                    length, seconds = 1 << 20, 0
                    while seconds < 3 and length <= options.mib << 20:
                        seconds = build.measure(what, length, origin)
                        rate = length / 1e6 / seconds
                        length *= 8
                    figures[name, what].append(rate)
                build.stop()
        for what, label in (b"GET", "download"), (b"PUT", "upload"):
            row = f"{rtt:6}  {label:9}"
            for name in options.builds:
                rates = figures[name, what]
                row += f"{statistics.median(rates):14.2f} [{min(rates):.2f}-{max(rates):.2f}]".rjust(30)
            print(row, flush=True)


if __name__ == "__main__":
    main()
