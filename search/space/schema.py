"""`spaces/schema.json`, by which editors complete and check space files. Imports neither torch nor Ray.

`python -m search.space.schema` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lssat.config import Config
from lssat.model import catalog
from lssat.settings.section import Section
from lssat.settings.training import ResourcesConfig
from search.space.file import ONE_FOR_ALL, SECTIONS
from search.space.settings import SearchConfig

PATH = Path(__file__).resolve().parents[2] / "spaces" / "schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ON_OFF = [True, False, "on", "off"]
"""Editors read YAML 1.2, to which `on` is a text."""
BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Pydantic's names of bounds, which it leaves as they are in optional numbers -> those of JSON schema."""

Schema = dict[str, Any]


def schema() -> Schema:
    """JSON schema of a space file: each key's type, bounds and meaning. Rules between keys are the loader's alone."""
    keys = setting_schemas()
    searched = {key: value for key, value in keys.items() if not key.startswith(ONE_FOR_ALL)}
    sections = _sections(keys, searched)
    refs = {name: _ref("section", name) for name in sections}
    profile = {"type": ["object", "null"], "additionalProperties": False, "properties": refs}
    profiles = {
        "type": ["object", "null"],
        "additionalProperties": profile,
        "description": "laptop, gpu, ...: sections that overrule those of the file",
    }
    return {
        "$schema": DIALECT,
        "title": "A space of L-SSAT Search",
        "type": "object",
        "additionalProperties": False,
        "properties": {**refs, "profiles": profiles},
        "$defs": {
            **{f"section.{name}": section for name, section in sections.items()},
            **{f"setting.{key}": value for key, value in keys.items()},
            **{f"entry.{key}": _entry(key, value) for key, value in searched.items()},
            "when": _when(keys),
        },
    }


def setting_schemas() -> dict[str, Schema]:
    """Dotted key -> its schema."""
    tree = Config.model_json_schema()
    found: dict[str, Schema] = {}
    for name, entry in tree["properties"].items():
        section = tree["$defs"].get(entry.get("$ref", "").rpartition("/")[2])
        leaves = section["properties"].items() if section else ()
        of_entry = {f"{name}.{leaf}": value for leaf, value in leaves} or {name: entry}
        found |= {key: _plain(value) for key, value in of_entry.items()}
    return found


def text() -> str:
    """The text of the file."""
    return json.dumps(schema(), indent=1) + "\n"


def _sections(keys: Mapping[str, Schema], searched: Mapping[str, Schema]) -> dict[str, Schema]:
    def below(section: str) -> dict[str, Schema]:
        return {key.removeprefix(section): _ref("setting", key) for key in keys if key.startswith(section)}

    found = {
        "data": _object(below("data."), "the data of all trials"),
        "objective": _object(below("objective."), "what is maximised"),
        "fixed": _object(below(""), "settings that all trials share"),
        "space": _object(
            {key: _searched(key, value) for key, value in searched.items()},
            "what is searched; null takes a key out, in a profile",
        ),
        "resources": _resources(),
        "search": _object(_properties(SearchConfig), "how the space is searched"),
    }
    assert found.keys() == set(SECTIONS) - {"profiles"}
    return found


def _searched(key: str, value: Schema) -> Schema:
    """A list of choices, one entry, or a list of entries under conditions."""
    entry = _ref("entry", key)
    return {
        "description": value["description"],
        "anyOf": [_choices(key), entry, {"type": "array", "minItems": 1, "items": entry}, {"type": "null"}],
    }


def _entry(key: str, value: Schema) -> Schema:
    """A mapping with `choices`, or with `low` and `high`."""
    own, when = _ref("setting", key), {"$ref": "#/$defs/when"}
    kinds = [_object({"choices": _choices(key), "when": when}, required=["choices"])]
    if _is_number(value):
        steps: dict[str, Schema] = {"log": {"enum": ON_OFF}, "step": {"type": "number", "exclusiveMinimum": 0}}
        kinds.append(_object({"low": own, "high": own, **steps, "when": when}, required=["low", "high"]))
    return {"anyOf": kinds}


def _choices(key: str) -> Schema:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": _ref("setting", key)}


def _when(keys: Iterable[str]) -> Schema:
    values = {
        key: {"anyOf": [_ref("setting", key), {"type": "array", "minItems": 1, "items": _ref("setting", key)}]}
        for key in keys
    }
    return _object(values, "drawn only where each of these keys has one of these values")


def _resources() -> Schema:
    sizes = "|".join(catalog.SIZES)
    row = _object(_properties(ResourcesConfig)) | {"minProperties": 1}
    table = _object({}, "what a trial gets by the size of its backbone: `tiny` or `atto..nano`")
    return table | {"patternProperties": {rf"^({sizes})(\.\.({sizes}))?$": row}}


def _properties(section: type[Section]) -> dict[str, Schema]:
    return {key: _plain(value) for key, value in section.model_json_schema()["properties"].items()}


def _object(properties: Mapping[str, Schema], description: str = "", required: Sequence[str] = ()) -> Schema:
    """A mapping of these keys alone; one with a description is a section, which may be left empty."""
    kind: Schema = {"type": "object", "required": list(required)}
    if description:
        kind = {"type": ["object", "null"], "description": description}
    return kind | {"additionalProperties": False, "properties": dict(properties)}


def _plain(value: Schema) -> Schema:
    """Pydantic's schema of a setting, without its title, with on and off for booleans and the bounds of optional
    numbers by their names.
    """
    found = {BOUNDS.get(name, name): part for name, part in value.items() if name != "title"}
    if found.get("type") == "boolean":
        found["enum"] = ON_OFF
        del found["type"]
    if "anyOf" in found:
        found["anyOf"] = [_plain(option) for option in found["anyOf"]]
    return found


def _is_number(value: Schema) -> bool:
    return any(option.get("type") in ("integer", "number") for option in value.get("anyOf", [value]))


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/$defs/{kind}.{name}"}


if __name__ == "__main__":
    PATH.write_text(text())
