# SPDX-License-Identifier: MIT
"""Agents come, go, and are replaced; another one takes over what has not begun."""
import re
import resource
import select

from client import Client, connect_from
from processes import wait_until
from pyagent import COMPLETED, GOAWAY, HANDSHAKE, RESET
from sites import Site
from websocket import ScriptedAgent, WebSocket

UP = "agent .* up from"


def scripted(world, server, **options):
    """A scripted agent that the server knows."""
    agent = ScriptedAgent(server, **options)
    world.clients.append(agent)
    agent.sync()
    return agent


def start_connect(world, server, destination, source="127.0.0.1"):
    client = Client(server.address, connect_from(source))
    world.clients.append(client)
    client.send(f"CONNECT {destination} HTTP/1.1\r\n\r\n".encode())
    return client


# -- Killed and restarted -------------------------------------------------------------------------


def test_agent_killed(world, echo_site):
    """Without resuming open tunnels are reset, new ones refused at once; the next agent serves
    again."""
    server, agent = world.tunnel("--no-resume")
    client = world.client(server).open(echo_site.address, more=b"x")
    client.read_exactly(1)
    agent.kill()
    assert client.is_reset()
    server.wait_for("agent .* down")
    assert world.client(server).connect(echo_site.address).status == 503
    world.agent(server.url)
    server.wait_for(UP, 2)
    world.client(server).open(echo_site.address)


def test_agent_killed_in_a_download(world):
    """A truncated body must not look complete."""
    site = world.site(Site(send_for_ever))
    server, agent = world.tunnel("--no-resume")
    client = world.client(server).open(site.address)
    client.read_exactly(1_000_000)
    agent.kill()
    assert client.is_reset()


def send_for_ever(connection):
    try:
        while True:
            connection.sendall(bytes(65536))
    except ConnectionError:
        pass


def test_server_killed(world, echo_site):
    """The agent comes back by itself."""
    server, agent = world.tunnel()
    server.kill()
    agent.wait_for("next attempt in")
    again = world.server(listen=server.address)
    again.wait_for(UP)
    client = world.client(again).open(echo_site.address, more=b"back")
    assert client.read_exactly(4) == b"back"


def test_agent_starts_before_the_server(world, echo_site):
    server = world.server()
    address, url = server.address, server.url
    server.stop()
    agent = world.agent(url)
    agent.wait_for("connection refused.*next attempt in")
    again = world.server(listen=address)
    again.wait_for(UP)
    world.client(again).open(echo_site.address)


# -- Several --------------------------------------------------------------------------------------


def test_twins(world, echo_site):
    """Two processes of one name: both serve, and one goes on when the other is gone."""
    server = world.server()
    twins = [world.agent(server.url, "--name", "twin", "--no-resume") for _ in range(2)]
    server.wait_for(UP, 2)
    clients = [world.client(server).open(echo_site.address, more=b"x") for _ in range(4)]
    for client in clients:
        client.read_exactly(1)
    for twin in twins:
        twin.wait_for(f"stream to {echo_site.address}: open", 2)
    twins[0].kill()
    server.wait_for("agent twin .* down")
    for _ in range(4):
        world.client(server).open(echo_site.address)


def test_agent_lost_while_dialling(world, echo_site):
    """No byte has passed, so the other agent is asked and nobody notices."""
    server = world.server()
    first = scripted(world, server)
    client = start_connect(world, server, echo_site.address)
    assert first.hear()["method"] == HANDSHAKE
    world.agent(server.url, "--name", "second")
    server.wait_for("agent second .* up from")
    first.close()
    assert client.read_answer().status == 200


def test_only_agent_lost_while_dialling(world):
    server = world.server()
    agent = scripted(world, server)
    client = start_connect(world, server, "example.test:80")
    agent.hear()
    agent.close()
    assert client.read_answer().status_line == "HTTP/1.1 503 Agent lost"


def test_full_agent(world, echo_site):
    server = world.server()
    agent = scripted(world, server, max_streams=1)
    start_connect(world, server, "example.test:80")
    agent.hear()
    second = world.client(server).connect(echo_site.address)
    assert second.status_line == "HTTP/1.1 503 Agent has too many streams"
    world.agent(server.url, "--name", "second")
    server.wait_for("agent second .* up from")
    world.client(server).open(echo_site.address)


def test_higher_epoch_replaces(world):
    """The same agent has reconnected, though its old connection does not know yet."""
    server = world.server()
    old = scripted(world, server, epoch=1)
    new = scripted(world, server, epoch=2)
    assert old.receive_close() == (1000, "replaced")
    client = start_connect(world, server, "example.test:80")
    message = new.hear()
    assert message["method"] == HANDSHAKE
    new.say(COMPLETED, id=message["id"], error={"code": -32006, "message": "not for you"})
    answer = client.read_answer()
    assert answer.status_line == "HTTP/1.1 403 Destination denied by the agent"
    assert answer.body == b"Destination denied by the agent\nnot for you\n"


def test_lower_epoch_is_refused(world):
    server = world.server()
    scripted(world, server, epoch=2)
    late = ScriptedAgent(server, epoch=2)
    assert late.receive_close()[0] == 1008
    late.close()


def test_agent_that_takes_no_more(world):
    server = world.server()
    agent = scripted(world, server)
    agent.say(GOAWAY, last=0, error={"code": -32008})
    server.wait_for("takes no more streams")
    answer = world.client(server).connect("example.test:80")
    assert answer.status_line == "HTTP/1.1 503 Agent is shutting down"


def test_agent_that_opens_a_stream(world):
    """A server connects nobody to what it can reach itself."""
    agent = scripted(world, world.server())
    agent.say(HANDSHAKE, id=1, dest="127.0.0.1:22")
    message = agent.hear()
    assert (message["method"], message["error"]["code"]) == (COMPLETED, -32006)


def test_deadlines_of_agents(world):
    """One says no hello (10 s), one does not answer for a destination (15 s): at once."""
    server = world.server()
    agent = scripted(world, server)
    client = start_connect(world, server, "example.test:80")
    silent = WebSocket(server.address, "wstunnel.v1.bin", "/websocket")
    assert silent.is_open
    assert silent.client.is_reset()
    silent.close()
    assert client.read_answer().status_line == "HTTP/1.1 504 Agent did not answer in time"
    assert agent.hear()["method"] == HANDSHAKE
    assert agent.hear()["method"] == RESET  # it need not try any longer


def test_agent_that_breaks_the_protocol(world, echo_site):
    """It is thrown out; the others are not touched."""
    server, _ = world.tunnel()
    client = world.client(server).open(echo_site.address)
    bad = scripted(world, server)
    bad.send(1, b"[]")
    code, _ = bad.receive_close()
    assert code == 1002
    client.send(b"still here")
    assert client.read_exactly(10) == b"still here"


# -- Without descriptors --------------------------------------------------------------------------


def test_server_has_its_fill(world, echo_site):
    """As many connections as the descriptors allow, each from another source; the next one waits and
    is served then."""
    server = world.server(descriptors=64)
    world.agent(server.url)
    server.wait_for(UP)

    def full():
        return re.search(r"(\d+) connections: further ones wait", server.output)

    def start_next():
        source = f"127.0.1.{len(clients) + 1}"
        clients.append(start_connect(world, server, echo_site.address, source))

    clients = []
    while not full():
        start_next()
        wait_until(lambda: is_readable(clients[-1]) or full(), "served or full")
    held = int(full()[1]) - 1  # without the agent
    assert held > 30
    if len(clients) == held:  # else the server's word came behind the one that waits
        start_next()
    waiting = clients.pop()
    assert len(clients) == held
    for client in clients:
        assert client.read_answer().status == 200
    for client in clients:
        client.send(b"works")
        assert client.read_exactly(5) == b"works"
    assert not is_readable(waiting)
    clients[0].close()
    assert waiting.read_answer().status == 200


def is_readable(client):
    return bool(select.select([client.socket], [], [], 0)[0])


def test_server_out_of_descriptors(world, echo_site):
    """Its limit is lowered while it runs, so that it can accept nobody; then raised again."""
    server, _ = world.tunnel()
    client = world.client(server).open(echo_site.address)
    limit = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.descriptors(), limit[1]))
    waiting = start_connect(world, server, echo_site.address)
    server.wait_for("cannot accept: too many open files; trying again")
    client.send(b"works")
    assert client.read_exactly(5) == b"works"
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limit)
    assert waiting.read_answer().status == 200


def test_agent_out_of_descriptors(world, echo_site):
    server, agent = world.tunnel()
    client = world.client(server).open(echo_site.address)
    limit = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (agent.descriptors(), limit[1]))
    answer = world.client(server).connect(echo_site.address)
    assert answer.status_line == "HTTP/1.1 503 Agent has too many streams"
    client.send(b"works")
    assert client.read_exactly(5) == b"works"
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, limit)
    world.client(server).open(echo_site.address)


def test_nothing_is_left_over(world, echo_site):
    """After many tunnels, some of them broken off, no descriptor is left in either program."""
    server, agent = world.tunnel()
    world.client(server).open(echo_site.address)
    wait_until(lambda: agent.descriptors() > 0, "running")
    before = server.descriptors(), agent.descriptors()
    for i in range(100):
        client = world.client(server).open(echo_site.address, more=b"x")
        client.read_exactly(1)
        client.reset() if i % 2 else client.close()
    wait_until(lambda: (server.descriptors(), agent.descriptors()) == before, "all closed")
