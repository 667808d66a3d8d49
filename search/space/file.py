"""A YAML file -> a validated Space: sections are merged, and what is wrong is named with file, line, rule and repair.
Imports neither torch nor Ray.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lssat.config import Config, ConfigError, check_key, check_value
from lssat.model import catalog
from lssat.nearest import nearest
from search.space import reach, resource_table, rules
from search.space.definition import Space
from search.space.parameters import parameters
from search.space.settings import SearchConfig
from search.space.yaml_lines import Document, read

SECTIONS = ("data", "objective", "fixed", "space", "resources", "search", "profiles")
ONE_FOR_ALL = (
    "data.",
    "objective.",
    "resources.",
    "optim.epochs",
)  # equal for all trials, or they could not be compared
NUM_PROBES = 200  # random points of the space that must be valid configurations before anything starts


def load(path: Path, profile: str, pinned: Mapping[str, Any], search: Mapping[str, Any]) -> Space:
    """Read, merge and validate a space file.

    Precedence: defaults < `data`, `objective`, `fixed` < profile < sampled < `resources` < `pinned` (`--set`, which
    takes a key out of the search). `search` overrides the section of that name. Raises ConfigError with file, line,
    key, rule and repair.
    """
    document = read(path)
    _check_sections(document, SECTIONS)
    profiles = document.mapping("profiles")
    if profiles and profile not in profiles:
        raise ConfigError(
            f"unknown profile `{profile}`; {path} has {', '.join(profiles)} ({document.place('profiles')})"
        )
    reader = _Reader(document)
    reader.add(())
    if profiles:
        reader.add(("profiles", profile))
    places = {f"search.{key}": "command line" for key in search}
    settings = _search_config({**reader.search, **search}, {**reader.places, **places})
    space = reader.space(profile, settings)
    _refuse_what_is_never_drawn(space)  # by the file itself: a key that is pinned may make conditions void
    if pinned:
        for key, value in pinned.items():
            reader.pin(key, value)
        space = reader.space(profile, settings)
    space = replace(space, places={**space.places, **places})
    for seed in range(
        NUM_PROBES if space.parameters else 1
    ):  # so that a rule between keys is broken now and not in the third hour
        _check_backbone(space.example(seed), space.places)
    return rules.checked(space)


def with_search(space: Space, search: Mapping[str, Any]) -> Space:
    """The space with other settings of its search, from the command line. Raises ConfigError."""
    places = {f"search.{key}": "command line" for key in search}
    return rules.checked(
        replace(
            space,
            search=_search_config({**space.search.model_dump(), **search}, places),
            places={**space.places, **places},
        )
    )


def _check_sections(document: Document, known: tuple[str, ...], *path: str) -> None:
    for section in document.mapping(*path):
        if section not in known:
            raise ConfigError(
                f"unknown section `{section}`; {nearest(section, known)} ({document.place(*path, section)})"
            )


def _refuse_what_is_never_drawn(space: Space) -> None:
    parameter = reach.never_drawn(space)
    if parameter is not None:
        conditions = (
            ", ".join(f"{key}: {'|'.join(map(str, values))}" for key, values in parameter.when.items())
            or "auxiliary: True"
        )
        place = space.places[parameter.key]
        raise ConfigError(
            f"`{parameter.key}` is never drawn: {conditions} never holds in this space; repair the condition, or "
            f"delete the entry ({place})"
        )


class _Reader:
    """Merges sections: later ones win, whether they fix a key or search it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.places: dict[str, str] = {}
        self.search: dict[str, Any] = {}
        self._fixed: dict[str, Any] = {}
        self._resources: dict[str, dict[str, Any]] = {}
        self._searched: dict[str, list[Any]] = {}
        self._paths: dict[str, tuple[str, ...]] = {}

    def add(self, path: tuple[str, ...]) -> None:
        """Take the sections below a path: the file itself, or a profile."""
        document = self._document
        if path:
            _check_sections(document, SECTIONS[:-1], *path)
        for section in ("data", "objective"):
            for key, value in document.mapping(*path, section).items():
                self._fix(f"{section}.{key}", value, document.place(*path, section, key))
        for key, value in document.mapping(*path, "fixed").items():
            section, _, leaf = key.partition(".")
            place = document.place(*path, "fixed", key)
            if section in ("data", "objective") and leaf in document.mapping(*path, section):
                raise ConfigError(f"`{key}` is written twice, in `{section}` too; delete one ({place})")
            self._fix(key, value, place)
        for key, value in document.mapping(*path, "space").items():
            self._search(key, value, path)
        for size, key, value, place in resource_table.rows(document, *path, "resources"):
            self._resources.setdefault(size, {})[key] = value
            self.places[f"{key}@{size}"] = place
        for key, value in document.mapping(*path, "search").items():
            self.search[key] = value
            self.places[f"search.{key}"] = document.place(*path, "search", key)

    def pin(self, key: str, value: Any) -> None:
        """Fix a key, whatever the file says of it."""
        self._fix(key, value, "--set")
        for row in self._resources.values():
            row.pop(key, None)

    def space(self, profile: str, search: SearchConfig) -> Space:
        """What has been read. Raises ConfigError for parameters that cannot be."""
        searched = self._without_what_a_name_replaces()
        drawn = parameters(searched, self._paths, self._fixed, self._document)
        return Space(
            profile,
            dict(self._fixed),
            tuple(drawn),
            {size: dict(row) for size, row in self._resources.items() if row},
            search,
            dict(self.places),
        )

    def _fix(self, key: str, value: Any, place: str) -> None:
        check_value(key, value, place)
        self._searched.pop(key, None)
        self._fixed[key] = value
        self.places[key] = place

    def _search(self, key: str, value: Any, path: tuple[str, ...]) -> None:
        place = self._document.place(*path, "space", key)
        check_key(key, place)
        if key.startswith("resources."):
            raise ConfigError(
                f"`{key}` cannot be searched; move it to the section `resources`, by size, or to `fixed` ({place})"
            )
        if key.startswith(ONE_FOR_ALL):
            raise ConfigError(
                f"`{key}` must be equal for all trials, or they could not be compared; move it to `fixed` ({place})"
            )
        if value is None:  # a profile takes the key out of the search
            if key not in self._searched:
                raise ConfigError(
                    f"`{key}` is not searched, so it cannot be taken out of the search; give it choices, or delete it "
                    f"({place})"
                )
            del self._searched[key]
            return
        if key in self._document.mapping(*path, "fixed"):
            raise ConfigError(f"`{key}` is both fixed and searched; delete one ({place})")
        self._fixed.pop(key, None)
        self._searched[key] = value if _has_variants(value) else [value]
        self._paths[key] = (*path, "space", key)
        self.places[key] = place

    def _without_what_a_name_replaces(self) -> dict[str, list[Any]]:
        """The search; where `backbone.name` is fixed, without family and size and what is searched only under a
        condition on them.
        """
        if self._fixed.get("backbone.name") is None:
            return self._searched
        replaced = {"backbone.family", "backbone.size"}
        return {
            key: variants
            for key, variants in self._searched.items()
            if key not in replaced
            and not any(
                isinstance(v, dict) and isinstance(v.get("when"), dict) and replaced & v["when"].keys()
                for v in variants
            )
        }


def _has_variants(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _check_backbone(config: Config, places: Mapping[str, str]) -> None:
    """What the catalogue can tell of a backbone before torch is loaded. Raises ConfigError."""
    backbone = config.backbone
    if backbone.name is not None:
        return
    try:
        entry = catalog.lookup(backbone.family, backbone.size)
    except ConfigError as error:
        raise ConfigError(f"{error}{_at(places, 'backbone.size', 'backbone.family')}") from None
    if backbone.patch_size is not None and entry["masking"] != "tokens":
        raise ConfigError(
            f"`backbone.patch_size` is for flat-token families, but {backbone.family} is none; add `when: "
            f"{{backbone.family: [vit]}}` to it{_at(places, 'backbone.patch_size')}"
        )
    if entry["masking"] != "tokens" and config.trains_auxiliary and config.masking.ratio is not None:
        cells = (config.data.image_size // config.masking.unit) ** 2
        if not 0 < int(cells * (1 - config.masking.ratio)) < cells:
            at = _at(places, "masking.ratio")
            raise ConfigError(
                f"`masking.ratio` {config.masking.ratio} hides all or none of the {cells} mask units; move it towards "
                f"0.5{at}"
            )


def _at(places: Mapping[str, str], *keys: str) -> str:
    return next((f" ({places[key]})" for key in keys if key in places), "")


def _search_config(values: Mapping[str, Any], places: Mapping[str, str]) -> SearchConfig:
    try:
        return SearchConfig.model_validate(dict(values))
    except ValidationError as error:
        item = error.errors()[0]
        key = str(item["loc"][0])
        place = places[f"search.{key}"]
        if item["type"] == "extra_forbidden":
            raise ConfigError(
                f"unknown key `search.{key}`; {nearest(key, SearchConfig.model_fields)} ({place})"
            ) from None
        rule = item["msg"].removeprefix("Input ").removeprefix("Value error, ").replace("should be", "must be")
        raise ConfigError(f"`search.{key}` {rule}, but got {item['input']!r} ({place})") from None
