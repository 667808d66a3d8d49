"""Train, val and test for data that bring none: seeded, stratified by class, never cutting an identity in two."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

NO_CLASS = -1


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
        split = max(shares, key=lambda name, index=index: total[index] - used[name][index] / shares[name])  # type: ignore[misc]
        used[split].update(held[group])
        for row in members[group]:
            splits[row] = split
    return splits


def _order(
    members: Mapping[str | int, list[int]], rarest: Mapping[str | int, int], total: Mapping[int, int], seed: int
) -> list[str | int]:
    names = list(members)
    shuffled = [names[position] for position in np.random.default_rng(seed).permutation(len(names))]
    return sorted(shuffled, key=lambda group: (total[rarest[group]], rarest[group], -len(members[group])))
