"""Rows and rejects -> a prepared data set that appears whole or not at all, and survives a power cut."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import shutil
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lssat.data.prepared.counts import check_counts, with_counts
from lssat.data.prepared.shards import SplitWriter
from lssat.data.prepared.table import INFO_FILE, SPLITS, DatasetInfo, Label, Reject, Row, read_info
from lssat.errors import ConfigError
from lssat.files import sync, write_text

REJECTS_FILE = "rejects.csv"
MOST_NAMED = 3  # kinds of reasons, and rows, in a message


class Acceptance(NamedTuple):
    """What written shards must meet to become a prepared data set.

    `max_rejects`: largest share of the items that may have been left out. `check` sees the written shards and may
    refuse them (ConfigError) or add to their description.
    """

    max_rejects: float = 1.0
    check: Callable[[Path, DatasetInfo], DatasetInfo] = lambda folder, info: info


def write_dataset(
    folder: Path, items: Iterable[Row | Reject], info: DatasetInfo, acceptance: Acceptance | None = None
) -> DatasetInfo:
    """Write rows as shards, and the rejects beside them; return `info` with `rows`, `counts` and `rejects` filled in.

    `folder` appears whole or not at all: everything is written in a sibling that is renamed at the end. An existing
    `folder` is replaced. Raises ConfigError where the rows cannot train and test a classifier (`check_counts`), or as
    `acceptance` has it.
    """
    acceptance = acceptance or Acceptance()
    partial = folder.with_name(f"{_partial_prefix(folder)}{uuid.uuid4().hex[:8]}")
    partial.mkdir(parents=True)
    try:
        labels, rejects, changed = _write_into(partial, items, info)
        written = complete(partial, with_changed(info, changed), labels, rejects)
        check_rejects(folder, rejects, len(labels) + len(rejects), acceptance.max_rejects)
        publish(partial, folder, acceptance.check(partial, written))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return read_info(folder)


def complete(
    folder: Path, info: DatasetInfo, labels: Iterable[tuple[str, Label]], rejects: Sequence[Reject]
) -> DatasetInfo:
    """`info` of the shards in `folder` that hold rows of these (split, label); the rejects are listed beside them.

    Raises ConfigError (`check_counts`).
    """
    return complete_counted(folder, with_counts(info, labels), rejects)


def complete_counted(folder: Path, info: DatasetInfo, rejects: Sequence[Reject]) -> DatasetInfo:
    """The same of `info` that has its counts."""
    ordered = _shown(rejects)
    written = replace(info, rejects=tuple(reject._asdict() for reject in ordered))
    check_counts(written)
    _write_rejects(folder / REJECTS_FILE, ordered)
    return written


def with_changed(info: DatasetInfo, pictures: int) -> DatasetInfo:
    """`info` of data of which so many pictures were opened differently by older versions."""
    if not pictures:
        return info
    changed = [*info.options.get("changed", ()), f"{pictures} pictures"]
    return replace(info, options=info.options | {"changed": changed})


def publish(unfinished: Path, folder: Path, info: DatasetInfo) -> None:
    """Describe what was written and give it its name; an older folder of that name, which lacks shards, is replaced."""
    write_text(unfinished / INFO_FILE, info.to_json())  # flushes the names of the other files too
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(unfinished, folder)
    sync(folder.parent)


def check_listed(rejects: Sequence[Reject], total: int, max_rejects: float) -> None:
    """Refuse data of which more than the share `max_rejects` of `total` items is left out before anything is opened.

    Raises ConfigError.
    """
    if len(rejects) > max_rejects * total:
        first = ", ".join(str(reject.row) for reject in _shown(rejects)[:MOST_NAMED])
        raise ConfigError(
            f"{_too_many(rejects, total, max_rejects)}; the first: {first}; repair them, or allow them by "
            f"`data.max_rejects: {_share(rejects, total):g}`, or by more, as no image was opened yet"
        )


def check_rejects(folder: Path, rejects: Sequence[Reject], total: int, max_rejects: float) -> None:
    """Refuse data of which more than the share `max_rejects` of `total` items was left out.

    The list of them stays beside `folder`. Raises ConfigError.
    """
    if len(rejects) > max_rejects * total:
        path = folder.with_name(f"{folder.name}.{REJECTS_FILE}")
        _write_rejects(path, _shown(rejects))
        raise ConfigError(
            f"{_too_many(rejects, total, max_rejects)}; all are listed in {path}; repair them, or allow them by "
            f"`data.max_rejects: {_share(rejects, total):g}`"
        )


def _too_many(rejects: Sequence[Reject], total: int, max_rejects: float) -> str:
    return (
        f"{len(rejects)} of {total} images or rows cannot be used, more than `data.max_rejects` {max_rejects:g} "
        f"allows: {_commonest(rejects)}"
    )


def _commonest(rejects: Sequence[Reject]) -> str:
    """The commonest kinds of reasons, each by its commonest reason: kinds differ in more than names and numbers."""
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for reject in rejects:
        reason = reject.shown().reason
        kinds[re.sub(r"`[^`]*`|\d+", "", reason)][reason] += 1
    commonest = sorted(kinds.values(), key=lambda reasons: -reasons.total())[:MOST_NAMED]
    return ", ".join(
        f"{reasons.most_common(1)[0][0]}{' and the like' if len(reasons) > 1 else ''} ({reasons.total()})"
        for reasons in commonest
    )


def _share(rejects: Sequence[Reject], total: int) -> float:
    """The least share in whole percent that allows them."""
    return math.ceil(100 * len(rejects) / total) / 100


def clear_partial(folder: Path) -> None:
    """Delete the unfinished siblings of `folder` that killed processes have left."""
    for partial in folder.parent.glob(f"{_partial_prefix(folder)}*"):
        shutil.rmtree(partial, ignore_errors=True)


def _partial_prefix(folder: Path) -> str:
    return f".{folder.name}.partial-"


def _write_into(
    folder: Path, items: Iterable[Row | Reject], info: DatasetInfo
) -> tuple[list[tuple[str, Label]], list[Reject], int]:
    """(split, label) of the rows, the rejects, and how many pictures are `Row.changed`."""
    labels: list[tuple[str, Label]] = []
    rejects: list[Reject] = []
    changed = 0
    with ExitStack() as stack:
        writers = {split: stack.enter_context(SplitWriter(folder, split, info)) for split in SPLITS}
        for item in items:
            if isinstance(item, Reject):
                rejects.append(item)
            else:
                writers[item.split].add(item)
                labels.append((item.split, item.label))
                changed += item.changed
    return labels, rejects, changed


def _shown(rejects: Sequence[Reject]) -> list[Reject]:
    """As lists show them: positions in a table by size, then names in their order."""
    return sorted(
        (reject.shown() for reject in rejects),
        key=lambda reject: (0, reject.row, "") if isinstance(reject.row, int) else (1, 0, reject.row),
    )


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Reject._fields, *rejects])
    write_text(path, text.getvalue())
