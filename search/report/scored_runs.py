"""From records to claims: the runs of a stage as `search.claims` compares them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search.claims.runs import Runs
from search.record.folder import RunFolder, Stage


def scored_runs(folder: RunFolder, stage: Stage, arms: Mapping[str, tuple[str, int]]) -> Runs:
    """The best score on validation of these runs, which are complete. `arms`: name of a run -> (arm, seed)."""
    last = [folder.record(stage, name).last for name in arms]
    scores = np.array([result.best if result else np.nan for result in last])
    nothing = np.zeros((len(arms), len(arms)))
    names, seeds = zip(*arms.values(), strict=True) if arms else ((), ())
    return Runs(names, seeds, scores, nothing, 0, "no predictions are kept of these runs")
