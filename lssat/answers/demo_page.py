"""A page to drop a photo on: what a winner says of it, and why. Served on this machine alone; nothing is kept."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from nicegui import app, events, run, ui
from PIL import Image
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from lssat.answers.explaining import Explained, explain
from lssat.bundle.winner import Prediction, Winner
from lssat.data.images import UnusableImage
from lssat.data.pictures import refuse_bombs

MOST_BYTES = 20 * 2**20
"""Of a photo that is dropped."""
MOST_CLASSES = 10
SHOWN = 224
"""Pixels a face is wide on the page."""
ABOUT = (
    "The photo is read in memory, answered and forgotten. A probability is calibrated on validation photos; it is an "
    "estimate and no evidence about a person."
)


def serve(winner: Winner, port: int) -> None:
    """Until Ctrl-C."""

    @app.middleware("http")
    async def limit(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        size = request.headers.get("content-length", "0")
        if request.method == "POST" and not (size.isdigit() and int(size) <= MOST_BYTES + 2**16):  # form's own lines
            return PlainTextResponse(f"a photo must be at most {MOST_BYTES >> 20} MiB", status_code=413)
        return await answer(request)

    ui.run(
        lambda: _page(winner),
        host="127.0.0.1",
        port=port,
        title=f"L-SSAT: {winner.task.name}",
        favicon="🔬",
        dark=None,
        show=False,
        reload=False,
        show_welcome_message=False,
    )


def answer(winner: Winner, name: str, content: bytes) -> tuple[Prediction, Explained]:
    """What it says of the photo in a file's content, and why. Raises UnusableImage."""
    with tempfile.TemporaryDirectory() as folder, refuse_bombs():
        path = Path(folder) / f"photo{Path(name).suffix[:8]}"
        path.write_bytes(content)
        images = winner.open(path)
    if len(images) != 1:
        raise UnusableImage("it is a video; `python -m lssat.predict` answers about videos")
    return winner.answer(winner.see(images).logits), explain(winner, images[0])


def _page(winner: Winner) -> None:
    task, config = winner.task, winner.bundle.config
    with ui.column().classes("w-full max-w-5xl mx-auto p-4 gap-4"):
        ui.label(f"{task.name}: {', '.join(task.classes[:MOST_CLASSES])}").classes("text-2xl font-bold")
        ui.label(f"{config.backbone.name or config.backbone.family}, {config.data.image_size} pixels. {ABOUT}")
        upload = ui.upload(label="Drop a photo here, or press +", auto_upload=True, max_file_size=MOST_BYTES)
        upload.classes("w-full").props("accept=image/*")
        shown = ui.column().classes("w-full gap-4")

    async def uploaded(event: events.UploadEventArguments) -> None:
        shown.clear()
        try:
            content = await event.file.read()
            found = await run.io_bound(answer, winner, event.file.name, content)
        except UnusableImage as reason:
            _say(shown, f"No answer: {reason}")
        else:
            if found:  # none where the server is shutting down
                _show(shown, *found)
        upload.reset()

    upload.on_upload(uploaded)
    upload.on("rejected", lambda: _say(shown, f"A photo must be a picture of at most {MOST_BYTES >> 20} MiB."))


def _say(place: ui.column, text: str) -> None:
    place.clear()
    with place:
        ui.label(text).classes("text-lg text-negative")


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
        pictures = {"what it saw": explained.face, "where it looked": explained.looked}
        if rebuilt := explained.rebuilt:
            pictures |= {
                "partly hidden": rebuilt.masked[0],
                "its texture": rebuilt.target[0],
                "rebuilt from the rest": rebuilt.rebuilt[0],
            }
        with ui.row().classes("gap-4"):
            for caption, picture in pictures.items():
                with ui.column().classes("items-center gap-1"):
                    ui.image(_inlined(picture)).style(f"width: {SHOWN}px; image-rendering: pixelated")
                    ui.label(caption)


def _inlined(picture: npt.NDArray[np.uint8]) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
