"""`manifest.json`: what was run, on what, with what, when. Enough to run it again."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lssat.command import Notify
from lssat.config import current_keys
from lssat.errors import ConfigError
from lssat.files import write_json
from lssat.storage import StorageLost
from search.record.folder import RunFolder, Storage
from search.record.machine import machine
from search.space.definition import EarlierStudy, Parameter, Space
from search.space.settings import SearchConfig

MAY_CHANGE = (
    "num_trials",
    "max_concurrent",
    "max_epochs",
    "max_hours",
    "hours",
    "max_gpu_hours",
    "patience",
    "min_improvement",
    "finalists",
    "finalists_per",
    "supervised",
    "final_seeds",
    "rotate",
    "margin",
)
"""Settings of the search that may change when a study goes on: how long and how wide it is, and how it is told."""
OF_FINAL_STAGE = ("finalists", "finalists_per", "supervised", "final_seeds", "rotate")
"""Settings that decide which runs the final stage has."""
FINAL_STAGE = "final_stage"
FIRST_WEIGHTS = "first_weights"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
DATA_SOURCE = "data.source"
THE_DATA = "the data"
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
    def storage(self) -> Path:
        """Where the checkpoints are."""
        return Path(self.content["storage"])

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
        begun = [session[FINAL_STAGE] for session in self.content["sessions"] if FINAL_STAGE in session]
        return self.space.search.model_copy(update=begun[-1] if begun else {})

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
        resolved = {"space": _as_json(space), "data": self.content["data"]["fingerprint"]}
        begun = {
            "storage": str(storage.path),
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

    def check_goes_on(self, space: Space, fingerprint: str) -> None:
        """Raises ConfigError where the study cannot go on with this space or these data, wherever they are."""
        resolved = {"space": _as_json(self.at_recorded_place(space)), "data": fingerprint}
        if differences := _differences(self.content["resolved"], resolved):
            copied = " (a copy must keep the times of its files, as `cp -a` does)" if THE_DATA in differences else ""
            raise ConfigError(
                f"`--resume` needs the same space and data, but these differ: {', '.join(differences)}{copied}; undo "
                "the change, or choose another `--name`"
            )

    def check_began_from(self, folders: Sequence[Path]) -> None:
        """Raises ConfigError where it began from other studies than those in the folders: that is on record, and stays.
        The folders themselves may be gone, and it may be gone on with without naming them.
        """
        known = [study.name for study in self.space.earlier]
        if unknown := [folder for folder in folders if folder.resolve().name not in known]:
            raise ConfigError(
                f"`--from {unknown[0]}`: the study that goes on began from {', '.join(known) or 'no other'}, which "
                "stays; leave `--from` out, or begin another study by `--name`"
            )

    def storage_now(self, asked: Path | None, folder: RunFolder) -> Storage:
        """Where the checkpoints are, after a move as well: in the run folder or, in the folder `asked` for with
        `--storage`, under its name of today or then. Its mark tells.

        Raises StorageLost where they should be but the mark is not there, ConfigError where they are elsewhere.
        """
        places = [folder.path] if asked is None else [asked / folder.name, asked / self.storage.name]
        line = self.content.get("storage_line")
        if line is None:
            return self._storage_of_old(places, folder)
        for storage in (Storage(path, line) for path in places):
            if storage.mark.is_there:
                storage.check_owner(folder)
                return storage
        if self.storage in places:
            Storage(self.storage, line).mark.check()
        raise ConfigError(
            f"the checkpoints of this study were in {self.storage}, and are not in {places[0]}; name the folder that "
            f"they were in by `--storage {self.storage.parent}`, or the one that it was moved to; where they were in "
            "the run folder, leave `--storage` out"
        )

    def _storage_of_old(self, places: Sequence[Path], folder: RunFolder) -> Storage:
        """The storage of a study that a version without marks began; from now on it has one."""
        is_own = not any(word.partition("=")[0] == "--storage" for word in self.content["sessions"][-1]["command"])
        if self.storage in places and not self.storage.is_dir():
            raise StorageLost(
                f"the checkpoints of this study must be in {self.storage}, but there is no such folder; mount it again "
                "and go on with `--resume`"
            )
        if self.storage in places or (is_own and folder.path in places):
            return Storage(self.storage if self.storage in places else folder.path)
        raise ConfigError(
            f"the checkpoints of this study are in {self.storage}; resume it with `--storage {self.storage.parent}`"
        )

    def check_scores_alike(self, scored_by: str) -> None:
        """Raises ConfigError where the scores of this study so far mean something else than those to come."""
        if scored_by == self.content["data"].get(SCORED_BY, "row"):
            return
        words = self.command
        named = words.index("--name") if "--name" in words else len(words)
        again = shlex.join(["python", *words[:named], *words[named + 2 :], "--name", f"{self.name}-by-video"])
        raise ConfigError(
            "this study scored every frame by itself, as versions before did, and scores are now of whole videos (the "
            "mean probability of their frames), so that old and new ones do not compare; its results so far stay "
            f"readable in {self.path.parent}; begin a new study:\n  {again}"
        )

    def at_recorded_place(self, space: Space) -> Space:
        """The space with the data where they were when the study began: their fingerprint tells whether they are the
        same, and every trial keeps the settings that it began with.
        """
        recorded = self.space.fixed.get(DATA_SOURCE)
        return space if recorded is None else replace(space, fixed={**space.fixed, DATA_SOURCE: recorded})

    def continued(self, space: Space, num_added: int | None, keeps_num_trials: bool) -> Space:
        """The space of this study as it goes on.

        Optuna's names of its parameters stay those that the study began with, and so do the number of seeds and the
        baselines of the final stage where nobody sets them. `num_added` trials are added to those that it was asked for
        so far, extensions included; with `keeps_num_trials` it stays at those. What earlier studies told it is on
        record: their folders may be gone. Raises ConfigError.
        """
        is_grid = space.search.sampler == "grid"
        if num_added is not None and num_added < 1:
            raise ConfigError(f"`--extend` must be at least 1, but got {num_added}")
        if num_added is not None and is_grid:
            raise ConfigError("a grid has no more points to add")
        begun = {(each.key, tuple(sorted(each.when.items()))): each.name for each in self.space.parameters}
        named = tuple(
            replace(each, name=begun.get((each.key, tuple(sorted(each.when.items()))), each.name))
            for each in space.parameters
        )
        search = space.search
        kept = {"final_seeds", "supervised"} - search.model_fields_set  # their defaults were others before
        search = search.model_copy(update={name: getattr(self.space.search, name) for name in kept})
        space = replace(space, parameters=named, search=search, earlier=self.space.earlier)
        if is_grid or (num_added is None and not keeps_num_trials):
            return space
        num_trials = self.space.search.num_trials + (num_added or 0)
        return replace(space, search=space.search.model_copy(update={"num_trials": num_trials}))

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
    return list(dict.fromkeys(_current_parameter(entry)["key"] for entry in _recorded_space(folder).get("space", ())))


def folds_of(folder: RunFolder) -> list[str]:
    """The values of `data.hold_out` that can be held out one after the other, in their order; none where nothing is
    held out.
    """
    try:
        return list(map(str, json.loads(folder.manifest.read_text())["data"].get(FOLDS, [])))
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _recorded_space(folder: RunFolder) -> dict[str, Any]:
    """The space of a study as its manifest holds it; empty where there is none."""
    try:
        found = json.loads(folder.manifest.read_text())["resolved"]["space"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


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


def _as_json(space: Space) -> dict[str, Any]:
    """What the study depends on, as it reads back from the file."""
    content: dict[str, Any] = json.loads(json.dumps(space.to_json()))
    return content


def _now() -> str:
    return time.strftime(TIME_FORMAT)


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names of what differs; how long and how wide a study runs may change."""
    found = [] if old["data"] == new["data"] else [THE_DATA]
    for part in old["space"].keys() | new["space"].keys():
        before, after = old["space"].get(part), new["space"].get(part)
        if part == "search":
            free = dict.fromkeys(MAY_CHANGE)
            before, after = {**before, **free}, {**after, **free}
        if before == after:
            continue
        changed = f" ({', '.join(sorted(_changed(before, after)))})" if isinstance(before, dict) else ""
        found.append(f"`{part}`{changed}")
    return sorted(found)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]


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
