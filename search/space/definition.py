"""A search space: what is fixed, what is searched, under which conditions. Imports neither torch nor Ray."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, Protocol

from pydantic import Field, ValidationInfo, field_validator

from lssat.config import Config, ConfigError, Float, Int, Section, build
from lssat.model import catalog
from search.space import walk as grid

AUXILIARY = ("aux_weight", "masking.", "target.", "decoder.", "head.fusion")  # not drawn where `auxiliary` is off


class SearchConfig(Section):
    """How the space is searched."""

    sampler: Literal["tpe", "random", "grid", "gp", "nsga2"] = Field(
        "tpe",
        description="tpe: multivariate, in groups of keys that occur together; grid: every point once; gp, nsga2: "
        "Optuna's",
    )
    scheduler: Literal["asha", "promotion", "hyperband", "median", "none"] = Field(
        "asha",
        description="asha: stop trials that are behind, one bracket; promotion: pause all at each rung, the best go "
        "on; hyperband: several brackets; "
        "median: stop those below the median; none: full budget for all",
    )
    objectives: list[Literal["score", "parameters", "images_per_s", "gap"]] = Field(
        ["score"],
        description="score and images_per_s up, parameters and gap between subgroups down; the scheduler works on "
        "the first, which is the score",
    )
    num_trials: Int = Field(20, ge=1, description="trials of the study")
    max_concurrent: Int | None = Field(None, ge=1, description="trials at a time; None: as many as the machines hold")
    seed: Int = Field(
        0, ge=0, le=40_000, description="seed of the sampler"
    )  # more than that, times 100,003, is no seed to NumPy
    startup_trials: Int = Field(
        8, ge=1, description="random trials before tpe or gp models the space; nsga2: its population"
    )
    grace_epochs: Int = Field(2, ge=1, description="epochs that every trial gets before a scheduler may stop it")
    reduction_factor: Int = Field(
        3, ge=2, description="promotion, asha, hyperband: one of this many goes on at each rung"
    )
    max_epochs: Int | None = Field(None, ge=1, description="budget: epochs of all trials together")
    max_hours: Float | None = Field(None, gt=0, description="budget: hours on the clock, of each sitting at the study")
    max_gpu_hours: Float | None = Field(None, gt=0, description="budget: hours of GPUs held by trials")
    patience: Int | None = Field(
        None, ge=1, description="budget: end after this many trials in a row without a better score"
    )
    min_improvement: Float = Field(0.0, ge=0, description="patience: how much better counts as better")
    finalists: Int = Field(
        3,
        ge=0,
        description="best configurations that are trained anew, beside their supervised baselines, to choose the "
        "winner; 0: no final stage",
    )
    final_seeds: Int = Field(3, ge=2, description="fresh seeds that each finalist is trained with")

    @field_validator("objectives")
    @classmethod
    def _promotion_compares_scores(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if len(value) > 1 and info.data.get("scheduler") == "promotion":
            raise ValueError(
                "must be one where `search.scheduler` is promotion: Optuna keeps a trial's scores by epoch for one "
                "objective only"
            )
        return value


class Trial(Protocol):
    """What is used of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...


@dataclass(frozen=True)
class Parameter:
    """One searched key under one condition. Either `choices`, or `low` and `high`."""

    key: str
    name: str  # Optuna's; `key@condition` where a key has several parameters
    when: Mapping[str, tuple[Any, ...]]
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None

    @property
    def reads(self) -> set[str]:
        """The keys that decide whether it is drawn."""
        return {*self.when, *(["auxiliary"] if self.key.startswith(AUXILIARY) else [])}

    def applies(self, resolved: Mapping[str, Any]) -> bool:
        return all(resolved.get(key) in values for key, values in self.when.items())

    def suggest(self, trial: Trial) -> Any:
        if self.choices:
            return trial.suggest_categorical(self.name, list(self.choices))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class Space:
    """A validated space: `fixed` dotted keys, `parameters` in an order in which conditions can be read.

    `resources`: size of a backbone -> the `resources.*` keys of its trials. `places`: where keys were written; those of
    that table as `key@size`.
    """

    profile: str
    fixed: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    resources: Mapping[str, Mapping[str, Any]]
    search: SearchConfig
    places: Mapping[str, str]

    def sample(self, trial: Trial) -> dict[str, Any]:
        """The dotted keys of one trial: fixed ones, those that the trial suggests, and the resources of its backbone's
        size.
        """
        resolved = {**Config().flat(), **self.fixed}
        chosen: dict[str, Any] = dict(self.fixed)
        for parameter in self.parameters:
            if not resolved["auxiliary"] and parameter.key.startswith(AUXILIARY):
                continue
            if parameter.applies(resolved):
                chosen[parameter.key] = resolved[parameter.key] = parameter.suggest(trial)
        return {**chosen, **self.resources.get(_size(resolved), {})}

    def example(self, seed: int = 0) -> Config:
        """The configuration at a random corner of the space."""
        sampled = self.sample(_Corner(seed))
        size = _size({**Config().flat(), **sampled})
        return build(
            sampled, {**self.places, **{key: self.places[f"{key}@{size}"] for key in self.resources.get(size, ())}}
        )

    def points(self) -> list[dict[str, Any]]:
        """The parameters of every point, for a grid. Raises ConfigError for a range without a step."""
        return [point for point, _ in grid.walk(self.sample)]

    def num_points(self, most: int) -> int:
        """Points of the space, counted up to `most` + 1. Raises ConfigError for a range without a step."""
        return sum(1 for _ in islice(grid.walk(self.sample), most + 1))

    def holds_at_most(self, number: int) -> bool:
        """Whether the space has no more points than that; where a range has no step they are endless."""
        try:
            return self.num_points(number) <= number
        except ConfigError:
            return False

    @property
    def searched_keys(self) -> list[str]:
        return list(dict.fromkeys(parameter.key for parameter in self.parameters))

    def to_json(self) -> dict[str, Any]:
        """What the study depends on, for the manifest."""
        parameters = [
            {name: value for name, value in vars(parameter).items() if value not in ((), None, {})}
            for parameter in self.parameters
        ]
        table = {"resources": {size: dict(row) for size, row in self.resources.items()}} if self.resources else {}
        return {
            "profile": self.profile,
            "fixed": dict(self.fixed),
            "space": parameters,
            **table,
            "search": self.search.model_dump(),
        }


def _size(resolved: Mapping[str, Any]) -> str:
    """The size of a backbone; empty for an architecture that the catalogue does not hold."""
    name = resolved["backbone.name"]
    return str(resolved["backbone.size"]) if name is None else catalog.size_named(name) or ""


class _Corner:
    """A trial that takes corners of the space: any choice, the low or the high end of a range."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._random.choice([low, high])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._random.choice([low, high])
