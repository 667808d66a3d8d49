"""Small tables of pictures of noise, each different."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(random: np.random.Generator, light: int = 0) -> bytes:
    """A PNG of noise, the lighter the higher `light` (0 or 1)."""
    pixels = random.integers(0, 120, (32, 32, 3)) + 110 * light
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def table(
    path: Path,
    rows: Mapping[str, int],
    labels: Sequence[str],
    columns: Mapping[str, Sequence[str]] | None = None,
    first_of_test: bytes | None = None,
) -> str:
    """A Parquet table of so many rows per split, of which each label is of its own light; persons are numbered."""
    random = np.random.default_rng(sum(path.stem.encode()))
    found: dict[str, list[object]] = {name: [] for name in ("image", "mood", "identity", "split", *(columns or {}))}
    light = {label: number % 2 for number, label in enumerate(sorted(labels))}
    for split, count in rows.items():
        for row in range(count):
            label = labels[row % len(labels)]
            is_given = first_of_test is not None and (split, row) == ("test", 0)
            found["image"].append(first_of_test if is_given else picture(random, light[label]))
            found["mood"].append(label)
            found["identity"].append(f"{split} {row // 2}")
            found["split"].append(split)
            for name, values in (columns or {}).items():
                found[name].append(values[row % len(values)])
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(found), path)
    return str(path)
