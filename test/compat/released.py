# SPDX-License-Identifier: MIT
"""
Builds 0.1.0 from this repository's history, once, into build-0.1.0/. Later runs reuse that build.
The checkout and the state that git keeps of it stay as they are.

    python3 test/compat/released.py     prints the build directory, or why there is none
"""
import fcntl
import functools
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "0.1.0"
COMMIT = "32dec7d8931e093ce77054232b670a08c505a6d0"

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / f"build-{VERSION}"
SOURCE = DIRECTORY / "source"
BUILD = DIRECTORY / "build"  # like every build it has the programs in examples/
PROGRAMS = ("wstunnel-server", "wstunnel-agent")


class Unavailable(Exception):
    """The source of 0.1.0 is not to be had here; the text says why."""


class Failed(Exception):
    """0.1.0 does not build; the text is the build's output."""


def git(*arguments):
    # In a container the checkout may belong to another user; by default git refuses to work there.
    # Nothing but objects is read here.
    command = ["git", "-c", "safe.directory=*", "-C", ROOT, *arguments]
    try:
        return subprocess.run(command, capture_output=True)
    except FileNotFoundError:
        raise Unavailable("git is not installed") from None


def why_missing():
    shallow = git("rev-parse", "--is-shallow-repository")
    if shallow.returncode != 0:
        return f"no history here: {shallow.stderr.decode().strip()}"
    if shallow.stdout.strip() == b"true":
        return f"the clone is shallow and lacks commit {COMMIT[:7]}: git fetch --unshallow"
    return f"commit {COMMIT[:7]} is not in this repository: fetch its main branch"


def unpack():
    if git("cat-file", "-e", f"{COMMIT}^{{commit}}").returncode != 0:
        raise Unavailable(f"{VERSION} is built from history; {why_missing()}")
    archive = git("archive", COMMIT)
    if archive.returncode != 0:
        raise Unavailable(f"git archive {COMMIT}: {archive.stderr.decode().strip()}")
    part = SOURCE.with_suffix(".part")  # so that an interrupted run leaves no incomplete source
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    # -m: not the commit's time, which a slow clock may not have reached: ninja would never be done.
    subprocess.run(["tar", "-x", "-m", "-C", part], input=archive.stdout, check=True)
    part.rename(SOURCE)


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}:\n{result.stdout}")


@functools.cache
def build():
    """The build directory of 0.1.0. Raises Unavailable or Failed."""
    DIRECTORY.mkdir(exist_ok=True)
    with open(DIRECTORY / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be building, too
        if not SOURCE.exists():
            unpack()
        if not (BUILD / "build.ninja").exists():
            run("meson", "setup", "--buildtype=release", "--default-library=static",
                "-Dtests=false", BUILD, SOURCE)  # fmt: skip
        run("ninja", "-C", BUILD, *(f"examples/{name}" for name in PROGRAMS))
    return BUILD


if __name__ == "__main__":
    try:
        print(build())
    except (Unavailable, Failed) as error:
        sys.exit(f"{VERSION}: {error}")
