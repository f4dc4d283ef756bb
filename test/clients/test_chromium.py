# SPDX-License-Identifier: MIT
"""Chromium: pages with many parts and what they look like, downloads, forms, WebSockets, errors."""
import hashlib
import json

import pytest

from browser import Browser, Driver, WebDriverError
from conftest import Proxy
from intranet import APP, CLOSED, COLUMNS, HTTP, HTTPS, ORIGINS, TILE, TILES, tile_colour
from network import SITE, SITES
from processes import PASSWORD, USER, wait_until

# By https there is one connection (HTTP/2), or up to six of HTTP/1.1 as by http.
SITES_TO_SEE = {"http": HTTP, "https": HTTPS, "https-1.1": f"https://old.{SITE}:8443"}


@pytest.fixture(scope="module")
def driver(outside):
    process = Driver(outside)
    yield process
    process.close()


@pytest.fixture
def browser(driver, proxy, intranet, tmp_path):
    made = Browser(driver, tmp_path, proxy.address)
    yield made
    made.close()


@pytest.fixture
def users_browser(driver, users_proxy, intranet, tmp_path):
    made = Browser(driver, tmp_path, users_proxy.address, (USER, PASSWORD))
    yield made
    made.close()


@pytest.mark.parametrize("site", SITES_TO_SEE)
def test_page_with_many_parts(browser, site):
    browser.go(SITES_TO_SEE[site] + "/tiles.html")
    sizes = browser.run("return Array.from(document.images, i => [i.complete, i.naturalWidth])")
    assert sizes == [[True, TILE]] * TILES
    protocols = browser.run(
        """
        return performance.getEntriesByType('resource')
            .filter((e) => e.name.includes('/tiles/')).map((e) => e.nextHopProtocol);
    """
    )
    assert protocols == ["h2" if site == "https" else "http/1.1"] * TILES
    picture = browser.screenshot()
    seen = [
        picture.pixel(i % COLUMNS * TILE + TILE // 2, i // COLUMNS * TILE + TILE // 2)
        for i in range(TILES)
    ]
    assert seen == [tile_colour(i) for i in range(TILES)]
    assert picture.pixel(COLUMNS * TILE + TILE, TILE // 2) == (255, 255, 255)


@pytest.mark.parametrize("site", SITES_TO_SEE)
def test_https_proxy(driver, secure_proxy, tmp_path, site):
    """What it says to the proxy is encrypted, too."""
    browser = Browser(driver, tmp_path, secure_proxy.url, pin=secure_proxy.pin)
    try:
        browser.go(SITES_TO_SEE[site] + "/tiles.html")
        sizes = browser.run("return Array.from(document.images, i => i.naturalWidth)")
        assert sizes == [TILE] * TILES
    finally:
        browser.close()


def test_proxy_auto_config(driver, world, network, intranet, tmp_path):
    """By the server's own file: through the proxy go the hosts that are in it, and no others."""
    config = tmp_path / "server.json"
    config.write_text(json.dumps({"pac": [f"{SITE}:80,443", f"{SITES}/32:80"]}))
    proxy = Proxy(world, network, 3131, more=("--config", config))
    browser = Browser(driver, tmp_path, pac=f"{proxy.url}/proxy.pac")
    try:
        for origin in (HTTP, HTTPS, f"http://{SITES}"):
            browser.go(f"{origin}/index.html")
            assert browser.run("return document.title") == "index"
        for direct in (f"http://old.{SITE}/", f"https://{SITE}:8443/"):
            with pytest.raises(WebDriverError, match="ERR_NAME_NOT_RESOLVED"):
                browser.go(direct)
    finally:
        browser.close()


@pytest.mark.parametrize("site", SITES_TO_SEE)
def test_password(users_browser, intranet, site):
    """It comes without, is asked for its password, and goes on: with tunnels, pages and uploads."""
    users_browser.go(SITES_TO_SEE[site] + "/tiles.html")
    sizes = users_browser.run("return Array.from(document.images, i => i.naturalWidth)")
    assert sizes == [TILE] * TILES
    assert users_browser.user.schemes == {"digest"}
    said = users_browser.run(
        """
        return fetch('/file').then((r) => r.blob())
            .then((body) => fetch('/app/hash', {method: 'PUT', body})).then((r) => r.text());
    """
    )
    assert said == intranet.digest


@pytest.mark.parametrize("site", SITES_TO_SEE)
def test_upload_before_it_has_a_password(users_browser, intranet, site):
    """The first that the proxy hears is an upload, which it must ask for once more."""
    users_browser.go("about:blank")
    said = users_browser.run(
        """
        const body = new Uint8Array(4 << 20);
        return fetch(arguments[0] + '/app/hash', {method: 'POST', mode: 'no-cors', body})
            .then((r) => r.type);
        """,
        SITES_TO_SEE[site],
    )
    assert said == "opaque"


@pytest.mark.parametrize("scheme", ORIGINS)
def test_going_back_and_forth(browser, scheme):
    """The same connections for one page after the other."""
    for _ in range(10):
        browser.go(f"{ORIGINS[scheme]}/tiles.html")
        browser.run("return Promise.all(Array.from({length: 20}, (_, i) =>"
                    " fetch(`tiles/${i}.png`, {cache: 'reload'}).then(r => r.arrayBuffer())))")  # fmt: skip
        browser.go(f"{ORIGINS[scheme]}/index.html")
        assert browser.run("return document.title") == "index"


@pytest.mark.parametrize("scheme", ORIGINS)
def test_download(browser, intranet, scheme):
    browser.go(f"{ORIGINS[scheme]}/index.html")
    browser.run(
        """
        const link = document.createElement('a');
        link.href = '/download/file';
        document.body.append(link);
        link.click();
    """
    )
    # Under its name once it is complete.
    wait_until((browser.downloads / "file").exists, "the download is complete")
    assert (browser.downloads / "file").read_bytes() == intranet.file.read_bytes()


@pytest.mark.parametrize("origin", [f"http://{APP}", HTTP, HTTPS])
def test_form(browser, intranet, origin):
    """A field and a big file; the application itself, too, takes it directly."""
    browser.go(f"{origin}/app/request")
    browser.run(
        """
        document.body.innerHTML = `<form method=post action=/app/form enctype=multipart/form-data>
            <input name=words><input type=file name=upload><button>send</button></form>`;
    """
    )
    browser.type("[name=words]", "two words")
    browser.type("[name=upload]", intranet.file)
    browser.click("button")
    words = hashlib.sha256(b"two words").hexdigest()
    wait_until(lambda: "upload" in browser.text(), "the form has been answered")
    assert browser.text().split("\n") == [f"words - {words}", f"upload file {intranet.digest}"]


WEBSOCKET = """
const [url, size] = arguments;
const socket = new WebSocket(url), seen = [];
socket.binaryType = 'arraybuffer';
const data = new Uint8Array(size).map((_, i) => i * 7);
return new Promise((resolve) => {
    socket.onopen = () => { socket.send('h\\u00e9llo'); socket.send(data); socket.send('bye'); };
    socket.onmessage = ({ data: got }) => {
        const same = typeof got !== 'string' && got.byteLength === size
            && new Uint8Array(got).every((x, i) => x === data[i]);
        seen.push(typeof got === 'string' ? got : same);
        if (got === 'bye') socket.close(4321, 'enough');
    };
    socket.onclose = (event) => resolve([...seen, event.code, event.reason, event.wasClean]);
});
"""


@pytest.mark.parametrize("scheme", ORIGINS)
def test_websocket(browser, scheme):
    """ws: goes through CONNECT as wss: does."""
    browser.go(f"{ORIGINS[scheme]}/index.html")
    url = ORIGINS[scheme].replace("http", "ws", 1) + "/app/websocket"
    seen = browser.run(WEBSOCKET, url, 300_000)
    assert seen == ["h\u00e9llo", True, "bye", 4321, "enough", True]


def test_answer_comes_while_it_is_made(browser, intranet):
    intranet.app.gate.clear()
    browser.go(f"http://{APP}/app/request")
    first = browser.run(
        """
        window.answer = fetch('/app/stream').then((r) => r.body.getReader());
        return window.answer.then((r) => r.read()).then((x) => new TextDecoder().decode(x.value));
    """
    )
    intranet.app.gate.set()
    rest = browser.run(
        """
        return window.answer.then(async (reader) => {
            let text = '';
            for (let x = await reader.read(); !x.done; x = await reader.read())
                text += new TextDecoder().decode(x.value);
            return text;
        });
    """
    )
    assert (first, rest) == ("first\n", "last\n")


def test_refused_in_absolute_form(browser):
    """The user reads what the server says."""
    browser.go(f"http://{CLOSED.replace(':9', ':1009')}/")
    assert "refused" in browser.text()


def test_refused_tunnel(browser):
    with pytest.raises(WebDriverError, match="ERR_TUNNEL_CONNECTION_FAILED"):
        browser.go(f"https://{CLOSED.replace(':9', ':1009')}/")


@pytest.mark.parametrize("scheme", ORIGINS)
def test_unknown_name(browser, scheme):
    """It is not the browser that looks it up."""
    if scheme == "http":
        browser.go("http://nobody.test/")
        assert "Name of destination not found" in browser.text()
    else:
        with pytest.raises(WebDriverError, match="ERR_TUNNEL_CONNECTION_FAILED"):
            browser.go("https://nobody.test/")
