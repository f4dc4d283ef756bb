#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What tunnels cost: bytes, connections and memory, of one build or of two of them compared.

    meson setup build-release --buildtype=release && ninja -C build-release
    test/bench/tunnel.py build-release                       # figures
    test/bench/tunnel.py --pairs 7 build-before build-after  # and ratios, after / before
    test/bench/tunnel.py --tls build-release                 # https:// proxy, wss:// agent

Server and agent of each build run over loopback, next to an origin and clients: this script.
Two builds take turns, the first of a pair changing, so that what else the machine does hits both;
told are the median over the pairs and, in brackets, the least and the most.

    download, upload    MB/s through one tunnel, and CPU seconds a GiB of server and agent together
    connects            CONNECTs a second, one after the other and 64 at a time, and CPU
                        milliseconds each: a new connection of the client's, one of the agent's to
                        the origin, which hangs up, and the end of both
    memory              MiB resident, server and agent together: idle, and KiB more for each of 1000
                        idle tunnels

CPU figures vary less than times where cores are few: server, agent, client and origin share them.
"""
import argparse
import concurrent.futures
import contextlib
import multiprocessing
import os
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PIECE = 1 << 18
GIB = 1 << 30
TICK = os.sysconf("SC_CLK_TCK")
CONNECTS = 2000
ABREAST = 64
IDLE = 1000


class Origin:
    """Says on each connection what its first line asks for: "GET n", "PUT n", or else nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        multiprocessing.get_context("fork").Process(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.converse, args=(conn,), daemon=True).start()

    @staticmethod
    def converse(conn):
        with conn, contextlib.suppress(ConnectionResetError):  # clients need not say goodbye
            line = conn.makefile("rb", buffering=0).readline().split()
            if len(line) != 2:
                return
            left, block = int(line[1]), bytearray(PIECE)
            while line[0] == b"GET" and left > 0:
                conn.sendall(memoryview(block)[:left])
                left -= PIECE
            if line[0] == b"PUT":
                while left > 0:
                    left -= conn.recv_into(block) or sys.exit("upload cut short")
                conn.sendall(b"!")


class Run:
    """The programs of one build."""

    def __init__(self, build, certificate, port):
        self.origin_port = port
        self.tls = None
        server, agent = [], []
        if certificate is not None:
            chain, key = certificate
            server, agent = ["--cert", chain, "--key", key], ["--ca", chain]
            self.tls = ssl.create_default_context(cafile=chain)
        programs = Path(build) / "examples"
        self.processes = [self.start(programs / "wstunnel-server", "--listen", "127.0.0.1:0",
                                     *server)]  # fmt: skip
        listening = self.wait_for(0, b"listening on ")
        self.port = int(listening.split(b"listening on ")[1].split()[0].rsplit(b":", 1)[1])
        url = f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}"
        self.processes.append(self.start(programs / "wstunnel-agent", *agent, url))
        self.wait_for(0, b" up from ")
        for process in self.processes:
            threading.Thread(target=process.stdout.read, daemon=True).start()

    @staticmethod
    def start(*argv):
        return subprocess.Popen(
            [str(arg) for arg in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def wait_for(self, which, text):
        for line in self.processes[which].stdout:
            if text in line:
                return line
        sys.exit(f"{self.processes[which].args[0]} says nothing of {text!r}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def cpu_s(self):
        total = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def rss_kib(self):
        status = [Path(f"/proc/{p.pid}/status").read_text() for p in self.processes]
        return sum(int(text.split("VmRSS:")[1].split()[0]) for text in status)

    def request(self):
        return f"CONNECT 127.0.0.1:{self.origin_port} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_hostname="127.0.0.1")
        return sock

    def tunnel(self):
        sock = self.connect()
        sock.sendall(self.request())
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096) or sys.exit("no tunnel")
        if b" 200 " not in head[:16]:
            sys.exit(f"no tunnel: {head!r}")
        return sock


def transfer(run, verb, size):
    block = bytearray(PIECE)
    with run.tunnel() as sock:
        cpu, begun = run.cpu_s(), time.monotonic()
        sock.sendall(f"{verb} {size}\n".encode())
        left = size
        while verb == "GET" and left > 0:
            left -= sock.recv_into(block) or sys.exit("download cut short")
        if verb == "PUT":
            for _ in range(size // PIECE):
                sock.sendall(block)
            if sock.recv(1) != b"!":
                sys.exit("upload cut short")
        took = time.monotonic() - begun
        return size / 1e6 / took, (run.cpu_s() - cpu) * GIB / size


def visit(run):
    with run.tunnel() as sock:
        sock.sendall(b"\n")
        if sock.recv(1) != b"":  # or the origin would fall behind
            sys.exit("the origin does not hang up")


def connects(run, abreast):
    cpu, begun = run.cpu_s(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(abreast) as pool:
        for done in [pool.submit(visit, run) for _ in range(CONNECTS)]:
            done.result()
    return CONNECTS / (time.monotonic() - begun), (run.cpu_s() - cpu) * 1000 / CONNECTS


def memory(run):
    idle = run.rss_kib()
    tunnels = [run.tunnel() for _ in range(IDLE)]
    grown = run.rss_kib() - idle
    for sock in tunnels:
        sock.close()
    return idle / 1024, grown / IDLE


def measure(build, certificate, port, size):
    with Run(build, certificate, port) as run:
        idle, each = memory(run)
    with Run(build, certificate, port) as run:
        down, down_cpu = transfer(run, "GET", size)
        up, up_cpu = transfer(run, "PUT", size)
        alone, alone_cpu = connects(run, 1)
        many, many_cpu = connects(run, ABREAST)
    return {
        "download MB/s": down,
        "download CPU s/GiB": down_cpu,
        "upload MB/s": up,
        "upload CPU s/GiB": up_cpu,
        "connects/s": alone,
        "connect CPU ms": alone_cpu,
        f"connects/s, {ABREAST} at a time": many,
        f"connect CPU ms, {ABREAST} at a time": many_cpu,
        "memory idle MiB": idle,
        "memory a tunnel KiB": each,
    }


def make_certificate(directory):
    chain, key = Path(directory) / "cert.pem", Path(directory) / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=benchmark", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", chain],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return chain, key


def tell(values):
    return f"{statistics.median(values):9.2f} [{min(values):.2f}, {max(values):.2f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("build", nargs="+", help="one build directory, or two to compare")
    parser.add_argument("--pairs", type=int, default=5, help="how often (default 5)")
    parser.add_argument("--mib", type=int, default=1024, help="of each transfer (default 1024)")
    parser.add_argument("--tls", action="store_true", help="https:// proxy and wss:// agent")
    options = parser.parse_args()
    if len(options.build) > 2:
        parser.error("two builds at most")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    origin = Origin()
    with tempfile.TemporaryDirectory() as directory:
        certificate = make_certificate(directory) if options.tls else None
        results = [[] for _ in options.build]
        for pair in range(options.pairs):
            order = range(len(options.build))
            for which in order if pair % 2 == 0 else reversed(order):
                results[which].append(
                    measure(options.build[which], certificate, origin.port, options.mib << 20)
                )
    for name in results[0][0]:
        columns = [[run[name] for run in runs] for runs in results]
        line = f"{name:34}" + "".join(f"{tell(column):32}" for column in columns)
        if len(columns) == 2:
            line += "ratio " + tell([b / a for a, b in zip(*columns)])
        print(line)


if __name__ == "__main__":
    main()
