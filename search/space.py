"""A YAML space, validated: what is fixed, what is searched, under which conditions. Imports neither torch nor Ray."""

from __future__ import annotations

import difflib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field, ValidationError

from lssat import catalog
from lssat.config import Config, ConfigError, Int, Section, build, check_key, check_value, flatten
from search.yaml_lines import Document, read

SECTIONS = ("data", "objective", "fixed", "space", "search", "profiles")
ONE_FOR_ALL = ("data.", "objective.", "resources.", "optim.epochs")  # equal for all trials, or they could not be compared
AUXILIARY = ("aux_weight", "masking.", "target.", "decoder.", "head.fusion")  # not drawn where `auxiliary` is off
RANGE_KEYS = {"low", "high", "log", "step"}
NUM_PROBES = 200  # random points of the space that must be valid configurations before anything starts


class SearchConfig(Section):
    """How the space is searched."""

    sampler: Literal["tpe", "random"] = Field("tpe", description="tpe: multivariate, in groups of keys that occur together")
    scheduler: Literal["asha", "none"] = Field("asha", description="asha: stop trials that are behind, one bracket; none: full budget for all")
    num_trials: Int = Field(20, ge=1, description="trials of the study")
    max_concurrent: Int | None = Field(None, ge=1, description="trials at a time; None: as many as the machines hold")
    seed: Int = Field(0, ge=0, description="seed of the sampler")
    startup_trials: Int = Field(8, ge=1, description="random trials before tpe models the space")
    grace_epochs: Int = Field(2, ge=1, description="asha: epochs that every trial gets")
    reduction_factor: Int = Field(3, ge=2, description="asha: one of this many goes on at each rung")


class Trial(Protocol):
    """What is used of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float: ...
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
    """A validated space: `fixed` dotted keys, `parameters` in an order in which conditions can be read."""

    profile: str
    fixed: Mapping[str, Any]
    parameters: tuple[Parameter, ...]
    search: SearchConfig
    places: Mapping[str, str]

    def sample(self, trial: Trial) -> dict[str, Any]:
        """The dotted keys of one trial: fixed ones and those that the trial suggests."""
        resolved = {**Config().flat(), **self.fixed}
        chosen: dict[str, Any] = dict(self.fixed)
        for parameter in self.parameters:
            if not resolved["auxiliary"] and parameter.key.startswith(AUXILIARY):
                continue
            if parameter.applies(resolved):
                chosen[parameter.key] = resolved[parameter.key] = parameter.suggest(trial)
        return chosen

    def example(self, seed: int = 0) -> Config:
        """The configuration at a random corner of the space."""
        return build(self.sample(_Corner(seed)), self.places)

    @property
    def searched_keys(self) -> list[str]:
        return list(dict.fromkeys(parameter.key for parameter in self.parameters))

    def to_json(self) -> dict[str, Any]:
        """What the study depends on, for the manifest."""
        parameters = [{name: value for name, value in vars(parameter).items() if value not in ((), None, {})} for parameter in self.parameters]
        return {"profile": self.profile, "fixed": dict(self.fixed), "space": parameters, "search": self.search.model_dump()}


def load(path: Path, profile: str, pinned: Mapping[str, Any], search: Mapping[str, Any]) -> Space:
    """Read, merge and validate a space file.

    Precedence: defaults < `data`, `objective`, `fixed` < profile < sampled < `pinned` (`--set`, which takes a key out of
    the search). `search` overrides the section of that name. Raises ConfigError with file, line, key, rule and repair.
    """
    document = read(path)
    for section in document.content:
        if section not in SECTIONS:
            raise ConfigError(f"unknown section `{section}`{_nearest(section, SECTIONS)} ({document.place(section)})")
    profiles = _mapping(document, "profiles")
    if profiles and profile not in profiles:
        raise ConfigError(f"unknown profile `{profile}`; {path} has {', '.join(profiles)}")
    reader = _Reader(document)
    reader.add(())
    if profiles:
        reader.add(("profiles", profile))
    for key, value in pinned.items():
        reader.fix(key, value, "--set")
    places = {**reader.places, **{f"search.{key}": "command line" for key in search}}
    settings = _search_config({**reader.search, **search}, places)
    if reader.fixed.get("backbone.name") is not None:
        reader.forget("backbone.family", "backbone.size")
    parameters = _ordered(_sizes_that_exist(reader.parameters(), reader.fixed, reader.places), reader.places)
    space = Space(profile, reader.fixed, tuple(parameters), settings, reader.places)
    for seed in range(NUM_PROBES if parameters else 1):  # so that a rule between keys is broken now and not in the third hour
        _check_backbone(space.example(seed), reader.places)
    return space


class _Reader:
    """Merges sections: later ones win, whether they fix a key or search it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.fixed: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        self.search: dict[str, Any] = {}
        self._searched: dict[str, list[Any]] = {}
        self._paths: dict[str, tuple[str, ...]] = {}

    def add(self, path: tuple[str, ...]) -> None:
        """Take the sections below a path: the file itself, or a profile."""
        document = self._document
        if path:
            for section in _mapping(document, *path):
                if section not in SECTIONS[:-1]:
                    raise ConfigError(f"unknown section `{section}`{_nearest(section, SECTIONS[:-1])} ({document.place(*path, section)})")
        for section in ("data", "objective"):
            for key, value in _mapping(document, *path, section).items():
                self.fix(f"{section}.{key}", value, document.place(*path, section, key))
        fixed = _mapping(document, *path, "fixed")
        for key, value in fixed.items():
            for name, item in flatten({key: value}).items():
                self.fix(name, item, document.place(*path, "fixed", key))
        for key, value in _mapping(document, *path, "space").items():
            place = document.place(*path, "space", key)
            check_key(key, place)
            if key.startswith(ONE_FOR_ALL):
                raise ConfigError(f"`{key}` must be equal for all trials, or they could not be compared; move it to `fixed` ({place})")
            if value is None:  # a profile takes the key out of the search
                self._searched.pop(key, None)
                continue
            if key in fixed:
                raise ConfigError(f"`{key}` is both fixed and searched; delete one ({place})")
            self.fixed.pop(key, None)
            self._searched[key] = value if _has_variants(value) else [value]
            self._paths[key] = (*path, "space", key)
            self.places[key] = place
        for key, value in _mapping(document, *path, "search").items():
            self.search[key] = value
            self.places[f"search.{key}"] = document.place(*path, "search", key)

    def fix(self, key: str, value: Any, place: str) -> None:
        check_value(key, value, place)
        self._searched.pop(key, None)
        self.fixed[key] = value
        self.places[key] = place

    def forget(self, *keys: str) -> None:
        """Take keys out of the search, and what is searched only under a condition on them."""
        for key in keys:
            self._searched.pop(key, None)
        for key, variants in list(self._searched.items()):
            kept = [variant for variant in variants if not (isinstance(variant, dict) and set(variant.get("when") or {}) & set(keys))]
            if len(kept) < len(variants):
                self._searched.pop(key)

    def parameters(self) -> list[Parameter]:
        found = []
        for key, variants in self._searched.items():
            for index, variant in enumerate(variants):
                path = (*self._paths[key], str(index)) if len(variants) > 1 else self._paths[key]
                found.append(_parameter(key, variant, self._document.place(*path), len(variants) > 1))
        known = {key: [p for p in found if p.key == key] for key in self._searched}
        for parameter in found:
            for key, values in parameter.when.items():
                _check_condition(parameter, key, values, known, self.places)
        return found


def _has_variants(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _parameter(key: str, variant: Any, place: str, several: bool) -> Parameter:
    """`[a, b]`, `{choices: [a, b], when: {...}}` or `{low: 1, high: 2, log: on, when: {...}}`."""
    entry = {"choices": variant} if isinstance(variant, list) else variant
    if not isinstance(entry, dict) or not ({"choices"} <= entry.keys() or {"low", "high"} <= entry.keys()):
        raise ConfigError(f"`{key}` must be a list of choices, or a mapping with `choices`, or with `low` and `high` ({place})")
    extra = entry.keys() - ({"choices", "when"} if "choices" in entry else RANGE_KEYS | {"when"})
    if extra:
        raise ConfigError(f"`{key}` does not know `{sorted(extra)[0]}`; it takes choices, low, high, log, step, when ({place})")
    when = {name: tuple(value) if isinstance(value, list) else (value,) for name, value in _conditions(entry, key, place).items()}
    name = key if not several else key + "@" + ",".join(f"{k}={'|'.join(map(str, v))}" for k, v in when.items())
    if "choices" in entry:
        choices = entry["choices"]
        if not isinstance(choices, list) or not choices:
            raise ConfigError(f"`{key}` needs at least one choice ({place})")
        for choice in choices:
            check_value(key, choice, place)
            if isinstance(choice, list | dict):
                raise ConfigError(f"`{key}` cannot be searched: its values are lists; fix it ({place})")
        if len(set(map(repr, choices))) < len(choices):
            raise ConfigError(f"`{key}` names a choice twice ({place})")
        return Parameter(key, name, when, choices=tuple(choices))
    return _range(key, name, when, entry, place)


def _range(key: str, name: str, when: Mapping[str, tuple[Any, ...]], entry: Mapping[str, Any], place: str) -> Parameter:
    low, high, log, step = entry["low"], entry["high"], entry.get("log", False), entry.get("step")
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            raise ConfigError(f"`{key}` needs numbers as low and high, but got {bound!r} ({place})")
        check_value(key, bound, place)
    if not low < high:
        raise ConfigError(f"`low < high` must hold for `{key}`, but got {low} and {high} ({place})")
    if not isinstance(log, bool) or (log and low <= 0):
        raise ConfigError(f"`{key}`: log is on or off, and a log range must lie above 0, but got log: {log}, low: {low} ({place})")
    if step is not None and (log or isinstance(step, bool) or not isinstance(step, int | float) or step <= 0):
        raise ConfigError(f"`{key}`: step must be a positive number and does not go with log, but got {step!r} ({place})")
    if _is_integer(key):
        low, high = int(low), int(high)
    else:
        low, high = float(low), float(high)
    return Parameter(key, name, when, low=low, high=high, log=log, step=step)


def _is_integer(key: str) -> bool:
    try:
        check_value(key, 1.5)
    except ConfigError as error:
        return "integer" in str(error)
    return False


def _conditions(entry: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    when = entry.get("when", {})
    if not isinstance(when, dict):
        raise ConfigError(f"`when` of `{key}` must be a mapping of keys to values ({place})")
    return when


def _check_condition(parameter: Parameter, key: str, values: tuple[Any, ...], known: Mapping[str, list[Parameter]], places: Mapping[str, str]) -> None:
    place = places[parameter.key]
    check_key(key, place)
    if key == parameter.key:
        raise ConfigError(f"`{key}` cannot be a condition of itself ({place})")
    for value in values:
        check_value(key, value, place)
        offered = [choice for other in known.get(key, []) for choice in other.choices]
        if offered and value not in offered:
            raise ConfigError(f"`{parameter.key}` waits for `{key}: {value}`, which is none of its choices {offered} ({place})")


def _sizes_that_exist(parameters: list[Parameter], fixed: Mapping[str, Any], places: Mapping[str, str]) -> list[Parameter]:
    """Split `backbone.size` by what the families have, so that no trial asks for a size that its family lacks."""
    families = next((p.choices for p in parameters if p.key == "backbone.family"), (fixed.get("backbone.family", Config().backbone.family),))
    place = places.get("backbone.family", places.get("backbone.size", ""))
    result = []
    if "backbone.name" in fixed:
        return parameters
    offered = {family: _sizes_of(family, place) for family in families}
    for parameter in parameters:
        if parameter.key != "backbone.size":
            result.append(parameter)
            continue
        for size in parameter.choices:
            if size not in catalog.SIZES:
                raise ConfigError(f"unknown size `{size}`{_nearest(size, catalog.SIZES)} ({places['backbone.size']})")
        wanted = {f: tuple(size for size in parameter.choices if size in offered[f]) for f in families if f in parameter.when.get("backbone.family", families)}
        for family, sizes in wanted.items():
            if not sizes:
                raise ConfigError(f"family `{family}` has none of the sizes {list(parameter.choices)}; it has {', '.join(offered[family])} ({place})")
        by_sizes = sorted(wanted, key=lambda f: (wanted[f], f))
        for sizes, group in groupby(by_sizes, key=lambda f: wanted[f]):
            members = tuple(group)
            name = parameter.name if len(members) == len(wanted) else f"backbone.size@{'|'.join(members)}"
            result.append(Parameter("backbone.size", name, {**parameter.when, "backbone.family": members}, choices=sizes))
    return result


def _sizes_of(family: str, place: str) -> list[str]:
    catalogue = catalog.read()
    if family not in catalogue:
        raise ConfigError(f"unknown backbone family `{family}`{_nearest(family, catalogue)} ({place})")
    return list(catalogue[family])


def _ordered(parameters: list[Parameter], places: Mapping[str, str]) -> list[Parameter]:
    """Every key after the keys that its conditions read."""
    rest, ordered = sorted(parameters, key=lambda parameter: parameter.key != "auxiliary"), []
    while rest:
        waiting = {p.key for p in rest}
        ready = [p for p in rest if not any(key in waiting for key in p.when)]
        if not ready:
            raise ConfigError(f"the conditions of {', '.join(sorted(waiting))} wait for each other ({places[rest[0].key]})")
        ready_keys = {p.key for p in ready if all(q in ready for q in rest if q.key == p.key)}
        ready = [p for p in ready if p.key in ready_keys]
        if not ready:
            raise ConfigError(f"the conditions of {', '.join(sorted(waiting))} wait for each other ({places[rest[0].key]})")
        ordered += ready
        rest = [p for p in rest if p not in ready]
    return ordered


class _Corner:
    """A trial that takes corners of the space: any choice, the low or the high end of a range."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        return self._random.choice([low, high])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._random.choice([low, high])


def _check_backbone(config: Config, places: Mapping[str, str]) -> None:
    """What the catalogue can tell of a backbone before torch is loaded. Raises ConfigError."""
    backbone = config.backbone
    if backbone.name is not None:
        return
    entry = catalog.lookup(backbone.family, backbone.size)
    if backbone.patch_size is not None and entry["masking"] != "tokens":
        place = f" ({places['backbone.patch_size']})" if "backbone.patch_size" in places else ""
        raise ConfigError(
            f"`backbone.patch_size` is for flat-token families, but {backbone.family} is none; add `when: {{backbone.family: [vit]}}` to it{place}"
        )
    if entry["masking"] != "tokens" and config.trains_auxiliary and config.masking.ratio is not None:
        cells = (config.data.image_size // config.masking.unit) ** 2
        if not 0 < int(cells * (1 - config.masking.ratio)) < cells:
            place = f" ({places['masking.ratio']})" if "masking.ratio" in places else ""
            raise ConfigError(f"`masking.ratio` {config.masking.ratio} hides all or none of the {cells} mask units; move it towards 0.5{place}")


def _search_config(values: Mapping[str, Any], places: Mapping[str, str]) -> SearchConfig:
    try:
        return SearchConfig.model_validate(dict(values))
    except ValidationError as error:
        item = error.errors()[0]
        key = str(item["loc"][0]) if item["loc"] else ""
        place = places.get(f"search.{key}", "")
        if item["type"] == "extra_forbidden":
            raise ConfigError(f"unknown key `search.{key}`{_nearest(key, SearchConfig.model_fields)} ({place})") from None
        rule = item["msg"].removeprefix("Input ").replace("should be", "must be")
        raise ConfigError(f"`search.{key}` {rule}, but got {item['input']!r} ({place})") from None


def _mapping(document: Document, *path: str) -> dict[str, Any]:
    node: Any = document.content
    for key in path:
        node = (node or {}).get(key)
    if node is None:
        return {}
    if not isinstance(node, dict):
        raise ConfigError(f"`{'.'.join(path)}` must be a mapping ({document.place(*path)})")
    return node


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else f"; known are {', '.join(known)}"
