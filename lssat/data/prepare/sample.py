"""A few hundred training images, prepared or not: what can be looked at before a study."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from lssat.data.images import UnusableImage
from lssat.data.pictures import refuse_bombs
from lssat.data.prepare.joining import settings_of_parts
from lssat.data.prepare.opening import open_entry, open_options
from lssat.data.prepared.decoding import decode
from lssat.data.prepared.table import INFO_FILE, row_groups, shard_paths
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.registry import open_listing
from lssat.data.sources.source import SYNTHETIC, located
from lssat.data.sources.stored import bytes_column, bytes_in, stored_images, tables_of
from lssat.settings.data import DataConfig

Images = npt.NDArray[np.uint8]
MOST_GROUPS = 8
"""Row groups of a table that are read: drawn at random, each is read as a whole."""
SEED = 0
FEWEST = 32
"""Images of which fewer say nothing."""


def training_images(data: DataConfig, prepared: Path | None, most: int, seconds: float) -> Images | None:
    """Up to `most` training images [N, H, W, 3], as many as can be opened in so many seconds; None where there are too
    few, or where faces would have to be cut out of videos first. `prepared`: where they were prepared earlier. Raises
    ConfigError.
    """
    until, found = time.monotonic() + seconds, []
    with refuse_bombs():
        for image in _encoded(data, prepared, most):
            try:
                found.append(decode({"image": [image], "label": [0], "row": [0]}, data.image_size)["image"][0])
            except UnusableImage:  # the preparation says so
                continue
            if len(found) == most or time.monotonic() > until:
                break
    return np.stack(found) if len(found) >= FEWEST else None


def _encoded(data: DataConfig, prepared: Path | None, most: int) -> Iterator[bytes]:
    """Images as their files hold them, in a random order that is always the same."""
    source, draws = located(data.sources[0]), random.Random(SEED)
    if prepared:
        yield from _of_shards(shard_paths(prepared, "train"), most, draws)
    elif len(data.sources) > 1:
        for part in settings_of_parts(data).values():
            folder = located(part.sources[0]).path
            prepared = folder if (folder / INFO_FILE).is_file() else None
            yield from islice(_encoded(part, prepared, most), most // len(data.sources))
    elif source.kind == SYNTHETIC:
        from lssat.data.synthetic import generate

        orders = generate.plan(data.task, data.num_images, data.image_size, data.seed)
        faces = [order for order in orders if order.split == "train"]
        yield from (generate.draw(order).image for order in draws.sample(faces, len(faces)))
    else:
        listing = open_listing(source, data)
        entries = [entry for entry in listing.entries if isinstance(entry, Record) and entry.split == "train"]
        if listing.media == "table" and listing.info.options["images"] == "pixels":
            drawn = {entry.position for entry in draws.sample(entries, min(len(entries), 2 * most))}
            yield from (image for _, image in stored_images(listing, drawn) if isinstance(image, bytes))
        elif listing.media == "table":
            yield from _of_tables(listing, entries, most, draws)
        elif listing.media == "images":
            options = open_options(listing)
            for entry in draws.sample(entries, len(entries)):
                yield from (row.image for row in open_entry(options, entry).rows)


def _of_shards(paths: list[Path], most: int, draws: random.Random) -> Iterator[bytes]:
    groups = [(path, group) for path in paths for group in range(pq.read_metadata(path).num_row_groups)]
    chosen = draws.sample(groups, min(len(groups), MOST_GROUPS))
    for path, group in chosen:
        images = pq.ParquetFile(path).read_row_group(group, columns=["image"]).column(0)
        yield from _some(images, range(len(images)), _share(most, len(chosen)), draws)


def _of_tables(listing: Listing, entries: list[Record], most: int, draws: random.Random) -> Iterator[bytes]:
    groups = row_groups(tables_of(listing))
    column = bytes_column(Path(groups[0].path), listing.info.options["image_column"])
    ends = np.cumsum([group.rows for group in groups])
    rows_of: dict[int, list[int]] = {}
    for entry in entries:
        index = int(np.searchsorted(ends, entry.position, side="right"))
        rows_of.setdefault(index, []).append(entry.position - groups[index].start)
    chosen = draws.sample(sorted(rows_of), min(len(rows_of), MOST_GROUPS))
    for index in chosen:
        table = pq.ParquetFile(groups[index].path)
        images = bytes_in(table.read_row_group(groups[index].row_group, columns=[column]).column(0))
        yield from _some(images, rows_of[index], _share(most, len(chosen)), draws)


def _share(most: int, num_groups: int) -> int:
    """Of a row group: twice what is due, since others may hold less."""
    return 2 * most // num_groups + 1


def _some(images: Any, rows: Sequence[int], most: int, draws: random.Random) -> Iterator[bytes]:
    found = (images[row].as_py() for row in draws.sample(rows, min(len(rows), most)))
    yield from (image for image in found if image)
