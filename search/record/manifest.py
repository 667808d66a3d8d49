"""`manifest.json`: what was run, on what, with what, when. Enough to run it again."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lssat.config import ConfigError
from lssat.files import write_json
from search.space.definition import Parameter, Space
from search.space.settings import SearchConfig

HOW_LONG = (
    "num_trials",
    "max_concurrent",
    "max_epochs",
    "max_hours",
    "max_gpu_hours",
    "patience",
    "min_improvement",
    "finalists",
    "final_seeds",
)
"""What may change when a study is gone on with."""
PACKAGES = (
    "ray",
    "torch",
    "torchvision",
    "timm",
    "optuna",
    "scikit-image",
    "scikit-learn",
    "pyarrow",
    "numpy",
    "tensorboard",
)


def of_study(folder: Path, storage: Path, space: Space, fingerprint: str) -> dict[str, Any]:
    """The manifest of a study that is gone on with, if that is still the same. Raises ConfigError."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    if differences := _differences(manifest["resolved"], _resolved(space, fingerprint)):
        raise ConfigError(
            f"`--resume` needs the same space and data, but these differ: {', '.join(differences)}; undo the change, "
            "or choose another `--name`"
        )
    kept = Path(manifest["storage"])
    moved = storage == folder and folder.name == manifest["name"] and not kept.exists()
    if kept != storage and not moved:
        raise ConfigError(f"the checkpoints of this study are in {kept}; resume it with `--storage {kept.parent}`")
    return manifest


def start(
    folder: Path, storage: Path, space: Space, data: dict[str, Any], root: Path, earlier: dict[str, Any] | None
) -> dict[str, Any]:
    """Write the manifest with a new session: of a new study, or of the one whose manifest is `earlier`."""
    manifest = earlier or {
        "name": folder.name,
        "data": data,
        "seed": space.search.seed,
        "versions": _versions(),
        "commit": _commit(root),
        "sessions": [],
        "test_opened": [],
    }
    manifest |= {"storage": str(storage), "resolved": _resolved(space, data["fingerprint"])}
    manifest["sessions"].append(_session())
    write_json(folder / "manifest.json", manifest)
    return manifest


def rebuilt(path: Path, say: Callable[[str], None]) -> tuple[str, Space]:
    """The name and the space of a recorded study, as it was resolved from file, profile and command line, extensions
    included.

    Versions that are not those of the record are said. Raises ConfigError.
    """
    try:
        record = json.loads(path.read_text())
        resolved = record["resolved"]["space"]
        parameters = [
            {**entry, "when": _tuples(entry.get("when", {})), "choices": tuple(entry.get("choices", ()))}
            for entry in resolved["space"]
        ]
        table = resolved.get("resources", {})
        places = {f"{key}@{size}": str(path) for size, row in table.items() for key in row}
        search = SearchConfig(**resolved["search"])
        space = Space(
            resolved["profile"],
            resolved["fixed"],
            tuple(Parameter(**entry) for entry in parameters),
            table,
            search,
            places,
        )
        name, versions = str(record["name"]), record["versions"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is no manifest of a study ({type(error).__name__}: {str(error).splitlines()[0][:100]}); give a "
            "space file"
        ) from None
    for package, version in _versions().items():
        if versions.get(package) != version:
            say(f"note: recorded with {package} {versions.get(package)}, run with {version}")
    return name, space


def _tuples(conditions: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
    return {key: tuple(values) for key, values in conditions.items()}


def continued(space: Space, folder: Path, more: int | None, keep: bool) -> Space:
    """The space of a study that is gone on with: `more` trials than it was asked for so far, or (`keep`) as many,
    extensions included. Raises ConfigError.
    """
    if more is not None and (more < 1 or space.search.sampler == "grid"):
        raise ConfigError(
            "a grid has no more points to add" if more >= 1 else f"`--extend` must be at least 1, but got {more}"
        )
    path = folder / "manifest.json"
    if not path.exists() or space.search.sampler == "grid" or (more is None and not keep):
        return space
    asked = int(json.loads(path.read_text())["resolved"]["space"]["search"]["num_trials"])
    return replace(space, search=space.search.model_copy(update={"num_trials": asked + (more or 0)}))


def save(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest with the end of this session."""
    manifest["sessions"][-1]["ended"] = now()
    write_json(folder / "manifest.json", manifest)


def _resolved(space: Space, fingerprint: str) -> dict[str, Any]:
    return {"space": json.loads(json.dumps(space.to_json())), "data": fingerprint}


def _session() -> dict[str, Any]:
    return {"command": [Path(sys.executable).name, *sys.argv], "started": now(), "ended": None}


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of what differs; how long and how wide a study runs may change."""
    found = [] if old["data"] == new["data"] else ["the data"]
    for part in old["space"].keys() | new["space"].keys():
        before, after = old["space"].get(part), new["space"].get(part)
        if part == "search":
            free = dict.fromkeys(HOW_LONG)
            before, after = {**before, **free}, {**after, **free}
        if before != after:
            found.append(
                f"`{part}`"
                if not isinstance(before, dict)
                else f"`{part}` ({', '.join(sorted(_changed(before, after)))})"
            )
    return sorted(found)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def _commit(root: Path) -> str | None:
    try:
        head = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("-dirty" if dirty else "")
