# SPDX-License-Identifier: MIT
"""SOCKS5 clients: curl, git, Python, Java, Go and Chromium, without and with a name and a password. nc
is in test_netcat.py, ssh in test_ssh.py."""
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from browser import Browser, Driver, WebDriverError
from intranet import CLOSED, HTTP, HTTPS, ORIGINS, TILE, TILES, need
from network import SITE, SITES, environment
from processes import PASSWORD, USER
from test_languages import go, python, visit

HERE = Path(__file__).parent


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def curl(outside, intranet):
    """A function that runs a curl."""

    def run(*arguments, status=0):
        return outside.run(need("curl"), "-sS", "--fail", "--cacert", intranet.certificate,
                           *arguments, status=status)  # fmt: skip

    return run


@pytest.mark.parametrize("scheme", ORIGINS)
def test_curl(curl, either_proxy, intranet, scheme):
    """The name is not known outside: the agent resolves it."""
    done = curl("--proxy", either_proxy.socks_url("socks5h"), f"{ORIGINS[scheme]}/file")
    assert digest(done.stdout) == intranet.digest


def test_curl_by_address(curl, either_proxy, intranet):
    done = curl("--proxy", either_proxy.socks_url("socks5"), f"http://{SITES}/file")
    assert digest(done.stdout) == intranet.digest


def test_curl_by_its_option(curl, users_proxy, intranet):
    done = curl("--socks5-hostname", users_proxy.socks, "--proxy-user", f"{USER}:{PASSWORD}",
                f"{HTTPS}/file")  # fmt: skip
    assert digest(done.stdout) == intranet.digest


def test_curl_uploads(curl, either_proxy, intranet):
    done = curl("--proxy", either_proxy.socks_url("socks5h"), "-T", intranet.file,
                f"{HTTPS}/app/hash")  # fmt: skip
    assert done.stdout.decode() == intranet.digest


def test_curl_many_at_once(curl, either_proxy, tmp_path, intranet):
    curl("--proxy", either_proxy.socks_url("socks5h"), "-Z", "--parallel-max", "50",
         "-o", f"{tmp_path}/#1", f"{HTTP}/tiles/[0-{TILES - 1}].png")  # fmt: skip
    for i in range(TILES):
        assert (tmp_path / str(i)).read_bytes() == (intranet.root / f"tiles/{i}.png").read_bytes()


def test_curl_is_refused(curl, proxy, users_proxy):
    """By the site, and by the proxy: without, and with a wrong password."""
    told = curl("--proxy", proxy.socks_url("socks5h"), f"http://{CLOSED}/", status=97).stderr
    assert b"(5)" in told
    curl("--proxy", f"socks5h://{users_proxy.socks}", f"{HTTP}/file", status=97)
    stranger = f"socks5h://{USER}:wrong@{users_proxy.socks}"
    told = curl("--proxy", stranger, f"{HTTP}/file", status=97).stderr
    assert b"rejected" in told


def test_curl_speaks_socks4(curl, proxy):
    told = curl("--proxy", proxy.socks_url("socks4a"), f"{HTTP}/file", status=97).stderr
    assert b"(91)" in told
    proxy.server.wait_for("SOCKS4 is not served")


def test_git(outside, either_proxy, intranet, tmp_path):
    program = need("git")
    env = environment(outside.home, GIT_CONFIG_GLOBAL=os.devnull, GIT_TERMINAL_PROMPT="0")
    bare = intranet.git_root / f"socks-{os.urandom(4).hex()}.git"
    outside.run(program, "init", "-q", "--bare", "-b", "main", bare, env=env)
    outside.run(program, "-C", bare, "config", "http.receivepack", "true", env=env)
    through = ("-c", f"http.proxy={either_proxy.socks_url('socks5h')}",
               "-c", f"http.sslCAInfo={intranet.certificate}",
               "-c", "user.name=T", "-c", "user.email=t@site.test")  # fmt: skip
    first, second, url = tmp_path / "first", tmp_path / "second", f"{HTTPS}/git/{bare.name}"
    outside.run(program, "init", "-q", "-b", "main", first, env=env)
    (first / "big").write_bytes(intranet.file.read_bytes())
    outside.run(program, "-C", first, "add", ".", env=env)
    outside.run(program, "-C", first, *through, "commit", "-qm", "one", env=env)
    outside.run(program, "-C", first, *through, "push", "-q", url, "main", env=env)
    outside.run(program, *through, "clone", "-q", url, second, env=env)
    assert (second / "big").read_bytes() == (first / "big").read_bytes()


def pysocks(_):
    return python("socks")[0]


def java(_):
    launcher, _ = need("java", "javac")
    return [launcher, HERE / "Socks.java"]


def x_net(directory):
    """golang.org/x/net comes from the module proxy that Go is told to use."""
    built = subprocess.run([need("go"), "build", "-mod=readonly", "-o", directory / "client"],
                           cwd=HERE / "socks", env=os.environ | {"GOTOOLCHAIN": "local"},
                           capture_output=True, text=True)  # fmt: skip
    if built.returncode != 0 and "golang.org/x/net" in built.stderr:
        pytest.skip(f"golang.org/x/net cannot be had: {built.stderr.strip().splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    return [directory / "client"]


PROGRAMS = {"PySocks": pysocks, "java": java, "golang.org/x/net/proxy": x_net}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(outside, either_proxy, users_proxy, intranet, tmp_path, name):
    argv = PROGRAMS[name](tmp_path)
    login = (USER, PASSWORD) if either_proxy is users_proxy else ("", "")
    where = (f"{SITE}:80", "/file") if name.startswith("golang") else (SITE, "80", "/file")
    done = outside.run(*argv, either_proxy.socks, *login, *where)
    assert digest(done.stdout.partition(b"\r\n\r\n")[2]) == intranet.digest
    if login[0]:
        told = outside.run(*argv, either_proxy.socks, USER, "wrong", *where, status=None)
        assert told.returncode != 0 and told.stdout == b""


# Go's own client takes "socks5" for what others call "socks5h"; requests needs PySocks for it.
@pytest.mark.parametrize("language, scheme", [("go", "socks5"), ("requests", "socks5h")])
def test_http_client(outside, either_proxy, intranet, tmp_path, language, scheme):
    client = go(tmp_path) if language == "go" else python("requests", "socks")
    visit(outside, intranet, client, either_proxy.socks_url(scheme), intranet.certificate,
          refused=False)  # fmt: skip


@pytest.mark.parametrize("scheme", ORIGINS)
def test_chromium(outside, proxy, intranet, tmp_path, scheme):
    """It knows no login by SOCKS."""
    driver = Driver(outside)
    try:
        browser = Browser(driver, tmp_path, f"socks5://{proxy.socks}")
        try:
            browser.go(f"{ORIGINS[scheme]}/tiles.html")
            sizes = browser.run("return Array.from(document.images, i => i.naturalWidth)")
            assert sizes == [TILE] * TILES
            with pytest.raises(WebDriverError, match="ERR_SOCKS_CONNECTION_FAILED"):
                browser.go(f"http://{CLOSED.replace(':9', ':1009')}/")
        finally:
            browser.close()
    finally:
        driver.close()
