"""Counts of classes: what cannot be trained or scored is refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lssat.data.prepared.counts import check_counts, with_counts
from lssat.data.prepared.table import DatasetInfo, Label
from lssat.errors import ConfigError

INFO = DatasetInfo("faces.csv", "male", "binary", ("0", "1"), synthetic=False)
MULTI = replace(INFO, task="emotion", kind="multiclass", classes=("0", "1", "2"))
AGES = replace(INFO, task="age", kind="multiclass", classes=tuple(map(str, range(1, 117))))
LABELS = replace(INFO, task="a,b", kind="multilabel", classes=("a", "b"))


@pytest.mark.parametrize(
    ("info", "labels", "message"),
    [
        (INFO, {}, "no image of `faces.csv`, task `male` can be used"),
        (INFO, {"train": [0, 1], "val": [0, 1]}, r"split `test` .* has no image \(train 2, val 2, test 0\)"),
        (
            INFO,
            {"train": [1, 1], "val": [0, 1], "test": [0, 1]},
            "all training images .* are of class `1`.*two classes",
        ),
        (INFO, {"train": [0, 1], "val": [1, 1], "test": [0, 1]}, "split `val` .* has no image of class `0`"),
        (
            MULTI,
            {"train": [0, 1, 2], "val": [0, 1, 2], "test": [0, 1]},
            r"split `test` .* no image of class `2`; set `data.classes: \[0, 1\]` or",
        ),
        (
            AGES,
            {"train": [*range(116)], "val": [*range(90)], "test": [*range(80)]},
            "looks like a quantity, with 116 whole numbers from 1 to 116 as classes, .* regression is not supported",
        ),
        (
            LABELS,
            {"train": [(0, 1), (1, 0)], "val": [(0, 1), (0, 0)], "test": [(0, 1), (1, 0)]},
            "`val` .* no positive .* label `a`",
        ),
        (
            LABELS,
            {"train": [(0, 1), (1, 0)], "val": [(0, 1), (1, 1)], "test": [(0, 1), (1, 0)]},
            "`val` .* no negative .* label `b`",
        ),
    ],
)
def test_what_cannot_be_trained_or_scored_is_refused(
    info: DatasetInfo, labels: dict[str, list[Label]], message: str
) -> None:
    pairs = [(split, label) for split, found in labels.items() for label in found]
    with pytest.raises(ConfigError, match=message):
        check_counts(with_counts(info, pairs))
