"""Everything that is said of a trained model on one split: scores, their intervals, tables by class, by video and by
subgroup.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, logit

from lssat.evaluation.fairness import by_subgroup, worst_group
from lssat.evaluation.metrics import Array, confusion, evaluate_scores, one_score
from lssat.evaluation.uncertainty import bootstrap
from lssat.task import Task


def scorecard(
    task: Task,
    metric: str,
    scores: Mapping[str, float],
    logits: Array,
    labels: Array,
    texts: Mapping[str, Array],
    subgroups: Sequence[str],
) -> dict[str, Any]:
    """`score` is the metric that the study selects by, `interval` its 95% interval; the rows of a person, or else of a
    video, are resampled together.

    logits [N,K], labels [N] or [N,K], texts: `identity`, `video` and the columns that `subgroups` name, each [N].
    """
    units = independent(texts)
    groups = {name: texts[name] for name in subgroups}
    base = task.score_metric("auto") if metric == "worst_group" else metric

    def score(rows: Array) -> float:
        if metric == "worst_group":
            return worst_group(
                task.kind, base, logits[rows], labels[rows], {name: words[rows] for name, words in groups.items()}
            )[metric]
        return one_score(task.kind, metric, logits[rows], labels[rows])

    card: dict[str, Any] = {
        "metric": metric,
        "score": score(np.arange(len(logits))),
        "interval": bootstrap(units, score),
        **scores,
    }
    if task.kind == "multilabel":
        card["labels"] = {
            name: evaluate_scores("binary", logits[:, [k]], labels[:, k]) for k, name in enumerate(task.classes)
        }
    else:
        card["confusion"] = {
            name: row.tolist() for name, row in zip(task.classes, confusion(logits, labels), strict=True)
        }
    if task.kind == "binary" and any(texts["video"]):
        card["video"] = by_video(logits[:, 0], labels, texts["video"])
    if subgroups:
        card["subgroups"] = {
            name: by_subgroup(task.kind, base, logits, labels, texts[name], units) for name in subgroups
        }
    return card


def independent(texts: Mapping[str, Array]) -> Array:
    """What rows are resampled by [N]: identity, else video, else each row alone."""
    alone = np.array([f"row {row}" for row in range(len(texts["identity"]))])
    return np.where(texts["identity"] != "", texts["identity"], np.where(texts["video"] != "", texts["video"], alone))


def by_video(logits: Array, labels: Array, videos: Array) -> dict[str, float]:
    """Scores of whole videos: the mean of their frames' probabilities (a mean below one half is real). All [N]."""
    _, first, video = np.unique(videos, return_index=True, return_inverse=True)
    probability = np.bincount(video, expit(logits.astype(float))) / np.bincount(video)
    mean = np.clip(probability, 1e-12, 1 - 1e-12)
    return {"videos": float(len(first)), **evaluate_scores("binary", logit(mean)[:, None], labels[first])}


def shown(card: Mapping[str, Any]) -> str:
    """For the screen."""
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
        lines.append(
            f"  {name:<24}" + ", ".join(f"{key} {values[key]:.4f}" for key in ("accuracy", "balanced_accuracy", "auc"))
        )
    for name, found in card.get("subgroups", {}).items():
        each = ", ".join(
            f"{group} {entry['score']:.4f} ({entry['rows']})"
            for group, entry in found["groups"].items()
            if entry["score"] is not None
        )
        lines.append(f"by {name}: {each}")
        if "gap" in found:
            low, high = found["gap_interval"]
            lines.append(
                f"  worst {found['worst_group']}, gap {found['gap']:.4f} ({low:.4f} to {high:.4f}), equalised odds "
                f"{found['equalised_odds']:.4f}"
            )
    return "\n".join(lines)
