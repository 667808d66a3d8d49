"""Optuna's storage of a study that one process alone writes: read from memory, written to the database as well.

Optuna's own reads all trials that are not over from the database whenever anybody asks for trials, which is several
times for each suggestion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.strategy.known.database import read_trials


class KnownStudies(InMemoryStorage):
    """What a database holds, read once. Every change is in the database before it is in memory."""

    def __init__(self, database: RDBStorage) -> None:
        super().__init__()
        self._database = database
        self._study_ids: list[int] = []  # id here -> id in the database
        self._trial_ids: list[int] = []
        for study in database.get_all_studies():
            study_id = super().create_new_study(study.directions, study.study_name)
            self._study_ids.append(study._study_id)
            for key, value in study.system_attrs.items():
                super().set_study_system_attr(study_id, key, value)
            for key, value in study.user_attrs.items():
                super().set_study_user_attr(study_id, key, value)
            for trial in read_trials(database, study._study_id):
                self._trial_ids.append(trial._trial_id)
                super().create_new_trial(study_id, as_it_is(trial))

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """The id of a new study. Raises DuplicatedStudyError."""
        self._study_ids.append(self._database.create_new_study(directions, study_name))
        return super().create_new_study(directions, study_name)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Note something of a study."""
        self._database.set_study_user_attr(self._study_ids[study_id], key, value)
        super().set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Note something of a study, for Optuna."""
        self._database.set_study_system_attr(self._study_ids[study_id], key, value)
        super().set_study_system_attr(study_id, key, value)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """The id of a new trial, which runs where it has no template."""
        self._trial_ids.append(self._database.create_new_trial(self._study_ids[study_id], template_trial))
        return super().create_new_trial(study_id, template_trial)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """What a trial has drawn."""
        there = self._trial_ids[trial_id]
        self._database.set_trial_param(there, param_name, param_value_internal, distribution)
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """How a trial stands; whether this has changed it."""
        has_changed = self._database.set_trial_state_values(self._trial_ids[trial_id], state, values)
        return has_changed and super().set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """The score of an epoch."""
        self._database.set_trial_intermediate_value(self._trial_ids[trial_id], step, intermediate_value)
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note something of a trial."""
        self._database.set_trial_user_attr(self._trial_ids[trial_id], key, value)
        super().set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note something of a trial, for Optuna."""
        self._database.set_trial_system_attr(self._trial_ids[trial_id], key, value)
        super().set_trial_system_attr(trial_id, key, value)


class _AsItIs:
    """Stands for a trial that Optuna's storage in memory shall keep instead of a copy with all its distributions."""

    def __init__(self, trial: FrozenTrial) -> None:
        self._trial = trial

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return self._trial


def as_it_is(trial: FrozenTrial) -> FrozenTrial:
    """A trial for `create_new_trial`, which gives it its number and keeps it, uncopied."""
    return cast(FrozenTrial, _AsItIs(trial))
