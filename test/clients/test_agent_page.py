# SPDX-License-Identifier: MIT
"""The page of an agent's operators, in Chromium: what it shows of connections and streams, its plots,
the end of a stream, its other orders, and how it looks in windows of any width, light and dark."""
import pytest

from browser import Browser, Driver
from conftest import Proxy
from network import OUTSIDE
from processes import PATIENCE, wait_until
from test_admin_page import NOWHERE, PLOTTED, rows, tunnel

PORT, ADMIN = 3150, "127.0.0.1:3151"


class Scene:
    """Two streams, and the page: the browser is where the agent is."""

    def __init__(self, world, network, outside, directory):
        self.proxy = Proxy(world, network, PORT, agent=("--admin", ADMIN, "--name", "inside"))
        self.clients = [tunnel(outside, PORT) for _ in range(2)]
        self.driver = Driver(network.inside)
        try:
            self.page = Browser(self.driver, directory, NOWHERE)
            self.page.go(f"http://{ADMIN}/")
            wait_until(lambda: len(rows(self.page, "streams")) == 2, "the streams")
        except BaseException:
            self.close()
            raise

    def close(self):
        self.driver.close()
        for client in self.clients:
            client.close()


@pytest.fixture
def scene(world, network, intranet, outside, tmp_path):
    made = Scene(world, network, outside, tmp_path)
    yield made
    made.page.close()
    made.close()


def visible(page, selector):
    return page.run(f"return document.querySelector('{selector}').checkVisibility()")


def test_page(scene):
    page = scene.page
    assert page.run("return document.title") == "wstunnel-agent inside"
    (connection,) = rows(page, "connections")
    assert f"{OUTSIDE}:{PORT}" in connection
    assert all("open" in row for row in rows(page, "streams"))
    wait_until(lambda: "1 of 1 connection up, 2 streams" in page.text(), "the summary")
    wait_until(lambda: page.run(PLOTTED) >= 2, "the plots")
    page.type("#streams-filter", "nothing like it")
    assert rows(page, "streams") == []
    page.run("const f = document.querySelector('#streams-filter'); f.value = 'open';"
             " f.dispatchEvent(new Event('input'))")  # fmt: skip
    assert len(rows(page, "streams")) == 2
    # One stream is ended, which its client notices, and nobody else.
    page.run("window.confirm = () => true")
    ended = rows(page, "streams")[0].split()[0]
    page.click("#streams tbody tr button")
    wait_until(lambda: len(rows(page, "streams")) == 1, "the end of the stream")
    assert rows(page, "streams")[0].split()[0] != ended
    gone = scene.clients[int(ended) - 1]
    gone.settimeout(PATIENCE)
    with pytest.raises(ConnectionResetError):
        gone.recv(1)
    assert not visible(page, "#refused")
    wait_until(lambda: not visible(page, "#problem"), "no problem")


def test_orders(scene):
    page, agent = scene.page, scene.proxy.agent
    page.run("window.confirm = () => false")
    page.click("#reconnect")
    page.run("window.confirm = () => true")
    page.click("#reconnect")
    agent.wait_for("operator 127.*: reconnect the agent")
    scene.proxy.server.wait_for("agent .* resumed")
    assert agent.output.count("reconnect the agent") == 1  # the first time it was not confirmed
    page.click("#drain")
    wait_until(lambda: ", draining" in page.text(), "a draining agent")
    assert not visible(page, "#drain") and not visible(page, "#reconnect")
    for client in scene.clients:
        client.close()
    agent.wait_exit()
    wait_until(lambda: "The agent does not answer" in page.text(), "the problem")


def test_no_server(scene):
    for client in scene.clients:
        client.close()
    scene.proxy.server.terminate()
    wait_until(lambda: "No connection to a server is up." in scene.page.text(), "the problem")
    assert "0 of 1 connection up" in scene.page.text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 360])
def test_looks(scene, width, scheme):
    page = scene.page
    page.look(width, 900, scheme)
    wait_until(lambda: page.run(PLOTTED) >= 2, "the plots")
    assert page.run("return window.innerWidth") == width
    assert page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    picture = page.screenshot()
    assert picture.width == width
    brightness = sum(picture.pixel(2, 2)) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60
    assert len({picture.pixel(x, y) for x in range(0, width, 9) for y in range(0, 900, 7)}) > 5
