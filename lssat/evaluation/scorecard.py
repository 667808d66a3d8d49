"""The scorecard of a trained model on one split: scores, their intervals, tables by class, by video and by subgroup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from lssat.evaluation.fairness import Groups, by_subgroup, worst_group
from lssat.evaluation.metrics import Array, confusion, evaluate_scores, one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.uncertainty import bootstrap
from lssat.task import Task

CERTAIN = 1e-12  # distance that a mean probability keeps from 0 and 1, so that its logit is finite


@dataclass(frozen=True)
class RowTexts:
    """What is known of each row of a split beside image and label, in words [N]; empty where nothing is."""

    identity: Array
    video: Array
    groups: Groups

    @classmethod
    def of(cls, texts: Mapping[str, Array], subgroups: Sequence[str]) -> RowTexts:
        """From all columns of a split; `subgroups` names those that tell groups apart."""
        return cls(texts["identity"], texts["video"], {name: texts[name] for name in subgroups})


def scorecard(
    task: Task, metric: str, predictions: Predictions, scores: Mapping[str, float], texts: RowTexts
) -> dict[str, Any]:
    """`score` is the metric that the study selects by, `interval` its 95% interval; the rows of a person, or else of a
    video, are resampled together. `scores`: of the whole split, which are copied. `texts`: in the order of the rows.
    """
    logits, labels = predictions
    units = independent(texts.identity, texts.video)
    group_metric = task.group_metric(metric)

    def score(rows: Array) -> float:
        if metric == "worst_group":
            groups = {name: words[rows] for name, words in texts.groups.items()}
            return worst_group(task.kind, group_metric, predictions.of(rows), groups)[metric]
        return one_score(task.kind, metric, logits[rows], labels[rows])

    card: dict[str, Any] = {
        "metric": metric,
        "score": score(np.arange(len(logits))),
        "interval": bootstrap(units, score),
        **scores,
    }
    if task.kind == "multilabel":
        columns = enumerate(task.classes)
        card["labels"] = {name: evaluate_scores("binary", logits[:, [k]], labels[:, k]) for k, name in columns}
    else:
        table = zip(task.classes, confusion(logits, labels), strict=True)
        card["confusion"] = {name: row.tolist() for name, row in table}
    if task.kind == "binary" and any(texts.video):
        card["video"] = by_video(logits[:, 0], labels, texts.video)
    if texts.groups:
        card["subgroups"] = {
            name: by_subgroup(task.kind, group_metric, predictions, words, units)
            for name, words in texts.groups.items()
        }
    return card


def independent(identity: Array, video: Array) -> Array:
    """What rows are resampled by [N]: the person, else the video, else each row alone."""
    return np.where(identity != "", identity, _video_or_row(video))


def by_video(logits: Array, labels: Array, videos: Array) -> dict[str, float]:
    """Scores of whole videos: the mean of their frames' probabilities (a mean below one half is real). All [N].

    A row without a video is a still image, which counts as a video of one frame.
    """
    _, first, video = np.unique(_video_or_row(videos), return_index=True, return_inverse=True)
    probability = np.bincount(video, expit(logits.astype(float))) / np.bincount(video)
    mean = np.clip(probability, CERTAIN, 1 - CERTAIN)
    return {"videos": float(len(first)), **evaluate_scores("binary", logit(mean)[:, None], labels[first])}


def _video_or_row(videos: Array) -> Array:
    """The video of each row [N]; a name of its own for a row without one."""
    alone = np.array([f"row {row}" for row in range(len(videos))])
    return np.where(videos != "", videos, alone)


def shown(card: Mapping[str, Any]) -> str:
    """The scorecard as lines for the screen."""
    low, high = card["interval"]
    lines = [f"{card['metric']} {card['score']:.4f} (95% interval {low:.4f} to {high:.4f})"]
    lines += [
        f"  {name:<20}{value:.4f}"
        for name, value in card.items()
        if isinstance(value, float) and name not in ("score", card["metric"])
    ]
    if "video" in card:
        lines.append("by video: " + ", ".join(f"{name} {value:.4g}" for name, value in card["video"].items()))
    for name, row in card.get("confusion", {}).items():
        lines.append(f"  {name:<20}" + "".join(f"{count:>7}" for count in row))
    for name, values in card.get("labels", {}).items():
        chosen = ("accuracy", "balanced_accuracy", "auc")
        lines.append(f"  {name:<24}" + ", ".join(f"{key} {values[key]:.4f}" for key in chosen))
    for name, found in card.get("subgroups", {}).items():
        lines += _shown_subgroups(name, found)
    return "\n".join(lines)


def _shown_subgroups(column: str, found: Mapping[str, Any]) -> list[str]:
    scored = {group: entry for group, entry in found["groups"].items() if entry["score"] is not None}
    each = ", ".join(f"{group} {entry['score']:.4f} ({entry['rows']})" for group, entry in scored.items())
    lines = [f"by {column}: {each}"]
    if "gap" in found:
        low, high = found["gap_interval"]
        lines.append(
            f"  worst {found['worst_group']}, gap {found['gap']:.4f} ({low:.4f} to {high:.4f}), equalised odds "
            f"{found['equalised_odds']:.4f}"
        )
    return lines
