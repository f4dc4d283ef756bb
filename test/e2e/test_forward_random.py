# SPDX-License-Identifier: MIT
"""
Plain HTTP as it may come: conversations made up from a seed. Each is a client's connection with
requests in a row, all sent without waiting, to several origins; methods, framing, versions, interim
answers, trailers, whether who keeps a connection, and how all is cut into pieces are random. Every
byte of content must arrive, at the one it is for, in order.

    E2E_SEED=N pytest test_forward_random.py      another seed
"""
import hashlib
import os
import random
import threading

import pytest

from origin import Origin

SEED = int(os.environ.get("E2E_SEED", 1))
BODILESS = (204, 304)


def send_in_pieces(connection, data, choice):
    while data:
        n = choice.choice((1, 7, 100, 1460, 20000, len(data)))
        connection.sendall(data[:n])
        data = data[n:]


TRAILER, FORBIDDEN = b"X-End: yes\r\n", b"Set-Cookie: no\r\n"


def chunks(body, choice, trailers):
    """In chunks, with some of the trailer fields."""
    out, at = b"", 0
    while at < len(body):
        n = choice.randint(1, choice.choice((3, 5000)))
        out += b"%x%s\r\n" % (len(body[at : at + n]), choice.choice((b"", b";a=b", b';a="\\";"')))
        out += body[at : at + n] + b"\r\n"
        at += n
    return out + b"0\r\n" + b"".join(choice.choices(trailers, k=choice.randint(0, 3))) + b"\r\n"


def random_body(choice):
    return choice.randbytes(choice.choice((0, 1, choice.randint(2, 3000), choice.randint(1, 200_000))))


class Plan:
    """A request and its answer; all follows from the target, which the origin sees."""

    def __init__(self, target):
        c = self.choice = random.Random(target)
        self.target = target
        self.method = c.choice(("GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "X-OWN"))
        self.framing = c.choice(("length", "chunked")) if self.method in ("POST", "PUT") else None
        self.body = random_body(c) if self.framing else b""
        self.status = c.choice((200, 200, 200, 404, 599, *BODILESS))
        self.answer = random_body(c)
        self.answer_framing = c.choice(("length", "chunked", "length", "chunked", "close"))
        self.version = 0 if self.answer_framing != "chunked" and c.random() < 0.3 else 1
        self.interims = c.choice((0, 0, 0, 1, 5))
        self.end = c.choice(("keep", "keep", "keep", "say", "silent"))  # of the origin's connection
        self.has_body = self.method != "HEAD" and self.status not in BODILESS
        self.until_close = self.has_body and self.answer_framing == "close"
        self.old = c.random() < 0.1  # the client's
        self.last = self.old or c.random() < 0.1  # of its connection

    def request(self, url):
        fields = f"X-Digest: {hashlib.sha256(self.body).hexdigest()}\r\n"
        if self.last and not self.old:
            fields += "Connection: close\r\n"
        # A client of HTTP/1.0 knows no chunks.
        chunked = self.framing == "chunked" and not self.old
        if chunked:
            fields += "Transfer-Encoding: chunked\r\n"
        elif self.framing:
            fields += f"Content-Length: {len(self.body)}\r\n"
        head = f"{self.method} {url}{self.target} HTTP/1.{0 if self.old else 1}\r\n{fields}\r\n"
        return head.encode() + (chunks(self.body, self.choice, [TRAILER]) if chunked else self.body)

    def answers(self):
        """All that the origin says."""
        out = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * self.interims
        out += b"HTTP/1.%d %d Reason\r\n" % (self.version, self.status)
        out += b"X-Target: " + self.target.encode() + b"\r\n"
        if self.end == "say":
            out += b"Connection: close\r\n"
        elif self.version == 0 and self.end == "keep":
            out += b"Connection: keep-alive\r\n"
        body = self.answer if self.has_body else b""
        if self.answer_framing == "length":
            out += b"Content-Length: %d\r\n" % len(self.answer)
        elif self.answer_framing == "chunked" and self.status != 204:
            out += b"Transfer-Encoding: chunked\r\n"
            if self.has_body:
                body = chunks(body, self.choice, [TRAILER, FORBIDDEN])
        return out + b"\r\n" + body


def serve(request, connection):
    plan = Plan(request.target)
    body = request.body()
    assert request.method == plan.method
    assert hashlib.sha256(body).hexdigest() == request.field("X-Digest")
    assert body == plan.body
    send_in_pieces(connection, plan.answers(), plan.choice)
    return plan.end == "keep" and not plan.until_close


def read_chunked(client):
    body = b""

    def line():
        text = b""
        while not text.endswith(b"\r\n"):
            text += client.read_exactly(1)
        return text

    while size := int(line().partition(b";")[0], 16):
        body += client.read_exactly(size)
        assert client.read_exactly(2) == b"\r\n"
    while (field := line()) != b"\r\n":
        assert field == TRAILER
    return body


def check_answer(client, plan):
    version = 0 if plan.old else 1
    for _ in range(0 if plan.old else plan.interims):
        assert client.read_head().startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n")
    head = client.read_head()
    line, date, rest = head.split(b"\r\n", 2)
    assert line == b"HTTP/1.%d %d Reason" % (version, plan.status)
    assert date.startswith(b"Date: ")  # ours
    assert rest.startswith(b"X-Target: %s\r\n" % plan.target.encode())
    assert (b"\r\nConnection: close\r\n" in head) == plan.last
    if not plan.has_body:
        return
    if b"\r\nTransfer-Encoding: chunked\r\n" in head:
        assert read_chunked(client) == plan.answer
    elif b"\r\nContent-Length: " in head:
        assert client.read_exactly(len(plan.answer)) == plan.answer
    else:
        assert plan.old
        assert client.read_to_end() == plan.answer


def converse(world, server, sites, name):
    choice = random.Random(name)
    plans = []
    while not plans or not (plans[-1].last or len(plans) == 30):
        plans.append(Plan(f"/{name}/{len(plans)}"))
    client = world.client(server)
    requests = b"".join(plan.request(choice.choice(sites).url) for plan in plans)
    sender = threading.Thread(target=send_in_pieces, args=(client.socket, requests, choice))
    sender.start()
    for plan in plans:
        check_answer(client, plan)
    sender.join()
    if plans[-1].last:
        assert client.read_to_end() == b""
    client.close()


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_conversations(world, seed):
    server, _ = world.tunnel()
    sites = [world.site(Origin(serve)) for _ in range(3)]
    for i in range(100):
        converse(world, server, sites, f"{seed}-{i}")
