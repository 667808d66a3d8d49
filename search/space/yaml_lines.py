"""YAML as researchers write it, with the line of every value.

PyYAML's composer gives the lines. ruamel.yaml gives them too, and a reader on it is some 80 lines shorter, but it reads
`on` and `off` as text, merges `<<` and accepts an alias inside its own anchor without a word (26 of the 1,000 damaged
files of tests/search/space/test_space_mutations.py then load), ends 41 of them with exceptions that are none of YAML's
(ValueError, KeyError, TypeError, IndexError, RecursionError) and without a line, and takes 1.8 times as long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lssat.errors import ConfigError

FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
MOST_VALUES = 5_000
"""Of a file: aliases of aliases grow without bound."""
INTEGER_BOUND = 2**63
"""An integer beyond it fits into nothing that follows (NumPy, SQLite, Optuna)."""


class _Loader(yaml.SafeLoader):
    """Safe YAML whose floats follow YAML 1.2: `1e-3` and `1e3` are numbers (PyYAML's own rule makes them text)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:float"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\.(inf|nan)$", re.I), list("-+."))


@dataclass(frozen=True)
class Document:
    """`content`, and for every path of keys in it the location where it was written (`spaces/my.yaml:14`)."""

    content: dict[str, Any]
    locations: dict[tuple[str, ...], str]

    def location(self, *path: str) -> str:
        """Where a path was written, or the nearest path around it."""
        around = (path[:length] for length in range(len(path), -1, -1))
        return next(self.locations[prefix] for prefix in around if prefix in self.locations)

    def mapping(self, *path: str) -> dict[str, Any]:
        """The mapping at a path; empty where nothing is written. Raises ConfigError for anything else."""
        node: Any = self.content
        for length, key in enumerate(path, 1):
            node = node.get(key)
            if node is None:
                return {}
            if not isinstance(node, dict):
                raise ConfigError(
                    f"`{'.'.join(path[:length])}` must be a mapping of keys to values, but got {node!r} "
                    f"({self.location(*path[:length])})"
                )
        return dict(node)


def read(path: Path) -> Document:
    """Parse a file. Raises ConfigError for a missing file, broken YAML and doubled keys, with the line."""
    if not path.is_file():
        near = sorted(str(other) for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"no such file: {path}" + (f"; here are {', '.join(near)}" if near else ""))
    node = _compose(_text(path), path)
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"a space file must be a mapping of sections, see spaces/backbones.yaml ({path}:1)")
    constructor = _Constructor(str(path))
    return Document(constructor.value(node, (), ()), constructor.locations)


def scalar(text: str) -> Any:
    """The value that a text would be in YAML, for `--set key=value`. Raises ConfigError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except Exception:  # PyYAML's constructors raise errors of any kind
        raise ConfigError(f"cannot read {text!r} as a YAML value") from None


def _text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"broken YAML: byte 0x{raw[error.start]:02x} is no UTF-8; save the file as UTF-8 ({path}:{line})"
        ) from None


def _compose(text: str, path: Path) -> yaml.Node | None:
    """The tree of nodes, each of which knows its line."""
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(
            f"broken YAML: the character {chr(error.character)!r} may not be in it; delete it ({path}:{line})"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"broken YAML: {error.problem or error.context} ({path}:{line})") from None
    except RecursionError:
        raise ConfigError(f"broken YAML: brackets are nested too deeply ({path}:1)") from None
    return node


@dataclass
class _Constructor:
    """Turns nodes into values, and notes the location of each path of keys."""

    file: str
    locations: dict[tuple[str, ...], str] = field(default_factory=dict)

    def value(self, node: yaml.Node, path: tuple[str, ...], ancestors: tuple[yaml.Node, ...]) -> Any:
        """The value of a node at a path. Raises ConfigError."""
        # A value of a mapping is located at its key, which `_mapping` has noted by now.
        location = self.locations.setdefault(path, self._location(node))
        if any(node is ancestor for ancestor in ancestors):
            raise ConfigError(f"broken YAML: an alias stands for what it is in; write the value out ({location})")
        if len(self.locations) > MOST_VALUES:
            raise ConfigError(
                f"a space file holds at most {MOST_VALUES} values; do without the aliases that multiply them "
                f"({location})"
            )
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self.value(item, (*path, str(index)), (*ancestors, node)) for index, item in items]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, ancestors)
        return self._scalar(node)

    def _mapping(
        self, node: yaml.MappingNode, path: tuple[str, ...], ancestors: tuple[yaml.Node, ...]
    ) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, location = self._key(key_node), self._location(key_node)
            if key in mapping:
                raise ConfigError(f"`{key}` is written twice; delete one ({location})")
            self.locations[(*path, key)] = location
            mapping[key] = self.value(value_node, (*path, key), (*ancestors, node))
        return mapping

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            kind = "list" if isinstance(node, yaml.SequenceNode) else "mapping"
            raise ConfigError(f"a key must be plain text, but got a {kind} ({self._location(node)})")
        if node.value == "<<":
            raise ConfigError(f"`<<` merges nothing here; write the keys out ({self._location(node)})")
        return str(node.value)

    def _scalar(self, node: yaml.Node) -> Any:
        if node.tag == "tag:yaml.org,2002:str":
            return node.value
        loader = _Loader("")
        try:
            value = loader.construct_object(node)
        except Exception as error:  # PyYAML's constructors raise errors of any kind
            kind, reason = node.tag.rpartition(":")[2], getattr(error, "problem", None) or error
            raise ConfigError(f"cannot read {node.value!r} as {kind}: {reason} ({self._location(node)})") from None
        finally:
            loader.dispose()
        if isinstance(value, int) and abs(value) >= INTEGER_BOUND:
            raise ConfigError(f"an integer must be below 2**63 ({self._location(node)})")
        return value

    def _location(self, node: yaml.Node) -> str:
        return f"{self.file}:{node.start_mark.line + 1}"
