"""A listing of files -> shards, each written whole by one process and noted in a journal.

A preparation that was killed goes on with the shards that are missing.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lssat.command import Notify
from lssat.data.parallel import Spread, chunks
from lssat.data.pictures import refuse_bombs
from lssat.data.prepare.opening import OpenOptions, open_entry, open_options
from lssat.data.prepare.progress import Progress
from lssat.data.prepared.shards import GROUP_ROWS, SHARD_ROWS, ShardWriter, shard_name
from lssat.data.prepared.table import SPLITS, DatasetInfo, Label, Reject, Row
from lssat.data.prepared.writing import Acceptance, check_rejects, complete, publish, with_changed
from lssat.data.sources.listing import Listing, Record
from lssat.files import append_json_line, sync, write_text

SHARD_VIDEOS = 16  # of 32 frames each: half a minute of work
JOURNAL = "journal.jsonl"
FINGERPRINT = "fingerprint.txt"
PARTIAL = ".partial"
Line = dict[str, Any]
"""What became of the entries of one shard: a line of the journal."""


class Shard(NamedTuple):
    """Entries of one split that are written to one file."""

    name: str
    entries: list[Record]


@dataclass
class Finished:
    """What finished shards hold, and how many of the entries they account for."""

    entries: int = 0
    shards: set[str] = field(default_factory=set)
    labels: Counter[tuple[str, Label]] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)
    without_face: int = 0
    changed: int = 0

    def add(self, line: Line) -> None:
        """Count a line of the journal."""
        self.entries += line["entries"]
        self.shards.add(line["shard"])
        self.rejects += [Reject(*reject) for reject in line["rejects"]]
        self.without_face += line["without_face"]
        self.changed += line["changed"]
        for label, count in line["labels"]:
            self.labels[(line["split"], tuple(label) if isinstance(label, list) else label)] += count


def begin_or_go_on(folder: Path, fingerprint: str) -> None:
    """Keep the unfinished shards of `folder` if they are of this fingerprint; else clear them away.

    A folder that the user names may have been begun for another task or source.
    """
    unfinished = unfinished_of(folder)
    mark = unfinished / FINGERPRINT
    if not mark.exists() or mark.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(unfinished, ignore_errors=True)
        write_text(mark, fingerprint)


def write_listing(
    folder: Path, listing: Listing, acceptance: Acceptance, notify: Notify, spread: Spread
) -> DatasetInfo:
    """Write every record of a listing once; return its info with what was written.

    Records come split by split, in a seeded random order, so that readers who can only shuffle neighbours do not meet
    one class at a time. `folder` appears whole or not at all. Raises ConfigError as `writing.write_dataset` does.
    """
    unfinished = unfinished_of(folder)
    unfinished.mkdir(parents=True, exist_ok=True)
    shards = _shards(listing)
    listed = [entry for entry in listing.entries if isinstance(entry, Reject)]
    finished = _read_journal(unfinished)
    missing = [shard for shard in shards if shard.name not in finished.shards]
    lines = spread(partial(write_shard, unfinished, open_options(listing), listing.info), missing)
    progress = Progress(notify, "opening files", sum(len(shard.entries) for shard in shards), finished.entries)
    for line in progress.follow(lines, size=lambda line: int(line["entries"])):
        append_json_line(unfinished / JOURNAL, line)
        finished.add(line)
    check_rejects(folder, listed + finished.rejects, len(listing.entries), acceptance.max_rejects)
    for left in unfinished.glob(f"*{PARTIAL}"):
        left.unlink()
    info = with_changed(_with_faceless(listing, finished), finished.changed)
    info = complete(unfinished, info, finished.labels.elements(), listed + finished.rejects)
    info = acceptance.check(unfinished, info)
    publish(unfinished, folder, info)
    for name in (JOURNAL, FINGERPRINT):  # only now: a kill before the renaming loses nothing
        (folder / name).unlink(missing_ok=True)
    return info


def write_shard(folder: Path, options: OpenOptions, info: DatasetInfo, shard: Shard) -> Line:
    """Open the entries of a shard and write its file, which appears whole; none where no entry can be used."""
    path = folder / shard.name
    unfinished = path.with_name(f"{path.stem}-{uuid.uuid4().hex[:8]}{PARTIAL}")  # of this process alone
    rejects: list[Reject] = []
    labels: Counter[Label] = Counter()
    without_face = changed = 0

    def rows() -> Iterator[Row]:
        nonlocal without_face, changed
        for entry in shard.entries:
            result = open_entry(options, entry)
            rejects.extend([result.reject] if result.reject else [])
            labels[entry.label] += len(result.rows)
            without_face += result.without_face
            changed += sum(row.changed for row in result.rows)
            yield from result.rows

    with refuse_bombs(), ShardWriter(unfinished, info) as writer:
        for group in chunks(rows(), GROUP_ROWS):
            writer.write(group)
    counted = [[label, count] for label, count in labels.items() if count]
    if counted:
        os.replace(unfinished, path)
        sync(folder)  # before the journal says that the shard is there
    else:
        unfinished.unlink()
    return {
        "shard": shard.name,
        "empty": not counted,
        "entries": len(shard.entries),
        "split": shard.entries[0].split,
        "rejects": rejects,
        "labels": counted,
        "without_face": without_face,
        "changed": changed,
    }


def unfinished_of(folder: Path) -> Path:
    """Where `folder` is made."""
    return folder.with_name(f".{folder.name}.unfinished")


def _shards(listing: Listing) -> list[Shard]:
    generator = np.random.default_rng(listing.info.options["seed"])
    size = SHARD_VIDEOS if listing.media == "videos" else SHARD_ROWS
    shards: list[Shard] = []
    for split in SPLITS:
        records = [entry for entry in listing.entries if isinstance(entry, Record) and entry.split == split]
        shuffled = (records[index] for index in generator.permutation(len(records)))
        shards += [Shard(shard_name(split, index), some) for index, some in enumerate(chunks(shuffled, size))]
    return shards


def _read_journal(folder: Path) -> Finished:
    """What is finished already. A line that a kill cut, and shards that are gone, leave the journal."""
    finished = Finished()
    journal = folder / JOURNAL
    if not journal.exists():
        return finished
    kept = ""
    for text in journal.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            line = json.loads(text)
        except ValueError:
            break
        if line["empty"] or (folder / line["shard"]).exists():
            finished.add(line)
            kept += text
    write_text(journal, kept)
    return finished


def _with_faceless(listing: Listing, finished: Finished) -> DatasetInfo:
    """The listing's info; of videos, with the number of frames that showed no face."""
    if listing.media != "videos":
        return listing.info
    options = listing.info.options | {"frames_without_face": finished.without_face}
    return replace(listing.info, options=options)
