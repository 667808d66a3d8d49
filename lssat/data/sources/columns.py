"""Which column of a table says what, and what the table says, row by row. No image is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lssat.data.cells import fraction
from lssat.data.sources.source import Source
from lssat.data.sources.splits import SPLIT_NAMES
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.text.did_you_mean import listed, nearest

RESERVED = ("image", "path", "thumbnail", "label", "identity", "source_identity", "video", "split")
OPTIONAL = ("identity", "video", "split", "source_identity")
MOST_GROUPS = 50  # distinct values of a column that may still tell subgroups apart
REAL_OR_FAKE = ("real", "fake")


class Columns(Protocol):
    """A table of texts: a file, or what the names of files say."""

    @property
    def path(self) -> Path:
        """What messages call it."""

    @property
    def columns(self) -> list[str]:
        """Their names."""

    def is_single(self, name: str) -> bool:
        """Whether a cell of the column holds one text, number or truth."""

    def texts(self, name: str) -> list[str]:
        """The cells of a column; "" where empty."""


class Roles(NamedTuple):
    """The columns that say something of each row; None where there is none."""

    labels: tuple[str, ...]
    identity: str | None
    video: str | None
    split: str | None
    source_identity: str | None

    @property
    def group(self) -> str | None:
        """What keeps rows together: the person or, where no column names one, the video."""
        return "identity" if self.identity else "video" if self.video else None


class SourceRows(NamedTuple):
    """The rows of a table or folder, as columns of equal length.

    names: image path, or where a table holds its image. labels: those of each label by its name, "" where empty.
    identities, videos, sources: "" where unknown. splits: train, val, test, "" (all rows, where the data bring no
    splits), or why the row has none. columns: whatever else the table says with few distinct values. order: the
    classes of the label where the data name them in an order of their own.
    """

    names: Sequence[str | int]
    labels: dict[str, list[str]]
    identities: list[str]
    splits: list[str]
    videos: list[str]
    sources: list[str]
    columns: dict[str, list[str]]
    options: dict[str, Any]
    order: tuple[str, ...] = ()

    @property
    def label(self) -> list[str]:
        """The labels, where there is one of each row."""
        return next(iter(self.labels.values()))


def roles_of(table: Columns, source: Source, data: DataConfig) -> Roles:
    """The columns that the options of the source name; else those that are called as their role is.

    The label is what `data.task` names where no option does. Raises ConfigError for a column that is not there.
    """
    columns = table.columns
    named = {role: column_named(table, source, role) for role in OPTIONAL}
    found = {role: column or (role if role in columns else None) for role, column in named.items()}
    asked = source.text("label")
    wanted = [name.strip() for name in (data.task if asked is None else asked).split(",")]
    for name in wanted:
        if name not in columns:
            key = "`data.task`" if asked is None else f"`data.source`: option `label` names `{name}`, but"
            hint = nearest(name, columns, "its columns are")
            raise ConfigError(f"{key}{':' * (asked is None)} `{table.path.name}` has no column `{name}`; {hint}")
        if wanted.count(name) > 1:
            raise ConfigError(
                f"{'`data.task`' if asked is None else '`label`'} names the column `{name}` twice: {','.join(wanted)}"
            )
    return Roles(tuple(wanted), **found)


def column_named(table: Columns, source: Source, role: str) -> str | None:
    """The column that an option of the source names for a role, if any. Raises ConfigError where it is not there."""
    name = source.text(role)
    if name is not None and name not in table.columns:
        hint = nearest(name, table.columns, "its columns are")
        raise ConfigError(
            f"`data.source`: option `{role}` names `{name}`, but `{table.path.name}` has no column `{name}`; {hint}"
        )
    return name


def rows_of(table: Columns, roles: Roles, names: Sequence[str | int], options: dict[str, Any]) -> SourceRows:
    """What the table says of the images called `names`. Raises ConfigError."""
    if not names:
        raise ConfigError(f"`data.source`: the table `{table.path}` has no rows")

    def texts(name: str | None) -> list[str]:
        return [""] * len(names) if name is None else table.texts(name)

    labels = {name: _labels(table, name) for name in roles.labels}
    taken = {*RESERVED, *roles.labels, *roles[1:]}
    further = {name: _subgroups(table, name) for name in table.columns if name not in taken}
    videos = texts(roles.video)
    return SourceRows(
        names=names,
        labels=labels,
        identities=texts(roles.identity) if roles.identity else videos,
        splits=_splits(texts(roles.split)),
        videos=videos,
        sources=texts(roles.source_identity),
        columns={name: values for name, values in further.items() if values is not None},
        options=options | {"kept_together": roles.group},
    )


def real_or_fake(rows: SourceRows, roles: Roles, table: Columns, real: str | None) -> SourceRows:
    """The rows with the label real or fake, where `real` names the values of the label column that are real.

    The column stays as what tells fakes apart: real faces have none. Raises ConfigError.
    """
    if real is None:
        return rows
    if len(roles.labels) > 1:
        raise ConfigError(f"`data.source`: option `real` needs one label, but there are {listed(roles.labels)}")
    values, found = {name.strip() for name in real.split(",")}, sorted({*rows.label} - {""})
    for name in sorted(values - {*found}):
        hint = nearest(name, found, "it holds")
        raise ConfigError(
            f"`data.source`: option `real` names `{name}`, but column `{roles.labels[0]}` of `{table.path.name}` has "
            f"no such value; {hint}"
        )
    labels = ["" if not text else REAL_OR_FAKE[text not in values] for text in rows.label]
    methods = ["" if text in values else text for text in rows.label]
    kept = {roles.labels[0]: methods} if len(found) <= MOST_GROUPS and roles.labels[0] not in RESERVED else {}
    return rows._replace(labels={roles.labels[0]: labels}, columns={**kept, **rows.columns}, order=REAL_OR_FAKE)


def _subgroups(table: Columns, name: str) -> list[str] | None:
    """A column as text if it may tell subgroups apart: single values, few of them distinct; else None."""
    if not name or not table.is_single(name):
        return None
    texts = table.texts(name)
    return texts if len(set(texts)) <= MOST_GROUPS else None


def _labels(table: Columns, name: str) -> list[str]:
    """What each row is called; "" for what is empty. Raises ConfigError for fractions."""
    texts = table.texts(name)
    if (odd := fraction(texts)) is not None:
        raise ConfigError(
            f"column `{name}` of `{table.path.name}` must hold whole numbers, words or true/false as labels, but holds "
            f"{odd}; leave a cell empty where the label is unknown; a quantity cannot be learnt, as regression is not "
            "supported: make classes of it"
        )
    return texts


def _splits(texts: list[str]) -> list[str]:
    """The split of each row, or why it has none; all "" where the column is empty."""
    if not any(texts):
        return texts
    return [SPLIT_NAMES.get(text.lower(), f"unknown split `{text}`" if text else "empty split") for text in texts]
