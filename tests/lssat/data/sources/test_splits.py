"""Splits for data that bring none."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from lssat.data.sources.splits import assign_splits

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def test_each_class_is_dealt_out_by_the_shares() -> None:
    classes = [(0,)] * 2000 + [(1,)] * 100 + [(2,)] * 20
    splits = assign_splits(classes, [""] * len(classes), SHARES, seed=0)
    counts = Counter(zip(classes, splits, strict=True))
    assert {key: counts[key, split] for key in set(classes) for split in ["val"]} == {(0,): 300, (1,): 15, (2,): 3}
    assert {key: counts[key, split] for key in set(classes) for split in ["test"]} == {(0,): 300, (1,): 15, (2,): 3}


def test_a_class_of_three_rows_reaches_all_three_splits() -> None:
    classes = [(0,)] * 200 + [(1,)] * 3
    splits = assign_splits(classes, [""] * 203, SHARES, seed=3)
    assert sorted(splits[200:]) == ["test", "train", "val"]


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_shares_are_still_met(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = [f"p{number}" for number in rng.integers(0, 150, 2000)]
    classes = [(int(index),) for index in rng.choice(3, 2000, p=[0.6, 0.3, 0.1])]
    splits = assign_splits(classes, groups, SHARES, seed)
    seen = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        seen[group].add(split)
    assert all(len(found) == 1 for found in seen.values())
    for index in range(3):
        mine = [split for label, split in zip(classes, splits, strict=True) if label == (index,)]
        assert mine.count("train") / len(mine) == pytest.approx(0.7, abs=0.06)
        assert mine.count("val") / len(mine) == pytest.approx(0.15, abs=0.05)


def test_one_huge_group_goes_to_train() -> None:
    splits = assign_splits([(0,)] * 100, ["huge"] * 50 + [""] * 50, SHARES, seed=1)
    assert set(splits[:50]) == {"train"}
    assert Counter(splits)["val"] == pytest.approx(15, abs=1)


def test_seeds_repeat_and_differ() -> None:
    classes = [(row % 2,) for row in range(300)]
    first, again, other = (assign_splits(classes, [""] * 300, SHARES, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_rows_without_any_positive_label_are_dealt_out_too() -> None:
    splits = assign_splits([()] * 100 + [(0, 1)] * 100, [""] * 200, SHARES, seed=0)
    assert Counter(splits[:100])["val"] == Counter(splits[100:])["val"] == 15
