"""A study as the sections of its page see it: read once, by the same functions as its tables and screens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lssat.config import ConfigError
from lssat.data.prepared.table import DatasetInfo, read_info
from lssat.task import Task
from search.findings import final_table, leaderboard, winner
from search.findings.final_table import FinalRow
from search.findings.winner import Winner
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest, read_manifest
from search.record.trials import Status, TrialRecord
from search.strategy.finalists import FinalRun


@dataclass(frozen=True)
class StudyOnPage:
    """A study, finished or not. id: what names its part of the page, and begins the names of its files where there are
    several studies.
    """

    id: str
    folder: RunFolder
    manifest: Manifest
    is_one_of_several: bool = False

    @cached_property
    def trials(self) -> list[TrialRecord]:
        """Of the search."""
        return self.folder.records(Stage.SEARCH)

    @cached_property
    def rows(self) -> list[leaderboard.Row]:
        """The leaderboard, with test scores where there are any."""
        tested = {name: float(result["score"]) for name, result in self.manifest.test_results.items()}
        return leaderboard.with_test(leaderboard.of_folder(self.folder), tested)

    @cached_property
    def complete(self) -> list[leaderboard.Row]:
        """The trials with the full budget, the best first."""
        return [row for row in self.rows if row.status == Status.COMPLETE]

    @cached_property
    def runs(self) -> list[FinalRun]:
        """Those planned for the final stage."""
        return final_table.planned_runs(self.folder, self.rows, self.manifest.space.search)

    @cached_property
    def table(self) -> list[FinalRow]:
        """The final stage, the winner first; empty while nobody may win."""
        found = final_table.final_table(self.folder, self.runs, self.rows, self.manifest.space.search)
        tested = {name: float(result["score"]) for name, result in self.manifest.test_results.items()}
        return final_table.with_test(found, self.runs, tested)

    @cached_property
    def winner(self) -> Winner | None:
        """Whom the study chose, once its test split was opened."""
        return winner.of_study(self.folder, self.manifest, self.rows, self.runs, self.table)

    @cached_property
    def prepared(self) -> Path | None:
        """The prepared data, where they still are what the study saw."""
        path = Path(str(self.manifest.content["data"].get("prepared", "")))
        info = _info(path)
        return path if info and info.fingerprint == self.manifest.content["data"]["fingerprint"] else None

    @cached_property
    def info(self) -> DatasetInfo | None:
        """What is known of the data; None where they are gone."""
        return _info(self.prepared) if self.prepared else None

    @cached_property
    def task(self) -> Task | None:
        """The task as far as scores need to know it."""
        info = self.info
        return Task(info.task, info.kind, info.classes, (), info.rows["train"]) if info else None

    def file(self, name: str) -> str:
        """The name of a table or picture of this study, unlike those of others on the page."""
        return f"{self.id}-{name}" if self.is_one_of_several else name

    @property
    def data(self) -> dict[str, Any]:
        """What the manifest says of the data."""
        return dict(self.manifest.content["data"])

    @property
    def searched(self) -> Sequence[str]:
        """The keys that the study searches."""
        return self.manifest.space.searched_keys


def read_study(path: Path, id: str, is_one_of_several: bool = False) -> StudyOnPage:
    """The study in a run folder. Raises ConfigError where there is none."""
    folder = RunFolder(path)
    if not folder.manifest.exists():
        raise ConfigError(f"there is no study in {path}; give the folder of a run, results/<name>")
    return StudyOnPage(id, folder, read_manifest(folder.manifest), is_one_of_several)


def _info(path: Path) -> DatasetInfo | None:
    try:
        return read_info(path)
    except ConfigError:
        return None
