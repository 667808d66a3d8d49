"""Final stages with scores made by hand, and a covariance over units as predictions would give it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from search.claims.runs import Runs
from search.findings import final_table
from search.findings.told import Rule
from search.strategy.finalists import Arm, FinalRun

RULE = Rule(0.01)
Scores = Mapping[str, Sequence[float | None]]
"""Arm -> its score from each seed; None for a run that failed. `0001-supervised` is the baseline of `0001`."""

CLOSE = {"0001": [0.80, 0.83, 0.85], "0001-supervised": [0.81, 0.81, 0.83], "0003": [0.70, 0.72, 0.75]}
"""The second may be as good as the first; the third is not."""


def scored(scores: Scores, units: int = 1000, sd: float = 0.05, lacking: str = "") -> Runs:
    """`sd`: over units, of what an arm does differently from the others."""
    kept = [
        (arm, seed, score) for arm, found in scores.items() for seed, score in enumerate(found) if score is not None
    ]
    arms, seeds, values = zip(*kept, strict=True)
    same = np.array([[float(one == other) for other in arms] for one in arms])
    return Runs(arms, seeds, np.array(values), same * sd**2 / max(units, 1), units, lacking)


def planned(scores: Scores) -> list[FinalRun]:
    """A run of each arm from each seed. Trials differ in their learning rates."""
    trials = sorted({arm.partition("-")[0] for arm in scores})
    sampled = {"backbone.name": "test_resnet", "data.image_size": 32, "masking.unit": 8, "aux_weight": 0.5}
    own = {trial: Arm(trial, {**sampled, "optim.lr": 1e-4 * place}) for place, trial in enumerate(trials, start=1)}
    arms = {name: own[name] if name in own else own[name.partition("-")[0]].baseline for name in scores}
    arms = {name: replace(arm, supervised=own[arm.trial].baseline.name) for name, arm in arms.items()}
    return [FinalRun(arms[name], seed) for name, found in scores.items() for seed in range(len(found))]


def table(scores: Scores, rule: Rule = RULE, **of_units) -> list[final_table.FinalRow]:
    """The final table of these scores. The winner is the highest mean of the arms without a failed run."""
    whole = {arm: sum(found) for arm, found in scores.items() if None not in found}
    return final_table.table_of(scored(scores, **of_units), planned(scores), max(whole, key=whole.get), rule)
