"""All trials of a study in Optuna's database, by one query a table. Optuna itself makes an object of each row of each
table, which takes many times as long.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, select

PARAMS, VALUES, SCORES = models.TrialParamModel, models.TrialValueModel, models.TrialIntermediateValueModel
NOTES, OPTUNAS_NOTES = models.TrialUserAttributeModel, models.TrialSystemAttributeModel
distribution_of = lru_cache(json_to_distribution)
"""One object for all trials that draw from it."""


def read_trials(database: RDBStorage, study_id: int) -> list[FrozenTrial]:
    """By number."""
    trial = models.TrialModel
    columns = (trial.trial_id, trial.number, trial.state, trial._datetime_start_utc, trial._datetime_complete_utc)
    with database.engine.connect() as connection:
        parts = _Parts(connection)
        trials = connection.execute(select(*columns).where(trial.study_id == study_id).order_by(trial.number)).all()
    return [
        FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=list(parts.values[trial_id].values()) or None,
            datetime_start=_local(start),
            datetime_complete=_local(complete),
            params={
                name: distribution_of(kind).to_external_repr(drawn)
                for name, (drawn, kind) in parts.params[trial_id].items()
            },
            distributions={name: distribution_of(kind) for name, (_, kind) in parts.params[trial_id].items()},
            user_attrs=parts.notes[trial_id],
            system_attrs=parts.optunas_notes[trial_id],
            intermediate_values=parts.scores[trial_id],
            trial_id=trial_id,
        )
        for trial_id, number, state, start, complete in trials
    ]


class _Parts:
    """What trials have, by their ids."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        value_of, score_of = VALUES.stored_repr_to_value, SCORES.stored_repr_to_intermediate_value
        self.values = self._of((VALUES.objective, VALUES.value, VALUES.value_type), value_of)
        self.scores = self._of((SCORES.step, SCORES.intermediate_value, SCORES.intermediate_value_type), score_of)
        self.params = self._of(
            (PARAMS.param_name, PARAMS.param_value, PARAMS.distribution_json), lambda drawn, kind: (drawn, kind)
        )
        self.notes = self._of((NOTES.key, NOTES.value_json), json.loads)
        self.optunas_notes = self._of((OPTUNAS_NOTES.key, OPTUNAS_NOTES.value_json), json.loads)

    def _of(self, columns: tuple[Any, ...], read: Callable[..., Any]) -> defaultdict[int, dict[Any, Any]]:
        """Id of a trial -> the first of the columns -> what is read of the others."""
        table = columns[0].class_
        (by,) = table.__table__.primary_key
        found: defaultdict[int, dict[Any, Any]] = defaultdict(dict)
        for trial_id, key, *stored in self._connection.execute(select(table.trial_id, *columns).order_by(by)):
            found[trial_id][key] = read(*stored)
        return found


def _local(moment: datetime | None) -> datetime | None:
    """Optuna writes UTC, and its trials have local time."""
    return moment and moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
