"""The leak audit of a prepared data set.

A leak is an identity, a source video or a near-duplicate image that is in more than one split.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lssat.data.prepared.hashing import Hashes, Thumbnails, hashes_of
from lssat.data.prepared.table import LEAKS_FILE, SPLITS, DatasetInfo, shard_paths
from lssat.errors import ConfigError
from lssat.files import write_text
from lssat.settings.data import DATASET
from lssat.text.visible import on_one_line

DISTANCE = 10  # most bits in which the 64-bit hashes of near-duplicates differ
# Least correlation of the thumbnails of near-duplicates: of 19 million pairs of real faces of different people one
# reaches it, with DISTANCE.
CORRELATION = 0.97
TOLERATED = 0.001  # share of the smallest split
LEAST_CONTRAST = 2.0  # standard deviation in grey levels; flatter pictures all look alike and say nothing
BLOCK_PAIRS = 1 << 17  # pairs of hashes compared at once: as many as a core's cache holds
COMPARED = 4096  # pairs of thumbnails correlated at once
AUDITED = ("identity", "source_identity", "video", "thumbnail")
NAMED = 5  # leaks of each kind in the message


class Leak(NamedTuple):
    """The same thing in two splits: `first` and `second` are (split, row counted from 0)."""

    kind: Literal["identity", "video", "image"]
    first: tuple[str, str]
    second: tuple[str, str]
    detail: str


class HashedSplit(NamedTuple):
    """The pictures of a split: hashes [n] and thumbnails [n, 1024]."""

    name: str
    hashes: Hashes
    thumbnails: Thumbnails


def check_leaks(folder: Path, info: DatasetInfo, allow: bool) -> DatasetInfo:
    """`info` with the number of leaks in its options; they are listed in `folder/leaks.csv`.

    Raises ConfigError unless they are allowed. Near-duplicate images alone are let pass, and recorded, up to the share
    TOLERATED of the smallest split: so few do not show in a score.
    """
    leaks = audit(folder)
    if DATASET in info.columns:
        leaks = _with_data_sets(folder, leaks)
    few = all(leak.kind == "image" for leak in leaks) and len(leaks) <= TOLERATED * min(info.rows.values())
    if leaks and not allow and not few:
        raise leak_error(leaks)
    _write_leaks(folder / LEAKS_FILE, leaks)
    return replace(info, options=info.options | {"leaks": len(leaks)})


def audit(folder: Path) -> list[Leak]:
    """Every leak between the splits of the prepared shards in `folder`.

    Of an image, its first near-duplicate in each other split.
    """
    people: dict[str, Sequence[Sequence[str]]] = {}
    videos: dict[str, Sequence[Sequence[str]]] = {}
    pictures: dict[str, HashedSplit] = {}
    for split in SPLITS:
        table = _read(folder, split, AUDITED)
        people[split] = [
            [name for name in names if name]
            for names in zip(*(table[name].to_pylist() for name in ("identity", "source_identity")), strict=True)
        ]
        videos[split] = [[name] if name else [] for name in table["video"].to_pylist()]
        thumbnails = _thumbnails(table["thumbnail"])
        pictures[split] = HashedSplit(split, hashes_of(thumbnails), thumbnails)
    leaks = shared_values("identity", people) + shared_values("video", videos)
    for first, second in combinations(SPLITS, 2):
        leaks += near_duplicates(pictures[first], pictures[second])
    return leaks


def shared_values(kind: Literal["identity", "video"], values: dict[str, Sequence[Sequence[str]]]) -> list[Leak]:
    """Values in more than one split, by the first row of each split that has them.

    values[split][row]: those of one row, several where a fake has a target and a source.
    """
    first_rows: dict[str, dict[str, int]] = {}
    for split, rows in values.items():
        for row, of_row in enumerate(rows):
            for value in of_row:
                first_rows.setdefault(value, {}).setdefault(split, row)
    return [
        Leak(kind, (first, str(rows[first])), (second, str(rows[second])), value)
        for value, rows in first_rows.items()
        for first, second in combinations(rows, 2)
    ]


def near_duplicates(first: HashedSplit, second: HashedSplit) -> list[Leak]:
    """Pictures of `first` that are in `second` again, each with its first partner.

    Found: encoded anew, resized, brightened, about four in ten of those cropped by 2%. Not found: mirrored, turned,
    cropped by 4% and more. All pairs of hashes are compared, a block at a time: that takes less time than to compute
    the hashes.
    """
    leaks: list[Leak] = []
    num_others = max(len(second.hashes), 1)
    rows = max(BLOCK_PAIRS // num_others, 1)
    for begin in range(0, len(first.hashes), rows):
        distance = np.bitwise_count(first.hashes[begin : begin + rows, None] ^ second.hashes[None])
        # Several times as fast as np.nonzero of two axes:
        left, right = np.divmod(np.flatnonzero(distance <= DISTANCE), num_others)
        for part in range(0, len(left), COMPARED):
            these, those = begin + left[part : part + COMPARED], right[part : part + COMPARED]
            correlation = _correlation(first.thumbnails[these], second.thumbnails[those])
            for pair in np.nonzero(correlation >= CORRELATION)[0]:
                picture = (first.name, str(these[pair]))
                if not leaks or leaks[-1].first != picture:
                    partner = (second.name, str(those[pair]))
                    leaks.append(Leak("image", picture, partner, f"correlation {correlation[pair]:.3f}"))
    return leaks


def leak_error(leaks: Sequence[Leak]) -> ConfigError:
    """Names the first pairs of each kind, and the ways out."""
    parts = []
    for kind in ("identity", "video", "image"):
        of_kind = [leak for leak in leaks if leak.kind == kind]
        if of_kind:
            pairs = "; ".join(
                f"{on_one_line(one.detail)}: {one.first[0]} row {one.first[1]} and {one.second[0]} row {one.second[1]}"
                for one in of_kind[:NAMED]
            )
            more = f"; and {len(of_kind) - NAMED} more" if len(of_kind) > NAMED else ""
            parts.append(f"{len(of_kind)} of kind {kind} ({pairs}{more})")
    return ConfigError(
        f"no identity, source video or image may be in two splits, but there are {', '.join(parts)}; remove them, let "
        "splits be made anew by leaving out the split column, or record them: `data.allow_leaks: true`, or "
        "`--allow-leaks`"
    )


def _with_data_sets(folder: Path, leaks: Sequence[Leak]) -> list[Leak]:
    """The same with the data sets that the two rows are of."""
    names = {split: _read(folder, split, [DATASET])[DATASET] for split in SPLITS}

    def data_set(place: tuple[str, str]) -> str:
        return str(names[place[0]][int(place[1])])

    return [
        leak._replace(detail=f"{leak.detail}, {data_set(leak.first)} and {data_set(leak.second)}") for leak in leaks
    ]


def _write_leaks(path: Path, leaks: Sequence[Leak]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "first_split", "first_row", "second_split", "second_row", "detail"])
    writer.writerows((leak.kind, *leak.first, *leak.second, on_one_line(leak.detail)) for leak in leaks)
    write_text(path, text.getvalue())


def _correlation(first: Thumbnails, second: Thumbnails) -> npt.NDArray[np.float32]:
    """Row by row; 0 where a picture is flat. [n, 1024] x [n, 1024] -> [n]."""
    a, b = (
        values - values.mean(axis=1, keepdims=True) for values in (first.astype(np.float32), second.astype(np.float32))
    )
    spread_a, spread_b = np.sqrt((a**2).mean(axis=1)), np.sqrt((b**2).mean(axis=1))
    usable = (spread_a >= LEAST_CONTRAST) & (spread_b >= LEAST_CONTRAST)
    found: npt.NDArray[np.float32] = np.where(
        usable, (a * b).mean(axis=1) / np.maximum(spread_a * spread_b, 1e-6), np.float32(0)
    )
    return found


def _read(folder: Path, split: str, columns: Sequence[str]) -> pa.Table:
    return pa.concat_tables([pq.ParquetFile(path).read(columns=list(columns)) for path in shard_paths(folder, split)])


def _thumbnails(column: pa.ChunkedArray) -> Thumbnails:
    """[n, 1024]; a kilobyte per picture."""
    assert not column.null_count, "a row was written without its thumbnail"
    width = column.type.byte_width
    parts = [
        np.frombuffer(part.buffers()[1], np.uint8).reshape(-1, width)[part.offset : part.offset + len(part)]
        for part in column.chunks
    ]
    return np.concatenate(parts) if parts else np.zeros((0, width), np.uint8)
