# SPDX-License-Identifier: MIT
"""What the shells propose for the programs: the options of --help, all of them and no others."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from processes import program

SERVER, AGENT = "wstunnel-server", "wstunnel-agent"
COMMANDS = {SERVER: {"doctor", "init", "passwd", "status", "help"}, AGENT: {"doctor", "help"}}


def usage_of(name):
    return subprocess.run([program(name), "--help"], capture_output=True, text=True, check=True).stdout


def options_of(name):
    """The options in --help, long and short."""
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", usage_of(name))) | {"-t", "-h"}


def completion(name, file):
    return Path(program(name)).parent / "completions" / file


def run(shell, script, *arguments):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    result = subprocess.run([shell, *arguments, "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def bash(name, *words):
    """What bash proposes for the last word."""
    quoted = " ".join(f"'{word}'" for word in (name, *words))
    function = "_" + name.replace("-", "_")
    return run("bash", f"source {completion(name, name)}; COMP_WORDS=({quoted}); "
               f"COMP_CWORD={len(words)}; {function}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")  # fmt: skip


def zsh(name):
    """The arguments of _arguments."""
    return run("zsh", f"_arguments() {{ print -rl -- $@ }}; . {completion(name, '_' + name)}", "-f")


def fish(name, *words):
    """What fish proposes for the last word, without the descriptions."""
    line = " ".join((name, *words))
    script = f"source {completion(name, name + '.fish')}; complete -C '{line}'"
    return [proposed.split("\t")[0] for proposed in run("fish", script, "--no-config")]


@pytest.mark.parametrize("name", [SERVER, AGENT])
def test_bash_proposes_the_options(name):
    assert set(bash(name, "-")) == options_of(name)
    assert bash(name, "--log-l") == ["--log-level"]


@pytest.mark.parametrize("name", [SERVER, AGENT])
def test_zsh_proposes_the_options(name):
    specs = [spec for spec in zsh(name) if re.match(r"\*?-", spec)]
    assert {re.match(r"\*?(-[a-z-]+)", spec)[1] for spec in specs} == options_of(name)
    assert all(re.search(r"\[.*[a-z]{3}.*\]", spec) for spec in specs), "each is described"


@pytest.mark.parametrize("name", [SERVER, AGENT])
def test_fish_proposes_the_options(name):
    assert set(fish(name, "-")) == options_of(name)


@pytest.mark.parametrize("name", [SERVER, AGENT])
def test_arguments(name, tmp_path):
    """Options that take one complete it; those that take a file complete files."""
    usage = usage_of(name)
    (tmp_path / "config one.json").touch()
    for option, argument in re.findall(r"(?<![\w-])(--[a-z-]+) ([A-Z]+)", usage):
        if argument == "FILE":
            assert bash(name, option, f"{tmp_path}/con") == [f"{tmp_path}/config one.json"]
        elif option in ("--log-level", "--log-format", "--protocol", "--encoding", "--kick"):
            values = bash(name, option, "")
            assert len(values) > 1 and values == bash(name, option, "=", "")
            assert sorted(values) == sorted(fish(name, option, ""))
            told = re.search(rf"{option} [A-Z]+ +(.*\n(?:      .*\n)*)", usage)[1]
            assert all(re.search(rf"\b{value}\b", told) for value in values)
        elif argument == "NAME":
            assert bash(name, option, "") == [""]


@pytest.mark.parametrize("name", [SERVER, AGENT])
def test_commands(name, tmp_path):
    assert set(bash(name, "")) == set(fish(name, "")) == COMMANDS[name]
    told = re.findall(rf"^(?:usage:|      ) {name} ([a-z]+)", usage_of(name), re.M)
    assert set(told) <= COMMANDS[name]
    assert any(word in zsh(name)[-2] for word in COMMANDS[name])
    if "init" in COMMANDS[name]:
        (tmp_path / "file").touch()
        (tmp_path / "directory").mkdir()
        assert bash(name, "init", f"{tmp_path}/") == [f"{tmp_path}/directory"]
