"""Chromium without a screen and without a network, driven over a pipe by its DevTools protocol."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed, so that no page can be opened")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-pipe",
)
FIRST_PICTURE = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(".canvas svg")) return;
  window.firstPicture = performance.now();
  observer.disconnect();
}).observe(document, {childList: true, subtree: true});
"""
HEARD = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded")


class Tab:
    """A page that is open. `requests`: the addresses that it asked for; `said`: what came on its console."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, os.fdopen(read, "rb", buffering=0)
        self._rest, self._number, self._session = b"", 0, None
        self.requests: list[str] = []
        self.said: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Runtime", "Log", "Page"):
            self._ask(f"{domain}.enable")
        self._ask("Page.addScriptToEvaluateOnNewDocument", source=FIRST_PICTURE)

    def open(self, address: str) -> None:
        """Go there, and wait until all charts are drawn."""
        self._ask("Page.navigate", url=address)
        self.wait_for(
            "document.readyState === 'complete' && "
            "(document.documentElement.dataset.drawn === 'yes' || !document.getElementById('charts'))"
        )

    def wait_for(self, condition: str, seconds: float = 30) -> None:
        """Until this is true on the page."""
        until = time.monotonic() + seconds
        while self.value(condition) is not True:
            assert time.monotonic() < until, f"never: {condition}; the console says {self.said}"
            time.sleep(0.05)

    def value(self, expression: str):
        """What JavaScript makes of it there."""
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def _ask(self, method: str, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]
            self._hear(found)

    def _next(self):
        while b"\0" not in self._rest:
            some = self._read.read(1 << 20)
            assert some, "the browser has ended"
            self._rest += some
        whole, _, self._rest = self._rest.partition(b"\0")
        return json.loads(whole)

    def _hear(self, event) -> None:
        if event["method"] == "Network.requestWillBeSent":
            address = event["params"]["request"]["url"]
            self.requests += [] if address.startswith("data:") else [address]
        elif event["method"] in HEARD:
            self.said.append(json.dumps(event["params"]))


@contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """A tab of a browser whose settings lie in a folder."""
    (from_us, to_browser), (from_browser, to_us) = os.pipe(), os.pipe()
    shell = f'exec "$0" "$@" 3<&{from_us} 4>&{to_us}'
    words = [
        "bash",
        "-c",
        shell,  # of sh, numbers of files may have one digit alone
        str(PROGRAM),
        *OPTIONS,
        f"--user-data-dir={folder}",
    ]
    browser = subprocess.Popen(words, pass_fds=(from_us, to_us), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(from_us)
    os.close(to_us)
    try:
        yield Tab(to_browser, from_browser)
    finally:
        os.close(to_browser)
        browser.terminate()
        browser.wait(20)
