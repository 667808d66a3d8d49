"""How many images of each class each split holds, and which counts no classifier can be trained or scored on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lssat.data.prepared.table import SPLITS, DatasetInfo, Label
from lssat.errors import ConfigError
from lssat.text.did_you_mean import listed

MOST_ADVISED = 20  # classes that a message proposes to keep
WHOLE = re.compile(r"-?\d+")


def with_counts(info: DatasetInfo, labels: Iterable[tuple[str, Label]]) -> DatasetInfo:
    """`info` with `rows` and `counts` of these (split, label) pairs."""
    rows = dict.fromkeys(SPLITS, 0)
    counts = {split: dict.fromkeys(info.classes, 0) for split in SPLITS}
    for split, label in labels:
        rows[split] += 1
        for index in classes_of(label):
            counts[split][info.classes[index]] += 1
    return replace(info, rows=rows, counts=counts)


def classes_of(label: Label) -> Sequence[int]:
    """The class indices that a label counts for: one, or those of its positive labels."""
    return (label,) if isinstance(label, int) else tuple(index for index, value in enumerate(label) if value)


def check_counts(info: DatasetInfo) -> None:
    """Refuse what no classifier can be trained or scored on: an empty split, or a class that a split lacks.

    Raises ConfigError.
    """
    name = f"`{info.source}`, task `{info.task}`"
    if not any(info.rows.values()):
        first = f"; the first: {info.rejects[0]['row']}: {info.rejects[0]['reason']}" if info.rejects else ""
        raise ConfigError(
            f"no image of {name} can be used, {len(info.rejects)} were rejected{first}; repair `data.source`"
        )
    _refuse_single_class(info, name)
    for split in SPLITS:
        if not info.rows[split]:
            rows = ", ".join(f"{name} {count}" for name, count in info.rows.items())
            raise ConfigError(
                f"split `{split}` of {name} has no image ({rows}); add images, or leave out the split column or folders"
            )
        if info.kind == "multilabel":
            _refuse_single_valued(info, split, name)
        else:
            _refuse_absent_classes(info, split, name)


def _refuse_single_class(info: DatasetInfo, name: str) -> None:
    if info.kind == "multilabel":
        return
    train = {name for name, count in info.counts["train"].items() if count}
    if len(info.classes) < 2 or len(train) == 1:
        only = (*train, *info.classes)[0]
        raise ConfigError(
            f"all training images of {name} are of class `{only}`; a task needs at least two classes: check `data.task`"
        )


def _refuse_absent_classes(info: DatasetInfo, split: str, name: str) -> None:
    absent = [name for name in info.classes if not info.counts[split][name]]
    if not absent:
        return
    if len(info.classes) > MOST_ADVISED and all(map(WHOLE.fullmatch, info.classes)):
        raise ConfigError(
            f"{name} looks like a quantity, with {len(info.classes)} whole numbers from {info.classes[0]} to "
            f"{info.classes[-1]} as classes, and split `{split}` has no image of {listed(absent)}; regression is not "
            "supported: make a few classes of it, such as `0-19`, `20-39`, or name another column"
        )
    keep = [name for name in info.classes if all(info.counts[part][name] for part in SPLITS)]
    advice = f"set `data.classes: [{', '.join(keep[:MOST_ADVISED])}]` or " if len(keep) >= 2 else ""
    raise ConfigError(f"split `{split}` of {name} has no image of class {listed(absent)}; {advice}add images of it")


def _refuse_single_valued(info: DatasetInfo, split: str, name: str) -> None:
    """A label that all images of a split have, or none, cannot be scored there."""
    counts, rows = info.counts[split], info.rows[split]
    never = [label for label in info.classes if not counts[label]]
    always = [label for label in info.classes if counts[label] == rows]
    for labels, lacking in ((never, "positive"), (always, "negative")):
        if labels:
            raise ConfigError(
                f"split `{split}` of {name} has no {lacking} image of label {listed(labels)}; take it out of "
                "`data.task`"
            )
