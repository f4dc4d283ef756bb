# SPDX-License-Identifier: MIT
"""git: clone, push, fetch over http and https. Big packs go out in chunks, requests compressed."""
import pytest

from intranet import CLOSED, ORIGINS, need
from network import environment
from payload import make_payload


@pytest.fixture
def git(outside, intranet, tmp_path):
    """A function that runs git in a working directory."""
    program = need("git")
    tmp_path.joinpath("config").write_text(
        "[user]\nname = Tester\nemail = tester@site.test\n[init]\ndefaultBranch = main\n"
        f"[http]\nsslCAInfo = {intranet.certificate}\n[gc]\nauto = 0\n"
    )
    env = environment(
        outside.home,
        GIT_CONFIG_GLOBAL=str(tmp_path / "config"),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_TERMINAL_PROMPT="0",
    )

    def run(*arguments, directory=tmp_path, status=0):
        return outside.run(program, "-C", directory, *arguments, env=env, status=status)

    return run


@pytest.fixture
def repository(git, intranet, tmp_path, request):
    """Path below the site's /git/ of an empty repository that may be pushed to."""
    name = request.node.name.replace("[", "-").replace("]", "") + ".git"
    git("init", "--bare", intranet.git_root / name)
    git("config", "http.receivepack", "true", directory=intranet.git_root / name)
    return name


@pytest.mark.parametrize("method", ["anyauth", "basic", "digest"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_ways_to_authenticate(git, users_proxy, repository, tmp_path, scheme, method):
    """A push: its packs are not lost when the proxy asks who it is."""
    url = f"{ORIGINS[scheme]}/git/{repository}"
    through = ("-c", f"http.proxy={users_proxy.url}", "-c", f"http.proxyAuthMethod={method}")
    git("init", tmp_path / "first")
    make_payload(tmp_path / "first" / "big", 3_000_000)
    git("add", ".", directory=tmp_path / "first")
    git("commit", "-qm", "one", directory=tmp_path / "first")
    git(*through, "push", "-q", url, "main", directory=tmp_path / "first")
    git(*through, "clone", "-q", url, tmp_path / "second")
    assert (tmp_path / "second/big").read_bytes() == (tmp_path / "first/big").read_bytes()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_push_clone_push_pull(git, either_proxy, intranet, repository, tmp_path, scheme):
    url = f"{ORIGINS[scheme]}/git/{repository}"
    through = ("-c", f"http.proxy={either_proxy.url}")
    first, second = tmp_path / "first", tmp_path / "second"
    git("init", first)
    make_payload(first / "big", 3_000_000)  # more than http.postBuffer: sent in chunks
    for i in range(300):
        (first / f"{i}.txt").write_text(f"line {i}\n" * 10)
    git("add", ".", directory=first)
    git("commit", "-qm", "one", directory=first)
    git(*through, "push", "-q", url, "main", directory=first)

    git(*through, "clone", "-q", url, second)
    git("fsck", "--strict", directory=second)
    assert (second / "big").read_bytes() == (first / "big").read_bytes()

    (second / "more").write_text("more\n")
    git("add", "more", directory=second)
    git("commit", "-qm", "two", directory=second)
    git(*through, "push", "-q", url, "main", directory=second)
    git(*through, "pull", "-q", url, "main", directory=first)
    assert (first / "more").read_text() == "more\n"
    tips = {git("rev-parse", "main", directory=d).stdout
            for d in (first, second, intranet.git_root / repository)}  # fmt: skip
    assert len(tips) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_refused(git, proxy, scheme):
    """Its user sees the status, at least."""
    told = git(
        "-c", f"http.proxy={proxy.url}", "ls-remote", f"{scheme}://{CLOSED}/x.git", status=128
    )
    assert b"502" in told.stderr


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_stranger(git, users_proxy, intranet, repository, scheme):
    url = f"{ORIGINS[scheme]}/git/{repository}"
    stranger = f"http://nobody:wrong@{users_proxy.address}"
    told = git("-c", f"http.proxy={stranger}", "ls-remote", url, status=128)
    assert b"407" in told.stderr
