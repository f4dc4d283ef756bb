# SPDX-License-Identifier: MIT
"""Chromium without a screen, driven through chromedriver (W3C WebDriver: JSON over HTTP)."""
import base64
import contextlib
import json
import os
import signal
import socket
import threading
import urllib.error
import urllib.request

from intranet import HTTP, need
from network import environment
from png import Picture
from processes import PATIENCE, Process
from pyagent import TEXT
from websocket import WebSocket

PORT = 9515  # of chromedriver, in the clients' namespace: nobody else is there
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of references, from the specification
OPTIONS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--force-device-scale-factor=1", "--force-color-profile=srgb",
    "--window-size=900,700",
    # By http it would keep a download back until its user has confirmed it.
    f"--unsafely-treat-insecure-origin-as-secure={HTTP}",
]  # fmt: skip


class WebDriverError(Exception):
    pass


class Driver(Process):
    """A running chromedriver."""

    def __init__(self, space):
        driver, self.chromium = need("chromedriver", "chromium")
        self.space = space
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        super().__init__(space.command(driver, f"--port={PORT}"), env=environment(space.home))
        try:
            self.wait_for("started successfully")
        except AssertionError:
            self.popen.kill()
            self.popen.wait()
            raise

    def close(self):
        """Its browsers end with their sessions. If one could not, it would go on without it."""
        self.terminate()
        status = self.popen.wait(PATIENCE)
        for pid in self.space.pids():
            with contextlib.suppress(OSError):
                if "chrom" in os.readlink(f"/proc/{pid}/exe"):
                    os.kill(pid, signal.SIGKILL)
        self.wait_exit(status)  # which says nothing

    def call(self, method, path, **parameters):
        """Sends a command, returns its value."""
        data = json.dumps(parameters).encode() if method == "POST" else None
        request = urllib.request.Request(
            f"http://127.0.0.1:{PORT}{path}",
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        with self.space.entered():
            try:
                with self.opener.open(request, timeout=PATIENCE) as answer:
                    return json.load(answer)["value"]
            except urllib.error.HTTPError as error:
                told = json.load(error)["value"]
                raise WebDriverError(f"{told['error']}: {told['message']}") from None


class User:
    """Types a name and password whenever the browser's page asks for them: what WebDriver does not
    know how to do, but DevTools do."""

    def __init__(self, driver, debugger, name, password):
        self.credentials = {
            "response": "ProvideCredentials",
            "username": name,
            "password": password,
        }
        self.calls = 0
        self.failures = []
        self.schemes = set()  # by which it was asked
        with driver.space.entered():
            with driver.opener.open(f"http://{debugger}/json/list", timeout=PATIENCE) as answer:
                pages = [target for target in json.load(answer) if target["type"] == "page"]
            path = "/" + pages[0]["webSocketDebuggerUrl"].split("/", 3)[3]
            self.socket = WebSocket(debugger, path=path)
        assert self.socket.is_open, self.socket.answer.status_line
        self._call("Fetch.enable", handleAuthRequests=True, patterns=[{"urlPattern": "*"}])
        while "id" not in self._hear():
            pass
        self.socket.client.socket.settimeout(None)
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _call(self, method, **parameters):
        self.calls += 1
        message = {"id": self.calls, "method": method, "params": parameters}
        self.socket.send(TEXT, json.dumps(message).encode())

    def _hear(self):
        opcode, payload = self.socket.receive()
        assert opcode == TEXT, opcode
        return json.loads(payload)

    def _watch(self):
        with contextlib.suppress(AssertionError, OSError):  # the connection's end
            while True:
                self._react(self._hear())

    def _react(self, event):
        if event.get("method") == "Fetch.requestPaused":
            self._call("Fetch.continueRequest", requestId=event["params"]["requestId"])
        elif event.get("method") == "Fetch.authRequired":
            asked = event["params"]
            self.schemes.add(asked["authChallenge"]["scheme"])
            if asked["authChallenge"]["source"] != "Proxy":
                self.failures.append(f"asked for a password by {asked['authChallenge']}")
            self._call("Fetch.continueWithAuth", requestId=asked["requestId"],
                       authChallengeResponse=self.credentials)  # fmt: skip

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.client.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
        assert not self.failures, self.failures


class Browser:
    """A browser with a profile of its own and a proxy for everything, which may ask it for the
    name and password in `user`, or have a certificate with a key of a hash in `pin`; or with a proxy
    for what the file at the URL `pac` says."""

    def __init__(self, driver, directory, proxy=None, user=None, pin=None, pac=None):
        self.driver = driver
        self.downloads = directory / "downloads"
        options = {
            "binary": driver.chromium,
            "args": [*OPTIONS, f"--user-data-dir={directory}/profile",
                     f"--proxy-pac-url={pac}" if pac else f"--proxy-server={proxy}",
                     *([f"--ignore-certificate-errors-spki-list={pin}"] if pin else [])],
            "prefs": {"download.default_directory": str(self.downloads)},
        }
        capabilities = {
            "browserName": "chrome",
            "acceptInsecureCerts": True,
            "goog:chromeOptions": options,
            "timeouts": {"script": PATIENCE * 1000, "pageLoad": PATIENCE * 1000},
        }
        made = driver.call("POST", "/session", capabilities={"alwaysMatch": capabilities})
        self.path = f"/session/{made['sessionId']}"
        self.user = None
        if user is not None:
            debugger = made["capabilities"]["goog:chromeOptions"]["debuggerAddress"]
            try:
                self.user = User(driver, debugger, *user)
            except BaseException:
                self.close()
                raise

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

    def look(self, width, height, scheme):
        """From now on the window is that large, and its user prefers a scheme: "light" or "dark"."""
        for command, parameters in [
            ("Emulation.setDeviceMetricsOverride",
             {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}),
            ("Emulation.setEmulatedMedia",
             {"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        ]:  # fmt: skip
            self.driver.call("POST", self.path + "/goog/cdp/execute", cmd=command, params=parameters)

    def close(self):
        if self.user is not None:
            self.user.close()
        with contextlib.suppress(WebDriverError, OSError):  # it may have died; the test tells
            self.driver.call("DELETE", self.path)
