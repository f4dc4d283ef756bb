# SPDX-License-Identifier: MIT
"""A server that is replaced while it runs, again and again."""
import os
import signal
from pathlib import Path

from processes import opened


class Line:
    """A server and its successors, which all write where the first one does. `status`: the exit
    status that the first one is to have."""

    def __init__(self, first, status=0):
        self.first, self.status = first, status
        self.pids = [first.pid]

    def succeed(self):
        os.kill(self.pids[-1], signal.SIGUSR2)
        found = self.first.wait_for(r"successor (\d+) listens", len(self.pids))
        self.pids.append(int(found[1]))

    def kill_first(self):
        self.status = -signal.SIGKILL
        os.kill(self.first.pid, signal.SIGKILL)

    def end(self):
        """All end, and well."""
        for pid in self.pids[1:]:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass  # it has left by itself
        if len(self.pids) == 1:
            self.first.terminate()
        self.first.wait_exit(self.status)


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def unix_names(pid):
    """The names of a process's Unix sockets; those of most have none."""
    inodes = {name.removeprefix("socket:[").rstrip("]") for name in opened(pid)}
    rows = (line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:])
    return [row[7] if len(row) > 7 else None for row in rows if row[6] in inodes]
