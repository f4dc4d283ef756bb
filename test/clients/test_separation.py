# SPDX-License-Identifier: MIT
"""The two networks are separate: what the other tests show, they show of the tunnel."""
import errno
import json
import socket
import subprocess
import sys

import pytest

from intranet import APP, need
from network import INSIDE, SITE, SITES, SITES_IPV6


@pytest.mark.parametrize("address", [SITES, SITES_IPV6])
@pytest.mark.parametrize("port", [22, 80, 443, 8000])
def test_site_is_out_of_reach(outside, intranet, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with outside.entered():
        sock = socket.socket(family)
    with sock, pytest.raises(OSError) as failed:
        sock.connect((address, port))
    assert failed.value.errno == errno.ENETUNREACH


@pytest.mark.parametrize("port", [22, 80, 443, 8000])
def test_agents_machine_offers_nothing(outside, intranet, port):
    with outside.entered():
        sock = socket.socket()
    with sock, pytest.raises(ConnectionRefusedError):
        sock.connect((INSIDE, port))


def test_name_means_nothing_outside(outside, inside):
    look_up = f"import socket; print(socket.getaddrinfo('{SITE}', 80)[0][4][0])"
    assert inside.run(sys.executable, "-c", look_up).stdout
    assert b"gaierror" in outside.run(sys.executable, "-c", look_up, status=1).stderr


def test_nothing_leads_elsewhere(network):
    for space in (network.outside, network.inside):
        routes = subprocess.run(
            ["ip", "-n", space.name, "route"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert len(routes) == 1 and routes[0].startswith("10.77.1.0/24 dev cable"), routes


def test_it_is_the_agent_that_connects(outside, proxy):
    shown = outside.run(
        need("curl"), "-sSf", "--proxy", proxy.url, f"http://{APP}/app/request"
    ).stdout
    assert json.loads(shown)["peer"] == SITES  # not the server's nor the client's address
