# SPDX-License-Identifier: MIT
"""Peers that break the rules, of WebSocket, of messages, of hello: towards a server, and towards an
agent. Each is told what was wrong; nobody else notices."""
import socket

import pytest

from arena import Arena
from breaches import FRAMES, HELLOS, MESSAGES
from peers import AgentScene, Frame, ServerScene, as_agent, dial, hello
from sites import Site, echo


@pytest.fixture(scope="module")
def arena():
    world = Arena()
    yield world
    world.end()


@pytest.fixture(scope="module")
def at_server(arena):
    scene = ServerScene(arena, arena.site(Site(echo)))
    yield scene
    scene.finish()


@pytest.fixture(scope="module")
def at_agent(arena):
    scene = AgentScene(arena, arena.site(Site(echo)))
    yield scene
    scene.check_memory()


def check_server(scene, encoding, frames, expected):
    peer = dial(scene.server, encoding)
    peer.put(*frames)
    assert peer.closed() == expected
    scene.check()


def check_agent(scene, encoding, frames, expected):
    peer = scene.listener.open(encoding)
    peer.put(*frames)
    assert peer.closed() == expected
    scene.check()


@pytest.mark.parametrize("name", FRAMES)
def test_frames(at_server, at_agent, name):
    frames, expected = FRAMES[name]
    check_server(at_server, "binary", [as_agent(), *frames], expected)
    check_agent(at_agent, "binary", [hello(), *frames], expected)


def test_masks(at_server, at_agent):
    unmasked, masked = Frame(0x82, b"x", masked=False), Frame(0x82, b"x", masked=True)
    check_server(at_server, "binary", [unmasked], (1002, "frame from a client without a mask"))
    check_agent(at_agent, "binary", [masked], (1002, "frame from a server with a mask"))


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(at_server, at_agent, name):
    encoding, frames, expected = MESSAGES[name]
    check_server(at_server, encoding, [as_agent(), *frames], expected)
    check_agent(at_agent, encoding, [hello(), *frames], expected)


@pytest.mark.parametrize("name", HELLOS)
def test_hellos(at_server, at_agent, name):
    frame, why = HELLOS[name]
    check_server(at_server, "json", [frame], (1002, why))
    check_agent(at_agent, "json", [frame], (1002, why))


def test_byte_by_byte(at_server, at_agent):
    """What is right stays right in packets of one byte each."""
    for peer, first in ((dial(at_server.server), as_agent()), (at_agent.listener.open(), hello())):
        peer.client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        frames = [first, Frame(0x89, b"ping"), Frame(0x01, b'{"method":8,'), Frame(0x00),
                  Frame(0x80, b'"seq":5}')]  # fmt: skip
        for byte in b"".join(frame.bytes(peer.is_client) for frame in frames):
            peer.client.send(bytes([byte]))
        answers = [peer.receive() for _ in range(4)]
        assert (10, b"ping") in answers
        assert (1, b'{"method":9,"seq":5}') in answers
        peer.client.close()
    at_server.check()
    at_agent.check()
