"""The complete runs of a stage as the statistics want them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search.claims.runs import Runs
from search.record.folder import RunFolder, Stage
from search.record.trials import Status


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
    nothing = np.zeros((len(scores), len(scores)))
    lacking = f"{names[0]} has no kept predictions"
    return Runs(tuple(names), tuple(seeds), np.array(list(scores.values())), nothing, 0, lacking)
