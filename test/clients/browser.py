# SPDX-License-Identifier: MIT
"""Chromium without a screen, driven through chromedriver (W3C WebDriver: JSON over HTTP)."""
import base64
import contextlib
import json
import urllib.error
import urllib.request

from intranet import need
from network import environment
from png import Picture
from processes import PATIENCE, Process

PORT = 9515  # of chromedriver, in the clients' namespace: nobody else is there
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of references, from the specification
OPTIONS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--force-device-scale-factor=1", "--force-color-profile=srgb",
    "--window-size=900,700", "--disable-features=InsecureDownloadWarnings",
]  # fmt: skip


class WebDriverError(Exception):
    pass


class Driver(Process):
    """A running chromedriver."""

    def __init__(self, space):
        driver, self.chromium = need("chromedriver", "chromium")
        self.space = space
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        super().__init__(
            space.command(driver, f"--port={PORT}"), env=environment(space.home)
        )
        try:
            self.wait_for("started successfully")
        except AssertionError:
            self.popen.kill()
            self.popen.wait()
            raise

    def call(self, method, path, **parameters):
        """Sends a command, returns its value."""
        data = json.dumps(parameters).encode() if method == "POST" else None
        request = urllib.request.Request(
            f"http://127.0.0.1:{PORT}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        with self.space.entered():
            try:
                with self.opener.open(request, timeout=PATIENCE) as answer:
                    return json.load(answer)["value"]
            except urllib.error.HTTPError as error:
                told = json.load(error)["value"]
                raise WebDriverError(f"{told['error']}: {told['message']}") from None


class Browser:
    """A browser with a profile of its own and a proxy for everything."""

    def __init__(self, driver, directory, proxy):
        self.driver = driver
        self.downloads = directory / "downloads"
        options = {
            "binary": driver.chromium,
            "args": [*OPTIONS, f"--user-data-dir={directory}/profile", f"--proxy-server={proxy}"],
            "prefs": {"download.default_directory": str(self.downloads)},
        }
        capabilities = {"browserName": "chrome", "acceptInsecureCerts": True,
                        "goog:chromeOptions": options,
                        "timeouts": {"script": PATIENCE * 1000, "pageLoad": PATIENCE * 1000}}  # fmt: skip
        made = driver.call("POST", "/session", capabilities={"alwaysMatch": capabilities})
        self.path = f"/session/{made['sessionId']}"

    def go(self, url):
        """Loads a page with all that belongs to it."""
        self.driver.call("POST", self.path + "/url", url=url)

    def run(self, script, *arguments):
        """What the function body `script` returns; a promise is waited for."""
        return self.driver.call("POST", self.path + "/execute/sync", script=script, args=arguments)

    def text(self):
        return self.run("return document.body?.innerText ?? ''")

    def find(self, selector):
        return self.driver.call(
            "POST", self.path + "/element", using="css selector", value=selector
        )[ELEMENT]

    def type(self, selector, text):
        """Into a text field; for a field for files that is the file's path."""
        self.driver.call("POST", f"{self.path}/element/{self.find(selector)}/value", text=str(text))

    def click(self, selector):
        self.driver.call("POST", f"{self.path}/element/{self.find(selector)}/click")

    def screenshot(self):
        return Picture(base64.b64decode(self.driver.call("GET", self.path + "/screenshot")))

    def close(self):
        with contextlib.suppress(WebDriverError, OSError):  # it may have died; the test tells
            self.driver.call("DELETE", self.path)
