"""Rules between what a study maximises and its data, before anything starts. Imports neither torch nor Ray."""

from __future__ import annotations

from collections.abc import Sequence

from lssat.config import ConfigError, ObjectiveConfig
from lssat.task import Kind


def check_objective(objective: ObjectiveConfig, kind: Kind, columns: Sequence[str]) -> None:
    """`kind` of the task, `columns` of the data. Raises ConfigError where they do not give what is asked for."""
    if kind == "multiclass" and objective.metric in ("auc", "average_precision"):
        raise ConfigError(
            f"`objective.metric` {objective.metric} needs a binary or multi-label task; choose macro_f1, "
            "balanced_accuracy or accuracy"
        )
    for name in objective.subgroups:
        if name not in columns:
            raise ConfigError(
                f"`objective.subgroups` names `{name}`, but the data have no such column; they have "
                f"{', '.join(columns) or 'none'}"
            )
