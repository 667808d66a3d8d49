"""A winner that several files ask: a tiny transformer that was trained on 20 photos of noise."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.lssat.winners import TASK, train


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """20 photos of several sizes, in a folder."""
    folder, generator = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    for n in range(20):
        Image.fromarray(generator.integers(0, 255, (40 + n, 50, 3)).astype(np.uint8)).save(folder / f"{n:02}.png")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory, photos) -> Path:
    """The same photos, prepared: all of them are in each split."""
    from lssat.data.prepared.table import DatasetInfo, Row
    from lssat.data.prepared.writing import write_dataset

    images = [path.read_bytes() for path in sorted(photos.iterdir())]
    rows = [Row(image, n % 2, f"{s}{n}", s) for s in ("train", "val", "test") for n, image in enumerate(images)]
    folder = tmp_path_factory.mktemp("data") / "prepared"
    write_dataset(folder, rows, DatasetInfo("photos", TASK.name, TASK.kind, TASK.classes, synthetic=False))
    return folder


@pytest.fixture(scope="session")
def best(tmp_path_factory, data) -> Path:
    """Its bundle."""
    from lssat.bundle.exporting import export

    folder = tmp_path_factory.mktemp("winner")
    export(
        train(folder / "run", data, **{"backbone.name": "test_vit", "backbone.patch_size": 8}), folder / "best", data
    )
    return folder / "best"
