"""Entries of a data set -> its listing: splits that are missing are made, counts are taken and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lssat.config import ConfigError, DataConfig
from lssat.data.prepared.table import SPLITS, DatasetInfo, Reject, check_counts, classes_of, with_counts
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.splits import assign_splits
from lssat.nearest import listed, nearest
from lssat.task import Kind

VAL_SHARE = TEST_SHARE = 0.15
MOST_LINKED = 0.25  # share of the records that persons linked by fakes may have to be kept together
DEEPFAKE_CLASSES = ("real", "fake")
Entries = list[Record | Reject]


def assemble(
    path: Path,
    data: DataConfig,
    task: tuple[Kind, tuple[str, ...]],
    entries: Entries,
    *,
    media: Literal["table", "images", "videos"],
    crop: bool,
    columns: tuple[str, ...],
    options: Mapping[str, Any],
    name: str,
) -> Listing:
    """The listing of entries whose splits are complete. `name`: what the data set is called. Raises ConfigError
    (`check_counts`).
    """
    kind, classes = task
    info = DatasetInfo(
        source=name,
        task=data.task,
        kind=kind,
        classes=classes,
        synthetic=False,
        columns=columns,
        options={"task": data.task, "classes": data.classes, "seed": data.seed, **options},
        rejects=tuple(entry._asdict() for entry in entries if isinstance(entry, Reject)),
    )
    info = with_counts(info, ((entry.split, entry.label) for entry in entries if isinstance(entry, Record)))
    check_counts(info)
    return Listing(path, info, tuple(entries), media, crop)


def complete_splits(entries: Entries, given: set[str], seed: int) -> tuple[Entries, str]:
    """Cut the splits that the data do not bring out of train, or out of everything where they bring none. Says what was
    done.
    """
    source = "" if given == {""} else "train"
    missing = {name: share for name, share in (("val", VAL_SHARE), ("test", TEST_SHARE)) if name not in given}
    if source not in given or not missing:
        return entries, "as given"
    shares = {"train": 1 - sum(missing.values()), **missing}
    entries, note = cut(entries, source, shares, seed)
    return entries, ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) + f" of {source or 'all'}{note}"


def cut(entries: Entries, source: str, shares: Mapping[str, float], seed: int) -> tuple[Entries, str]:
    """Deal the records of split `source` out to `shares`, no identity in two of them; and a note of what that cost.

    Persons whom fakes link stay together. Where that would leave next to nothing to deal out (in DeepFakeDetection and
    Celeb-DF nearly everybody is linked to everybody) a fake follows its target, and is left out if its face comes from
    a person of another part.
    """
    part = [entry for entry in entries if isinstance(entry, Record) and entry.split == source]
    splits = assign_splits([classes_of(record.label) for record in part], _groups(part), shares, seed)
    home = {record.identity: split for record, split in zip(part, splits, strict=True) if record.identity}
    dealt = {
        record.position: split
        for record, split in zip(part, splits, strict=True)
        if home.get(record.source, split) == split
    }
    of_part = {record.position for record in part}
    kept: Entries = []
    for entry in entries:
        if not isinstance(entry, Record) or entry.position not in of_part:
            kept.append(entry)
        elif entry.position in dealt:
            kept.append(entry._replace(split=dealt[entry.position]))
    astride = len(part) - len(dealt)
    return kept, f", without {astride} fakes of two parts" if astride else ""


def _groups(part: Sequence[Record]) -> list[str]:
    """Who must stay together: persons linked by fakes or, where too many are, each by himself."""
    from scipy.cluster.hierarchy import DisjointSet  # takes half a second to import, and only made splits need it

    people = DisjointSet(name for record in part for name in (record.identity, record.source))
    for record in part:
        if record.identity and record.source:
            people.merge(record.identity, record.source)
    groups = [people[record.identity] for record in part]
    largest = max(Counter(filter(None, groups)).values(), default=0)
    return groups if largest <= MOST_LINKED * len(part) else [record.identity for record in part]


def given_splits(entries: Entries) -> set[str]:
    """The splits that records have, "" for none."""
    return {entry.split for entry in entries if isinstance(entry, Record)} & {*SPLITS, ""}


def numbered(entries: Entries) -> Entries:
    """The entries with records numbered by their place."""
    return [
        entry._replace(position=place) if isinstance(entry, Record) else entry for place, entry in enumerate(entries)
    ]


def pick_classes(found: Sequence[str], data: DataConfig) -> tuple[str, ...]:
    """The classes that `data.classes` keeps of those found, in the order found. Raises ConfigError for unknown ones."""
    place = f"task `{data.task}` of `{data.source}`"
    for name in data.classes or ():
        if name not in found:
            raise ConfigError(
                f"`data.classes` names `{name}`, which {place} does not have; {nearest(name, found, 'its classes are')}"
            )
    kept = tuple(name for name in found if data.classes is None or name in data.classes)
    if len(kept) < 2:
        what = "all labels are" if data.classes is None else "`data.classes` keeps only"
        raise ConfigError(f"{what} {listed(kept) or 'none'} in {place}; a task needs at least two classes")
    return kept


def refuse_classes(data: DataConfig) -> None:
    """For tasks whose classes cannot be chosen. Raises ConfigError."""
    if data.classes is not None:
        raise ConfigError(f"`data.classes` cannot be chosen in task `{data.task}` of `{data.source}`; remove it")


def deepfake_task(data: DataConfig) -> tuple[Kind, tuple[str, ...]]:
    """Real or fake: the only task of the deepfake data sets. Raises ConfigError for another."""
    if data.task != "deepfake":
        raise ConfigError(f"`data.task` of `{data.source}` must be deepfake, but got `{data.task}`; leave it out")
    refuse_classes(data)
    return "binary", DEEPFAKE_CLASSES
