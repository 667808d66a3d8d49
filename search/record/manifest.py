"""`manifest.json`: what was run, on what, with what, when. Enough to run it again."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from lssat.command import Notify
from lssat.config import current_keys
from lssat.errors import ConfigError
from lssat.files import write_json
from lssat.storage.place import Place
from search.record.folder import RunFolder, Storage
from search.record.machine import machine
from search.space.definition import EarlierStudy, Parameter, Space
from search.space.settings import SearchConfig

OF_FINAL_STAGE = ("finalists", "finalists_per", "supervised", "final_seeds", "rotate")
"""Settings that decide which runs the final stage has."""
FINAL_STAGE = "final_stage"
FIRST_WEIGHTS = "first_weights"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
DATA_SOURCE = "data.source"
OVER = "objective.over"
SCORED_BY = "scored_by"
"""Of the data: what a score is taken over, "row" or "video". The version that scored each frame did not write it."""
FOLDS = "folds"
"""Of the data: the values of `data.hold_out` that `search.rotate` holds out."""
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


class Rotation(NamedTuple):
    """What a final stage holds out, one of the values after the other. over: which score of a seed counts, the mean
    over them or the worst.
    """

    values: Sequence[str]
    over: str


@dataclass(frozen=True)
class Manifest:
    """The manifest of a study. `content` is what the file holds, keys of settings under today's names."""

    path: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """The study's name when it began."""
        return str(self.content["name"])

    @property
    def storage(self) -> Place:
        """Where the checkpoints are."""
        return Place.of(self.content["storage"])

    @property
    def command(self) -> list[str]:
        """What was typed to begin the study, without the interpreter."""
        return list(map(str, self.content["sessions"][0]["command"][1:]))

    @property
    def session_began(self) -> float:
        """When the latest session began, in seconds since 1970."""
        return datetime.strptime(self.content["sessions"][-1]["started"], TIME_FORMAT).timestamp()

    @cached_property
    def space(self) -> Space:
        """The space as it was resolved from file, profile and command line, extensions included."""
        resolved = self.content["resolved"]["space"]
        parameters = tuple(
            Parameter(**{**entry, "when": _tuples(entry.get("when", {})), "choices": tuple(entry.get("choices", ()))})
            for entry in resolved["space"]
        )
        table = resolved.get("resources", {})
        locations = {f"{key}@{size}": str(self.path) for size, row in table.items() for key in row}
        search = SearchConfig(**resolved["search"])
        earlier = tuple(map(EarlierStudy.from_json, resolved.get("earlier", ())))
        return Space(resolved["profile"], resolved["fixed"], parameters, table, search, locations, earlier)

    @property
    def final_search(self) -> SearchConfig:
        """The settings of the search with the final stage as it was last begun: `--hours` may have cut it. Those of the
        space before any was begun, and in a study of a version that did not write it.
        """
        begun = [session[FINAL_STAGE] for session in self.content.get("sessions", ()) if FINAL_STAGE in session]
        return self.space.search.model_copy(update=begun[-1] if begun else {})

    @property
    def rotation(self) -> Rotation | None:
        """That of the final stage as it was last begun; None where all of its runs hold out the same."""
        return self.rotation_of(self.final_search)

    def rotation_of(self, search: SearchConfig) -> Rotation | None:
        """That of a final stage with these settings. Raises ConfigError where no values are on record."""
        if not search.rotate:
            return None
        values = tuple(map(str, self.content["data"].get(FOLDS, ())))
        if not values:
            raise ConfigError(
                f"`search.rotate` needs the values that can be held out, but {self.path} names none as `{FOLDS}` of "
                "its data; begin another study by `--name`"
            )
        return Rotation(values, str(self.space.fixed.get(OVER) or "mean"))

    def begin_final_stage(self, search: SearchConfig) -> None:
        """Put on record how large a final stage this session has time for."""
        self.content["sessions"][-1][FINAL_STAGE] = {name: getattr(search, name) for name in OF_FINAL_STAGE}
        self._write()

    @property
    def first_weights(self) -> list[dict[str, str]]:
        """Which pretrained weights each backbone began with, as `search.study.backbone_checks` found them before the
        study began; empty in a study of a version that did not write it.
        """
        return list(self.content.get(FIRST_WEIGHTS, ()))

    @property
    def test_results(self) -> dict[str, dict[str, Any]]:
        """What each run that was ever scored on test got there, by its name."""
        openings = self.content["test_opened"]
        return {name: result for opening in openings for name, result in opening["results"].items()}

    @property
    def test_scores(self) -> dict[str, float]:
        """The score on test of each of these runs."""
        return {name: float(result["score"]) for name, result in self.test_results.items()}

    @property
    def num_openings(self) -> int:
        """How often the test split was opened."""
        return len(self.content["test_opened"])

    def open_test(self, chosen: str) -> None:
        """Put on record that the test split is opened now, before anybody looks: a kill must not hide it."""
        self.content["test_opened"].append({"time": _now(), "chosen": chosen, "results": {}})
        self._write()

    def record_test(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Write down what was seen at the last opening."""
        self.content["test_opened"][-1]["results"] = dict(results)
        self._write()

    def begin_session(self, storage: Storage, space: Space, data_source: str) -> Manifest:
        """This manifest with a new session: the study begins or goes on. `data_source`: where the data lie now."""
        command = [Path(sys.executable).name, *sys.argv]
        session = {"command": command, "data": data_source, "started": _now(), "ended": None}
        resolved = {"space": as_json(space), "data": self.content["data"]["fingerprint"]}
        begun = {
            "storage": str(storage.place),
            "storage_line": storage.line,
            "resolved": resolved,
            "sessions": [*self.content["sessions"], session],
        }
        manifest = Manifest(self.path, {**self.content, **begun})
        manifest._write()
        return manifest

    def end_session(self) -> None:
        """Write down that this session came to its end."""
        self.content["sessions"][-1]["ended"] = _now()
        self._write()

    def _write(self) -> None:
        write_json(self.path, self.content)


def new_manifest(folder: RunFolder, space: Space, data: dict[str, Any], root: Path) -> Manifest:
    """The manifest of a study that has not begun; nothing is written yet. `root`: of the project's code."""
    content = {
        "name": folder.name,
        "data": data,
        "seed": space.search.seed,
        "versions": _versions(),
        "machine": machine(),
        "commit": _commit(root),
        "sessions": [],
        "test_opened": [],
    }
    return Manifest(folder.manifest, content)


def read_manifest(path: Path, repair: str = "restore it from a copy") -> Manifest:
    """The manifest of a study. Raises ConfigError where the file is none; `repair` is what its message advises."""
    try:
        content = json.loads(path.read_text())
        resolved = content["resolved"]["space"]
        content["resolved"]["space"] = {
            **resolved,
            "search": {"supervised": "inherited", **resolved["search"]},  # a version before had no other
            "fixed": current_keys(resolved["fixed"]),
            "space": [_current_parameter(entry) for entry in resolved["space"]],
        }
        manifest = Manifest(path, content)
        _ = manifest.name, manifest.space, content["versions"]  # what the study cannot be rebuilt without
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is no manifest of a study ({type(error).__name__}: {str(error).splitlines()[0][:100]}); {repair}"
        ) from None
    return manifest


def objectives_of(folder: RunFolder) -> list[str]:
    """The objectives of a study, the score first; of a folder without a manifest the score alone."""
    return list(map(str, _recorded_space(folder).get("search", {}).get("objectives", ["score"])))


def searched_keys_of(folder: RunFolder) -> list[str]:
    """Each key that a study searches, once, under today's names; of a folder without a manifest none."""
    return list(dict.fromkeys(entry["key"] for entry in _recorded_space(folder).get("space", ())))


def _recorded_space(folder: RunFolder) -> dict[str, Any]:
    """The space of a study as its manifest holds it; empty where there is no manifest. Raises ConfigError where it is
    damaged.
    """
    return dict(read_manifest(folder.manifest).content["resolved"]["space"]) if folder.manifest.exists() else {}


def notify_of_other_versions(manifest: Manifest, notify: Notify) -> None:
    """Name the packages whose versions are not those of the record, Python among them.

    None is refused: nothing that a study goes on from is pickled, so any version reads it. What other versions change
    is how the last digits of further trials fall.
    """
    recorded = manifest.content["versions"]
    for package, version in _versions().items():
        if recorded.get(package) != version:
            notify(f"note: recorded with {package} {recorded.get(package)}, run with {version}")


def differences_of_place(manifest: Manifest, root: Path) -> list[str]:
    """What is not as it was when the study began: libraries, the machine, the code, as far as that is on record."""
    content = manifest.content
    found: list[str] = []
    notify_of_other_versions(manifest, lambda text: found.append(text.removeprefix("note: ")))
    then, now = content.get("machine", {}), machine()
    found += [f"{part} {then[part]} then, {now[part]} now" for part in now if part in then and then[part] != now[part]]
    if (commit := content.get("commit")) != (commit_now := _commit(root)):
        found.append(f"code of commit {commit or 'unknown'} then, {commit_now or 'unknown'} now")
    return found


def _current_parameter(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry under today's keys. Optuna knows the parameter by its name, which stays."""
    (key,) = current_keys({entry["key"]: None})
    return {**entry, "key": key} | ({"when": current_keys(entry["when"])} if "when" in entry else {})


def _tuples(conditions: Mapping[str, Sequence[Any]]) -> dict[str, tuple[Any, ...]]:
    return {key: tuple(values) for key, values in conditions.items()}


def as_json(space: Space) -> dict[str, Any]:
    """What the study depends on, as it reads back from the file."""
    content: dict[str, Any] = json.loads(json.dumps(space.to_json()))
    return content


def _now() -> str:
    return time.strftime(TIME_FORMAT)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}


def _commit(root: Path) -> str | None:
    """The commit of the project's code, `-dirty` where it was changed since; None outside a repository, and for an
    installed package, which may lie in an environment within somebody else's.
    """
    try:
        _git(root, "ls-files", "--error-unmatch", "search/run.py")
        head = _git(root, "rev-parse", "HEAD")
        return head + ("-dirty" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout.strip()
