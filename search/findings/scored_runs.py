"""The finished runs of a stage as the statistics want them: scores on record, and from the kept predictions how these
would move together with other validation units.

Where predictions are missing, damaged or do not fit, the scores stay and `lacking` says why nothing is known of units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lssat.config import ConfigError
from search.claims.runs import Array, Runs, of_predictions
from search.record.folder import RunFolder, Stage
from search.record.trials import Status, TrialRecord

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
    validation. Raises ValueError where none is complete.
    """
    records = {name: folder.record(stage, name) for name in arms}
    scores = {
        name: record.last.best for name, record in records.items() if record.status == Status.COMPLETE and record.last
    }
    if not scores:
        raise ValueError(f"a comparison needs runs that are complete, but none of the {len(arms)} asked for is")
    names, seeds = [arms[name][0] for name in scores], [arms[name][1] for name in scores]
    try:
        kept = _read([records[name] for name in scores])
        _check_alike(kept)
        found = _resampled(names, seeds, list(kept.values()))
        _check_scores(scores, found.scores)
    except Lacking as reason:
        nothing = np.zeros((len(scores), len(scores)))
        return Runs(tuple(names), tuple(seeds), np.array(list(scores.values())), nothing, 0, str(reason))
    return found


class StageRuns:
    """The runs of a stage, whose predictions are read once, however many comparisons of some of them are asked for."""

    def __init__(self, folder: RunFolder, stage: Stage) -> None:
        self._folder, self._stage = folder, stage

    def of(self, arms: Mapping[str, tuple[str, int]]) -> Runs:
        """What `scored_runs` gives of these."""
        kept = [name for name in arms if name in self._places]
        if not kept or self._all.lacking:  # of fewer runs nothing may be lacking
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
        return {record.name: read_of(record).scored for record in records}
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
            other.about == about
            and np.array_equal(other.predictions.labels, kept[first].predictions.labels)
            and np.array_equal(other.texts.identity, texts.identity)
            and np.array_equal(other.texts.video, texts.video)
            and other.texts.groups.keys() == texts.groups.keys()
            and all(np.array_equal(other.texts.groups[column], words) for column, words in texts.groups.items())
        )
        if not same_rows:
            raise Lacking(f"{name} has predictions of other validation rows or labels than {first}")


def _check_scores(scores: Mapping[str, float], found: Array) -> None:
    """The scores from the predictions are those on record, or the predictions are of something else."""
    for (name, score), from_file in zip(scores.items(), found.tolist(), strict=True):
        if abs(score - from_file) > ROUNDING:
            raise Lacking(f"the predictions of {name} give {from_file:.6f}, but its score on record is {score:.6f}")


def _resampled(arms: Sequence[str], seeds: Sequence[int], kept: Sequence[KeptPredictions]) -> Runs:
    from lssat.evaluation.scorecard import independent
    from lssat.evaluation.units import score_units

    by_group = kept[0].about.metric == "worst_group"
    scored = [score_units(of.about.scored_task, of.predictions, of.texts, by_group) for of in kept]
    each = [_score(of, *units) for of, units in zip(kept, scored, strict=True)]
    _, known = scored[0]
    try:
        return of_predictions(arms, seeds, independent(known), lambda times: np.array([score(times) for score in each]))
    except ValueError as error:
        raise Lacking(str(error)) from error


def _score(kept: KeptPredictions, predictions: Predictions, known: RowTexts) -> Callable[[Array], Array]:
    """The selecting metric of what is scored as one."""
    from lssat.evaluation.weighted import score_of_draws, worst_group_of_draws

    about, task = kept.about, kept.about.scored_task
    if about.metric == "worst_group":
        return worst_group_of_draws(about.kind, task.group_metric(about.metric), predictions, known.groups)
    return score_of_draws(about.kind, about.metric, predictions)
