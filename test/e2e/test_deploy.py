# SPDX-License-Identifier: MIT
"""The files of examples/deploy: what the tools that are to read them say of them."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from processes import program

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"
UNITS = ("wstunnel-server", "wstunnel-agent")


def analyze(*arguments):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze not installed")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_valid(unit, tmp_path):
    """Directives that systemd does not know would be ignored, and the sandbox be open there."""
    text = (DEPLOY / f"{unit}.service").read_text()
    copy = tmp_path / f"{unit}.service"
    copy.write_text(text.replace(f"/usr/bin/{unit}", program(unit)))
    result = analyze("verify", "--man=no", str(copy))
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_confined(unit):
    """As systemd judges it: 0 is closed, 10 is open; what is below 2 has little left to give."""
    result = analyze("security", "--offline=yes", "--no-pager", "--threshold=20",
                     str(DEPLOY / f"{unit}.service"))  # fmt: skip
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_unit_names_what_is_there(unit):
    """The options in the unit are options of the program."""
    text = (DEPLOY / f"{unit}.service").read_text()
    command = re.search(r"^ExecStart=/usr/bin/(\S+)(.*)$", text, re.M)
    assert command[1] == unit
    usage = subprocess.run([program(unit), "--help"], capture_output=True, text=True).stdout
    for option in re.findall(r"--[a-z-]+", command[2]):
        assert f"{option} " in usage
