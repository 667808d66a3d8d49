"""A page to drop a photo on: what a winner says of it, and why. Served on this machine alone; nothing is kept."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import socket
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from nicegui import app, events, ui
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from lssat.answers.explaining import Explained, explain
from lssat.bundle.winner import Prediction, Winner
from lssat.data.images import UnusableImage
from lssat.data.pictures import refuse_bombs

MOST_BYTES = 20 * 2**20
"""Of a photo that is dropped."""
MOST_CLASSES = 10
SHOWN = 184
"""Pixels a face is wide on the page."""
TOO_LARGE = f"a photo must be a picture of at most {MOST_BYTES >> 20} MiB"
HOSTS = ("127.0.0.1", "localhost")
ABOUT = (
    "The photo is answered and not kept. A probability is calibrated on validation photos; it is an estimate and no "
    "evidence about a person."
)


def serve(winner: Winner, listening: socket.socket) -> None:
    """On a socket that is bound, until Ctrl-C."""
    guard(app)
    with ThreadPoolExecutor(1) as alone:
        ui.run(
            lambda: Page(winner, alone),
            fd=listening.fileno(),
            title=f"L-SSAT: {winner.task.name}",
            favicon="🔬",
            dark=None,
            show=False,
            reload=False,
            show_welcome_message=False,
            timeout_graceful_shutdown=2,
        )


def guard(application: Starlette) -> None:
    """Let an application answer only browsers that ask for this machine by its name, as a page elsewhere whose name is
    made to lead here does not, and take no more than a photo.
    """
    application.add_middleware(BaseHTTPMiddleware, dispatch=_limit)
    application.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)


async def _limit(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    size = request.headers.get("content-length")
    if request.method != "POST":
        return await answer(request)
    if size is None:
        return PlainTextResponse("a photo must come with its length", status_code=411)
    if not (size.isdecimal() and int(size) <= MOST_BYTES + 2**16):  # a form has lines of its own
        return PlainTextResponse(TOO_LARGE, status_code=413)
    return await answer(request)


def answer(winner: Winner, content: bytes) -> tuple[Prediction, Explained]:
    """What it says of the photo in a file's content, and why. To be called by one thread alone (`refuse_bombs`). Raises
    UnusableImage.
    """
    if len(content) > MOST_BYTES:
        raise UnusableImage(TOO_LARGE)
    with tempfile.TemporaryDirectory() as folder, refuse_bombs():
        path = Path(folder) / "photo.jpg"  # whatever the visitor calls it: the content says what it is
        path.write_bytes(content)
        images = winner.open(path).images
    return winner.answer(winner.see(images).logits), explain(winner, images[0])


class Page:
    """What a visitor sees. Photos of all visitors are answered one at a time, by the only thread of `alone`."""

    def __init__(self, winner: Winner, alone: Executor) -> None:
        self._winner, self._alone = winner, alone
        self._newest: object = None
        task, config = winner.task, winner.bundle.config
        with ui.column().classes("w-full max-w-5xl mx-auto p-4 gap-4"):
            ui.label(f"{task.name}: {', '.join(task.classes[:MOST_CLASSES])}").classes("text-2xl font-bold")
            ui.label(f"{config.backbone.name or config.backbone.family}, {config.data.image_size} pixels. {ABOUT}")
            self._upload = ui.upload(label="Drop a photo here, or press +", auto_upload=True, max_file_size=MOST_BYTES)
            self._upload.classes("w-full").props('accept="image/jpeg,image/png"')
            self._shown = ui.column().classes("w-full gap-4")
        self._upload.on_upload(self._uploaded)
        self._upload.on_rejected(lambda: _say(self._shown, f"No answer: {TOO_LARGE}"))

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        """Only the photo that was dropped last is shown."""
        self._newest = event
        self._shown.clear()
        with self._shown:
            ui.spinner(size="lg")
        found = await self._answer(event)
        if self._newest is not event or self._upload.is_deleted:  # the page was closed meanwhile
            return
        self._upload.reset()
        if isinstance(found, str):
            _say(self._shown, found)
        else:
            self._shown.clear()
            _show(self._shown, *found)

    async def _answer(self, event: events.UploadEventArguments) -> tuple[Prediction, Explained] | str:
        """Or why there is none."""
        try:
            content = await event.file.read()
            return await asyncio.get_running_loop().run_in_executor(self._alone, answer, self._winner, content)
        except UnusableImage as reason:
            return f"No answer: {reason}"
        except Exception:  # whatever it is, the visitor must not wait for ever
            logging.getLogger(__name__).exception("a photo could not be answered")
            return "No answer: something failed here; the terminal in which the demo was started says what."


def _say(place: ui.column, text: str) -> None:
    place.clear()
    with place:
        ui.label(text).classes("text-lg text-negative").mark("reason")


def _show(place: ui.column, prediction: Prediction, explained: Explained) -> None:
    (label,), (probability,) = prediction.labels, prediction.probability
    said = label if isinstance(label, str) else ", ".join(label) or "none of the labels"
    with place:
        ui.label(said).classes("text-3xl font-bold").mark("answer")
        for index in np.argsort(-probability, kind="stable")[:MOST_CLASSES]:
            with ui.row().classes("w-full items-center no-wrap"):
                ui.label(prediction.classes[index]).classes("w-40 text-right")
                ui.linear_progress(float(probability[index]), show_value=False).classes("grow")
                ui.label(f"{probability[index]:.3f}").classes("w-16")
        with ui.row().classes("gap-4"):
            for caption, picture in explained.pictures.items():
                with ui.column().classes("items-center gap-1"):
                    ui.image(_inlined(picture)).style(f"width: {SHOWN}px; image-rendering: pixelated")
                    ui.label(caption)


def _inlined(picture: npt.NDArray[np.uint8]) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
