# SPDX-License-Identifier: MIT
"""How the programs write to a service manager's journal."""
import json

import pytest

from manager import Manager

PRIORITIES = {"error": "<3>", "warn": "<4>", "info": "<6>", "debug": "<7>"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_journal(world, form):
    """Each line begins with its priority, if stderr is the journal."""
    seen = set()
    for name, options in (("wstunnel-server", ["--listen", "127.0.0.1:0"]),
                          ("wstunnel-server", ["--listen", "192.0.2.1:1"]),
                          ("wstunnel-agent", ["ws://127.0.0.1:1"])):  # fmt: skip
        process = Manager(world).run(name, *options, "--log-format", form, "--log-level", "debug",
                                     JOURNAL="1")  # fmt: skip
        process.wait_for("listening on|cannot listen|next attempt in")
        if "192.0.2.1:1" in options:
            process.wait_exit(1)  # by itself
        else:
            process.stop()
        for line in process.lines:
            priority, text = line[:3], line[3:]
            level = json.loads(text)["level"] if form == "json" else text.split()[1]
            assert priority == PRIORITIES[level]
            seen.add(level)
    assert {"error", "warn", "info"} <= seen


def test_not_the_journal(world):
    """stderr has been redirected since."""
    server = Manager(world).run("wstunnel-server", "--listen", "127.0.0.1:0",
                                JOURNAL_STREAM="8:12345")  # fmt: skip
    server.wait_for("listening on")
    server.terminate()
    server.wait_exit(0)
    assert not any(line.startswith("<") for line in server.lines)
