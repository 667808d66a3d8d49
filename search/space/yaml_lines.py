"""YAML as researchers write it, with the line of every value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lssat.config import ConfigError

FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
MOST_VALUES = 5_000  # of a file: aliases of aliases grow without bound
MOST = 2**63  # an integer beyond it fits into nothing that follows


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
    """`content`, and for every path of keys in it the place where it was written (`spaces/my.yaml:14`)."""

    content: dict[str, Any]
    places: dict[tuple[str, ...], str]

    def place(self, *path: str) -> str:
        """Where a path was written, or the nearest path around it."""
        return next(self.places[path[:length]] for length in range(len(path), -1, -1) if path[:length] in self.places)

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
                    f"({self.place(*path[:length])})"
                )
        return dict(node)


def read(path: Path) -> Document:
    """Parse a file. Raises ConfigError for a missing file, broken YAML and doubled keys, with the line."""
    if not path.is_file():
        near = sorted(str(other) for other in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"no such file: {path}" + (f"; here are {', '.join(near)}" if near else ""))
    node = _composed(_text(path), path)
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"a space file must be a mapping of sections, see spaces/backbones.yaml ({path}:1)")
    places: dict[tuple[str, ...], str] = {}
    content = _construct(node, (), str(path), places, ())
    return Document(content, places)


def scalar(text: str) -> Any:
    """The value that a text would be in YAML, for `--set key=value`. Raises ConfigError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except Exception:  # PyYAML's constructors raise what they like
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


def _composed(text: str, path: Path) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(
            f"broken YAML: the character {chr(error.character)!r} may not be in it; delete it ({path}:{line})"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(
            f"broken YAML: {error.problem or error.context} ({path}:{mark.line + 1 if mark else 1})"
        ) from None
    except RecursionError:
        raise ConfigError(f"broken YAML: brackets are nested too deeply ({path}:1)") from None
    return node


def _construct(
    node: yaml.Node, path: tuple[str, ...], file: str, places: dict[tuple[str, ...], str], around: tuple[yaml.Node, ...]
) -> Any:
    """`around`: the nodes that this one is in."""
    here = places.setdefault(path, f"{file}:{node.start_mark.line + 1}")
    if any(node is other for other in around):
        raise ConfigError(f"broken YAML: an alias stands for what it is in; write the value out ({here})")
    if len(places) > MOST_VALUES:
        raise ConfigError(
            f"a space file holds at most {MOST_VALUES} values; do without the aliases that multiply them ({here})"
        )
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(item, (*path, str(index)), file, places, (*around, node))
            for index, item in enumerate(node.value)
        ]
    if not isinstance(node, yaml.MappingNode):
        return _scalar_of(node, file)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _key_of(key_node, file)
        where = f"{file}:{key_node.start_mark.line + 1}"
        if key in mapping:
            raise ConfigError(f"`{key}` is written twice; delete one ({where})")
        places[(*path, key)] = where
        mapping[key] = _construct(value_node, (*path, key), file, places, (*around, node))
    return mapping


def _key_of(node: yaml.Node, file: str) -> str:
    place = f"{file}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(
            f"a key must be plain text, but got a {'list' if isinstance(node, yaml.SequenceNode) else 'mapping'} "
            f"({place})"
        )
    if node.value == "<<":
        raise ConfigError(f"`<<` merges nothing here; write the keys out ({place})")
    return str(node.value)


def _scalar_of(node: yaml.Node, file: str) -> Any:
    if node.tag == "tag:yaml.org,2002:str":
        return node.value
    loader = _Loader("")
    try:
        value = loader.construct_object(node)
    except Exception as error:  # PyYAML's constructors raise what they like
        why = getattr(error, "problem", None) or error
        raise ConfigError(
            f"cannot read {node.value!r} as {node.tag.rpartition(':')[2]}: {why} ({file}:{node.start_mark.line + 1})"
        ) from None
    finally:
        loader.dispose()
    if isinstance(value, int) and abs(value) >= MOST:
        raise ConfigError(f"an integer must be below 2**63 ({file}:{node.start_mark.line + 1})")
    return value
