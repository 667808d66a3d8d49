"""The run folder of a study and the storage of its checkpoints: the only place that knows what lies in them."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from lssat.errors import ConfigError
from lssat.files import stamps
from lssat.storage.mark import StorageMark
from lssat.storage.place import Place
from lssat.storage.whole import fetch_whole
from lssat.storage.working import make_private
from lssat.train.result import BEST_CHECKPOINT, LAST_CHECKPOINT, RAY_TRAIN_FOLDER
from search.record import names
from search.record.trials import TrialRecord


class Stage(StrEnum):
    """The parts of a study in their order, by the names of their folders.

    BASELINE: learning rates are tried for the supervised baselines of the finalists.
    """

    SEARCH = names.TRIALS
    BASELINE = names.BASELINES
    FINAL = names.FINALS

    @property
    def words(self) -> str:
        """As people read it."""
        return {Stage.SEARCH: "search", Stage.BASELINE: "rates of baselines", Stage.FINAL: "final stage"}[self]


@dataclass(frozen=True)
class RunFolder:
    """`results/<name>`: what the driver writes of a study."""

    path: Path

    @property
    def name(self) -> str:
        """The study's name."""
        return self.path.name

    @property
    def has_begun(self) -> bool:
        """Whether there is a study in it that can be gone on with."""
        return self.study_db.exists()

    def check_study(self) -> None:
        """Raises ConfigError where it holds none."""
        if not self.manifest.exists():
            raise ConfigError(f"there is no study in {self.path}; give the folder of a run, results/<name>")

    @property
    def study_db(self) -> Path:
        """Optuna's study, a SQLite file."""
        return self.path / names.STUDY

    @property
    def manifest(self) -> Path:
        """What was run, on what, with what, when: see `search.record.manifest`."""
        return self.path / names.MANIFEST

    @property
    def beginning(self) -> Path:
        """The marker of a run folder whose study has not begun."""
        return self.path / names.BEGINNING

    @property
    def log(self) -> Path:
        """Everything that libraries print."""
        return self.path / names.LOG

    @property
    def bundle(self) -> Path:
        """The winner, as a folder that can be used elsewhere."""
        return self.path / names.BUNDLE

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, a folder for each run of each stage."""
        return self.path / names.TENSORBOARD

    @property
    def leaderboard(self) -> Path:
        """The ranked trials, as CSV."""
        return self.path / names.LEADERBOARD

    @property
    def leaderboard_page(self) -> Path:
        """The same as Markdown."""
        return self.leaderboard.with_suffix(".md")

    @property
    def final_table(self) -> Path:
        """The final stage, as CSV."""
        return self.path / names.FINAL_TABLE

    @property
    def final_page(self) -> Path:
        """The same as Markdown."""
        return self.final_table.with_suffix(".md")

    @property
    def report(self) -> Path:
        """The page that a study ends with: see `search.page`."""
        return self.path / names.REPORT

    @property
    def state(self) -> tuple[tuple[str, int, int], ...]:
        """Changes whenever the study has come further, and costs no reading: times and sizes of what tells it."""
        runs = (self.path / stage for stage in Stage)
        told = [
            path for run in runs for name in (names.METRICS, names.OUTCOME) for path in sorted(run.glob(f"*/{name}"))
        ]
        return stamps([self.manifest, self.speeds, *told])

    @property
    def speeds(self) -> Path:
        """How fast each network classifies: see `search.record.speeds`."""
        return self.path / names.SPEEDS

    @property
    def plan(self) -> Path:
        """What `--plan` said of this study. It lies beside the folder, which need not exist yet."""
        return self.path.parent / names.PLANS / f"{self.name}.json"

    def record(self, stage: Stage, name: str) -> TrialRecord:
        """One run of a stage, begun or not."""
        return TrialRecord(self.path / stage / name)

    def records(self, stage: Stage) -> list[TrialRecord]:
        """Those that have begun, by name."""
        found = (TrialRecord(folder) for folder in sorted((self.path / stage).glob("[!.]*")))
        return [record for record in found if record.exists]

    def num_bytes(self) -> int:
        """Size of all files in it."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())


@dataclass(frozen=True)
class Storage:
    """Checkpoints of a study, where every node of a cluster sees them. On one machine it is the run folder itself.

    `line`: of its mark, which the manifest knows as well.
    """

    place: Place
    line: str = field(default_factory=lambda: secrets.token_hex(8))

    def is_of(self, folder: RunFolder) -> bool:
        """Whether it is that run folder itself."""
        return self.place == Place.of(folder.path)

    @property
    def mark(self) -> StorageMark:
        """What tells that the storage is there, and is this one."""
        return StorageMark(self.place / names.OWNER, self.line)

    @property
    def ray(self) -> Path:
        """What Ray Tune writes about itself; nothing reads it."""
        return self._here / names.RAY

    @property
    def _here(self) -> Path:
        """The folder on this machine: of the storage or, where that is at a URL, for what need not be kept."""
        return self.place.local or Path(tempfile.gettempdir()) / f"lssat-{os.getuid()}-{self.line}"

    def shards(self, prepared: Path) -> Place | None:
        """Where the nodes of a cluster read prepared data that are streamed; None: in their folder, which all see."""
        return None if self.place.local else self.place.parent / names.DATA / prepared.name

    def checkpoints(self, stage: Stage, name: str) -> Place:
        """The checkpoints of one run."""
        return self.place / stage / name

    def best(self, stage: Stage, name: str) -> Path:
        """The checkpoint of its best epoch, which is brought to this machine where it is kept at a URL; of the runs of
        a study one at a time is there. Raises OSError.
        """
        kept = self.checkpoints(stage, name) / BEST_CHECKPOINT
        if kept.local:
            return kept.local
        fetched = self._here / stage / name / BEST_CHECKPOINT
        for other in (self._here / stage).glob("*"):
            if other != fetched.parent:
                shutil.rmtree(other, ignore_errors=True)
        make_private(self._here)
        fetch_whole(kept, fetched)
        return fetched

    def drop_resumable_state(self, stage: Stage, name: str) -> None:
        """Delete what only a run that goes on needs: the optimiser's state, and what Ray Train wrote of itself."""
        for part in (LAST_CHECKPOINT, RAY_TRAIN_FOLDER):
            (self.checkpoints(stage, name) / part).delete()

    def drop_resumable_states(self, stage: Stage, runs: Collection[str]) -> None:
        """The same of many runs; of objects one list tells which have any."""
        if self.place.local is None:
            left = {name.split("/")[0] for name in (self.place / stage).sizes() if f"/{LAST_CHECKPOINT}/" in name}
            runs = [name for name in runs if name in left]
        for name in runs:
            self.drop_resumable_state(stage, name)

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """Inside, files may lie on this machine that are not kept: what Ray Tune writes, what was brought here."""
        try:
            yield
        finally:
            shutil.rmtree(self.ray if self.place.local else self._here, ignore_errors=True)

    def clear_for(self, folder: RunFolder) -> None:
        """Delete what an older study of the run folder left here, and mark the storage as that folder's.

        A run folder that is its own storage has nothing to clear. Raises ConfigError where the storage is another's.
        """
        if not self.is_of(folder):
            owner = self._owner
            if owner and owner != _owner(folder):
                raise ConfigError(
                    f"{self.place} holds the checkpoints of the study in {owner}; choose another `--name`, or delete "
                    "them yourself"
                )
            for name in (*Stage, names.POINTER, names.OBJECTS):
                (self.place / name).delete()
        self.write_mark(folder)

    def check_owner(self, folder: RunFolder) -> None:
        """Raises ConfigError where the run folder is a copy, and the study that the storage is of is still there."""
        host, _, path = (self._owner or "").partition(":")
        is_anothers = not self.is_of(folder) and host == socket.gethostname() and Path(path) != folder.path
        if is_anothers and RunFolder(Path(path)).has_begun:
            raise ConfigError(
                f"{folder.path} is a copy: the checkpoints in {self.place} are those of {path}; go on there"
            )

    @property
    def _owner(self) -> str | None:
        """Host and run folder that the mark names."""
        try:
            return self.mark.file.read().decode().splitlines()[0]
        except FileNotFoundError:
            return None

    def write_mark(self, folder: RunFolder) -> None:
        """Whose checkpoints these are, then the line that no other storage has."""
        self.mark.file.write(f"{_owner(folder)}\n{self.line}\n".encode(errors="backslashreplace"))


def _owner(folder: RunFolder) -> str:
    return f"{socket.gethostname()}:{folder.path}"
