# SPDX-License-Identifier: MIT
"""The page of operators, in Chromium: what it shows of agents and flows, its plots, its filters, its
order, by keys alone, and the end of a flow."""
import socket

import pytest

from browser import Browser, Driver
from conftest import Proxy
from intranet import HTTP
from network import OUTSIDE
from processes import PATIENCE, wait_until

PORT, ADMIN = 3140, "127.0.0.1:3141"
NOWHERE = "127.0.0.1:9"  # Chromium asks its proxy for other machines' pages only
PLOTTED = ("return Array.from(document.querySelectorAll('#plots path'),"
           " p => p.getAttribute('d')).filter(d => d?.includes('L')).length")  # fmt: skip
ROWS = "return Array.from(document.querySelectorAll('#{} tbody tr'), r => r.innerText)"


def tunnel(outside, port=PORT):
    """An open tunnel to the site."""
    with outside.entered():
        client = socket.create_connection((OUTSIDE, port), PATIENCE)
    host = HTTP.removeprefix("http://").partition(":")
    client.sendall(f"CONNECT {host[0]}:{host[2] or 80} HTTP/1.1\r\n\r\n".encode())
    assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    return client


@pytest.fixture
def scene(world, network, intranet, outside, tmp_path):
    """Two flows, and the page."""
    Proxy(world, network, PORT, more=("--listen", f"{ADMIN},admin"))
    clients = [tunnel(outside) for _ in range(2)]
    driver = Driver(outside)
    try:
        page = Browser(driver, tmp_path, NOWHERE)
        try:
            page.go(f"http://{ADMIN}/")
            wait_until(lambda: len(rows(page, "flows")) == 2, "the flows")
            yield page, clients
        finally:
            page.close()
    finally:
        driver.close()
        for client in clients:
            client.close()


def rows(page, table):
    return page.run(ROWS.format(table))


def numbers(page):
    return [row.split()[0] for row in rows(page, "flows")]


def test_page(scene):
    page, clients = scene
    (agent,) = rows(page, "agents")
    assert "ready" in agent and "libwstunnel/" in agent
    assert all("relaying" in row for row in rows(page, "flows"))
    # Plots have lines once there are two samples.
    wait_until(lambda: page.run(PLOTTED) >= 2, "the plots")
    # Order and filter, by keys alone: the first head of the table is the number.
    page.run("document.querySelector('#flows th button').focus()")
    page.run("document.activeElement.click()")
    down = numbers(page)
    page.run("document.activeElement.click()")
    assert numbers(page) == down[::-1] and sorted(down) == ["1", "2"]
    assert page.run("return document.activeElement.textContent") == "Number"
    page.type("#flows-filter", "nothing like it")
    assert numbers(page) == []
    page.run("const f = document.querySelector('#flows-filter'); f.value = 'relaying';"
             " f.dispatchEvent(new Event('input'))")  # fmt: skip
    assert len(numbers(page)) == 2
    # One flow is ended, which its client notices.
    page.run("window.confirm = () => true")
    ended = numbers(page)[0]
    page.click("#flows tbody tr button")
    wait_until(lambda: ended not in numbers(page), "the end of the flow")
    clients[int(ended) - 1].settimeout(PATIENCE)
    with pytest.raises(ConnectionResetError):
        clients[int(ended) - 1].recv(1)
    assert page.run("return document.querySelector('#problem').hidden")
    assert page.run("return document.querySelector('#refused').hidden")
    # Nothing is wider than the window, and the page has something to look at.
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    picture = page.screenshot()
    assert len({picture.pixel(x, y) for x in range(0, 800, 9) for y in range(0, 500, 7)}) > 5


def test_declined(scene, outside):
    """Who does not end a flow after all sees the table go on."""
    page, clients = scene
    page.run("window.confirm = () => false")
    page.click("#flows tbody tr button")
    clients.append(tunnel(outside))
    wait_until(lambda: len(rows(page, "flows")) == 3, "another flow")


def test_server_gone(scene, world):
    """The page says that what it shows may be old."""
    page, clients = scene
    for client in clients:
        client.close()
    world.processes[0].terminate()
    wait_until(lambda: "may be old" in page.text(), "the problem")
