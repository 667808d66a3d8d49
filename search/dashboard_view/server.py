"""Serves the view of a study on this machine alone, as it is whenever somebody asks."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.artifacts import FileSystemArtifactStore
from optuna_dashboard import wsgi

from lssat.command import Notify
from lssat.errors import UserError
from lssat.local_server import HOST, bound, is_for_here
from search.dashboard_view.study import StudyView
from search.record.folder import RunFolder

FRESH_S = 3
"""Seconds for which what was read is shown without another look."""
READS = ("GET", "HEAD")
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def serve(folder: RunFolder, port: int, notify: Notify) -> None:
    """Serve until Ctrl-C. `port`: 0 for any that is free; `notify` is told the address. Raises ConfigError."""
    with tempfile.TemporaryDirectory() as panels:
        application = Dashboard(folder, Path(panels))
        with server(application, port) as serving:
            address = f"http://{HOST}:{serving.server_port}/dashboard/studies/0"
            notify(f"{folder.name} in Optuna's dashboard, until Ctrl-C: {address}")
            serving.serve_forever()


class Dashboard:
    """Optuna's dashboard of a study, which it reads anew while the search goes on.

    What people would write is refused, since the next look at the record would lose it. Raises ConfigError for what is
    no study, or has no trial yet.
    """

    def __init__(self, folder: RunFolder, panels: Path) -> None:
        self._view = StudyView(folder, panels)
        self._panels = FileSystemArtifactStore(panels)
        self._lock = threading.Lock()
        self._read()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request of this machine."""
        if not is_for_here(environ.get("HTTP_HOST", "")):
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [json.dumps({"reason": "This is for the machine that serves it."}).encode()]
        if environ["REQUEST_METHOD"] not in READS:
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [json.dumps({"reason": "This is a view of the study: nothing can be written here."}).encode()]
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_S:
                with suppress(OSError, UserError):  # a study that is being moved or replaced stays as it was
                    self._read()
            application = self._application
        return application(environ, start_response)

    def _read(self) -> None:
        self._read_at = time.monotonic()
        if storage := self._view.changed():
            self._application: Application = wsgi(storage, artifact_store=self._panels)


def server(application: Application, port: int) -> WSGIServer:
    """A server on this machine alone. Raises ConfigError where the port cannot be had."""
    return bound(lambda: make_server(HOST, port, application, _Server, _Silent), port)


class _Server(ThreadingMixIn, WSGIServer):
    """One thread for each request: a browser also opens connections on which it asks nothing."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    """Does not write a line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
