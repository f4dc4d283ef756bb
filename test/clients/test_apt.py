# SPDX-License-Identifier: MIT
"""apt: update and download from a small private repository, with no state but its own. Over http
it sends many requests down one connection without waiting for answers."""
import subprocess

import pytest

from intranet import ORIGINS, need
from payload import make_payload

PACKAGES = 30


@pytest.fixture(scope="module")
def repository(intranet, tmp_path_factory):
    """Paths of the packages, by name; the site offers them below /apt."""
    deb, archive, _ = need("dpkg-deb", "apt-ftparchive", "apt-get")
    root = intranet.root / "apt"
    root.mkdir()
    for i in range(PACKAGES):
        tree = tmp_path_factory.mktemp("package")
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(
            f"Package: thing{i}\nVersion: 1.0\nArchitecture: all\n"
            f"Maintainer: Tester <tester@site.test>\nDescription: thing {i}\n"
        )
        make_payload(tree / "data", 20_000 + i * 3_000)
        subprocess.run(
            [deb, "-Znone", "--root-owner-group", "--build", tree, root / f"thing{i}.deb"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    for name, command in (("Packages", ["packages", "."]), ("Release", ["release", "."])):
        made = subprocess.run([archive, *command], cwd=root, check=True, stdout=subprocess.PIPE)
        (root / name).write_bytes(made.stdout)
    return {f"thing{i}": root / f"thing{i}.deb" for i in range(PACKAGES)}


@pytest.fixture
def apt(outside, repository, intranet, tmp_path):
    """A function that runs apt-get through a proxy with state of its own."""

    def run(proxy, scheme, *arguments, status=0):
        state = tmp_path / "state"
        for name in ("lists/partial", "cache/archives/partial", "etc"):
            (state / name).mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        (state / "sources").write_text(f"deb [trusted=yes] {ORIGINS[scheme]}/apt ./\n")
        config = state / "config"
        config.write_text(
            f"""
            Dir::State "{state}"; Dir::State::lists "{state}/lists"; Dir::Cache "{state}/cache";
            Dir::State::status "{state}/status"; Dir::Etc "{state}/etc"; Dir::Log "{state}";
            Dir::Etc::SourceList "{state}/sources"; Dir::Etc::SourceParts "-";
            APT::Sandbox::User "root"; APT::Update::Error-Mode "any"; Acquire::Retries "0";
            Acquire::Languages "none"; Acquire::https::CaInfo "{intranet.certificate}";
            #clear DPkg::Post-Invoke; #clear APT::Update::Post-Invoke;
            #clear APT::Update::Post-Invoke-Success; #clear DPkg::Pre-Install-Pkgs;
        """
        )
        through = ("-o", f"Acquire::http::Proxy={proxy.url}",
                   "-o", f"Acquire::https::Proxy={proxy.url}")  # fmt: skip
        return outside.run(
            "apt-get", "-q", "-c", config, *through, *arguments, cwd=tmp_path, status=status
        )

    return run


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_update_and_download(apt, repository, either_proxy, tmp_path, scheme):
    apt(either_proxy, scheme, "update")
    apt(either_proxy, scheme, "download", *repository)
    for name, path in repository.items():
        assert (tmp_path / f"{name}_1.0_all.deb").read_bytes() == path.read_bytes()


def test_site_says_no(apt, proxy, repository, intranet):
    """A package that is gone is an error, and the others come through."""
    apt(proxy, "http", "update")
    path = repository["thing3"]
    path.rename(path.with_suffix(".gone"))
    try:
        told = apt(proxy, "http", "download", "thing2", "thing3", "thing4", status=100).stderr
    finally:
        path.with_suffix(".gone").rename(path)
    assert b"404" in told
