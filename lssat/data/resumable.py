"""A listing of files -> shards, written one after the other, so that a preparation that was killed goes on after its last finished shard."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lssat.data.listing import Listing, Record
from lssat.data.opening import Opened, how, open_entry
from lssat.data.table import GROUP_ROWS, SPLITS, Check, DatasetInfo, Label, Reject, ShardWriter, check_rejects, complete, publish

SHARD_BYTES = 128 << 20
JOURNAL = "journal.jsonl"
Spread = Callable[[Callable[[Record], Opened], Iterable[Record]], Iterator[Opened]]
"""Opens entries in parallel, in order: by threads of this process, or on a cluster."""
Told = Callable[..., Iterator[Opened]]
"""Passes on what was opened, and tells how far it is: (opened, total, done=already)."""


@dataclass
class Progress:
    """What finished shards hold, and how many of the entries they account for."""

    entries: int = 0
    shards: Counter[str] = field(default_factory=Counter)
    labels: Counter[tuple[str, Label]] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    without_face: int = 0


def write_listing(folder: Path, listing: Listing, info: DatasetInfo, spread: Spread, told: Told, check: Check, max_rejects: float) -> DatasetInfo:
    """Write every record of a listing once; return `info` with what was written.

    Records come split by split, in a seeded random order, so that readers who can only shuffle neighbours do not meet one class at a time. `folder`
    appears whole or not at all. Raises ConfigError as `table.write_dataset` does.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    records = _ordered(listing, info.options["seed"])
    listed = [entry for entry in listing.entries if isinstance(entry, Reject)]
    progress = _read(unfinished)
    total = len(listing.entries)
    check_rejects(folder, listed + progress.rejects, total, max_rejects)
    way = how(listing)
    opened = told(spread(partial(open_entry, way), records[progress.entries :]), len(records), done=progress.entries)
    for split, group in _by_shard(zip(records[progress.entries :], opened, strict=True)):
        _write_shard(unfinished, split, group, info, progress)
        check_rejects(folder, listed + progress.rejects, total, max_rejects)
    info = replace(info, options=info.options | ({"frames_without_face": progress.without_face} if listing.media == "videos" else {}))
    finished = complete(unfinished, info, progress.labels.elements(), listed + progress.rejects)
    finished = check(unfinished, finished)
    (unfinished / JOURNAL).unlink(missing_ok=True)
    publish(unfinished, folder, finished)
    return finished


def _ordered(listing: Listing, seed: int) -> list[Record]:
    generator = np.random.default_rng(seed)
    ordered: list[Record] = []
    for split in SPLITS:
        records = [entry for entry in listing.entries if isinstance(entry, Record) and entry.split == split]
        ordered += [records[place] for place in generator.permutation(len(records))]
    return ordered


def _by_shard(opened: Iterable[tuple[Record, Opened]]) -> Iterator[tuple[str, list[Opened]]]:
    """Consecutive entries of one split that fill a shard."""
    group: list[Opened] = []
    split, size = SPLITS[0], 0
    for record, one in opened:
        if group and (record.split != split or size >= SHARD_BYTES):
            yield split, group
            group, size = [], 0
        split = record.split
        group.append(one)
        size += sum(len(row.image) for row in one.rows)
    if group:
        yield split, group


def _write_shard(folder: Path, split: str, group: list[Opened], info: DatasetInfo, progress: Progress) -> None:
    rows = [row for one in group for row in one.rows]
    line: dict[str, Any] = {
        "entries": len(group),
        "split": split,
        "rejects": [one.reject for one in group if one.reject],
        "labels": [[label, count] for label, count in Counter(row.label for row in rows).items()],
        "without_face": sum(one.without_face for one in group),
        "shard": f"{split}-{progress.shards[split]:05d}.parquet" if rows else None,
    }
    if line["shard"]:
        path = folder / line["shard"]
        with ShardWriter(path.with_suffix(".partial"), info) as writer:
            for start in range(0, len(rows), GROUP_ROWS):
                writer.write(rows[start : start + GROUP_ROWS])
        os.replace(path.with_suffix(".partial"), path)
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(line) + "\n")
        journal.flush()
        os.fsync(journal.fileno())
    _add(progress, line)


def _read(folder: Path) -> Progress:
    """What is finished already; a line that a kill cut ends it."""
    progress = Progress()
    journal = folder / JOURNAL
    kept = ""
    for text in journal.read_text(encoding="utf-8").splitlines(keepends=True) if journal.exists() else ():
        try:
            line = json.loads(text)
        except ValueError:
            break
        if line["shard"] and not (folder / line["shard"]).exists():
            break
        _add(progress, line)
        kept += text
    journal.write_text(kept, encoding="utf-8")
    return progress


def _add(progress: Progress, line: dict[str, Any]) -> None:
    progress.entries += line["entries"]
    progress.shards[line["split"]] += line["shard"] is not None
    progress.rejects += [Reject(*reject) for reject in line["rejects"]]
    progress.without_face += line["without_face"]
    for label, count in line["labels"]:
        progress.labels[(line["split"], tuple(label) if isinstance(label, list) else label)] += count
