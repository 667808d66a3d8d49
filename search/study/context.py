"""A study that can be run: what all its parts are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lssat.data.prepared.drawing import Drawing
from lssat.data.prepared.row_keys import RowKeys
from lssat.data.prepared.table import read_info, read_texts
from lssat.evaluation.units import RowTexts
from lssat.on_ray.ingest import Split
from lssat.settings.data import DataConfig
from lssat.task import Task
from search.record.folder import RunFolder, Storage
from search.record.mirror import NO_MIRROR, Mirror
from search.record.predictions import SplitTexts
from search.space.definition import Space
from search.study.trial import LearntFrom


@dataclass(frozen=True)
class Study:
    """A validated space, prepared data, and where the results go.

    `splits`: by number of workers of a trial, then by name. `texts`: what scores need to know of the validation rows.
    `rotated`: what is learnt from where one value after the other is held out, by `key_of`; none without.
    `keys`: what drawing needs to know of the training rows. `mirror`: the copy of the run folder in the storage.
    `on_cluster`: machines may join and leave.
    """

    folder: RunFolder
    storage: Storage
    space: Space
    task: Task
    prepared: Path
    splits: Mapping[int, Mapping[str, Split]]
    texts: RowTexts | None = None
    rotated: Mapping[str, LearntFrom] = field(default_factory=dict)
    keys: RowKeys | None = None
    mirror: Mirror = NO_MIRROR
    on_cluster: bool = False

    @cached_property
    def validation(self) -> SplitTexts:
        """All that the data say of the validation rows in words."""
        return split_texts(self.prepared, "val")

    @property
    def is_streamed(self) -> bool:
        """Whether the data do not fit into memory."""
        return any(split.resident is None for splits in self.splits.values() for split in splits.values())


def check_drawing(study: Study, data: DataConfig) -> None:
    """Raises ConfigError where rows are to be drawn that do not fit into memory."""
    drawing = Drawing.of(data, study.task.kind != "multilabel", study.keys)
    if drawing and study.is_streamed:
        raise drawing.needs_memory


def split_texts(prepared: Path, split: str) -> SplitTexts:
    """What prepared data say of the rows of a split."""
    return SplitTexts(split, read_info(prepared).fingerprint, read_texts(prepared, split))
