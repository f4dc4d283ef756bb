# SPDX-License-Identifier: MIT
"""The emulated link, with real sockets. No test depends on the speed of the machine: times are
lower bounds. test/unit/bench/test_link_line.c tests the arithmetic in virtual time.

./test/run.sh and --ci run this file and test_lab.py; --ci also runs the laboratory with --quick. All
measurements are made on demand (README.md)."""
import os
import random
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lab.link import Link, Unavailable

PROGRAM = Path(os.environ.get("WSTUNNEL_BUILD", "build-release")) / "test" / "bench_link"
UDP = 28  # bytes of IP and UDP headers
DATAGRAM = 1000
PATIENCE_S = 60


@pytest.fixture
def link_of():
    links = []

    def make(**options):
        try:
            links.append(Link(PROGRAM, **options).__enter__())
        except Unavailable as error:
            pytest.skip(f"NOT TESTED: no emulated link here: {error}")
        return links[-1]

    yield make
    for link in links:
        link.close()


def udp_socket(link, end):
    with link.inside(end):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind((link.address(end), 0))
    sock.settimeout(PATIENCE_S)
    return sock


def udp_pair(link):
    near, far = udp_socket(link, "near"), udp_socket(link, "far")
    near.connect(far.getsockname())
    far.connect(near.getsockname())
    return near, far


def datagram(number, size=DATAGRAM):
    return number.to_bytes(4, "big") + random.Random(number).randbytes(size - 4)


def numbers(sock, last):
    """The numbers of the datagrams that come, up to `last`, each with its contents checked."""
    seen = []
    while last not in seen[-1:]:
        data = sock.recv(1 << 16)
        seen.append(int.from_bytes(data[:4], "big"))
        assert data == datagram(seen[-1], len(data))
    return seen


class Losses:
    """splitmix64, as the link draws it for each packet."""

    def __init__(self, seed, percent):
        self.state, self.loss = seed, percent / 100

    def next(self):
        mask = (1 << 64) - 1
        self.state = z = (self.state + 0x9E3779B97F4A7C15) & mask
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        return ((z ^ z >> 31) >> 11) / (1 << 53) < self.loss


@pytest.mark.parametrize("delay_ms", [0.25, 20, 300])
def test_delay_is_at_least_what_was_asked(link_of, delay_ms):
    near, far = udp_pair(link_of(delay_ms=delay_ms))
    for sender, receiver in [(near, far), (far, near)]:
        for number in range(3):
            sent = time.monotonic()
            sender.send(datagram(number))
            numbers(receiver, number)
            assert time.monotonic() - sent >= delay_ms / 1000


def test_rate_is_not_exceeded(link_of):
    count, rate_mbit = 200, 8
    link = link_of(rate_mbit=rate_mbit, queue=count * (DATAGRAM + UDP))
    near, far = udp_pair(link)
    begun = time.monotonic()
    for number in range(count):
        near.send(datagram(number))
    assert numbers(far, count - 1) == list(range(count))
    assert time.monotonic() - begun >= count * (DATAGRAM + UDP) * 8 / (rate_mbit * 1e6)


@pytest.mark.parametrize(("end", "seed"), [("near", 7), ("far", 8)])
def test_losses_are_those_of_the_seed(link_of, end, seed):
    count, percent = 2000, 5
    link = link_of(loss=percent, seed=7)
    pair = udp_pair(link)
    near, far = pair if end == "near" else reversed(pair)
    losses = Losses(seed, percent)
    expected = [number for number in range(count) if not losses.next()]
    seen = []
    for begin in range(0, count, 100):  # a hundred at a time: no queue of the kernel overflows
        for number in range(begin, begin + 100):
            near.send(datagram(number))
        seen += numbers(far, max(n for n in expected if n < begin + 100))
    assert seen == expected
    figures = link.statistics()[end]
    assert figures["packets"] == len(expected)
    assert figures["bytes"] == len(expected) * (DATAGRAM + UDP)
    assert figures["lost"] == count - len(expected)


def test_queue_is_bounded(link_of):
    """A burst of a hundred, of which ten fit, into a line that needs eight seconds for each."""
    link = link_of(rate_mbit=0.001, queue=10 * (DATAGRAM + UDP))
    near, _ = udp_pair(link)
    for number in range(100):
        near.send(datagram(number))
    deadline = time.monotonic() + PATIENCE_S
    while (figures := link.statistics()["near"])["dropped"] < 80:
        assert time.monotonic() < deadline, figures
    assert figures["dropped"] <= 90
    assert figures["queue_most"] <= 10 * (DATAGRAM + UDP)


def test_overflow_of_a_device_is_reported(link_of):
    """The program stands still during a burst that the device's queue of 10,000 cannot hold."""
    link = link_of(queue=1 << 30, rate_mbit=10000)
    near, _ = udp_pair(link)
    program = int(link.namespace("near").split("/")[2])
    near.settimeout(0)
    sent, blocked = 0, False
    os.kill(program, signal.SIGSTOP)
    try:
        while sent < 15000:
            sent += near.send(b"?")
    except BlockingIOError:  # this kernel has the sender wait instead
        blocked = True
    finally:
        os.kill(program, signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE_S
    while (figures := link.statistics()["near"])["packets"] + figures["overflow"] < sent:
        assert time.monotonic() < deadline, figures
    assert (figures["overflow"] > 0) != blocked


@pytest.mark.parametrize("loss", [0, 1])
def test_nothing_is_reordered_or_corrupted(link_of, loss):
    """TCP both ways. The link cuts a run of segments where one is lost. The kernel does not verify
    its checksums, so a misplaced segment would be read as data."""
    link = link_of(loss=loss, rate_mbit=2000)
    with link.inside("far"):
        listener = socket.create_server((link.address("far"), 0))
    with link.inside("near"):
        near = socket.create_connection(listener.getsockname())
    far = listener.accept()[0]
    data = [random.Random(seed).randbytes(16 << 20) for seed in range(2)]
    received = [bytearray(), bytearray()]

    def send(sock, which):
        sock.sendall(data[which])
        sock.shutdown(socket.SHUT_WR)

    def receive(sock, which):
        while piece := sock.recv(1 << 20):
            received[which] += piece

    threads = [threading.Thread(target=target, args=arguments)
               for target, *arguments in [(send, near, 0), (receive, far, 0),
                                          (send, far, 1), (receive, near, 1)]]  # fmt: skip
    for sock in near, far:
        sock.settimeout(PATIENCE_S)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bytes(piece) for piece in received] == data
    statistics = link.close()
    for end in "near", "far":
        assert statistics[end]["refused"] == statistics[end]["overflow"] == 0
        assert (statistics[end]["lost"] > 0) == (loss > 0)


def test_processes_are_at_their_end(link_of):
    link = link_of()
    script = "import socket; s = socket.socket(); s.bind(('%s', 0)); print('here')"
    for end in "near", "far":
        process = link.popen(end, ["python3", "-c", script % link.address(end)],
                             stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert process.communicate()[0] == "here\n"


def test_connections_take_the_congestion_control(link_of):
    link = link_of(congestion="reno")
    with link.inside("far"):
        listener = socket.create_server((link.address("far"), 0))
    with link.inside("near"):
        near = socket.create_connection(listener.getsockname())
    for sock in near, listener.accept()[0]:
        name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        assert name.rstrip(b"\0") == b"reno"


def test_it_ends_with_its_standard_input(link_of):
    link = link_of()
    assert link.close() is not None
    assert not os.path.exists(link.namespace("near"))
    assert link.close() is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--delay", "-1"], '--delay: "-1" is not a number from 0 to 10000'),
        (["--rate", "fast"], '--rate: "fast" is not a number'),
        (["--loss", "nan"], '--loss: "nan" is not a number from 0 to 100'),
        (["--queue", "1499"], '--queue: "1499" is not a number from 1500'),
        (["far"], 'unexpected argument "far"'),
    ],
)
def test_options_that_it_cannot_take(arguments, reason):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert reason in done.stderr
