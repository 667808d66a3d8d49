"""What a run says of each row of a split, as a Parquet file in its record: all intervals come from these.

Rows are in the order of the split. docs/reading-the-result.md has the columns as a table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lssat.config import Config
from lssat.errors import ConfigError
from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import independent
from lssat.evaluation.units import RowTexts, scores_videos
from lssat.files import write_whole
from lssat.task import Kind, Task, named
from search.record.trials import TrialRecord

FORMAT = 1
"""Raise it when files of before can no longer be read."""
METADATA = b"lssat"
GROUP = "group_"
"""What begins the name of a column that tells subgroups apart."""


@dataclass(frozen=True)
class SplitTexts:
    """What prepared data say of the rows of a split beside image and label. `texts`: as of `table.read_texts`. `data`:
    the fingerprint of the data.
    """

    split: str
    data: str
    texts: Mapping[str, Array]


@dataclass(frozen=True)
class About:
    """What predictions are of: a task, the metric that selects, and a split of some data. `data`: their fingerprint.

    `hold_out`: the column of which the values `held_out` are, if any.
    """

    task: str
    kind: Kind
    classes: tuple[str, ...]
    metric: str
    split: str
    data: str
    hold_out: str | None = None
    held_out: tuple[str, ...] = ()

    @property
    def scored_task(self) -> Task:
        """The task as far as scores need to know it, its classes as people read them."""
        return Task(self.task, self.kind, named(self.task, self.classes), (), 0)


@dataclass(frozen=True)
class KeptPredictions:
    """Predictions of all rows of a split, in its order. `texts`: the identity is the unit, whatever that is; the video
    is empty where rows are scored one by one.
    """

    about: About
    predictions: Predictions
    texts: RowTexts

    @property
    def scored_rows(self) -> Array:
        """Which rows the score is of, where values are held out; else all."""
        domains = self.texts.domains(self.about.held_out, self.predictions.labels)
        return np.flatnonzero(domains.held_out) if domains else np.arange(len(self.predictions.labels))

    @property
    def scored(self) -> KeptPredictions:
        """Those of the rows that the score is of."""
        rows = self.scored_rows
        return replace(self, predictions=self.predictions.of(rows), texts=self.texts.of(rows))


def joined(
    split: SplitTexts,
    task: Task,
    config: Config,
    predictions: Predictions,
    positions: Sequence[int] | Array,
) -> KeptPredictions:
    """The predictions with what the split says of their rows. positions [N]: where in the split each row stands.

    The unit is the person, else the video, else the row: see `scorecard.independent`.
    """
    order = np.argsort(positions, kind="stable")
    count = len(split.texts["identity"])
    if not np.array_equal(np.asarray(positions)[order], np.arange(count)):
        raise ValueError(f"predictions must be of each of the {count} rows of `{split.split}` once")
    objective, data = config.objective, config.data
    texts = RowTexts.of_columns(split.texts, objective.subgroups, data.hold_out)
    video = texts.video if scores_videos(task, texts) else np.full(count, "")
    metric, held_out = task.score_metric(objective.metric), tuple(data.held_out or ())
    about = About(task.name, task.kind, task.classes, metric, split.split, split.data, data.hold_out, held_out)
    return KeptPredictions(about, predictions.of(order), replace(texts, identity=independent(texts), video=video))


def write(path: Path, kept: KeptPredictions) -> None:
    """The file as a whole, in the place of another, if any."""
    (logits, labels), texts = kept.predictions, kept.texts
    columns = {
        "row": pa.array(np.arange(len(labels))),
        "unit": pa.array(texts.identity.tolist(), pa.string()),
        "label": _numbers(labels, pa.int64()),
        "logits": _numbers(logits.astype(np.float32), pa.float32()),
    }
    if texts.has_videos:
        columns["video"] = pa.array(texts.video.tolist(), pa.string())
    if texts.values is not None:
        columns["value"] = pa.array(texts.values.tolist(), pa.string())
    columns |= {GROUP + name: pa.array(words.tolist(), pa.string()) for name, words in texts.groups.items()}
    known = {name: value for name, value in asdict(kept.about).items() if value not in (None, ())}
    about = json.dumps({"format": FORMAT, **known}).encode()
    table = pa.table(columns).replace_schema_metadata({METADATA: about})
    write_whole(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def read(path: Path) -> KeptPredictions:
    """Raises ConfigError where the file is not there, or not one that `write` wrote."""
    try:
        table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read()  # the folder's name need not be UTF-8
        about = json.loads(table.schema.metadata[METADATA])
        if about.pop("format") != FORMAT:
            raise ValueError(f"it is of another format than {FORMAT}")
        labels, logits = (_array(table[name]) for name in ("label", "logits"))
        words = {name: np.array(table[name].to_pylist(), dtype=str) for name in table.column_names if _is_text(name)}
        if not np.array_equal(_array(table["row"]), np.arange(len(labels))):
            raise ValueError("its rows are not all rows of a split in their order")
        return KeptPredictions(
            About(**{**about, "classes": tuple(about["classes"]), "held_out": tuple(about.get("held_out", ()))}),
            Predictions(logits, labels),
            RowTexts(
                words["unit"],
                words.get("video", np.full(len(labels), "")),
                {name.removeprefix(GROUP): column for name, column in words.items() if name.startswith(GROUP)},
                words.get("value"),
            ),
        )
    except FileNotFoundError:
        raise ConfigError(f"there are no predictions in {path}") from None
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise ConfigError(f"{path} holds no predictions ({type(error).__name__}: {error})") from error


def read_of(record: TrialRecord) -> KeptPredictions:
    """What a run says of the validation rows. Raises ConfigError where that was not kept, or cannot be read."""
    path = record.predictions("val")
    if not path.exists():
        raise ConfigError(f"{record.name} has no kept predictions ({path.name})")
    try:
        return read(path)
    except ConfigError as error:
        raise ConfigError(
            f"the predictions of {record.name} ({path.name}) are damaged or of another version"
        ) from error


def _is_text(column: str) -> bool:
    return column in ("unit", "video", "value") or column.startswith(GROUP)


def _numbers(values: Array, kind: pa.DataType) -> pa.Array:
    """[N] as a column of numbers, [N, K] as one of lists."""
    if values.ndim == 1:
        return pa.array(values, kind)
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel(), kind))


def _array(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """What `_numbers` was given."""
    whole = column.combine_chunks()
    if not pa.types.is_list(whole.type):
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    return np.asarray(whole.flatten().to_numpy(zero_copy_only=False).reshape(len(whole), -1))
