"""How many rows a study trains on, as far as that is known before its data are prepared. Reads no image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from lssat.data.prepared.selection import Cell, used_shares
from lssat.data.prepared.table import INFO_FILE, VALIDATE_ON, DatasetInfo, read_info
from lssat.data.sources.source import SYNTHETIC, joined_name, located
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from search.plan.seen import SeedSpread

ASSUMED_ROWS = {"train": 10_000, "val": 2_000, "test": 2_000}
ASSUMED_OUTPUTS = 10
BYTES_PER_PIXEL = 0.6
"""Of a JPEG of a face at the quality that preparation writes."""


class Listed(NamedTuple):
    """The data before they are prepared. `cells`: of the column of which values are held out; None where none are.
    `folds`: how many of its values are held out one after the other.
    """

    info: DatasetInfo
    cells: Sequence[Cell] | None = None
    folds: int = 1


@dataclass(frozen=True)
class DataEstimate:
    """Rows that are learnt from, and all others, by split; outputs of the head; and bytes on disk once prepared.
    `origin`: where the numbers come from. `scored_share`: of validation, all of which is predicted.

    `spread`: what an earlier study of the same data says of seeds. `folds`: values that `search.rotate` holds out.
    """

    rows: Mapping[str, int]
    num_outputs: int
    num_bytes: int
    origin: str
    spread: SeedSpread | None = None
    folds: int = 1
    scored_share: float = 1.0

    @property
    def scored(self) -> int:
        """Rows of validation that scores are of."""
        return round(self.rows["val"] * self.scored_share)


def estimate_data(data: DataConfig, cache: Path, listed: Listed) -> DataEstimate:
    """The rows of the data set as prepared earlier; else of the synthetic faces to come; else as `listed` before any
    image is opened; else an assumption.

    `cache`: where prepared data sets are. Raises ConfigError.
    """
    found, shares = _whole(data, cache, listed.info), used_shares(listed.cells, data)
    rows = {**found.rows, "train": round(found.rows["train"] * shares["train"])}
    return replace(found, rows=rows, folds=listed.folds, scored_share=shares["val"])


def _whole(data: DataConfig, cache: Path, listed: DatasetInfo) -> DataEstimate:
    """Of all rows, whether or not they are used."""
    if prepared := newest_prepared(data, cache):
        folder, info = prepared
        num_bytes = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        return DataEstimate(info.rows, max(2, len(info.classes)), num_bytes, f"as prepared in {folder.name}")
    if data.source == SYNTHETIC:
        from lssat.data.synthetic import generate

        rows = {"train": data.num_images, "val": generate.NUM_HELD_OUT, "test": generate.NUM_HELD_OUT}
        num_outputs = max(2, len(data.classes or generate.CLASSES.get(data.task, ())))
        return DataEstimate(rows, num_outputs, _num_jpeg_bytes(rows, data), "synthetic faces, yet to be rendered")
    if listed.rows:
        num_bytes = _num_jpeg_bytes(listed.rows, data)
        return DataEstimate(listed.rows, max(2, len(listed.classes)), num_bytes, "as listed; no image was opened yet")
    return DataEstimate(
        ASSUMED_ROWS,
        len(data.classes) if data.classes else ASSUMED_OUTPUTS,
        _num_jpeg_bytes(ASSUMED_ROWS, data),
        "unknown before the videos are opened: this is an assumption",
    )


def newest_prepared(data: DataConfig, cache: Path) -> tuple[Path, DatasetInfo] | None:
    """The newest prepared data set of this name and task; a source that is a prepared one is taken as it is."""
    sources = [located(text) for text in data.sources]
    is_synthetic, is_one = data.source == SYNTHETIC, len(sources) == 1
    if is_one and not is_synthetic and (sources[0].path / INFO_FILE).is_file():
        return sources[0].path, read_info(sources[0].path)
    name = sources[0].path.name if is_one else joined_name(data.sources)
    for found in sorted(cache.glob(f"*/{INFO_FILE}"), key=lambda file: -file.stat().st_mtime):
        try:
            info = read_info(found.parent)
        except ConfigError:  # of another version, or damaged: it will be prepared anew
            continue
        of_info = info.source, info.task, info.options.get(VALIDATE_ON)
        is_same = of_info == (name, data.task, data.validate_on)
        if is_same and (not is_synthetic or _has_same_faces(info, data)):
            return found.parent, info
    return None


def _has_same_faces(info: DatasetInfo, data: DataConfig) -> bool:
    return all(info.options.get(key) == getattr(data, key) for key in ("num_images", "image_size", "seed", "classes"))


def _num_jpeg_bytes(rows: Mapping[str, int], data: DataConfig) -> int:
    return int(sum(rows.values()) * data.image_size**2 * BYTES_PER_PIXEL)
