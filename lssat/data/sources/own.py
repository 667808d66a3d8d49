"""A user's own data: a CSV or Parquet table, or a folder with one folder per class; and what else comes as rows.

Names, labels and splits are read first, so that mistakes are answered before any image is opened. Nothing is renamed,
and whatever is left out is named with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import repeat

from lssat.data.prepared.table import SPLITS, Label, Reject
from lssat.data.sources.assemble import Classes, Layout, assemble, pick_classes
from lssat.data.sources.columns import SourceRows
from lssat.data.sources.listing import Entries, Listing, Record
from lssat.data.sources.reading import read_source
from lssat.data.sources.source import Source
from lssat.data.sources.splits import complete_splits
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed

BITS = {"0": 0, "1": 1, "false": 0, "true": 1}
SIGNS = {"-1": 0, "1": 1}
"""As CelebA writes them. Beside a 0 a -1 may mean something else."""


def listing(source: Source, data: DataConfig) -> Listing:
    """Names, labels and splits of a table or folder, checked; no image is opened. Raises ConfigError."""
    return listing_of(read_source(source, data), source, data)


def listing_of(rows: SourceRows, source: Source, data: DataConfig, rejects: Sequence[Reject] = ()) -> Listing:
    """Rows that were read, with labels and complete splits; `rejects`: what became no row. Raises ConfigError."""
    kind, classes = _classes(rows, data) if len(rows.labels) == 1 else _label_names(rows, data)
    given = set(rows.splits) & {*SPLITS, ""}  # a split whose rows were all left out counts: it is not made anew
    entries, made = complete_splits(_entries(rows, (kind, classes)), given, data.seed)
    layout = Layout(
        media="table" if rows.options["images"] == "bytes" else "images",
        crop=False,
        columns=tuple(rows.columns),
        options={**rows.options, "splits": made},
    )
    return assemble(source.path, data, (kind, classes), [*entries, *rejects], layout)


def _classes(rows: SourceRows, data: DataConfig) -> Classes:
    """Classes of one label column: its distinct values, numbers by size, or as the data order them."""
    distinct = {*rows.label} - {""}
    found = [name for name in rows.order if name in distinct] if rows.order else sorted(distinct, key=_rank)
    if not found:
        raise ConfigError(
            f"task `{data.task}` of `{data.source}` has no labels: every value is empty; fill the column or name "
            "another"
        )
    classes = pick_classes(found, data)
    return "binary" if len(classes) == 2 else "multiclass", classes


def _rank(name: str) -> tuple[float, str]:
    """Numbers by size, then words by their letters."""
    try:
        value = float(name)
    except ValueError:
        return math.inf, name
    return (value, name) if math.isfinite(value) else (math.inf, name)


def _label_names(rows: SourceRows, data: DataConfig) -> Classes:
    """Several label columns, each of which holds 0 and 1, false and true, or -1 and 1."""
    if data.classes is not None:
        raise ConfigError(
            f"`data.classes` selects classes of one label column, but `data.task` names several: {data.task}; drop one"
        )
    for name, column in rows.labels.items():
        found = {*column} - {""}
        if not (found <= BITS.keys() or found <= SIGNS.keys()):
            raise ConfigError(
                f"with several label columns each must hold 0 and 1 (or -1 and 1), but `{name}` of `{data.source}` "
                f"holds {listed(sorted(found, key=_rank))}; write 0 and 1, or name one column alone by `data.task`"
            )
    return "multilabel", tuple(rows.labels)


def _entries(rows: SourceRows, classes: Classes) -> Entries:
    kind, names = classes
    index = {name: position for position, name in enumerate(names)}
    entries: Entries = []
    columns = zip(*rows.columns.values(), strict=True) if rows.columns else repeat((), len(rows.names))
    table = zip(
        rows.names,
        zip(*rows.labels.values(), strict=True),
        rows.identities,
        rows.splits,
        rows.videos,
        rows.sources,
        columns,
        strict=True,
    )
    for position, (name, values, identity, split, video, source, further) in enumerate(table):
        if not all(values):
            entries.append(Reject(name, "empty label"))
        elif kind != "multilabel" and values[0] not in index:
            continue  # not among `data.classes`: not wanted, which is no fault of the row
        elif split and split not in SPLITS:
            entries.append(Reject(name, split))
        else:
            label = _bits(values) if kind == "multilabel" else index[values[0]]
            entries.append(Record(position, name, label, identity, split, video, None, further, source))
    return entries


def _bits(values: tuple[str, ...]) -> Label:
    return tuple((BITS | SIGNS)[value] for value in values)
