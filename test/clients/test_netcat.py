# SPDX-License-Identifier: MIT
"""nc, by CONNECT and by SOCKS5, with nothing around its bytes: half-close, sites that speak first, and
what it is told."""
import subprocess

import pytest

from intranet import CLOSED, need
from network import SITES
from sites import Site, read_all


@pytest.fixture(params=["connect", "5"])
def netcat(request, outside, proxy):
    """A function that runs nc to a destination."""
    address = proxy.address if request.param == "connect" else proxy.socks
    nc = need("nc")
    if b"-X proxy_protocol" not in subprocess.run([nc, "-h"], capture_output=True).stderr:
        pytest.skip("this nc knows no proxies: netcat-openbsd not installed")

    def run(destination, *options, **more):
        host, _, port = destination.rpartition(":")
        return outside.run(nc, "-X", request.param, "-x", address, *options, host, port, **more)

    return run


@pytest.fixture
def tcp_site(world, inside):
    """A function that makes a site of a function of its connections."""

    def make(serve):
        with inside.entered():
            return world.site(Site(serve, host=SITES))

    return make


def test_half_close(netcat, tcp_site, intranet):
    """With -N the end of the input is the end of what the site hears; it answers only then."""

    def serve(connection):
        data = read_all(connection)
        connection.sendall(b"%d bytes, backwards: " % len(data) + data[::-1])

    data = intranet.file.read_bytes()
    site = tcp_site(serve)
    for sent in (b"", b"x", data):
        told = netcat(site.address, "-N", input=sent).stdout
        assert told == b"%d bytes, backwards: " % len(sent) + sent[::-1]


def test_site_that_speaks_first(netcat, tcp_site, intranet):
    """And closes behind its last byte; nc has nothing to say, and does not say that it has not."""
    data = intranet.file.read_bytes()
    site = tcp_site(lambda connection: connection.sendall(data))
    assert netcat(site.address).stdout == data


def test_refused(netcat, request):
    """By SOCKS5 it is told a number, which it does not pass on."""
    told = netcat(CLOSED, status=1).stderr
    by_connect = request.node.callspec.params["netcat"] == "connect"
    assert b"502" in told and b"refused" in told if by_connect else b"onnection failed" in told
