"""What is to be learnt, as the loop needs to know it: derived from a prepared data set."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["binary", "multiclass", "multilabel"]
SCORES: dict[Kind, str] = {"binary": "balanced_accuracy", "multiclass": "macro_f1", "multilabel": "balanced_accuracy"}


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

    def score_metric(self, metric: str) -> str:
        """The metric behind `val/score`: the one asked for, or the task's own (deepfake detection is judged by AUC)."""
        if metric != "auto":
            return metric
        if self.name == "deepfake":
            return "auc"
        return SCORES[self.kind]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Task:
        return cls(**{**data, "classes": tuple(data["classes"]), "counts": tuple(data["counts"])})
