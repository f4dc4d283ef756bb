# SPDX-License-Identifier: MIT
"""curl: CONNECT, absolute form, uploads, what the site gets to see, and how curl takes errors."""
import hashlib
import json
import subprocess

import pytest

from intranet import APP, CLOSED, HTTP, HTTPS, ORIGINS, TILES, need
from network import SITES_IPV6, environment
from processes import PASSWORD, PATIENCE, USER, USER_BASIC

# How one may come to the site: (scheme, options).
WAYS = [("http", []), ("http", ["--proxytunnel"]), ("https", [])]


@pytest.fixture
def curl(outside, intranet):
    """A function that runs a curl through a proxy, and returns what it prints."""
    program = need("curl")

    def run(proxy, *arguments, status=0, **options):
        return outside.run(
            program, "-sS", "--fail-with-body", "--proxy", proxy.url, "--cacert",
            intranet.certificate, *arguments, status=status, **options,
        ).stdout  # fmt: skip

    return run


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("scheme, way", WAYS)
def test_download(curl, either_proxy, intranet, scheme, way):
    assert digest(curl(either_proxy, *way, f"{ORIGINS[scheme]}/file")) == intranet.digest


@pytest.mark.parametrize("length", ["known", "unknown"])
@pytest.mark.parametrize("scheme, way", WAYS)
def test_upload(curl, either_proxy, intranet, scheme, way, length):
    """With Expect: 100-continue, as curl does for large bodies; without a length it comes in
    chunks. The application itself takes them where nginx is not needed for TLS."""
    origin = f"http://{APP}" if scheme == "http" else HTTPS
    source = intranet.file if length == "known" else "-"
    with open(intranet.file, "rb") as file:
        said = curl(either_proxy, *way, "--http1.1", "-H", "Expect: 100-continue", "-T", source,
                    f"{origin}/app/hash", stdin=file)  # fmt: skip
    assert said.decode() == intranet.digest


def test_upload_while_it_is_made(outside, proxy):
    """What a client has sent arrives, and is answered, while its request goes on."""
    argv = outside.command(
        need("curl"), "-sS", "-N", "--proxy", proxy.url, "-T", "-", f"http://{APP}/app/hash"
    )
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(outside.home)
    ) as process:
        for piece in (b"one", b"two", b"three"):
            process.stdin.write(piece)
            process.stdin.flush()
        out, _ = process.communicate(timeout=PATIENCE)
    assert out.decode() == digest(b"onetwothree")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_ipv6_literal(curl, network, proxy, intranet, scheme):
    if not network.ipv6:
        pytest.skip("no IPv6 here")
    assert digest(curl(proxy, f"{scheme}://[{SITES_IPV6}]/file")) == intranet.digest


@pytest.mark.parametrize("options", [[], ["--http2"]])
def test_http_version_inside_the_tunnel(curl, proxy, options):
    """curl and the site agree on HTTP/2 by themselves; they do not know of us."""
    said = curl(proxy, *options, "-o", "/dev/null", "-w", "%{http_version}", f"{HTTPS}/file")
    assert said == b"2"


def test_http2_with_many_streams(curl, proxy, intranet):
    said = curl(proxy, "--http2", "-Z", "--parallel-max", "50", "-o", "/dev/null",
                "-w", "%{http_code} %{size_download} %{http_version}\n",
                f"{HTTPS}/tiles/[0-{TILES - 1}].png")  # fmt: skip
    sizes = [len((intranet.root / f"tiles/{i}.png").read_bytes()) for i in range(TILES)]
    assert sorted(said.decode().split("\n")[:-1]) == sorted(f"200 {size} 2" for size in sizes)


@pytest.mark.parametrize("way", [[], ["--proxytunnel"]])
def test_many_at_once(curl, either_proxy, tmp_path, intranet, way):
    curl(either_proxy, *way, "-Z", "--parallel-max", "50", "-o", f"{tmp_path}/#1",
         f"{HTTP}/tiles/[0-{TILES - 1}].png")  # fmt: skip
    for i in range(TILES):
        assert (tmp_path / str(i)).read_bytes() == (intranet.root / f"tiles/{i}.png").read_bytes()


def test_connection_is_kept(curl, either_proxy):
    """One connection to the proxy for many requests in absolute form, to several sites."""
    urls = [f"{HTTP}/index.html", f"http://{APP}/app/request", f"{HTTP}/index.html"]
    said = curl(either_proxy, *(x for url in urls * 5 for x in ("-o", "/dev/null", url)),
                "-w", "%{http_code} %{num_connects}\n")  # fmt: skip
    assert said.decode().split("\n")[:-1] == ["200 1"] + ["200 0"] * 14


def shown(curl, proxy, *arguments):
    """What the site sees of a request: line, fields by lower-case name."""
    request = json.loads(curl(proxy, *arguments, f"http://{APP}/app/request?a=b"))
    return request["line"], {name.lower(): value for name, value in request["fields"]}, request


def test_what_the_site_sees(curl, users_proxy):
    """The request is the client's own but for what was meant for the proxy."""
    line, fields, _ = shown(
        curl, users_proxy, "-H", "X-Mine: yes", "-H", "TE: trailers", "-H", "Cookie: a=1; b=2",
        "-H", "Connection: close, X-Hop", "-H", "X-Hop: hop", "-H", "Keep-Alive: timeout=5",
    )  # fmt: skip
    assert line == "GET /app/request?a=b HTTP/1.1"
    assert fields["host"] == APP
    assert fields["x-mine"] == "yes" and fields["cookie"] == "a=1; b=2"
    for name in ("proxy-authorization", "proxy-connection", "keep-alive", "x-hop"):
        assert name not in fields
    assert not {"close", "x-hop"} & set(fields.get("connection", "").lower().split(", "))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_methods(curl, proxy, method):
    line, _, request = shown(curl, proxy, "-X", method, "-d", "some body")
    assert line == f"{method} /app/request?a=b HTTP/1.1" and request["body"] == "some body"


def test_proxy_header(curl, proxy):
    """What is for the proxy alone goes with CONNECT, which the site does not see."""
    header = ("--proxy-header", "X-For-Proxy: yes")
    _, fields, _ = shown(curl, proxy, "--proxytunnel", *header)
    assert "x-for-proxy" not in fields
    assert curl(proxy, *header, f"{HTTPS}/index.html")


@pytest.mark.parametrize("scheme, way", WAYS)
def test_password_by_proxy_header(outside, users_proxy, intranet, scheme, way):
    """The proxy heeds such a header, in either form of request."""
    done = outside.run(
        need("curl"), "-sSf", "--proxy", f"http://{users_proxy.address}", *way, "--cacert",
        intranet.certificate, "--proxy-header", f"Proxy-Authorization: Basic {USER_BASIC}",
        f"{ORIGINS[scheme]}/index.html",
    )  # fmt: skip
    assert done.stdout.endswith(b"<title>index</title>")


def test_head(curl, proxy):
    """Has a length, but no body; the next request on the connection is not confused."""
    said = curl(proxy, "--head", f"{HTTP}/file", "--next", "-sS", "--proxy", proxy.url,
                f"{HTTP}/index.html")  # fmt: skip
    assert b"Content-Length: 4194304" in said and said.endswith(b"<title>index</title>")


def test_conditional(curl, proxy, tmp_path):
    """304 has no body either; the next answer on the connection is not confused."""
    tag, url = tmp_path / "tag", f"{HTTP}/index.html"
    curl(proxy, "--etag-save", tag, url)
    condition = f"If-None-Match: {tag.read_text().strip()}"
    said = curl(proxy, "-H", condition, "-w", "%{http_code} %{num_connects}\n", url, url)
    assert said == b"304 1\n304 0\n"


def test_range(curl, proxy, intranet):
    said = curl(proxy, "--range", "1000-1999", f"{HTTP}/file")
    assert said == intranet.file.read_bytes()[1000:2000]


def test_http_1_0(curl, either_proxy, intranet):
    assert digest(curl(either_proxy, "--http1.0", f"{HTTP}/file")) == intranet.digest
    assert digest(curl(either_proxy, "--proxy1.0", either_proxy.url, f"{HTTPS}/file"))


def test_answer_without_a_length(curl, proxy):
    for _ in range(2):
        assert curl(proxy, f"http://{APP}/app/endless") == b"all of it\n"


def test_early_hints(curl, proxy):
    said = curl(proxy, "--include", f"http://{APP}/app/hints")
    assert said.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </style>; rel=preload\r\n")
    assert b"\r\n\r\nHTTP/1.1 200 OK\r\n" in said and said.endswith(b"\r\n\r\nfinal\n")


@pytest.mark.parametrize("expect", ["100-continue", ""])
@pytest.mark.parametrize("scheme, way", WAYS)
def test_answer_before_the_end_of_an_upload(curl, proxy, tmp_path, scheme, way, expect):
    """The site refuses a big upload while it comes, or before; curl gets to know why."""
    big = tmp_path / "big"
    with open(big, "wb") as file:
        file.truncate(200_000_000)
    said = curl(proxy, *way, "--http1.1", "-H", f"Expect: {expect}", "-o", "/dev/null", "-T", big,
                "-w", "%{http_code} %{size_upload}", f"{ORIGINS[scheme]}/file", status=22)  # fmt: skip
    code, sent = said.split()
    assert code == b"405" and int(sent) < 200_000_000


def test_h2c_is_not_agreed_on(curl, proxy):
    """The client asks for HTTP/2 without TLS; it is not for the proxy to pass that on."""
    said = curl(proxy, "--http2", "-w", "%{http_version}", f"{HTTP}/index.html")
    assert said.endswith(b"<title>index</title>1.1")


def go_on_after_first_line(outside, intranet, *arguments):
    """Runs a curl; the application goes on, or resets, once its first line has come out. Returns
    what came then, and curl's exit status."""
    intranet.app.gate.clear()
    argv = outside.command(need("curl"), "-sSN", *arguments)
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(outside.home)
    ) as process:
        first = process.stdout.readline()
        intranet.app.gate.set()
        rest, _ = process.communicate(timeout=PATIENCE)
    assert first == b"first\n"
    return rest, process.returncode


@pytest.mark.parametrize("way", [[], ["--proxytunnel"]])
def test_answer_comes_while_it_is_made(outside, proxy, intranet, way):
    done = go_on_after_first_line(
        outside, intranet, "--proxy", proxy.url, *way, f"http://{APP}/app/stream"
    )
    assert done == (b"last\n", 0)


@pytest.mark.parametrize("length", ["length", "until-the-end"])
@pytest.mark.parametrize("way", [[], ["--proxytunnel"]])
def test_broken_answer_is_not_taken_for_whole(outside, proxy, intranet, way, length):
    """56: the connection was reset."""
    done = go_on_after_first_line(
        outside, intranet, "--proxy", proxy.url, *way, f"http://{APP}/app/broken?{length}"
    )
    assert done == (b"", 56)


def test_refused_in_absolute_form(curl, proxy):
    said = curl(proxy, "-w", "\n%{http_code}", f"http://{CLOSED}/", status=22).decode()
    assert "refused" in said and said.endswith("\n502")


def test_refused_tunnel(curl, proxy):
    said = curl(proxy, "-w", "%{http_connect}", f"https://{CLOSED}/", status=56)
    assert said == b"502"


def test_unknown_name(curl, proxy):
    said = curl(proxy, "-w", "\n%{http_code}", "http://nobody.test/", status=22).decode()
    assert said.endswith("\n502")


@pytest.mark.parametrize("user", ["", f"{USER}:wrong@", f"nobody:{PASSWORD}@"])
@pytest.mark.parametrize("scheme, way", WAYS)
def test_stranger(outside, users_proxy, intranet, scheme, way, user):
    done = outside.run(
        need("curl"), "-sS", "--proxy", f"http://{user}{users_proxy.address}", *way, "-o",
        "/dev/null", "-w", "%{http_code} %{http_connect}", f"{ORIGINS[scheme]}/file", status=None,
    )  # fmt: skip
    assert b"407" in done.stdout and b"200" not in done.stdout


@pytest.mark.parametrize("how", ["anyauth", "digest"])
@pytest.mark.parametrize("scheme, way", WAYS)
def test_password_after_a_407(outside, users_proxy, intranet, scheme, way, how):
    """First without, then with what is asked for (Digest both times); uploads are not lost."""
    target = f"http://{APP}/app/hash" if scheme == "http" else f"{HTTPS}/app/hash"
    done = outside.run(
        need("curl"), "-sSf", f"--proxy-{how}", "--proxy", users_proxy.url, *way, "--cacert",
        intranet.certificate, "-T", intranet.file, target,
    )  # fmt: skip
    assert done.stdout.decode() == intranet.digest
