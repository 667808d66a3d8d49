"""Event files that are on disk whole or not at all, of what is known at once: curves are streamed elsewhere."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from lssat.files import write_whole

NAME = "events.out.tfevents."
"""How the name of a file begins that TensorBoard reads; those of a run are read in the order of their names."""
VERSION = "brain.Event:2"


def write_events(path: Path, summaries: Iterable[tuple[int, Any]]) -> None:
    """Put what each step has to show into a file."""
    now, out = time.time(), io.BytesIO()
    records = RecordWriter(out)
    records.write(Event(wall_time=now, file_version=VERSION).SerializeToString())
    for step, summary in summaries:
        records.write(Event(wall_time=now, step=step, summary=summary).SerializeToString())
    write_whole(path, lambda temporary: temporary.write_bytes(out.getvalue()))


def png_summary(tag: str, png: bytes) -> Any:
    """A picture as it is, without being encoded anew."""
    with Image.open(io.BytesIO(png)) as picture:
        width, height = picture.size
    image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=image)])
