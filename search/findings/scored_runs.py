"""The finished runs of a stage as the statistics want them: scores on record, and from the kept predictions how these
would move together with other validation units.

Where predictions are missing, damaged or do not fit, the scores stay and `lacking` says why nothing is known of units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lssat.errors import ConfigError
from search.claims.runs import Array, Runs, of_predictions
from search.record.folder import RunFolder, Stage
from search.record.manifest import read_manifest
from search.record.trials import Status, TrialRecord
from search.strategy.finalists import over_folds

# What loads scikit-learn is imported where it is needed, so that `--help` and mistakes are answered at once.
if TYPE_CHECKING:
    from lssat.evaluation.predictions import Predictions
    from lssat.evaluation.units import RowTexts
    from search.record.predictions import KeptPredictions

ROUNDING = 1e-6
"""By which a score on record and one from the predictions may differ."""


class Lacking(Exception):
    """Why nothing is known of units, in words."""


def scored_runs(folder: RunFolder, stage: Stage, arms: Mapping[str, tuple[str, int]]) -> Runs:
    """The complete runs of those named in `arms`, each with its arm and its seed. Their scores are the best on
    validation. Runs of one arm and seed, which differ in what is held out, are one, with the score over these
    (`objective.over`); it lacks none of them, or is left out. Raises ValueError where none is complete, or one arm ran
    twice from a seed.
    """
    records = {name: folder.record(stage, name) for name in arms}
    scores = {
        name: record.last.best for name, record in records.items() if record.status == Status.COMPLETE and record.last
    }
    if not scores:
        raise ValueError(f"a comparison needs runs that are complete, but none of the {len(arms)} asked for is")
    blocks = _blocks([records[name] for name in scores], arms)
    over = _over(folder) if len(blocks) < len(scores) else None
    of_blocks = [over_folds([scores[name] for name in block], over) for block in blocks.values()]
    names, seeds = zip(*blocks, strict=True)
    try:
        kept = _read([records[name] for block in blocks.values() for name in block])
        _check_alike(kept)
        draws = _score_of_draws(kept)
        _check_scores(scores, draws)
        found = _resampled(names, seeds, draws, [_of_block(draws, block, over) for block in blocks.values()])
    except Lacking as reason:
        nothing = np.zeros((len(blocks), len(blocks)))
        return Runs(names, seeds, np.array(of_blocks), nothing, 0, str(reason))
    return found


def _over(folder: RunFolder) -> str | None:
    """Which score of a seed counts over what is held out."""
    rotation = read_manifest(folder.manifest).rotation
    return rotation.over if rotation else None


def _blocks(records: Sequence[TrialRecord], arms: Mapping[str, tuple[str, int]]) -> dict[tuple[str, int], list[str]]:
    """The runs of each arm and seed that hold the same out, one after the other: as much, and by as many, as there is;
    the others are left out. Single runs are each by themselves, whatever they hold out.
    """
    blocks: dict[tuple[str, int], dict[tuple[str, ...], str]] = {}
    for record in records:
        block = blocks.setdefault(arms[record.name], {})
        held_out = tuple(record.config.data.held_out or ())
        if held_out in block:
            arm, seed = arms[record.name]
            raise ValueError(f"an arm runs once from a seed, but {arm} with seed {seed} is there twice; leave one out")
        block[held_out] = record.name
    held_out_by = Counter(frozenset(block) for block in blocks.values())
    whole = max(held_out_by, key=lambda values: (len(values), held_out_by[values], sorted(values)))
    return {key: list(block.values()) for key, block in blocks.items() if block.keys() == whole or len(whole) == 1}


class StageRuns:
    """The runs of a stage, whose predictions are read once, however many comparisons of some of them are asked for."""

    def __init__(self, folder: RunFolder, stage: Stage) -> None:
        self._folder, self._stage = folder, stage

    def of(self, arms: Mapping[str, tuple[str, int]]) -> Runs:
        """What `scored_runs` gives of these."""
        kept = [name for name in arms if name in self._places]
        has_folds = len({arms[name] for name in kept}) < len(kept)
        if not kept or has_folds or self._all.lacking:  # of fewer runs nothing may be lacking
            return scored_runs(self._folder, self._stage, arms)
        places = [self._places[name] for name in kept]
        names, seeds = zip(*(arms[name] for name in kept), strict=True)
        covariance = self._all.covariance[np.ix_(places, places)]
        return Runs(names, seeds, self._all.scores[places], covariance, self._all.units)

    @cached_property
    def _places(self) -> dict[str, int]:
        """Where each complete run stands in all of them."""
        records = self._folder.records(self._stage)
        names = [record.name for record in records if record.status == Status.COMPLETE and record.last]
        return {name: place for place, name in enumerate(names)}

    @cached_property
    def _all(self) -> Runs:
        return scored_runs(self._folder, self._stage, {name: (name, 0) for name in self._places})


def _read(records: Sequence[TrialRecord]) -> dict[str, KeptPredictions]:
    from search.record.predictions import read_of

    try:
        return {record.name: read_of(record) for record in records}
    except ConfigError as error:
        raise Lacking(str(error)) from error


def _check_alike(kept: Mapping[str, KeptPredictions]) -> None:
    """All of the same rows, labels and metric."""
    first, *others = kept
    about, texts = kept[first].about, kept[first].texts
    for name in others:
        other = kept[name]
        if other.about.metric != about.metric:
            raise Lacking(f"{name} was scored by {other.about.metric}, but {first} by {about.metric}")
        same_rows = (
            replace(other.about, held_out=about.held_out) == about
            and np.array_equal(other.predictions.labels, kept[first].predictions.labels)
            and np.array_equal(other.texts.identity, texts.identity)
            and np.array_equal(other.texts.video, texts.video)
            and _are_equal(other.texts.values, texts.values)
            and other.texts.groups.keys() == texts.groups.keys()
            and all(np.array_equal(other.texts.groups[column], words) for column, words in texts.groups.items())
        )
        if not same_rows:
            raise Lacking(f"{name} has predictions of other validation rows or labels than {first}")


def _are_equal(one: Array | None, other: Array | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)


def _check_scores(scores: Mapping[str, float], draws: Draws) -> None:
    """The scores from the predictions are those on record, or the predictions are of something else."""
    whole = np.ones((1, len(draws.units)))
    for name, score_of in draws.of_run.items():
        if abs(scores[name] - (from_file := float(score_of(whole)[0]))) > ROUNDING:
            raise Lacking(
                f"the predictions of {name} give {from_file:.6f}, but its score on record is {scores[name]:.6f}"
            )


@dataclass(frozen=True)
class Draws:
    """Whose each scored row is [N], and the score of each run in draws of these rows, by its name."""

    units: Array
    of_run: Mapping[str, Callable[[Array], Array]]


def _score_of_draws(kept: Mapping[str, KeptPredictions]) -> Draws:
    """Of rows that any of the runs is scored on, of which each has its own where what is held out differs."""
    from lssat.evaluation.scorecard import independent
    from lssat.evaluation.units import score_units

    rows = np.unique(np.concatenate([of.scored_rows for of in kept.values()]))
    by_group = any(of.about.metric == "worst_group" for of in kept.values())
    of_run, known = {}, None
    for name, of in kept.items():
        units, known = score_units(of.about.scored_task, of.predictions.of(rows), of.texts.of(rows), by_group)
        domains = known.domains(of.about.held_out, units.labels)
        own = np.flatnonzero(domains.held_out) if domains else np.arange(len(units.labels))
        of_run[name] = _of_own_rows(_score(of, units.of(own), known.of(own)), own)
    assert known is not None, "there are runs"
    return Draws(independent(known), of_run)


def _of_own_rows(score: Callable[[Array], Array], own: NDArray[np.intp]) -> Callable[[Array], Array]:
    """The score in draws of all rows of a run that is scored on its own."""
    return lambda times: score(times[:, own])


def _of_block(draws: Draws, block: Sequence[str], over: str | None) -> Callable[[Array], Array]:
    """The score of an arm and a seed in draws [D], over all that is held out."""

    def score(times: Array) -> Array:
        each = np.array([draws.of_run[name](times) for name in block])
        return np.asarray(each.min(axis=0) if over == "worst" else each.mean(axis=0))

    return score


def _resampled(
    arms: Sequence[str], seeds: Sequence[int], draws: Draws, each: Sequence[Callable[[Array], Array]]
) -> Runs:
    try:
        return of_predictions(arms, seeds, draws.units, lambda times: np.array([score(times) for score in each]))
    except ValueError as error:
        raise Lacking(str(error)) from error


def _score(kept: KeptPredictions, predictions: Predictions, known: RowTexts) -> Callable[[Array], Array]:
    """The selecting metric of what is scored as one."""
    from lssat.evaluation.weighted import score_of_draws, worst_group_of_draws

    about, task = kept.about, kept.about.scored_task
    if about.metric == "worst_group":
        return worst_group_of_draws(about.kind, task.group_metric(about.metric), predictions, known.groups)
    return score_of_draws(about.kind, about.metric, predictions)
