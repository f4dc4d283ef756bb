# SPDX-License-Identifier: MIT
"""A PostgreSQL of its own, at an address of its own; its superuser is USER with PASSWORD."""
import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from processes import PASSWORD, PATIENCE, USER, Process
from proxies import own_address

# Durability is not what is tested.
SETTINGS = ["fsync=off", "unix_socket_directories=", "max_connections=20", "logging_collector=off"]


def need(name):
    """The path of one of its programs; without it the test cannot run and says so."""
    path = ":".join([*sorted(glob.glob("/usr/lib/postgresql/*/bin")), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed (test/clients/install.sh)")
    return found


class Postgres:
    def __init__(self):
        initdb, postgres = need("initdb"), need("postgres")
        self.owner = {}
        if os.geteuid() == 0:  # which it does not want to be
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("PostgreSQL has no user here")
            self.owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.directory = Path(tempfile.mkdtemp(prefix="wstunnel-postgres-"))
        data, secret = self.directory / "data", self.directory / "password"
        secret.write_text(PASSWORD)
        if self.owner:
            for path in (self.directory, secret):
                os.chown(path, user.pw_uid, user.pw_gid)
        subprocess.run(
            [initdb, "--pgdata", data, "--username", USER, "--pwfile", secret, "--locale=C",
             "--encoding=UTF8", "--auth=scram-sha-256", "--no-sync"],
            cwd=self.directory, stdout=subprocess.DEVNULL, timeout=PATIENCE, check=True,
            **self.owner)  # fmt: skip
        host = own_address()
        self.address = f"{host}:5432"
        settings = [f"--{setting}" for setting in (f"listen_addresses={host}", "port=5432", *SETTINGS)]
        self.process = Process([postgres, "-D", data, *settings], cwd=self.directory, **self.owner)
        self.process.wait_for("ready to accept connections")

    def close(self):
        if not self.process.judged:
            self.process.stop()
        shutil.rmtree(self.directory)
