"""A YAML file -> a validated Space: sections are merged, and what is wrong is named with file, line, rule and repair.
Imports neither torch nor Ray.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lssat.config import check_key, check_value
from lssat.errors import ConfigError
from lssat.text.did_you_mean import nearest
from search.space import drawable, resource_table, rules
from search.space.backbone_rules import check_backbones
from search.space.definition import TEXTURE, Space
from search.space.parameters import in_readable_order, parameters
from search.space.settings import SearchConfig
from search.space.yaml_lines import Document, read

SECTIONS = ("data", "objective", "fixed", "space", "resources", "search", "profiles")
ONE_FOR_ALL = ("data.", "objective.", "resources.", "optim.epochs")
"""Keys that are equal for all trials, or the trials could not be compared."""
NUM_PROBES = 200
"""Random points of the space that must be valid configurations before anything starts, so that a rule between keys is
broken now and not in the third hour.
"""


def load(path: Path, profile: str, pinned: Mapping[str, Any], search: Mapping[str, Any]) -> Space:
    """Read, merge and validate a space file.

    Precedence: defaults < `data`, `objective`, `fixed` < profile < sampled < `resources` < `pinned` (`--set`, which
    takes a key out of the search). `search` overrides the section of that name. Raises ConfigError with file, line,
    key, rule and repair.
    """
    document = read(path)
    reader = _read_sections(document, path, profile)
    overridden = {f"search.{key}": "command line" for key in search}
    settings = _search_config({**reader.search, **search}, {**reader.locations, **overridden})
    space = reader.space(profile, settings)
    _refuse_what_is_never_drawn(space)  # before keys are pinned, as a pinned key may make conditions void
    if pinned:
        for key, value in pinned.items():
            reader.pin(key, value)
        space = reader.space(profile, settings)
    space = replace(space, locations={**space.locations, **overridden})
    for seed in range(NUM_PROBES if space.parameters else 1):
        space.example(seed)
    check_backbones(space)
    return rules.checked(space)


def with_search(space: Space, search: Mapping[str, Any]) -> Space:
    """The space with other settings of its search, from the command line. Raises ConfigError."""
    overridden = {f"search.{key}": "command line" for key in search}
    settings = _search_config({**space.search.model_dump(), **search}, overridden)
    return rules.checked(replace(space, search=settings, locations={**space.locations, **overridden}))


def _read_sections(document: Document, path: Path, profile: str) -> _Reader:
    _check_sections(document, SECTIONS)
    profiles = document.mapping("profiles")
    if profiles and profile not in profiles:
        raise ConfigError(
            f"unknown profile `{profile}`; {path} has {', '.join(profiles)} ({document.location('profiles')})"
        )
    reader = _Reader(document)
    reader.add(())
    if profiles:
        reader.add(("profiles", profile))
    return reader


def _check_sections(document: Document, known: tuple[str, ...], *path: str) -> None:
    for section in document.mapping(*path):
        if section not in known:
            raise ConfigError(
                f"unknown section `{section}`; {nearest(section, known)} ({document.location(*path, section)})"
            )


def _refuse_what_is_never_drawn(space: Space) -> None:
    parameter = drawable.never_drawn(space)
    if parameter is not None:
        conditions = [f"{key}: {'|'.join(map(str, values))}" for key, values in parameter.when.items()]
        if not conditions:
            is_texture = parameter.key.startswith(TEXTURE)
            conditions = ["auxiliary: True" + (", or a classified stream of its texture," if is_texture else "")]
        raise ConfigError(
            f"`{parameter.key}` is never drawn: {', '.join(conditions)} never holds in this space; repair the "
            f"condition, or delete the entry ({space.locations[parameter.key]})"
        )


class _Reader:
    """Merges sections: later ones win, whether they fix a key or search it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.locations: dict[str, str] = {}
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
                self._fix(f"{section}.{key}", value, document.location(*path, section, key))
        for key, value in document.mapping(*path, "fixed").items():
            section, _, leaf = key.partition(".")
            location = document.location(*path, "fixed", key)
            if section in ("data", "objective") and leaf in document.mapping(*path, section):
                raise ConfigError(f"`{key}` is written twice, in `{section}` too; delete one ({location})")
            self._fix(key, value, location)
        for key, value in document.mapping(*path, "space").items():
            self._search(key, value, path)
        for size, key, value, location in resource_table.rows(document, *path, "resources"):
            self._resources.setdefault(size, {})[key] = value
            self.locations[f"{key}@{size}"] = location
        for key, value in document.mapping(*path, "search").items():
            self.search[key] = value
            self.locations[f"search.{key}"] = document.location(*path, "search", key)

    def pin(self, key: str, value: Any) -> None:
        """Fix a key, whatever the file says of it."""
        self._fix(key, value, "--set")
        for row in self._resources.values():
            row.pop(key, None)

    def space(self, profile: str, search: SearchConfig) -> Space:
        """What has been read. Raises ConfigError for parameters that cannot be."""
        searched = self._without_what_a_name_replaces()
        return in_readable_order(
            Space(
                profile,
                dict(self._fixed),
                tuple(parameters(searched, self._paths, self._fixed, self._document)),
                {size: dict(row) for size, row in self._resources.items() if row},
                search,
                dict(self.locations),
            )
        )

    def _fix(self, key: str, value: Any, location: str) -> None:
        check_value(key, value, location)
        self._searched.pop(key, None)
        self._fixed[key] = value
        self.locations[key] = location

    def _search(self, key: str, value: Any, path: tuple[str, ...]) -> None:
        location = self._document.location(*path, "space", key)
        check_key(key, location)
        if key.startswith("resources."):
            raise ConfigError(
                f"`{key}` cannot be searched; move it to the section `resources`, by size, or to `fixed` ({location})"
            )
        if key.startswith(ONE_FOR_ALL):
            raise ConfigError(
                f"`{key}` must be equal for all trials, or they could not be compared; move it to `fixed` ({location})"
            )
        if value is None:  # a profile takes the key out of the search
            if key not in self._searched:
                raise ConfigError(
                    f"`{key}` is not searched, so it cannot be taken out of the search; give it choices, or delete it "
                    f"({location})"
                )
            del self._searched[key]
            return
        if key in self._document.mapping(*path, "fixed"):
            raise ConfigError(f"`{key}` is both fixed and searched; delete one ({location})")
        self._fixed.pop(key, None)
        self._searched[key] = value if _has_variants(value) else [value]
        self._paths[key] = (*path, "space", key)
        self.locations[key] = location

    def _without_what_a_name_replaces(self) -> dict[str, list[Any]]:
        """The search; where `backbone.name` is fixed, without family and size and what is searched only under a
        condition on them.
        """
        if self._fixed.get("backbone.name") is None:
            return self._searched
        replaced = {"backbone.family", "backbone.size"}

        def waits_for_them(variant: Any) -> bool:
            when = variant.get("when") if isinstance(variant, dict) else None
            return isinstance(when, dict) and bool(replaced & when.keys())

        return {
            key: variants
            for key, variants in self._searched.items()
            if key not in replaced and not any(map(waits_for_them, variants))
        }


def _has_variants(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _search_config(values: Mapping[str, Any], locations: Mapping[str, str]) -> SearchConfig:
    try:
        return SearchConfig.model_validate(dict(values))
    except ValidationError as error:
        item = error.errors()[0]
        key = str(item["loc"][0])
        location = locations[f"search.{key}"]
        if item["type"] == "extra_forbidden":
            raise ConfigError(
                f"unknown key `search.{key}`; {nearest(key, SearchConfig.model_fields)} ({location})"
            ) from None
        rule = item["msg"].removeprefix("Input ").removeprefix("Value error, ").replace("should be", "must be")
        raise ConfigError(f"`search.{key}` {rule}, but got {item['input']!r} ({location})") from None
