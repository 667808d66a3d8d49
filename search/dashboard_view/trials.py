"""The record of a trial -> a trial of Optuna's for people: a parameter for each setting, an attribute for each fact."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.dashboard_view.standing import Standing
from search.findings.leaderboard import Row
from search.record.trials import Status, TrialRecord
from search.strategy.objectives import values

FACTS = (
    *("score", "gap", "test", "epochs", "backbone", "pretrained", "parameters"),
    *("learning", "flops", "images_per_s"),
    *("streams", "encoding", "seed", "config_hash"),
)
"""The columns of the leaderboard that are attributes. The others are parameters already, or change as others come."""


@dataclass(frozen=True)
class Shown:
    """What is shown of all trials alike. `distributions`: of each searched key; `common`: keys that no trial has by
    itself; `panels`: a folder for links to their panels.
    """

    distributions: Mapping[str, BaseDistribution]
    common: frozenset[str]
    objectives: Sequence[str]
    panels: Path

    def trial(self, record: TrialRecord, row: Row, standing: Standing) -> FrozenTrial:
        """A trial. What it did not draw it has no parameter of."""
        settings = {key: record.sampled[key] for key in self.distributions if key in record.sampled}
        own = {key: value for key, value in record.sampled.items() if key not in self._elsewhere}
        reached = values(self.objectives, record.last) if record.last else None
        has_values = standing.state in (TrialState.COMPLETE, TrialState.PRUNED) and _are_defined(reached)
        # One without a value cannot be complete to Optuna: a version before may not have measured an objective.
        state = TrialState.PRUNED if standing.state == TrialState.COMPLETE and not has_values else standing.state
        begun, ended = record.span or (record.started, record.started)
        return FrozenTrial(
            number=-1,  # Optuna numbers them as they come
            trial_id=-1,
            state=state,
            value=None,
            values=list(map(_rounded, reached)) if reached and has_values else None,
            datetime_start=datetime.fromtimestamp(begun),
            datetime_complete=datetime.fromtimestamp(ended) if state.is_finished() else None,
            params=settings,
            distributions={key: self.distributions[key] for key in settings},
            user_attrs={**self._facts(record, row, standing), **own},
            system_attrs={
                **_constraint(standing.word == Status.INFEASIBLE),
                **self._panel(record),
                **({"fixed_params": settings} if state == TrialState.WAITING else {}),  # shown of one that waits
            },
            intermediate_values={result.epoch: _rounded(result.best) for result in record.epochs},
        )

    @property
    def _elsewhere(self) -> Set[str]:
        """The keys that are parameters, or attributes of the study."""
        return self.distributions.keys() | self.common

    def _facts(self, record: TrialRecord, row: Row, standing: Standing) -> dict[str, Any]:
        """What is known of a trial, but for what is a parameter or common to all."""
        cells = {name: value for name, value in row.cells().items() if name in FACTS and name not in self._elsewhere}
        facts = {**_said(standing), **cells, "seconds": record.seconds if record.num_epochs else None}
        return {name: _rounded(value) for name, value in facts.items() if value not in (None, "")}

    def _panel(self, record: TrialRecord) -> dict[str, str]:
        """The panel of a trial as an artifact, as `optuna.artifacts` writes one down, and a link to it.

        Its id holds the file's time: a browser keeps what it has of an id.
        """
        if not record.panel.exists():
            return {}
        name = f"{record.name}-{record.panel.stat().st_mtime_ns:x}"
        if not (self.panels / name).is_symlink():
            (self.panels / name).symlink_to(record.panel.absolute())
        found = {"artifact_id": name, "filename": record.panel.name, "mimetype": "image/png", "encoding": None}
        return {f"artifacts:{name}": json.dumps(found)}


def placeholder(standing: Standing) -> FrozenTrial:
    """A trial that never began."""
    is_over = standing.state.is_finished()
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=standing.state,
        value=None,
        datetime_start=datetime.now() if is_over else None,
        datetime_complete=datetime.now() if is_over else None,
        params={},
        distributions={},
        user_attrs=_said(standing),
        system_attrs=_constraint(is_broken=False),
        intermediate_values={},
    )


def _said(standing: Standing) -> dict[str, str]:
    return {"status": standing.word, **({"reason": standing.reason} if standing.reason else {})}


def _constraint(is_broken: bool) -> dict[str, list[float]]:
    """Whether a trial is infeasible, in the form in which the dashboard reads it."""
    return {"constraints": [float(is_broken)]}


def _are_defined(objectives: Sequence[float] | None) -> bool:
    return objectives is not None and all(map(math.isfinite, objectives))


def _rounded(value: Any) -> Any:
    """To as many digits as anybody reads. Settings are shown in full: they may be typed again."""
    return round(value, 6) if isinstance(value, float) else value
