"""What a training run says of itself: the result of an epoch, or why it ended before its last one.

Both travel as flat mappings, since Ray Tune and the files of a run folder want those; `read_report` turns them back.
The keys of an epoch are those of `metrics.jsonl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

LAST_CHECKPOINT, BEST_CHECKPOINT = "last", "best"
"""The folders of a run's checkpoints: of its last epoch, with the optimizer's state, and of its best."""
RAY_TRAIN_FOLDER = "train"
"""The folder, beside those, of what Ray Train writes about itself where several workers train."""
WORKERS = "train/workers"
"""How many workers trained an epoch, where a group had lost some."""
SCORE = "val/score"
BEST = "val/best"
GAP = "val/gap"
BEST_GAP = "val/best_gap"
IN_DOMAIN = "val/in_domain"
BEST_IN_DOMAIN = "val/best_in_domain"
IMAGES_PER_S = "train/images_per_s"
TRAINING_SECONDS, WAITING_SECONDS, EVALUATION_SECONDS = "train/seconds", "train/waiting_seconds", "val/seconds"
"""Of the first worker's epoch; it waits for images while it trains."""
CLOCKED = (IMAGES_PER_S, TRAINING_SECONDS, WAITING_SECONDS, EVALUATION_SECONDS)
"""What a clock says, on which no two runs agree."""

Ending = Literal["failed", "infeasible", "interrupted"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)


@dataclass(frozen=True)
class EpochResult:
    """One epoch of a run.

    `score` is the selecting metric on validation after this epoch, `best` the highest so far; `best_gap`, the gap
    between subgroups, and `best_in_domain`, the score on rows without a held-out value, are those at the epoch of the
    best, where there are subgroups, or values are held out. `metrics`: all that was measured, as
    `train/<name>` and `val/<name>`. `parameters`: those of the encoder; `learning`: those among them that learn;
    `flops`: operations to classify one image (both None of a version that did not count them). `panel`: a PNG of image,
    mask, target and prediction.
    """

    epoch: int
    epochs: int
    score: float
    best: float
    parameters: int
    micro_batches: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    best_gap: float | None = None
    best_in_domain: float | None = None
    flops: int | None = None
    learning: int | None = None
    panel: bytes | None = None

    @property
    def is_last(self) -> bool:
        """Whether the run has had its full budget."""
        return self.epoch >= self.epochs

    def scalars(self) -> dict[str, float]:
        """All that was measured, by its key."""
        at_best = {BEST_GAP: self.best_gap, BEST_IN_DOMAIN: self.best_in_domain}
        known = {key: value for key, value in at_best.items() if value is not None}
        return {**self.metrics, SCORE: self.score, BEST: self.best, **known}

    def to_json(self) -> dict[str, Any]:
        """The line of `metrics.jsonl`, without the panel."""
        names = ("epoch", "epochs", "parameters", "learning", "flops", "micro_batches")
        counts = {name: getattr(self, name) for name in names}
        return {**self.scalars(), **{name: count for name, count in counts.items() if count is not None}}

    def to_report(self) -> dict[str, Any]:
        """What is reported to Ray."""
        return {**self.to_json(), "panel": self.panel}


@dataclass(frozen=True)
class Ended:
    """A run ended before its last epoch. infeasible: one row at a time does not fit into memory; interrupted: the
    machine failed, so that nothing is known of the configuration, and the run can go on later.
    """

    status: Ending
    reason: str

    def to_report(self) -> dict[str, Any]:
        """What is reported to Ray."""
        return {self.status: self.reason}


def read_report(report: Mapping[str, Any]) -> EpochResult | Ended:
    """The message that `to_report` or `to_json` wrote; what others added to the mapping is passed over."""
    for status in ENDINGS:
        if status in report:
            return Ended(status, report[status])
    named = (SCORE, BEST, BEST_GAP, BEST_IN_DOMAIN)
    measured = {key: report[key] for key in report if key.startswith(("train/", "val/")) and key not in named}
    return EpochResult(
        epoch=report["epoch"],
        epochs=report["epochs"],
        score=report[SCORE],
        best=report[BEST],
        parameters=report["parameters"],
        micro_batches=report["micro_batches"],
        metrics=measured,
        best_gap=report.get(BEST_GAP),
        best_in_domain=report.get(BEST_IN_DOMAIN),
        flops=report.get("flops"),
        learning=report.get("learning"),
        panel=report.get("panel"),
    )
