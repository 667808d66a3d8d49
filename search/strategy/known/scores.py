"""What Optuna knows of a trial's scores."""

from __future__ import annotations

from optuna.trial import FrozenTrial


def last_epoch(trial: FrozenTrial) -> int:
    """The last epoch that Optuna knows of; 0 before the first."""
    return int(max(trial.intermediate_values, default=0))


def score_at(trial: FrozenTrial, epoch: int) -> float:
    """The score at the last epoch that is known, up to this one. There must be one."""
    scores = trial.intermediate_values
    return scores[epoch] if epoch in scores else scores[max(step for step in scores if step <= epoch)]
