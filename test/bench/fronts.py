#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the front ends cost beside each other: CONNECT, SOCKS5 and a fixed port of one server.

    test/bench/fronts.py build-release

All lead to one origin through one agent, over loopback. They take turns, CONNECT twice: its second
column, against the first, is the null control. Told are the medians over the rounds, and their
ratios to the first column with the least and the most.
"""
import argparse
import socket
import sys
import threading
from pathlib import Path

import tunnel

SOCKS_REQUEST = b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1")


class Fronts(tunnel.Run):
    """The programs of a build, with an address for each front end."""

    def __init__(self, build, port):
        self.origin_port, self.tls = port, None
        programs = Path(build) / "examples"
        self.processes = [self.start(programs / "wstunnel-server", "--listen",
                                     "127.0.0.1:0,connect,agents,socks", "--port",
                                     f"127.0.0.1:0=127.0.0.1:{port}")]  # fmt: skip
        self.port = self.port_in(self.wait_for(0, b"listening on "))
        self.fixed = self.port_in(self.wait_for(0, b"port "))
        self.processes.append(self.start(programs / "wstunnel-agent",
                                         f"ws://127.0.0.1:{self.port}"))  # fmt: skip
        self.wait_for(0, b" up from ")
        for process in self.processes:
            threading.Thread(target=process.stdout.read, daemon=True).start()

    @staticmethod
    def port_in(line):
        return int(line.split(b"127.0.0.1:")[1].split()[0])


class Front:
    """One front end of them, as tunnel.py's functions take it."""

    def __init__(self, fronts, tunnel_of):
        self.cpu_s = fronts.cpu_s
        self.tunnel = lambda: tunnel_of(fronts)


def by_socks(fronts):
    sock = fronts.connect()
    # All at once, as a client without a password may.
    sock.sendall(b"\x05\x01\x00" + SOCKS_REQUEST + fronts.origin_port.to_bytes(2, "big"))
    answer = b""
    while len(answer) < 12:
        answer += sock.recv(12 - len(answer)) or sys.exit("no tunnel by SOCKS5")
    if answer[3] != 0:
        sys.exit(f"no tunnel by SOCKS5: {answer!r}")
    return sock


def by_port(fronts):
    return socket.create_connection(("127.0.0.1", fronts.fixed))


def measure(front, size):
    figures = {}
    for verb, name in (("GET", "download"), ("PUT", "upload")):
        figures[f"{name}, MB/s"], figures[f"{name}, CPU s/GiB"] = tunnel.transfer(front, verb, size)
    for abreast in (1, 64):
        rate, cpu = tunnel.connects(front, abreast)
        figures[f"connections/s, {abreast} at a time"] = rate
        figures[f"CPU ms each, {abreast} at a time"] = cpu
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("build", help="a build directory")
    parser.add_argument("--rounds", type=int, default=5, help="how often (default 5)")
    parser.add_argument("--mib", type=int, default=512, help="of each transfer (default 512)")
    options = parser.parse_args()
    origin = tunnel.Origin()
    names = {"CONNECT": tunnel.Run.tunnel, "CONNECT again": tunnel.Run.tunnel,
             "SOCKS5": by_socks, "port": by_port}  # fmt: skip
    results = {name: [] for name in names}
    for turn in range(options.rounds):
        order = list(names) if turn % 2 == 0 else list(reversed(names))
        for name in order:
            with Fronts(options.build, origin.port) as fronts:
                results[name].append(measure(Front(fronts, names[name]), options.mib << 20))
    for figure in results["CONNECT"][0]:
        columns = [[run[figure] for run in results[name]] for name in names]
        print(f"{figure:30}{tunnel.tell(columns[0])}")
        for name, column in list(zip(names, columns))[1:]:
            ratios = [b / a for a, b in zip(columns[0], column)]
            print(f"    {name:26}{tunnel.tell(column):32}ratio {tunnel.tell(ratios)}")


if __name__ == "__main__":
    main()
