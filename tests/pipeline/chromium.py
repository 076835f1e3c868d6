"""Drives Debian's chromium over the DevTools protocol: open a file, look, press keys, take pictures."""

import argparse
import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

__all__ = ["Page", "browser", "find_chromium"]

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)


def find_chromium() -> str | None:
    """The browser's path, or None where it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Page:
    """One tab; keeps every console message, exception and network request since it was opened."""

    def __init__(self, socket: websocket.WebSocket, session: str, counter: Iterator[int]):
        self._socket, self._session, self._counter = socket, session, counter
        self.console: list[str] = []
        self.requests: list[str] = []
        self._seen: set[str] = set()
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, timeout_s: float = 30, **params: Any) -> dict[str, Any]:
        """Sends one command and returns its result; events that arrive meanwhile are kept."""
        number = next(self._counter)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params, "sessionId": self._session}))
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._keep(message)
        raise TimeoutError(method)

    def _keep(self, message: dict[str, Any]) -> None:
        if message.get("sessionId") != self._session:
            return
        method, params = message.get("method"), message.get("params", {})
        self._seen.add(method or "")
        if method == "Runtime.consoleAPICalled":
            self.console.append(f"{params['type']}: {[a.get('value', a.get('description')) for a in params['args']]}")
        elif method == "Runtime.exceptionThrown":
            self.console.append(f"exception: {params['exceptionDetails']}")
        elif method == "Log.entryAdded":
            self.console.append(f"{params['entry']['level']}: {params['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def open(self, path: Path, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Opens a file in a window of the given size and waits until its charts are drawn."""
        self.resize(width, height)
        self.theme(dark)
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.documentElement && document.documentElement.dataset.drawn")

    def resize(self, width: int, height: int) -> None:
        """Sets the window's inner size in CSS pixels; narrow ones count as phones."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def theme(self, dark: bool) -> None:
        """Sets what the operating system prefers."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def wait(self, script: str, timeout_s: float = 20) -> Any:
        """Waits until an expression is truthy, and returns it."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.03)
        raise TimeoutError(f"{script}; console: {self.console[:5]}")

    def hover(self, x: float, y: float) -> None:
        """Moves the pointer there."""
        for offset in (1, 0):
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x - offset, y=y)

    def press(self, key: str, code: int) -> None:
        """Presses and releases one key."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Writes a PNG of the window, or of the whole page."""
        result = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(result["data"]))


@contextmanager
def browser() -> Iterator[Page]:
    """A fresh browser with an empty profile, ended with the block."""
    command = find_chromium()
    if command is None:
        raise FileNotFoundError("chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # A home of its own too: nothing of the user's is read or written.
        environment = os.environ | {"HOME": profile, "XDG_CONFIG_HOME": profile, "XDG_CACHE_HOME": profile}
        process = subprocess.Popen(
            [command, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        try:
            port_file = Path(profile) / "DevToolsActivePort"
            end = time.monotonic() + 30
            while not (port_file.exists() and port_file.read_text().count("\n")):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("chromium did not start")
                time.sleep(0.05)
            port, path = port_file.read_text().split()
            socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=30, suppress_origin=True)
            try:
                yield _first_tab(socket)
            finally:
                socket.close()
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _first_tab(socket: websocket.WebSocket) -> Page:
    counter = itertools.count(1)

    def call(method: str, **params: Any) -> dict[str, Any]:
        number = next(counter)
        socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(socket.recv())
            if message.get("id") == number:
                return message["result"]

    target = call("Target.createTarget", url="about:blank")["targetId"]
    session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    return Page(socket, session, counter)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Takes a picture of a report page.")
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=800)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--whole", action="store_true", help="the whole page, not the first screen alone")
    options = parser.parse_args()
    with browser() as page:
        page.open(options.page, options.width, options.height, options.dark)
        page.picture(options.picture, whole=options.whole)


if __name__ == "__main__":
    _main()
