"""The scorecard of a trained model on one split: scores, their intervals, tables by class, by video and by subgroup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lssat.evaluation.classes import tables_by_class
from lssat.evaluation.fairness import by_subgroup, worst_group, worst_group_interval
from lssat.evaluation.metrics import Array, evaluate_scores, one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.uncertainty import bootstrap, too_few
from lssat.evaluation.units import RowTexts, of_videos, score_units
from lssat.task import Task


def scorecard(
    task: Task, metric: str, predictions: Predictions, scores: Mapping[str, float], texts: RowTexts
) -> dict[str, Any]:
    """`score` is the metric that the study selects by, `interval` its 95% interval; the rows of a person, or else of a
    video, are resampled together. Where there are too few of those it is None, and `interval_why` says so. `scores`: of
    the whole split, which are copied. `texts`: in the order of the rows.

    Where the task is scored by video, the tables by class and by subgroup count videos as well.
    """
    units, known = score_units(task, predictions, texts)
    grouped, known_grouped = score_units(task, predictions, texts, by_group=True)
    group_metric, by_worst_group = task.group_metric(metric), metric == "worst_group"

    if by_worst_group:
        resampled = independent(known_grouped)
        score = worst_group(task.kind, group_metric, grouped, known_grouped.groups)[metric]
        bounds, why = worst_group_interval(task.kind, group_metric, grouped, known_grouped.groups, resampled)
    else:
        resampled = independent(known)
        score, why = one_score(task.kind, metric, *units), too_few(resampled)
        bounds = None if why else bootstrap(resampled, lambda rows: one_score(task.kind, metric, *units.of(rows)))
        if bounds and not np.isfinite(bounds).all():
            bounds, why = None, "no resample has every class"
    card: dict[str, Any] = {
        "metric": metric,
        "group_metric": group_metric,
        "score": score,
        "interval": bounds,
        "interval_why": why,
        **scores,
        **tables_by_class(task, predictions, texts),
    }
    if task.kind == "binary" and texts.has_videos:
        videos, _ = of_videos(predictions, texts)
        card["video"] = {"videos": float(len(videos.labels)), **evaluate_scores(task.kind, *videos)}
    if texts.groups:
        resampled = independent(known_grouped)
        card["subgroups"] = {
            name: _named(task, by_subgroup(task.kind, group_metric, grouped, words, resampled))
            for name, words in known_grouped.groups.items()
        }
    return card


def _named(task: Task, found: dict[str, Any]) -> dict[str, Any]:
    """The scores of a column with the name of the class whose rates are the most unequal."""
    if odds := found.get("equalised_odds_of"):
        column = odds.pop("column")
        odds["class"] = task.classes[1 if task.kind == "binary" else column]
    return found


def independent(texts: RowTexts) -> Array:
    """What rows are resampled by [N]: the person, else the video, else each row alone."""
    alone = np.array([f"row {row}" for row in range(len(texts.video))])
    video_or_row = np.where(texts.video != "", texts.video, alone)
    return np.where(texts.identity != "", texts.identity, video_or_row)


def interval_in_words(card: Mapping[str, Any]) -> str:
    """The interval of a scorecard's score, or why it has none."""
    bounds = card["interval"]
    if bounds is None:
        return f"no interval: {card['interval_why']}"
    return f"95% interval {bounds[0]:.4f} to {bounds[1]:.4f}"


def shown(card: Mapping[str, Any]) -> str:
    """The scorecard as lines for the screen, but for its tables by class."""
    by = f" by {card['group_metric']}" if card["metric"] == "worst_group" else ""
    lines = [f"{card['metric']}{by} {card['score']:.4f} ({interval_in_words(card)})"]
    lines += [
        f"  {name:<20}{value:.4f}"
        for name, value in card.items()
        if isinstance(value, float) and name not in ("score", card["metric"])
    ]
    if "video" in card:
        lines.append("by video: " + ", ".join(f"{name} {value:.4g}" for name, value in card["video"].items()))
    for name, found in card.get("subgroups", {}).items():
        lines += _shown_subgroups(name, found)
    return "\n".join(lines)


def _shown_subgroups(column: str, found: Mapping[str, Any]) -> list[str]:
    scored = {group: entry for group, entry in found["groups"].items() if entry["score"] is not None}
    each = ", ".join(f"{group} {entry['score']:.4f} ({entry['rows']})" for group, entry in scored.items())
    lines = [f"by {column}, {found['metric']}: {each}"]
    if "gap" not in found:
        return lines
    gap = f"  worst {found['worst_group']}, best {found['best_group']}, gap {found['gap']:.4f}"
    lines.append(f"{gap}: {_difference_in_words(found['gap_interval'], found['gap_why'])}")
    if other := [pair for pair in found["told"] if pair != [found["best_group"], found["worst_group"]]]:
        lines.append("  more than luck as well: " + ", ".join(f"{high} above {low}" for high, low in other))
    if odds := found["equalised_odds_of"]:
        of = f"{odds['rate']} of {odds['class']}, {odds['high']} above {odds['low']}"
        said = _difference_in_words(odds["interval"], odds["why"])
        lines.append(f"  equalised odds {found['equalised_odds']:.4f} ({of}): {said}")
    return lines


def _difference_in_words(bounds: Sequence[float] | None, why: str) -> str:
    """What may be said of a difference that was picked as the largest."""
    if bounds is None:
        return f"no interval: {why}"
    untold = "" if bounds[0] > 0 else ", cannot be told from 0"
    return f"95% interval {bounds[0]:.4f} to {bounds[1]:.4f}{untold}"
