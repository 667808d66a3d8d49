"""Finished runs of a study as claims need them: scores, and how these would move together with other units."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search.claims.runs import Runs
from search.record.folder import RunFolder, Stage
from search.record.trials import Status

NO_PREDICTIONS = "no predictions of validation are kept, so nothing is known of other units"


def scored_runs(folder: RunFolder, stage: Stage, arms: Mapping[str, tuple[str, int]]) -> Runs:
    """The best validation score of each of these runs that is complete, and its covariance over units.

    `arms`: name of a run -> the arm that it counts for, and its seed. Raises ValueError where no run is complete.
    """
    records = [folder.record(stage, name) for name in arms]
    best = {record.name: record.last.best for record in records if record.status == Status.COMPLETE and record.last}
    names, seeds = zip(*(arms[name] for name in best), strict=True) if best else ((), ())
    count = len(best)
    return Runs(names, seeds, np.array(list(best.values())), np.zeros((count, count)), 0, NO_PREDICTIONS)
