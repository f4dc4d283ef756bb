# SPDX-License-Identifier: MIT
"""Traces (W3C Trace Context): logged with what belongs to them, and passed on as they are."""
import json

import pytest

from origin import Origin, ok
from sites import Closed

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = f"traceparent: 00-{TRACE}-{SPAN}-01\r\ntracestate: congo=t61rcWkgMzE\r\n"
IDS = {"trace_id": TRACE, "span_id": SPAN}
TEXT = f", trace {TRACE}, span {SPAN}"
LATER = f"traceparent: 0f-{TRACE}-{SPAN}-01-more\r\n"
MALFORMED = [f"traceparent: 00-{TRACE.upper()}-{SPAN}-01\r\n", f"traceparent: ff-{TRACE}-{SPAN}-01\r\n",
             f"traceparent: 00-{TRACE}-{SPAN}-01\r\n" * 2, "tracestate: congo=t61rcWkgMzE\r\n"]  # fmt: skip


def connect(world, server, destination, fields):
    """Asks for a tunnel; its connection and the answer."""
    client = world.client(server)
    client.send(f"CONNECT {destination} HTTP/1.1\r\n{fields}\r\n".encode())
    return client, client.read_answer()


def serve(world, *options):
    server = world.server(*options)
    world.agent(server.url)
    server.wait_for("agent_up|agent .* up from")
    return server


def events(server, *names):
    found = [json.loads(line) for line in server.lines]
    return [e for e in found if e["event"] in names]


def ids(event):
    return {name: event[name] for name in IDS if name in event}


@pytest.mark.parametrize("fields, logged", [
    (TRACED, IDS), (LATER, IDS), ("", {}), *((fields, {}) for fields in MALFORMED)
])  # fmt: skip
def test_tunnel(world, echo_site, fields, logged):
    """With its beginning and its end, and only a valid one."""
    server = serve(world, "--log-format", "json")
    client, answer = connect(world, server, echo_site.address, fields)
    assert answer.status == 200
    client.close()
    server.wait_for('"event":"stream_close"')
    begun, over = events(server, "stream_open", "stream_close")
    assert ids(begun) == ids(over) == logged


def test_refusals(world):
    server = serve(world, "--log-format", "json")
    closed = world.site(Closed())
    with_trace = connect(world, server, closed.address, TRACED)[1]
    without = connect(world, server, closed.address, "")[1]
    assert with_trace.status == without.status == 502
    server.wait_for('"event":"refused"', count=2)
    assert list(map(ids, events(server, "refused"))) == [IDS, {}]


def test_lines_for_people(world, echo_site):
    server = serve(world)
    client, _ = connect(world, server, echo_site.address, TRACED)
    client.close()
    closed = world.site(Closed())
    connect(world, server, closed.address, TRACED)
    connect(world, server, closed.address, "")
    lines = [server.wait_for(pattern)[0] for pattern in
             (r"tunnel 1 open: .*", r"tunnel 1 over: .*", r"client .* refused: 502 .*")]  # fmt: skip
    assert all(line.endswith(TEXT) for line in lines), lines
    assert ", trace " not in server.wait_for(r"client .* refused: 502 .*", count=2)[0]


@pytest.mark.parametrize("fields", [TRACED, LATER, *MALFORMED])
def test_forwarded(world, fields):
    """Each request of a connection has its own; to the site they go as they came, whatever they are."""
    site = world.site(Origin(lambda request, s: s.sendall(ok(b""))))
    server = serve(world, "--log-format", "json")
    client = world.client(server)
    for more in (fields, "", fields):
        assert client.ask(f"GET {site.url}/ HTTP/1.1\r\n{more}\r\n".encode()).status == 200
    server.wait_for('"event":"stream_close"', count=3)
    sent = [tuple(line.split(": ", 1)) for line in fields.split("\r\n")[:-1]]
    seen = [[f for f in r.fields if f[0].startswith("trace")] for r in site.requests]
    assert seen == [sent, [], sent]
    logged = IDS if fields in (TRACED, LATER) else {}
    assert list(map(ids, events(server, "stream_close"))) == [logged, {}, logged]
