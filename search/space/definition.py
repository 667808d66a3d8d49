"""A search space: what is fixed, what is searched, under which conditions. Imports neither torch nor Ray."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, Protocol

from lssat.config import Config, build
from lssat.errors import ConfigError
from lssat.model import catalog
from search.space.grid import every_point
from search.space.settings import SearchConfig

AUXILIARY = ("aux_weight", "masking.", "target.", "decoder.", "head.fusion")
"""Keys that only the auxiliary task reads: where `auxiliary` is off they are not drawn."""
PINNED = "--set"
"""Where a key is written that the command line gives."""
TEXTURE = "texture."
"""Keys such as `texture.lbp_points`, which each stream reads that shows this texture."""


@lru_cache(maxsize=1)
def defaults() -> Mapping[str, Any]:
    """Dotted key -> its default."""
    return MappingProxyType(Config().flat())


def is_read_without_auxiliary(key: str, streams: str) -> bool:
    """Whether the supervised baseline reads a key, for which only the classified stream (`.../CLBP`) counts."""
    if key.startswith(TEXTURE):
        classified = streams.rpartition("/C")[2].lower()
        return key.startswith(f"{TEXTURE}{classified}_")
    return not key.startswith(AUXILIARY)


class Trial(Protocol):
    """What is used of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number of a range, both ends included."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """An integer of a range, both ends included."""


@dataclass(frozen=True)
class Parameter:
    """One searched key under one condition. Either `choices`, or `low` and `high`."""

    key: str
    name: str
    """Optuna's; `key@condition` where a key has several parameters."""
    when: Mapping[str, tuple[Any, ...]]
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None

    def applies(self, resolved: Mapping[str, Any]) -> bool:
        """Whether it is drawn in a trial with these values of the keys that decide it."""
        if not resolved["auxiliary"] and not is_read_without_auxiliary(self.key, resolved["streams"]):
            return False
        return all(resolved.get(key) in values for key, values in self.when.items())

    def suggest(self, trial: Trial) -> Any:
        """The value that a trial suggests."""
        if self.choices:
            return trial.suggest_categorical(self.name, list(self.choices))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.name, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier study as one of this space: `point` by Optuna's names, without what the space does not
    hold; `is_whole`: it holds all. `scores`: after each epoch here, the best at the same share of the earlier run.
    """

    name: str
    point: Mapping[str, Any]
    is_whole: bool
    scores: tuple[float, ...]


@dataclass(frozen=True)
class EarlierStudy:
    """What is taken over of an earlier study: its `trials`, of which those named in `first` are tried first.

    `fingerprint`: of its data. `run`: what tells it from all others. `left_out`: why -> how many trials were not taken.
    """

    name: str
    fingerprint: str
    run: str | None
    trials: tuple[EarlierTrial, ...]
    first: tuple[str, ...]
    left_out: Mapping[str, int]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EarlierStudy:
        """What the manifest holds of one."""
        trials = tuple(EarlierTrial(**{**trial, "scores": tuple(trial["scores"])}) for trial in data["trials"])
        return cls(**{**data, "trials": trials, "first": tuple(data["first"])})


@dataclass(frozen=True)
class Space:
    """A validated space: `fixed` dotted keys, `parameters` in an order in which their conditions can be read.

    `resources`: size of a backbone -> the `resources.*` keys of its trials. `locations`: where keys were written
    (`spaces/my.yaml:14`); those of that table as `key@size`. `earlier`: studies that it is begun from (`--from`).
    """

    profile: str
    fixed: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    resources: Mapping[str, Mapping[str, Any]]
    search: SearchConfig
    locations: Mapping[str, str]
    earlier: tuple[EarlierStudy, ...] = ()

    def sample(self, trial: Trial) -> dict[str, Any]:
        """The dotted keys of one trial: fixed ones, those that the trial suggests, and the resources of its backbone's
        size.
        """
        resolved = {**defaults(), **self.fixed}
        chosen: dict[str, Any] = dict(self.fixed)
        for parameter in self.parameters:
            if parameter.applies(resolved):
                chosen[parameter.key] = resolved[parameter.key] = parameter.suggest(trial)
        return {**chosen, **self.resources.get(_size(resolved), {})}

    def reads(self, parameter: Parameter) -> set[str]:
        """The keys that decide whether a parameter is drawn."""
        streams = self._values_without_auxiliary("streams")
        drawn_without = {is_read_without_auxiliary(parameter.key, value) for value in streams}
        gates = {"auxiliary"} if False in drawn_without else set()
        # Streams decide only where they differ and `auxiliary` can be off at all. To read no more than that keeps the
        # order in which keys are drawn, and with it the draws of a study that has begun.
        if len(drawn_without) > 1 and False in self._values_without_auxiliary("auxiliary"):
            gates.add("streams")
        return {*parameter.when, *gates}

    def config(self, sampled: Mapping[str, Any]) -> Config:
        """The configuration of a sample. Raises ConfigError, with the location of the key that breaks a rule."""
        size = _size({**defaults(), **sampled})
        of_the_size = {key: self.locations[f"{key}@{size}"] for key in self.resources.get(size, ())}
        return build(sampled, {**self.locations, **of_the_size})

    def example(self, seed: int = 0) -> Config:
        """The configuration at a random corner of the space. Raises ConfigError."""
        return self.config(self.sample(_CornerTrial(seed)))

    def points(self) -> list[dict[str, Any]]:
        """The parameters of every point, for a grid. Raises ConfigError for a range without a step."""
        return [point for point, _ in every_point(self.sample)]

    def num_points(self, limit: int) -> int:
        """Points of the space, counted up to `limit` + 1. Raises ConfigError for a range without a step."""
        return sum(1 for _ in islice(every_point(self.sample), limit + 1))

    def holds_at_most(self, limit: int) -> bool:
        """Whether the space has no more points than that; where a range has no step they are endless."""
        try:
            return self.num_points(limit) <= limit
        except ConfigError:
            return False

    def _values_without_auxiliary(self, key: str) -> set[Any]:
        """What a key with choices can be where `auxiliary` is off."""
        variants = [p for p in self.parameters if p.key == key and False in p.when.get("auxiliary", (False,))]
        found = {choice for parameter in variants for choice in parameter.choices}
        if not variants or any(parameter.when for parameter in variants):  # then it may not be drawn
            found.add({**defaults(), **self.fixed}[key])
        return found

    @property
    def searched_keys(self) -> list[str]:
        """Each key that is searched, once, in their order."""
        return list(dict.fromkeys(parameter.key for parameter in self.parameters))

    @property
    def backbone_parameter(self) -> Parameter | None:
        """What draws the backbone's family, or its name; None where one is fixed."""
        keys = ("backbone.family", "backbone.name")
        return next((each for key in keys for each in self.parameters if each.key == key), None)

    @contextmanager
    def naming_lines(self) -> Iterator[None]:
        """Within, a ConfigError also says where a file has the first key that it names."""
        try:
            yield
        except ConfigError as error:
            keys = re.findall(r"`([a-z_]+\.[a-z_]+)", str(error))
            at = next((self.locations[key] for key in keys if key in self.locations), PINNED)
            raise ConfigError(str(error) if at == PINNED or at in str(error) else f"{error} ({at})") from None

    @property
    def tried_first(self) -> list[tuple[EarlierStudy, EarlierTrial]]:
        """The trials of earlier studies that are tried first, in their order, each with its study."""
        named = ((study, {trial.name: trial for trial in study.trials}) for study in self.earlier)
        return [(study, trials[name]) for study, trials in named for name in study.first]

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
            **({"earlier": [asdict(study) for study in self.earlier]} if self.earlier else {}),
        }


def _size(resolved: Mapping[str, Any]) -> str:
    """The size of a backbone; empty for an architecture that the catalogue does not hold."""
    name = resolved["backbone.name"]
    return str(resolved["backbone.size"]) if name is None else catalog.size_named(name) or ""


class _CornerTrial:
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
