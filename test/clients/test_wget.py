# SPDX-License-Identifier: MIT
"""wget: single files, a page with all it needs, and a download that is taken up again."""
import pytest

from intranet import CLOSED, HTTP, ORIGINS, TILES, need


@pytest.fixture
def wget(outside, intranet, tmp_path):
    """A function that runs wget through a proxy, in a directory of its own."""
    program = need("wget")

    def run(proxy, *arguments, status=0):
        return outside.run(
            program, "--no-config", "-nv", "--tries=1", "-e", "use_proxy=yes",
            "-e", f"http_proxy={proxy.url}", "-e", f"https_proxy={proxy.url}",
            f"--ca-certificate={intranet.certificate}", *arguments, status=status, cwd=tmp_path,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_download(wget, either_proxy, intranet, tmp_path, scheme):
    wget(either_proxy, f"{ORIGINS[scheme]}/file")
    assert (tmp_path / "file").read_bytes() == intranet.file.read_bytes()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_page_with_all_it_needs(wget, proxy, intranet, tmp_path, scheme):
    wget(proxy, "--page-requisites", "-nH", f"{ORIGINS[scheme]}/tiles.html")
    for i in range(TILES):
        name = f"tiles/{i}.png"
        assert (tmp_path / name).read_bytes() == (intranet.root / name).read_bytes()


def test_going_on_with_a_download(wget, proxy, intranet, tmp_path):
    whole = intranet.file.read_bytes()
    (tmp_path / "file").write_bytes(whole[:1_000_000])
    wget(proxy, "--continue", f"{HTTP}/file")
    assert (tmp_path / "file").read_bytes() == whole


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_refused(wget, proxy, scheme):
    """Is told why."""
    told = wget(proxy, f"{scheme}://{CLOSED}/", status=8 if scheme == "http" else 4).stderr
    assert b"refused" in told
