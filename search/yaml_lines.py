"""YAML as researchers write it, with the line of every value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lssat.config import ConfigError

FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")


class _Loader(yaml.SafeLoader):
    """Safe YAML whose floats follow YAML 1.2: `1e-3` and `1e3` are numbers (PyYAML's own rule makes them text)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:float"] for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\.(inf|nan)$", re.I), list("-+."))


@dataclass(frozen=True)
class Document:
    """`content`, and for every path of keys in it the place where it was written (`spaces/my.yaml:14`)."""

    content: dict[str, Any]
    places: dict[tuple[str, ...], str]

    def place(self, *path: str) -> str:
        """Where a path was written, or the nearest path around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return ""


def read(path: Path) -> Document:
    """Parse a file. Raises ConfigError for a missing file, broken YAML and doubled keys, with the line."""
    if not path.is_file():
        near = sorted(str(other) for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"no such file: {path}" + (f"; here are {', '.join(near)}" if near else ""))
    try:
        node = yaml.compose(path.read_text(), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"broken YAML: {getattr(error, 'problem', None) or error} ({path}{line})") from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"a space file must be a mapping of sections, see spaces/backbones.yaml ({path})")
    places: dict[tuple[str, ...], str] = {}
    content = _construct(node, (), str(path), places)
    return Document(content, places)


def scalar(text: str) -> Any:
    """The value that a text would be in YAML, for `--set key=value`. Raises ConfigError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        raise ConfigError(f"cannot read {text!r} as a YAML value") from None


def _construct(node: yaml.Node, path: tuple[str, ...], file: str, places: dict[tuple[str, ...], str]) -> Any:
    places.setdefault(path, f"{file}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, str(index)), file, places) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar_of(node, file)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        here = f"{file}:{key_node.start_mark.line + 1}"
        if key in mapping:
            raise ConfigError(f"`{key}` is written twice ({here})")
        places[(*path, key)] = here
        mapping[key] = _construct(value_node, (*path, key), file, places)
    return mapping


def _scalar_of(node: yaml.Node, file: str) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"cannot read {node.value!r}: {error} ({file}:{node.start_mark.line + 1})") from None
    finally:
        loader.dispose()
