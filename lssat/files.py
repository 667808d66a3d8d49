"""JSON on disk, whole or not at all: a kill leaves what was there before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_json(path: Path, data: Any) -> None:
    _replace(path, json.dumps(data, indent=2) + "\n")


def write_lines(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """A line per entry."""
    _replace(path, "".join(json.dumps(entry) + "\n" for entry in entries))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
