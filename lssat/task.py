"""What is to be learnt, as training and evaluation need to know it; it is derived from a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["binary", "multiclass", "multilabel"]
SCORES: dict[Kind, str] = {"binary": "balanced_accuracy", "multiclass": "macro_f1", "multilabel": "balanced_accuracy"}
"""The metric by which a task of each kind selects, where no other is asked for."""


def named(task: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Classes as people read them: a number says of what it is."""
    return tuple(f"{task} {name}" if name.isdigit() else name for name in classes)


@dataclass(frozen=True)
class Task:
    """`counts`: training rows per class; multi-label: positives per label, of `num_train` rows."""

    name: str
    kind: Kind
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    num_train: int

    @property
    def num_outputs(self) -> int:
        """Width of the classification head: a binary task has one logit."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def is_deepfake(self) -> bool:
        """Whether forged faces are told from real ones, which is judged by AUC, and by video where there are any."""
        return self.name == "deepfake" and self.kind == "binary"

    def score_metric(self, metric: str) -> str:
        """The metric behind `val/score`: the one asked for, or the task's own."""
        if metric != "auto":
            return metric
        return "auc" if self.is_deepfake else SCORES[self.kind]

    def group_metric(self, metric: str) -> str:
        """The metric by which subgroups are compared: the one asked for. `worst_group` is the lowest score of a group
        and needs another to score the groups by: the task's own.
        """
        return self.score_metric("auto" if metric == "worst_group" else metric)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Task:
        """The task that `to_json` wrote."""
        return cls(**{**data, "classes": tuple(data["classes"]), "counts": tuple(data["counts"])})
