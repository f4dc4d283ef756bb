# SPDX-License-Identifier: MIT
"""Configuration files of the programs, and clients that say who they are."""
import base64
import json
import signal


class Config:
    """A file; its members can be changed, and the program be told."""

    def __init__(self, file, **members):
        self.path = file
        self.write(**members)

    def write(self, **members):
        self.members = members
        self.path.write_text(json.dumps(members, indent=2))

    def change(self, process, **members):
        """Changes members (None: takes them away), and waits until the program has seen it."""
        kept = {**self.members, **members}
        self.write(**{name: value for name, value in kept.items() if value is not None})
        reload(process)


def count(process, text):
    return sum(text in line for line in process.lines)


def reload(process, expect="configuration reloaded"):
    seen = count(process, expect)
    process.signal(signal.SIGHUP)
    process.wait_for(expect, seen + 1)


def basic(user, password):
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return f"Proxy-Authorization: Basic {token}\r\n"


def ask(world, server, destination, user=None, password=None):
    """The answer to a CONNECT. A tunnel stays open until the test ends."""
    client = world.client(server)
    fields = basic(user, password) if user is not None else ""
    client.send(f"CONNECT {destination} HTTP/1.1\r\n{fields}\r\n".encode())
    answer = client.read_answer()
    answer.client = client
    return answer


def phrase(answer):
    return answer.status_line.removeprefix("HTTP/1.1 ")


OK = "200 Connection established"
