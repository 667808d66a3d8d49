"""The scorecard of a trained model on one split: scores, their intervals, tables by class, by video and by subgroup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lssat.evaluation.fairness import by_subgroup, worst_group
from lssat.evaluation.metrics import Array, confusion, evaluate_scores, one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.uncertainty import bootstrap
from lssat.evaluation.units import RowTexts, of_videos, score_units
from lssat.task import Task


def scorecard(
    task: Task, metric: str, predictions: Predictions, scores: Mapping[str, float], texts: RowTexts
) -> dict[str, Any]:
    """`score` is the metric that the study selects by, `interval` its 95% interval; the rows of a person, or else of a
    video, are resampled together. `scores`: of the whole split, which are copied. `texts`: in the order of the rows.

    Where the task is scored by video, the table of confusion and the subgroups count videos as well.
    """
    units, known = score_units(task, predictions, texts)
    grouped, known_grouped = score_units(task, predictions, texts, by_group=True)
    group_metric, by_worst_group = task.group_metric(metric), metric == "worst_group"

    def score(rows: Array) -> float:
        if by_worst_group:
            return worst_group(task.kind, group_metric, grouped.of(rows), known_grouped.of(rows).groups)[metric]
        return one_score(task.kind, metric, *units.of(rows))

    resampled = independent(known_grouped if by_worst_group else known)
    card: dict[str, Any] = {
        "metric": metric,
        "score": score(np.arange(len(resampled))),
        "interval": bootstrap(resampled, score),
        **scores,
    }
    if task.kind == "multilabel":
        logits, labels = units
        columns = enumerate(task.classes)
        card["labels"] = {name: evaluate_scores("binary", logits[:, [k]], labels[:, k]) for k, name in columns}
    else:
        table = zip(task.classes, confusion(*units), strict=True)
        card["confusion"] = {name: row.tolist() for name, row in table}
    if task.kind == "binary" and texts.has_videos:
        videos, _ = of_videos(predictions, texts)
        card["video"] = {"videos": float(len(videos.labels)), **evaluate_scores(task.kind, *videos)}
    if texts.groups:
        resampled = independent(known_grouped)
        card["subgroups"] = {
            name: by_subgroup(task.kind, group_metric, grouped, words, resampled)
            for name, words in known_grouped.groups.items()
        }
    return card


def independent(texts: RowTexts) -> Array:
    """What rows are resampled by [N]: the person, else the video, else each row alone."""
    alone = np.array([f"row {row}" for row in range(len(texts.video))])
    video_or_row = np.where(texts.video != "", texts.video, alone)
    return np.where(texts.identity != "", texts.identity, video_or_row)


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
