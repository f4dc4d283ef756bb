# SPDX-License-Identifier: MIT
"""Refusals: a mixed pair gives a client the same answers as 0.1.0 alone."""
import pytest

from configuration import Config
from mixed import OWN, limits_file
from processes import wait_until
from sites import Closed, Site, echo

FIELDS = ("Proxy-Status", "Content-Type", "Connection")


def is_ready(client):
    return client.ask(b"GET /readyz HTTP/1.1\r\n\r\n").status == 200


def today(text):
    """In words of today: the agent's, about a name, were the system's in 0.1.0."""
    return text and text.replace("unknown node or service", "name not found")


def told(world, server, destination):
    """The answers to CONNECT and to a request in absolute form."""
    requests = [f"CONNECT {destination} HTTP/1.1\r\n\r\n",
                f"GET http://{destination}/ HTTP/1.1\r\nHost: {destination}\r\n\r\n"]  # fmt: skip
    answers, monitor = [], world.client(server)
    for request in requests:
        # In the talk's protocol a refusal uses up a connection of the agent's.
        wait_until(lambda: is_ready(monitor), "an agent")
        answers.append(world.client(server).ask(request.encode()))
    return [(a.status_line, today(a.body.decode()), [today(a.fields.get(name)) for name in FIELDS])
            for a in answers]  # fmt: skip


def statuses(answers):
    return [int(line.split()[1]) for line, _, _ in answers]


@pytest.fixture
def compare(world, reference, wire, tmp_path):
    """A function that asks both worlds, so configured, for a destination (None: the server itself),
    compares the answers, and returns their statuses."""

    def join(w, name, of_server, of_agent):
        server = Config(tmp_path / f"{name}-server.json", **of_server)
        agent = Config(tmp_path / f"{name}-agent.json", **of_agent)
        return w.join(wire, ("--config", server.path), ("--config", agent.path))[0]

    def run(destination, of_server={}, of_agent={}):
        answers = []
        for name, w in {"mixed": world, "reference": reference}.items():
            server = join(w, name, of_server, of_agent)
            answers.append(told(w, server, destination or server.address))
        assert answers[0] == answers[1]
        return statuses(answers[0])

    return run


def test_refused(world, compare):
    assert compare(world.site(Closed()).address) == [502, 502]


def test_unknown_name(compare):
    assert compare("nowhere.intranet.test:443") == [502, 502]


def test_malformed(compare):
    assert compare("127.0.0.1:0") == [400, 400]


@pytest.mark.parametrize("destination", ["169.254.169.254:80", None])
def test_guarded(compare, destination):
    """The address of cloud metadata, and the server itself."""
    assert compare(destination) == [403, 403]


def test_rule_of_the_server(compare, echo_site):
    rules = [{"deny": echo_site.address}, {"allow": "*"}]
    assert compare(echo_site.address, {"rules": rules}) == [403, 403]


def test_no_rule_of_the_server(compare, echo_site):
    assert compare(echo_site.address, {"rules": []}) == [403, 403]


def test_rule_of_the_agent(compare, wire, echo_site):
    rules = [{"deny": "127.0.0.0/8"}, {"allow": "*"}]
    status = 403 if wire in OWN else 502
    assert compare(echo_site.address, {}, {"rules": rules}) == [status, status]


def test_rule_for_the_address(compare, wire, echo_site):
    """The server's rule is about the address that the agent reports for a name."""
    rules = [{"deny": "127.0.0.0/8"}, {"allow": "*"}]
    assert compare(f"localhost:{echo_site.port}", {"rules": rules}) == [403, 403]


@pytest.mark.parametrize("wire", OWN)
@pytest.mark.parametrize("who, limits", [("server", {"max_agent_streams": 1}),
                                         ("agent", {"max_streams": 1})])  # fmt: skip
def test_full_agent(world, reference, wire, tmp_path, who, limits):
    answers = []
    options = limits_file(tmp_path / "limits.json", **limits)
    for w in (world, reference):
        site = w.site(Site(echo))
        server, _ = w.join(wire, **{f"{who}_options": options})
        w.client(server).open(site.address)
        answers.append(w.client(server).connect(site.address))
    assert answers[0].status_line == "HTTP/1.1 503 Agent has too many streams"
    assert [a.body for a in answers] == [answers[0].body] * 2
