"""Train, val and test for data that bring none: seeded, stratified by class, no identity in two of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from lssat.data.prepared.counts import classes_of
from lssat.data.sources.listing import Entries, Record

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What people call a split, in lower case -> what it is called here."""
VAL_SHARE = TEST_SHARE = 0.15
MOST_LINKED = 0.25  # share of the records that persons linked by fakes may have to be kept together
NO_CLASS = -1


def given_splits(entries: Entries) -> set[str]:
    """The splits that the data bring; "" where records have none."""
    return {entry.split for entry in entries if isinstance(entry, Record)}


def complete_splits(entries: Entries, given: set[str], seed: int) -> tuple[Entries, str]:
    """Cut the splits that the data do not bring out of train, or out of everything where they bring none.

    Also says in words what was done.
    """
    part = "" if given == {""} else "train"
    missing = {name: share for name, share in (("val", VAL_SHARE), ("test", TEST_SHARE)) if name not in given}
    if part not in given or not missing:
        return entries, "as given"
    shares = {"train": 1 - sum(missing.values()), **missing}
    entries, cost = cut(entries, part, shares, seed)
    return entries, ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) + f" of {part or 'all'}{cost}"


def cut(entries: Entries, part: str, shares: Mapping[str, float], seed: int) -> tuple[Entries, str]:
    """Deal the records of split `part` out to `shares`, no identity in two of them. Also says in words what that cost.

    Persons whom fakes link stay together. Where that would leave next to nothing to deal out (in DeepFakeDetection and
    Celeb-DF nearly everybody is linked to everybody) a fake follows its target, and is left out if its face comes from
    a person of another split.
    """
    records = [entry for entry in entries if isinstance(entry, Record) and entry.split == part]
    splits = assign_splits([classes_of(record.label) for record in records], _groups(records), shares, seed)
    split_of = {record.identity: split for record, split in zip(records, splits, strict=True) if record.identity}
    dealt = {
        record.position: split
        for record, split in zip(records, splits, strict=True)
        if split_of.get(record.source, split) == split
    }
    positions = {record.position for record in records}
    kept: Entries = []
    for entry in entries:
        if not isinstance(entry, Record) or entry.position not in positions:
            kept.append(entry)
        elif entry.position in dealt:
            kept.append(entry._replace(split=dealt[entry.position]))
    astride = len(records) - len(dealt)
    return kept, f", without {astride} fakes of two parts" if astride else ""


def assign_splits(
    classes: Sequence[Sequence[int]], groups: Sequence[str], shares: Mapping[str, float], seed: int
) -> list[str]:
    """Give every row a split.

    classes: the class indices of each row (several or none for multi-label rows). groups: rows with the same non-empty
    group stay together. shares: split -> share of the rows; where shares are equally far from filled the first wins.
    Groups are dealt out from the rarest class to the commonest and from the largest to the smallest, each to the split
    that has received the smallest part of its share of that class (after the iterative stratification of Sechidis et
    al., 2011), so that a class of three rows still reaches all three splits.
    """
    members: dict[str | int, list[int]] = defaultdict(list)
    for row, name in enumerate(groups):
        members[name or row].append(row)
    held = {
        group: Counter(index for row in rows for index in (classes[row] or (NO_CLASS,)))
        for group, rows in members.items()
    }
    total: Counter[int] = Counter()
    for counts in held.values():
        total.update(counts)
    rarest = {group: min(counts, key=lambda index: (total[index], index)) for group, counts in held.items()}
    used: dict[str, Counter[int]] = {split: Counter() for split in shares}
    splits = [""] * len(groups)
    for group in _order(members, rarest, total, seed):
        index = rarest[group]
        missing = {split: total[index] - used[split][index] / share for split, share in shares.items()}
        emptiest = max(missing, key=missing.__getitem__)
        used[emptiest].update(held[group])
        for row in members[group]:
            splits[row] = emptiest
    return splits


def _groups(records: Sequence[Record]) -> list[str]:
    """Who must stay together: persons linked by fakes or, where too many are, each one alone; "" for a row alone.

    A row without a person stays with its video, and with the persons who are seen in it.
    """
    from scipy.cluster.hierarchy import DisjointSet  # takes half a second to import, and only made splits need it

    owner: dict[str, str] = {}
    for record in records:
        if record.video and record.identity:
            owner.setdefault(record.video, record.identity)
    alone = [
        record.identity or owner.get(record.video, "") or (f"video {record.video}" if record.video else "")
        for record in records
    ]
    units = DisjointSet([*alone, *(record.source for record in records)])
    for unit, record in zip(alone, records, strict=True):
        if unit and record.source:
            units.merge(unit, record.source)
    groups = [units[unit] for unit in alone]
    largest = max(Counter(filter(None, groups)).values(), default=0)
    return groups if largest <= MOST_LINKED * len(records) else alone


def _order(
    members: Mapping[str | int, list[int]], rarest: Mapping[str | int, int], total: Mapping[int, int], seed: int
) -> list[str | int]:
    """Groups from the rarest class to the commonest, then from the largest to the smallest, then at random."""
    names = list(members)
    shuffled = [names[position] for position in np.random.default_rng(seed).permutation(len(names))]
    return sorted(shuffled, key=lambda group: (total[rarest[group]], rarest[group], -len(members[group])))
