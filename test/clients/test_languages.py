# SPDX-License-Identifier: MIT
"""
HTTP clients of programming languages. Each program takes PROXY CERTIFICATE HTTP HTTPS CLOSED, does
the same with both sites, and prints a line for each:

    SCHEME get SHA-256 of /file
    SCHEME put what /app/hash says of the same bytes, sent without a length
    SCHEME many SHA-256 of 100 small files, fetched at the same time
    SCHEME refused whatever it is told about a site that cannot be reached
"""
import functools
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from intranet import CLOSED, HTTP, HTTPS, ORIGINS, need
from network import environment

HERE = Path(__file__).parent


def python(module, *more):
    """The command of a Python that has the modules: the one in use, or the system's."""
    for interpreter in (sys.executable, "/usr/bin/python3"):
        argv = [interpreter, "-c", f"import {', '.join((module, *more))}"]
        if os.path.exists(interpreter) and not subprocess.run(argv, capture_output=True).returncode:
            return [interpreter, "-B", HERE / f"client_{module.partition('.')[0]}.py"], {}
    names = " or ".join(f"python3-{name}" for name in (module, *more))
    pytest.skip(f"{names} not installed (test/clients/install.sh)")


def go(directory):
    compiler = need("go")
    offline = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    subprocess.run([compiler, "build", "-o", directory / "client", "client.go"],
                   cwd=HERE, env=os.environ | offline, check=True)  # fmt: skip
    return [directory / "client"], {}


def java_of_17():
    """The launcher of Java 17 or later, and its version."""
    launcher, compiler = need("java", "javac")
    version = subprocess.run([compiler, "-version"], capture_output=True, text=True).stdout
    if not (found := re.match(r"javac (\d+)", version)) or int(found[1]) < 17:
        pytest.skip(f"Java 17 not installed, but {version.strip()}")
    return launcher, int(found[1])


def java(_):
    launcher, _ = java_of_17()
    # Java does not give passwords to proxies for tunnels unless told to.
    return [launcher, "-Djdk.http.auth.tunneling.disabledSchemes=", HERE / "Client.java"], {}


def node(_):
    launcher = need("node")
    cache = os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")
    modules = Path(os.environ.get("WSTUNNEL_CLIENTS", Path(cache) / "wstunnel-clients"))
    if not (modules / "node_modules/undici").exists():
        pytest.skip("undici not installed (test/clients/install.sh)")
    return [launcher, HERE / "client.mjs"], {"UNDICI": str(modules)}


def test_query_without_a_path(outside, proxy):
    """urllib passes such an address on as it is."""
    script = (
        "import sys, urllib.request as u\n"
        "opener = u.build_opener(u.ProxyHandler({'http': sys.argv[1]}))\n"
        "print(opener.open(sys.argv[2]).read().decode())"
    )
    done = outside.run(sys.executable, "-c", script, proxy.url, f"{HTTP}?a=b/c")
    assert b"<title>index</title>" in done.stdout


@pytest.mark.parametrize("scheme", ORIGINS)
def test_java_as_it_is(outside, users_proxy, intranet, scheme):
    """Its older client, which in tunnels does not answer Basic unless told so, answers Digest. Offered
    two algorithms it takes MD5, and since Java 19 refuses that unless told so."""
    launcher, version = java_of_17()
    md5 = ["-Dhttp.auth.digest.reEnabledAlgorithms=MD5"] if version >= 19 else []
    done = outside.run(
        launcher, *md5, HERE / "Connection.java", users_proxy.url, intranet.certificate,
        f"{ORIGINS[scheme]}/file",
    )  # fmt: skip
    assert done.stdout.decode().split() == ["digest", intranet.digest]


LANGUAGES = {
    "urllib": lambda _: python("urllib.request"),
    "requests": lambda _: python("requests"),
    "aiohttp": lambda _: python("aiohttp"),
    "go": go,
    "java": java,
    "undici": node,
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A function from a language to its client's command and environment; builds it once."""

    @functools.cache
    def prepare(language):
        return LANGUAGES[language](tmp_path_factory.mktemp(language))

    return prepare


@pytest.mark.parametrize("language", LANGUAGES)
def test_client(outside, either_proxy, intranet, program, language):
    visit(outside, intranet, program(language), either_proxy.url, intranet.certificate)


# Those that know https:// proxies.
@pytest.mark.parametrize("language", ["requests", "aiohttp", "go", "undici"])
def test_client_of_an_https_proxy(outside, secure_proxy, intranet, program, language):
    visit(outside, intranet, program(language), secure_proxy.url, secure_proxy.bundle)


def visit(outside, intranet, client, proxy, certificates, refused=True):
    """`refused`: the client says what it is told about the site that cannot be reached; else it fails
    there, as by SOCKS."""
    argv, variables = client
    done = outside.run(
        *argv, proxy, certificates, HTTP, HTTPS, CLOSED,
        env=environment(outside.home, **variables), status=0 if refused else 1,
    )  # fmt: skip
    tiles = [(intranet.root / f"tiles/{i}.png").read_bytes() for i in range(100)]
    many = hashlib.sha256(b"".join(tiles)).hexdigest()
    expected = [line for scheme in ("http", "https")
                for line in (f"{scheme} get {intranet.digest}", f"{scheme} put {intranet.digest}",
                             f"{scheme} many {many}")]  # fmt: skip
    lines = done.stdout.decode().splitlines()
    assert lines[:6] == expected
    if not refused:
        assert b"refused" in done.stderr
        return
    for line, scheme in zip(lines[6:], ("http", "https"), strict=True):
        assert re.match(rf"{scheme} refused .*(502|refused)", line), line
