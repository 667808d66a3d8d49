"""The page of a study that runs: served on this machine alone, made anew whenever the study has come further."""

from __future__ import annotations

import mimetypes
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from lssat.local_server import HOST, bound, is_for_here
from lssat.text.visible import visible
from search.page.files import write
from search.page.report import report_of
from search.record.folder import RunFolder
from search.record.locking import is_locked
from search.record.names import REPORT, REPORT_PARTS

EVERY_S = 3.0
"""How often the record is looked at."""
REST = 5
"""After a page is made, as many times as long as that took nothing is: the study needs the machine more."""
SCRIPT = Path(__file__).parent / "watch.js"


def watch(folders: Sequence[Path], port: int, with_faces: bool = True) -> None:
    """Serve the page until Ctrl-C. Raises ConfigError for folders without a study, and a port that is taken."""
    with TemporaryDirectory(prefix="report-") as folder:
        served = Served(Path(folder))
        with served.on(port) as server:
            shown = state_of(folders)
            served.renew(folders, with_faces)
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                print(f"http://{HOST}:{server.server_port}/\n  open it in a browser; Ctrl-C ends it", flush=True)
                _follow(served, folders, with_faces, shown)
            finally:
                server.shutdown()


def _follow(served: Served, folders: Sequence[Path], with_faces: bool, shown: list[object]) -> None:
    """Make the page anew whenever the record is no longer as it was when the page was made. What stands in the way is
    said once, and tried again: it may pass.
    """
    rest, said = EVERY_S, ""
    while True:
        time.sleep(max(EVERY_S, rest))
        began = time.monotonic()
        try:
            if (now := state_of(folders)) == shown:
                continue
            served.renew(folders, with_faces)
            shown, said = now, ""
        except Exception as error:  # a study that is deleted or replaced: the page of before stays until it is there
            if (line := visible(f"the page stays as it was: {error}")) != said:
                print(line, flush=True)
            said = line
        rest = REST * (time.monotonic() - began)


def state_of(folders: Sequence[Path]) -> list[object]:
    """Changes whenever a study has come further, begins to run or ends."""
    found = [RunFolder(folder) for folder in folders]
    return [(folder.state, is_locked(folder)) for folder in found]


@dataclass
class Served:
    """A report in a folder of its own, and which one it is, counted from 1; before that there is none."""

    folder: Path
    version: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on(self, port: int) -> ThreadingHTTPServer:
        """The server, which does not run yet. Raises ConfigError."""
        return bound(lambda: ThreadingHTTPServer((HOST, port), partial(_Handler, self)), port)

    def renew(self, folders: Sequence[Path], with_faces: bool) -> None:
        """Make the report anew. Charts are drawn by the page, not into files. Raises ConfigError."""
        report = report_of(folders, with_faces)
        with self._lock:
            write(report, self.folder, draws_charts=False)
            self.version += 1

    def content(self, path: str) -> tuple[bytes, str] | None:
        """What is served under a path, and of which type: the page, its version, and the files beside it by name."""
        if path == "/version":
            return str(self.version).encode(), "text/plain"
        with self._lock:
            if path in ("/", f"/{REPORT}"):
                return self._page(), "text/html; charset=utf-8"
            beside = (file for file in (self.folder / REPORT_PARTS).glob("*") if file.is_file())
            files = {f"/{REPORT_PARTS}/{file.name}": file for file in beside}
            if path in files:
                return files[path].read_bytes(), mimetypes.guess_type(path)[0] or "application/octet-stream"
        return None

    def _page(self) -> bytes:
        """The page as it is on disk, with the script that asks for newer ones."""
        before, end, after = (self.folder / REPORT).read_text().rpartition("</body>")
        before = before.replace("<html ", f'<html data-version="{self.version}" ', 1)
        return f"{before}<script>{SCRIPT.read_text()}</script>{end}{after}".encode()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, served: Served, *request: object) -> None:
        self.served = served
        super().__init__(*request)  # type: ignore[arg-type]  # a socket, its address, the server

    def do_GET(self) -> None:
        """Answer a browser of this machine. One that came by another name was sent by a page of elsewhere."""
        if not is_for_here(self.headers.get("Host", "")):
            return self.send_error(403)
        found = self.served.content(unquote(urlsplit(self.path).path))
        if found is None:
            return self.send_error(404)
        content, kind = found
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        with suppress(ConnectionError):  # the tab was closed meanwhile
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of each request."""
