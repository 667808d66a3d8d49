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
    grouped, known_grouped = score_units(task, predictions, texts, by_group=True)
    group_metric = task.group_metric(metric)
    card: dict[str, Any] = {
        "metric": metric,
        "group_metric": group_metric,
        **_score_with_interval(task, metric, predictions, texts),
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


def by_value(
    task: Task, metric: str, predictions: Predictions, texts: RowTexts, held_out: Sequence[str]
) -> dict[str, Any]:
    """Of a column of which values are held out: the score of `in_domain`, the rows without a held-out value, and of the
    rows of each of its `values`, beside those that are in both parts (`units.Domains`). A value whose rows lack a class
    has no score.
    """
    domains = texts.domains(held_out, predictions.labels)
    assert domains is not None and texts.values is not None, "values of a column are held out"

    def score_of(rows: Array) -> dict[str, Any]:
        found = {"rows": int(rows.sum()), "score": None, "interval": None}
        try:
            return found | _score_with_interval(task, metric, predictions.of(rows), texts.of(rows))
        except ValueError:  # a class is missing
            return found | {"interval_why": "a class is missing"}

    is_of_all = domains.held_out & domains.in_domain
    return {
        "in_domain": score_of(domains.in_domain),
        "values": {
            str(name): {"held_out": str(name) in held_out, **score_of(is_of_all | (texts.values == name))}
            for name in np.unique(texts.values[~is_of_all])
        },
    }


def _score_with_interval(task: Task, metric: str, predictions: Predictions, texts: RowTexts) -> dict[str, Any]:
    if metric == "worst_group":
        units, known = score_units(task, predictions, texts, by_group=True)
        group_metric, resampled = task.group_metric(metric), independent(known)
        score = worst_group(task.kind, group_metric, units, known.groups)[metric]
        bounds, why = worst_group_interval(task.kind, group_metric, units, known.groups, resampled)
    else:
        units, known = score_units(task, predictions, texts)
        resampled = independent(known)
        score, why = one_score(task.kind, metric, *units), too_few(resampled)
        bounds = None if why else bootstrap(resampled, lambda rows: one_score(task.kind, metric, *units.of(rows)))
        if bounds and not np.isfinite(bounds).all():
            bounds, why = None, "no resample has every class"
    return {"score": score, "interval": bounds, "interval_why": why}


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
    if "hold_out" in card:
        lines += shown_values(card["hold_out"])
    if "hold_out_why" in card:
        lines.append(str(card["hold_out_why"]))
    for name, found in card.get("subgroups", {}).items():
        lines += _shown_subgroups(name, found)
    return "\n".join(lines)


def shown_values(found: Mapping[str, Any]) -> list[str]:
    """What a scorecard has of a column of which values are held out."""
    column, inside = found["column"], found["in_domain"]
    each = ", ".join(
        f"{name}{' (held out)' if of['held_out'] else ''} {'-' if of['score'] is None else format(of['score'], '.4f')}"
        for name, of in found["values"].items()
    )
    without = ", ".join(found["held_out"])
    in_domain = "-" if inside["score"] is None else f"{inside['score']:.4f} ({interval_in_words(inside)})"
    return [f"without {column} {without}, in domain: {in_domain}", f"by {column}: {each}"]


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
