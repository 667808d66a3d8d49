"""Rules between what a study asks of its data and what they hold, before anything starts. Imports neither torch nor
Ray.
"""

from __future__ import annotations

from collections.abc import Sequence

from lssat.errors import ConfigError
from lssat.settings.data import DATASET, DataConfig
from lssat.settings.training import ObjectiveConfig
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


def check_sampling(data: DataConfig, is_class_balanced: bool, kind: Kind, columns: Sequence[str]) -> None:
    """`kind` of the task, `columns` of the data. Raises ConfigError where rows cannot be drawn as is asked for."""
    if data.sampling == "paired" and kind != "binary":
        raise ConfigError(
            f"`data.sampling` paired needs a task of two classes, real and fake, but task `{data.task}` is {kind}; "
            "take balanced or natural"
        )
    if data.weights is not None and is_class_balanced and data.sampling == "natural":
        raise ConfigError(
            "`optim.class_balanced` weights classes as the data have them, but `data.weights` draws them otherwise; "
            "take `data.sampling` balanced, which evens out the classes of each data set, without it"
        )
    if data.weights is not None and DATASET not in columns:
        raise ConfigError(
            f"`data.weights` needs the column `{DATASET}`, which tells joined data sets apart, but the data have "
            f"{', '.join(columns) or 'none'}; leave it out"
        )
