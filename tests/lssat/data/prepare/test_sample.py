"""A few training images, wherever they lie, and no others."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lssat.config import build
from lssat.data.prepare.prepare import prepare
from lssat.data.prepare.sample import training_images

RANDOM = np.random.default_rng(0)


@pytest.fixture
def table(tmp_path):
    """Training pictures are dark; those of validation and test are white."""
    rows = {"image": [], "x": [], "split": []}
    for index in range(140):
        split = "train" if index < 100 else "val" if index < 120 else "test"
        pixels = RANDOM.integers(0, 99, (32, 32, 3)) if split == "train" else np.full((32, 32, 3), 255) - index % 20
        out = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
        for name, value in zip(rows, (out.getvalue(), index % 2, split), strict=True):
            rows[name].append(value)
    pq.write_table(pa.table(rows), tmp_path / "faces.parquet", row_group_size=30)
    return tmp_path / "faces.parquet"


@pytest.mark.parametrize("kind", ["table", "files", "prepared"])
def test_training_images_are_read_and_no_others(tmp_path, table, kind):
    source = table
    if kind == "files":
        content = pq.read_table(table).to_pylist()
        for index, row in enumerate(content):
            (tmp_path / f"{index}.png").write_bytes(row["image"])
        source = tmp_path / "faces.csv"
        lines = [f"{index}.png,{row['x']},{row['split']}\n" for index, row in enumerate(content)]
        source.write_text("image,x,split\n" + "".join(lines))
    data = build({"data.source": str(source), "data.task": "x", "data.image_size": 16, "masking.unit": 4}).data
    prepared = prepare(data, tmp_path / "cache", lambda text: None) if kind == "prepared" else None
    images = training_images(data, prepared, 60, 60)
    assert images.shape == (60, 16, 16, 3) and images.max() < 99
    assert (images == training_images(data, prepared, 60, 60)).all()
    assert training_images(data, prepared, 60, 0) is None, "one image says nothing"


def test_synthetic_faces_are_drawn_as_they_will_be():
    data = build({"data.num_images": 200, "data.image_size": 32, "masking.unit": 8}).data
    assert training_images(data, None, 40, 60).shape == (40, 32, 32, 3)
