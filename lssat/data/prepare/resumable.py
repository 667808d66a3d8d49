"""A listing of files -> shards, each written whole by one process, so that a preparation that was killed goes on with
the shards that are missing.
"""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lssat.data.images import quiet
from lssat.data.parallel import Spread, chunks
from lssat.data.prepare.opening import How, Opened, how, open_entry
from lssat.data.prepared.table import (
    GROUP_ROWS,
    SHARD_ROWS,
    SPLITS,
    Check,
    DatasetInfo,
    Label,
    Reject,
    Row,
    ShardWriter,
    check_rejects,
    complete,
    publish,
)
from lssat.data.sources.listing import Listing, Record

SHARD_VIDEOS = 16  # of 32 frames each: half a minute of work
JOURNAL = "journal.jsonl"
PARTIAL = ".partial"
Line = dict[str, Any]
"""What became of the entries of one shard; a line of the journal."""
Told = Callable[..., Iterator[Line]]
"""Passes lines on, and tells how far it is: (lines, total, done=already, size=entries of a line)."""


class Shard(NamedTuple):
    """Entries of one split that are written to one file."""

    name: str
    entries: list[Record]


@dataclass
class Progress:
    """What finished shards hold, and how many of the entries they account for."""

    entries: int = 0
    shards: set[str] = field(default_factory=set)
    labels: Counter[tuple[str, Label]] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    without_face: int = 0


def write_listing(
    folder: Path, listing: Listing, info: DatasetInfo, spread: Spread, told: Told, check: Check, max_rejects: float
) -> DatasetInfo:
    """Write every record of a listing once; return `info` with what was written.

    Records come split by split, in a seeded random order, so that readers who can only shuffle neighbours do not meet
    one class at a time. `folder` appears whole or not at all. Raises ConfigError as `table.write_dataset` does.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    shards = _shards(listing, info.options["seed"])
    listed = [entry for entry in listing.entries if isinstance(entry, Reject)]
    progress = _read(unfinished)
    total = len(listing.entries)
    check_rejects(folder, listed + progress.rejects, total, max_rejects)
    missing = [shard for shard in shards if shard.name not in progress.shards]
    lines = spread(partial(write_shard, unfinished, how(listing), info), missing)
    for line in told(
        lines, sum(len(shard.entries) for shard in shards), done=progress.entries, size=lambda line: line["entries"]
    ):
        _note(unfinished, line)
        _add(progress, line)
        check_rejects(folder, listed + progress.rejects, total, max_rejects)
    for left in unfinished.glob(f"*{PARTIAL}"):
        left.unlink()
    info = replace(
        info,
        options=info.options | ({"frames_without_face": progress.without_face} if listing.media == "videos" else {}),
    )
    finished = complete(unfinished, info, progress.labels.elements(), listed + progress.rejects)
    finished = check(unfinished, finished)
    (unfinished / JOURNAL).unlink(missing_ok=True)
    publish(unfinished, folder, finished)
    return finished


def write_shard(folder: Path, way: How, info: DatasetInfo, shard: Shard) -> Line:
    """Open the entries of a shard and write its file, which appears whole; none where no entry can be used."""
    path = folder / shard.name
    unfinished = path.with_name(f"{path.stem}-{uuid.uuid4().hex[:8]}{PARTIAL}")  # of this process alone
    rejects: list[Reject] = []
    labels: Counter[Label] = Counter()
    without_face = 0

    def rows() -> Iterator[Row]:
        nonlocal without_face
        for entry in shard.entries:
            opened: Opened = open_entry(way, entry)
            rejects.extend([opened.reject] if opened.reject else [])
            labels[entry.label] += len(opened.rows)
            without_face += opened.without_face
            yield from opened.rows

    with quiet(), ShardWriter(unfinished, info) as writer:
        for group in chunks(rows(), GROUP_ROWS):
            writer.write(group)
    counted = [[label, count] for label, count in labels.items() if count]
    if counted:
        os.replace(unfinished, path)
    else:
        unfinished.unlink()
    split = shard.entries[0].split
    return {"shard": shard.name, "empty": not counted, "entries": len(shard.entries), "split": split, "rejects": rejects, "labels": counted,
            "without_face": without_face}  # fmt: skip


def _shards(listing: Listing, seed: int) -> list[Shard]:
    generator = np.random.default_rng(seed)
    size = SHARD_VIDEOS if listing.media == "videos" else SHARD_ROWS
    shards: list[Shard] = []
    for split in SPLITS:
        records = [entry for entry in listing.entries if isinstance(entry, Record) and entry.split == split]
        ordered = (records[place] for place in generator.permutation(len(records)))
        shards += [Shard(f"{split}-{number:05d}.parquet", some) for number, some in enumerate(chunks(ordered, size))]
    return shards


def _note(folder: Path, line: Line) -> None:
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(line) + "\n")
        journal.flush()
        os.fsync(journal.fileno())


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
        if line["empty"] or (folder / line["shard"]).exists():
            _add(progress, line)
            kept += text
    journal.write_text(kept, encoding="utf-8")
    return progress


def _add(progress: Progress, line: Line) -> None:
    progress.entries += line["entries"]
    progress.shards.add(line["shard"])
    progress.rejects += [Reject(*reject) for reject in line["rejects"]]
    progress.without_face += line["without_face"]
    for label, count in line["labels"]:
        progress.labels[(line["split"], tuple(label) if isinstance(label, list) else label)] += count
