# SPDX-License-Identifier: MIT
"""
A session goes on over another WebSocket, as lib/PROTOCOL.md has it: an agent that is written by hand
shows the server right and wrong proofs, and what becomes of a session that others ask for.

./test/run.sh and --ci run all.
"""
import contextlib
import json
import secrets

import pytest

from configuration import Config, basic
from processes import PASSWORD, TOKEN
from pyagent import (BYE, COMMUNICATION, COMPLETED, CREDIT, END, GOAWAY, HANDSHAKE, PING, RESET,
                     prove, upgrade_request)  # fmt: skip
from websocket import ScriptedAgent, WebSocket

NAME = "berlin"
QUESTION, ANSWER = b"question", b"answer"
WINDOW = 32768


def test_proof():
    """The example of PROTOCOL.md."""
    secret = bytes(range(32)).hex()
    proof = "ef80aec395a3065a6d434e8b4b1e723ed20fcee6a5f346953521763cb0c6e79a"
    assert prove(secret, "7f3a09c2010b5c0e6f1d2a9b8c7d6e5f", 12, 0) == proof
    others = [prove(secret, "7f3a09c2010b5c0e6f1d2a9b8c7d6e5f", 13, 0),
              prove(secret, "7f3a09c2010b5c0e6f1d2a9b8c7d6e5f", 12, 1),
              prove(secret, "7f3a09c2010b5c0e6f1d2a9b8c7d6e50", 12, 0),
              prove(secret[:-2] + "00", "7f3a09c2010b5c0e6f1d2a9b8c7d6e5f", 12, 0)]  # fmt: skip
    assert len({proof, *others}) == 5


class Scene:
    """A server, a session that an agent has begun, and a tunnel through it: half of the answer has
    come, and the agent has acknowledged nothing."""

    def __init__(self, world, server, token=None, client_fields=""):
        self.world, self.server = world, server
        self.fields = f"Authorization: Bearer {token}\r\n" if token else ""
        self.instance, self.epoch = secrets.token_hex(16), 1
        self.secrets, self.resumes, self.heard = [], 0, []
        self.agent = self.attach(session="new")
        self.keep(self.agent.hello)
        assert not self.agent.hello.get("resumed")
        self.agent.sync()
        self.client = world.client(server)
        self.client.send(f"CONNECT db.test:5432 HTTP/1.1\r\n{client_fields}\r\n".encode())
        handshake = self.agent.hear()
        assert handshake["method"] == HANDSHAKE
        self.id = handshake["id"]
        self.agent.say(COMPLETED, id=self.id)
        assert self.client.read_answer().status == 200
        self.client.send(QUESTION)
        assert self.agent.hear()["method"] == COMMUNICATION
        self.agent.say(COMMUNICATION, id=self.id, data="YW5z")
        assert self.client.read_exactly(3) == b"ans"

    def keep(self, hello):
        self.sid, self.secret, self.grace = (hello[name] for name in ("session", "secret", "grace"))
        assert len(bytes.fromhex(self.sid)) == 16 and len(bytes.fromhex(self.secret)) == 32
        assert self.secret not in self.secrets
        self.secrets.append(self.secret)

    def attach(self, **changes):
        agent = ScriptedAgent(self.server, **{"name": NAME, "instance": self.instance,
                              "epoch": self.epoch, "fields": self.fields} | changes)  # fmt: skip
        self.world.clients.append(agent)
        return agent

    def field(self, secret=None, epoch=None, conn=0):
        """The value of Wstunnel-Session."""
        epoch = self.epoch if epoch is None else epoch
        return f"resume {self.sid} {epoch} {prove(secret or self.secret, self.sid, epoch, conn)}"

    def cut(self):
        self.agent.client.reset()
        self.server.wait_for(rf"agent {NAME} \(\w+\) suspended \(1 stream\)", self.resumes + 1)

    def resume(self):
        """Asks for the session; what the server says must be right."""
        self.epoch += 1
        self.agent = self.attach(session=self.field())
        sid = self.sid
        self.keep(self.agent.hello)
        assert (self.agent.hello.get("resumed"), self.sid) == (True, sid)
        self.resumes += 1
        return self.account()

    def account(self):
        """The server's account, without the ping at its end."""
        heard = []
        while (message := self.hear_any())["method"] != PING:
            heard.append(message)
        return heard

    def hear_any(self):
        opcode, payload = self.agent.receive()
        assert opcode == 1, payload
        return json.loads(payload)

    def hear(self, method):
        """The next message of that method; others are kept for later."""
        for i, message in enumerate(self.heard):
            if message["method"] == method:
                return self.heard.pop(i)
        while (message := self.agent.hear())["method"] != method:
            self.heard.append(message)
        return message

    def say_account(self, received):
        self.agent.say(COMPLETED, id=self.id)
        self.agent.say(CREDIT, id=self.id, received=received, credit=WINDOW)
        self.agent.say(PING, seq=1)

    def goes_on(self):
        """The session is resumed, and the tunnel works as if nothing had been."""
        [credit] = [m for m in self.resume() if m["method"] != GOAWAY]  # of a server that leaves
        assert (credit["method"], credit["id"], credit["received"]) == (CREDIT, self.id, 3)
        self.say_account(received=5)  # of the question
        again = self.hear(COMMUNICATION)
        assert (again["id"], again["data"]) == (self.id, "aW9u")  # the rest of the question
        self.agent.say(COMMUNICATION, id=self.id, data="d2Vy")
        assert self.client.read_exactly(3) == b"wer"

    def leave(self):
        """So that nobody waits for the agent."""
        with contextlib.suppress(OSError):
            self.agent.say(BYE, error={"code": -32008})
        for client in self.world.clients:
            client.close()

    def is_lost(self):
        assert self.client.is_reset()

    def stranger(self, **changes):
        """Somebody who asks for the session and is given another one, which works."""
        other = self.attach(**{"instance": secrets.token_hex(16)} | changes)
        assert not other.hello.get("resumed")
        assert other.hello["session"] != self.sid
        other.sync()
        return other


@pytest.fixture
def begin(world):
    """A function that makes a Scene; no secret of it may be in the server's log."""
    scenes = []

    def begin(server, **options):
        scenes.append(Scene(world, server, **options))
        return scenes[-1]

    yield begin
    for scene in scenes:
        scene.leave()
        scene.server.stop()
        assert not any(secret in scene.server.output for secret in scene.secrets)
        assert f"resume {scene.sid}" not in scene.server.output


@pytest.fixture
def scene(world, begin):
    return begin(world.server("--log-level", "debug"))


# -- The right proof ------------------------------------------------------------------------------


def test_resume(scene):
    assert scene.grace == 60000
    scene.cut()
    scene.goes_on()
    scene.server.wait_for(rf"agent {NAME} \(\w+\) resumed after [\d.]+ s from 127.0.0.1")
    assert f"agent {NAME} down" not in scene.server.output


def test_take_over(scene):
    """The server does not know yet that the old connection is of no use."""
    old = scene.agent
    scene.goes_on()
    assert old.client.is_reset()


def test_ends_and_resets_meanwhile(scene):
    """The client ends its direction, then another one resets its connection; new clients wait."""
    other = scene.world.client(scene.server)
    other.send(b"CONNECT db.test:5432 HTTP/1.1\r\n\r\n")
    other_id = scene.agent.hear()["id"]
    scene.agent.say(COMPLETED, id=other_id)
    assert other.read_answer().status == 200
    scene.agent.client.reset()
    scene.server.wait_for(r"suspended \(2 streams\)")
    scene.client.end()
    other.reset()
    late = scene.world.client(scene.server)
    late.send(b"CONNECT db.test:22 HTTP/1.1\r\n\r\n")
    account = scene.resume()
    assert {message["id"] for message in account} <= {scene.id, other_id}
    assert RESET in [m["method"] for m in account if m["id"] == other_id]
    scene.say_account(received=len(QUESTION))
    assert scene.hear(END)["offset"] == len(QUESTION)
    handshake = scene.hear(HANDSHAKE)
    assert handshake["dest"] == "db.test:22"
    scene.agent.say(COMPLETED, id=handshake["id"])
    assert late.read_answer().status == 200


def test_answer_that_is_lost(scene):
    """The agent was asked, and cut off before it could answer: what was asked waits for it, too."""
    late = scene.world.client(scene.server)
    late.send(b"CONNECT db.test:22 HTTP/1.1\r\n\r\n")
    first = scene.agent.hear()
    assert first["method"] == HANDSHAKE
    scene.agent.client.reset()
    scene.server.wait_for("suspended")
    scene.goes_on()
    again = scene.hear(HANDSHAKE)
    assert again["dest"] == "db.test:22" and again["id"] > first["id"]
    scene.agent.say(COMPLETED, id=again["id"])
    assert late.read_answer().status == 200


def test_many_times(scene):
    """Each time with another secret."""
    scene.cut()
    scene.goes_on()
    for _ in range(5):
        scene.cut()
        [credit] = scene.resume()
        assert credit["received"] == len(ANSWER)
        scene.say_account(received=len(QUESTION))
        scene.agent.sync()


def test_hellos_that_are_lost(scene):
    """The secret of a hello that did not arrive, or of two, does not lock the agent out."""
    scene.cut()
    for _ in range(2):
        scene.epoch += 1
        lost = scene.attach(session=scene.field())
        assert lost.hello["resumed"]  # but this agent has not heard it
        lost.client.reset()
        scene.resumes += 1
        scene.server.wait_for("suspended", scene.resumes + 1)
    scene.goes_on()


def test_bye(scene):
    """The server says it for good: a session that is replaced."""
    scene.epoch += 1
    scene.attach(session="new")
    message = scene.agent.hear()
    assert (message["method"], message["error"]["message"]) == (BYE, "replaced")
    scene.is_lost()


def test_bye_of_the_agent(scene):
    scene.agent.say(BYE, error={"code": -32008, "message": "drained"})
    scene.is_lost()
    scene.agent.close()
    scene.server.wait_for(f"agent {NAME} .*down")
    assert "suspended" not in scene.server.output


def test_messages_behind_a_bye(scene):
    """They are of no interest to anybody."""
    for _ in range(3):
        scene.agent.say(BYE, error={"code": -32008})
        scene.agent.say(COMMUNICATION, id=scene.id, data="YW5z")
    scene.is_lost()
    scene.agent.close()
    scene.server.wait_for(f"agent {NAME} .*down")


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1011, 1012, 4000])
def test_no_close_code_is_an_end(scene, code):
    """Whoever stands between may have said it."""
    scene.agent.send(8, code.to_bytes(2, "big") + b"whatever")
    scene.server.wait_for("suspended")
    scene.goes_on()


# -- Wrong ones -----------------------------------------------------------------------------------


def test_wrong_proof(scene):
    scene.cut()
    scene.stranger(session=scene.field(secret="00" * 32, epoch=2), epoch=2)
    scene.server.wait_for(rf"warn\S* .*agent {NAME}.*proof")
    scene.goes_on()


def test_wrong_proof_of_a_session_that_is_attached(scene):
    """It is not even interrupted."""
    scene.stranger(session=scene.field(secret="00" * 32, epoch=2), epoch=2)
    scene.agent.sync()
    scene.goes_on()


def test_wrong_proof_of_the_same_agent(scene):
    """It does not have its secret any more: it gets a new session in place of the old one."""
    scene.cut()
    scene.stranger(session=scene.field(secret="00" * 32, epoch=2), epoch=2, instance=scene.instance)
    scene.is_lost()


@pytest.mark.parametrize("epoch", [0, 1])
def test_old_epoch(scene, epoch):
    """An attempt that a newer one has overtaken."""
    scene.cut()
    late = scene.attach(session=scene.field(epoch=epoch), epoch=epoch, refused=True)
    assert late.receive_close()[0] == 1008
    scene.goes_on()


def test_old_epoch_of_a_session_that_is_attached(scene):
    late = scene.attach(session=scene.field(epoch=1), refused=True)
    assert late.receive_close()[0] == 1008
    scene.agent.sync()
    scene.goes_on()


def test_epoch_of_the_hello_differs(scene):
    scene.cut()
    other = scene.attach(session=scene.field(epoch=2), epoch=3, refused=True)
    code, _ = other.receive_close()
    assert code in (1002, 1008)
    scene.goes_on()


@pytest.mark.parametrize("is_attached", [True, False])
def test_replayed_head(scene, is_attached):
    """Whoever has read a request in a proxy's log sends it again."""
    scene.cut()
    field = scene.field(epoch=2)
    scene.goes_on()
    scene.agent.sync()
    if not is_attached:
        scene.cut()
    scene.stranger(session=field, epoch=2)
    late = scene.attach(session=field, epoch=2, refused=True)  # if it knows the instance, too
    assert late.receive_close()[0] == 1008
    if is_attached:
        scene.agent.sync()
        scene.client.send(b"more")
        assert scene.hear(COMMUNICATION)["data"] == "bW9yZQ=="
    else:
        [credit] = scene.resume()
        assert credit["received"] == len(ANSWER)


def test_secret_of_a_past_attach(scene):
    stolen = scene.secret
    scene.cut()
    scene.goes_on()
    scene.agent.sync()  # the first message of the agent has confirmed the new secret
    scene.cut()
    scene.stranger(session=scene.field(secret=stolen, epoch=3), epoch=3)
    [credit] = scene.resume()
    assert credit["received"] == len(ANSWER)


def test_other_name(scene):
    scene.cut()
    scene.stranger(session=scene.field(epoch=2), epoch=2, name="paris", instance=scene.instance)
    scene.goes_on()


def test_other_instance(scene):
    scene.cut()
    scene.stranger(session=scene.field(epoch=2), epoch=2)
    scene.goes_on()


@pytest.mark.parametrize("proved", [0, 1])
def test_other_conn(scene, proved):
    """Another connection of the same agent is another session."""
    scene.cut()
    field = scene.field(epoch=2, conn=proved)
    scene.stranger(session=field, epoch=2, conn=1, instance=scene.instance)
    scene.goes_on()


def test_unknown_session(scene):
    """As after a restart of the server."""
    scene.cut()
    scene.sid, sid = secrets.token_hex(16), scene.sid
    field = scene.field(epoch=2)
    scene.sid = sid
    scene.stranger(session=field, epoch=2)
    scene.goes_on()


# -- Who may --------------------------------------------------------------------------------------


def guarded(world, tmp_path, **members):
    path = tmp_path / "server.json"
    path.write_text(json.dumps({"insecure_open": True} | members))
    return world.server("--config", path)


def test_other_tenant(world, begin, tmp_path):
    """It knows everything and may come, but as somebody else."""
    server = guarded(
        world, tmp_path, users=[{"name": "alice", "password": PASSWORD, "tenant": "acme"}],
        agents=[{"name": "*", "token": f"{tenant}-{TOKEN}", "tenant": tenant}
                for tenant in ("acme", "globex")])  # fmt: skip
    scene = begin(server, token=f"acme-{TOKEN}", client_fields=basic("alice", PASSWORD))
    scene.cut()
    scene.stranger(session=scene.field(epoch=2), epoch=2, instance=scene.instance,
                   fields=f"Authorization: Bearer globex-{TOKEN}\r\n")  # fmt: skip
    scene.goes_on()


def test_no_token(world, begin, tmp_path):
    """Who knows all secrets of a session but may not connect gets nowhere, and changes nothing."""
    server = guarded(world, tmp_path, agents=[{"name": "*", "token": TOKEN}])
    scene = begin(server, token=TOKEN)
    scene.cut()
    fields = f"Wstunnel-Session: {scene.field(epoch=2)}\r\n"
    thief = WebSocket(server.address, "wstunnel.v1.json", "/websocket", fields)
    world.clients.append(thief)
    assert thief.answer.status == 401
    scene.goes_on()


def test_token_is_withdrawn(world, begin, tmp_path):
    """Of an agent that is away: its session is over at once."""
    tokens = [{"name": name, "token": f"{name}-{TOKEN}"} for name in ("berlin", "paris")]
    config = Config(tmp_path / "server.json", agents=tokens, insecure_open=True)
    server = world.server("--config", config.path)
    scene = begin(server, token=f"{NAME}-{TOKEN}")
    scene.cut()
    config.change(server, agents=[{"name": NAME, "token": f"other-{TOKEN}"}])
    scene.is_lost()
    server.wait_for(f"agent {NAME} .*down")


# -- The field ------------------------------------------------------------------------------------

PROOF = "ab" * 32
SID = "0123456789abcdef" * 2
MALFORMED = {
    "empty": [""],
    "twice": ["new", "new"],
    "twice, in one": ["new, new"],
    "another word": ["renew"],
    "other case": ["New"],
    "resume alone": ["resume"],
    "no proof": [f"resume {SID} 2"],
    "something behind new": ["new 1"],
    "something behind the proof": [f"resume {SID} 2 {PROOF} x"],
    "upper case of resume": [f"RESUME {SID} 2 {PROOF}"],
    "upper case of the session": [f"resume {SID.upper()} 2 {PROOF}"],
    "upper case of the proof": [f"resume {SID} 2 {PROOF.upper()}"],
    "two spaces": [f"resume {SID}  2 {PROOF}"],
    "a tab": [f"resume\t{SID} 2 {PROOF}"],
    "a short session": [f"resume {SID[:-1]} 2 {PROOF}"],
    "a long session": [f"resume {SID}0 2 {PROOF}"],
    "a short proof": [f"resume {SID} 2 {PROOF[:-1]}"],
    "a long proof": [f"resume {SID} 2 {PROOF}0"],
    "no hexadecimal digits": [f"resume {SID} 2 {'g' * 64}"],
    "epoch of 2^53": [f"resume {SID} {2**53} {PROOF}"],
    "epoch of 2^64": [f"resume {SID} {2**64} {PROOF}"],
    "epoch with a zero before": [f"resume {SID} 02 {PROOF}"],
    "epoch with a sign": [f"resume {SID} +2 {PROOF}"],
    "negative epoch": [f"resume {SID} -2 {PROOF}"],
    "hexadecimal epoch": [f"resume {SID} 0x2 {PROOF}"],
    "fraction": [f"resume {SID} 2.0 {PROOF}"],
}


@pytest.mark.parametrize("values", MALFORMED.values(), ids=MALFORMED)
def test_malformed_field(scene, values):
    scene.cut()
    fields = "".join(
        f"Wstunnel-Session: {value.replace(SID, scene.sid)}\r\n" for value in values
    ).replace(SID.upper(), scene.sid.upper())  # fmt: skip
    client = scene.world.client(scene.server)
    client.send(upgrade_request(scene.server.address, "wstunnel.v1.json", fields=fields))
    assert client.read_answer().status == 400
    scene.goes_on()


@pytest.mark.parametrize("value", ["new", f"resume {SID} {2**53 - 1} {PROOF}"])
def test_well_formed_field(world, value):
    """Its name may be in any case, and white space may be around its value."""
    server = world.server()
    agent = ScriptedAgent(server, fields=f"wstunnel-SESSION: \t {value} \t\r\n", epoch=2**53 - 1)
    world.clients.append(agent)
    assert not agent.hello.get("resumed")
