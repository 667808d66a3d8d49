"""A prepared data set to feed from, and Ray to feed it, both in a temporary folder."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import ray
from PIL import Image

from lssat.data.prepared.rows import Rows
from lssat.data.prepared.table import DatasetInfo, Row
from lssat.data.prepared.writing import write_dataset
from lssat.on_ray.ingest import Split, open_splits, rows_of
from lssat.settings.data import DataConfig
from search.study.cluster import connect
from tests.benchmarks.performance.record import ROOT
from tests.benchmarks.performance.trained import TASK

STORED = 256
"""Side of the stored pictures in pixels, about as aligned faces come."""
DIFFERENT = 64
"""Pictures that are drawn; rows repeat them."""


@contextmanager
def prepared(num_rows: int) -> Iterator[Path]:
    """The folder of a data set with so many training rows: smooth random pictures, as JPEG of quality 92."""
    random = np.random.default_rng(0)
    files = [_jpeg(random) for _ in range(DIFFERENT)]
    counts = {"train": num_rows, "val": TASK.num_outputs, "test": TASK.num_outputs}
    rows = (
        Row(files[index % DIFFERENT], index % TASK.num_outputs, "", split)
        for split, count in counts.items()
        for index in range(count)
    )
    info = DatasetInfo("random", TASK.name, TASK.kind, TASK.classes, synthetic=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "prepared"
        write_dataset(folder, rows, info)
        yield folder


@contextmanager
def ray_here() -> Iterator[None]:
    """Ray as a study starts it, with a core for each that this process may use."""
    connect(None, ROOT)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def cores() -> int:
    """That this process may use."""
    return joblib.cpu_count()


def opened(folder: Path, image_size: int) -> Split:
    """The training rows for one worker, decoded where they fit into memory, as they do here."""
    return open_splits(folder, ["train"], DataConfig(image_size=image_size), [1])[1]["train"]


def streamed(split: Split) -> Split:
    """The same as if they did not fit."""
    return replace(split, resident=None, whole=None)


def rows(split: Split) -> Rows:
    """As a worker that trains alone gets them."""
    return rows_of(split, 0)


def _jpeg(random: np.random.Generator) -> bytes:
    noise = Image.fromarray(random.integers(0, 256, (STORED // 8, STORED // 8, 3), np.uint8))
    grain = random.integers(0, 12, (STORED, STORED, 3))
    picture = np.clip(np.asarray(noise.resize((STORED, STORED), Image.Resampling.BICUBIC)) + grain, 0, 255)
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()
