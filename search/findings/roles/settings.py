"""What role each setting plays in a study. A grid is compared: every setting varies by itself, so that its share can be
told. A search is described: it draws what it hopes for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lssat.errors import ConfigError
from search.claims.factors import Levels, always_with
from search.claims.importance import INTERACTIONS, Importance, Role, Share, importance
from search.claims.words import listed
from search.findings.roles.study_runs import SEED, StudyRuns
from search.record.trials import Status, TrialRecord

if TYPE_CHECKING:  # Optuna is slow to import
    from search.strategy.importance import Description

OF_GRID = (
    "Shares are of the variance of one run's score over the grid. `matters`: the expected score over seeds and "
    "validation images differs between its values; about 5% of studies say so of any setting falsely."
)
OF_SEARCH = (
    "Spread: where the share lies in 95% of draws of the trials with replacement. It shows how much hangs on single "
    "trials, and is no confidence interval."
)
"""How to read the numbers."""


@dataclass(frozen=True)
class GridSettings:
    """Of a grid of which so many trials are `complete`; `missing`: how many are not."""

    found: Importance
    complete: int
    missing: int

    @property
    def floor(self) -> str:
        """What makes the variance that is no setting's."""
        return "training anew (the floor)" if self.found.has_floor else f"{INTERACTIONS} and training anew, together"


@dataclass(frozen=True)
class SearchSettings:
    """Of a search. `confounded`: settings that are a matter of others, with those; they have no weight here, nor do
    those that had one value in all trials, `constant`.
    """

    found: Description
    confounded: Mapping[str, Sequence[str]]
    constant: Sequence[str]


def settings_of(runs: StudyRuns) -> GridSettings | SearchSettings:
    """The roles. Raises ConfigError that says in words why nothing can be said of them."""
    if not runs.keys:
        raise ConfigError("only seeds were searched")
    if not runs.complete:
        raise ConfigError("no trial has its full budget; let the study go on with `--resume`")
    return _of_grid(runs) if runs.is_grid else _of_search(runs)


def _of_grid(runs: StudyRuns) -> GridSettings:
    levels: Levels = {key: {runs.arm_of(record): _value(record, key) for record in runs.complete} for key in runs.keys}
    try:
        found = importance(runs.of_search, levels)
    except ValueError as error:
        raise ConfigError(f"the trials cannot be compared: {error}") from error
    return GridSettings(found, len(runs.complete), len(runs.trials) - len(runs.complete))


def _of_search(runs: StudyRuns) -> SearchSettings:
    from search.strategy.importance import describe

    parameters = runs.manifest.space.parameters
    if not runs.folder.has_begun:
        raise ConfigError(f"{runs.folder.study_db.name} is not there; restore it")
    found = describe(runs.folder.study_db, {each.name: each.key for each in parameters})
    ranked = [*runs.complete, *(record for record in runs.trials if record.status == Status.STOPPED)]
    columns = {key: tuple(_value(record, key) for record in ranked) for key in runs.keys}
    constant = [key for key, column in columns.items() if len(set(column)) == 1]
    choices = {each.key for each in parameters if each.choices} - {SEED, *constant}
    return SearchSettings(found, always_with({key: columns[key] for key in columns if key in choices}), constant)


def _value(record: TrialRecord, key: str) -> str | None:
    value = record.sampled.get(key)
    return None if value is None else str(value)


def claims_of_grid(of: GridSettings) -> dict[str, str]:
    """What may be said, each sentence by the setting that it names, or by what it is about."""
    found, said = of.found, {}
    if found.why:
        said["untold"] = (
            f"Which setting matters cannot be told: {found.why}. The shares below are of these runs on these "
            "validation images; other seeds and other images may give others."
        )
    else:
        for share in _of_role(found, Role.MATTERS):
            said[share.factor] = f"{share.factor} matters: it makes {share.share:.0%} of the variance of a run's score."
        if untold := _of_role(found, Role.UNTOLD):
            said["untold"] = f"Of {listed([share.factor for share in untold])} it cannot be told."
    if not found.has_floor:
        said["floor"] = (
            f"No arm ran from two seeds, so there is no noise floor: {INTERACTIONS} and what training anew makes "
            "cannot be told apart. Give the grid seeds: `seed: [0, 1, 2]`."
        )
    return said


def limits_of_grid(of: GridSettings) -> dict[str, str]:
    """What the claims do not cover."""
    said = {}
    if of.missing:
        said["missing"] = (
            f"{of.missing} of the {of.missing + of.complete} trials did not reach their full budget and are left out; "
            "where the scheduler stopped them, what is left is a choice of the better ones."
        )
    for share in of.found.shares:
        if share.apart:
            said[f"{share.factor}.apart"] = (
                f"Of {share.factor}, {listed(share.apart)} never changed by itself, and is not compared."
            )
    return said


def description_of(of: SearchSettings) -> str:
    """What the numbers of a search are, and are not."""
    found = of.found
    return (
        f"This is a description of a search, and no test: how differently the {found.top} best of its trials "
        f"({found.complete} complete, {found.stopped} stopped and ranked below them) are spread over each setting's "
        "values than all are (conditional PED-ANOVA). A search draws where it hopes, from one seed a trial; to learn "
        "what matters, run a grid with seeds."
    )


def _of_role(found: Importance, role: Role) -> list[Share]:
    return [share for share in found.shares if share.role is role]
