"""A study as the sections of its page see it: read once, by the same functions as its tables and screens."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lssat.command import COMMANDS
from lssat.data.prepared.table import DatasetInfo, read_info
from lssat.errors import ConfigError
from lssat.task import Task
from search.findings import final_table, leaderboard, winner
from search.findings.final_table import FinalRow
from search.findings.roles.study_runs import StudyRuns
from search.findings.scored_runs import StageRuns
from search.findings.task_study import TaskStudy, task_study
from search.findings.winner import Chosen, Winner
from search.page.predicted import Predicted
from search.record.folder import RunFolder, Stage
from search.record.locking import is_locked
from search.record.manifest import Manifest, read_manifest
from search.record.resuming import resume_line
from search.record.trials import Status, TrialRecord
from search.strategy.finalists import FinalRun

RUNS = "runs, or waits for its turn"
"""Of a trial without an end, while the study runs."""


@dataclass(frozen=True)
class ReadOnce(RunFolder):
    """A run folder whose records are those of when the page began, for whoever asks: a study may run. whole: all that
    can be read.
    """

    whole: Mapping[Stage, list[TrialRecord]]

    def records(self, stage: Stage) -> list[TrialRecord]:
        """Those that had begun, by name."""
        return list(self.whole[stage])


@dataclass(frozen=True)
class StudyOnPage:
    """A study, finished or not. id: what names its part of the page, and begins the names of its files where there are
    several studies. with_faces: whether pictures of faces are shown. runs_now: whether a process works on it.
    """

    id: str
    folder: RunFolder
    manifest: Manifest
    is_one_of_several: bool = False
    with_faces: bool = True
    runs_now: bool = False
    damaged: Sequence[str] = ()

    @property
    def records(self) -> dict[Stage, list[TrialRecord]]:
        """What has begun, by stage. A study may run: what begins later is of the next page."""
        return {stage: self.folder.records(stage) for stage in Stage}

    @property
    def trials(self) -> list[TrialRecord]:
        """Of the search."""
        return self.records[Stage.SEARCH]

    @cached_property
    def final_scores(self) -> StageRuns:
        """The runs of the final stage, for all that compares some of them."""
        return StageRuns(self.folder, Stage.FINAL)

    @cached_property
    def finished(self) -> StudyRuns:
        """What was trained to the end, for what is said of settings and texture."""
        return StudyRuns(self.folder, self.manifest, self.trials, self.records[Stage.FINAL], self.final_scores)

    @cached_property
    def as_task(self) -> TaskStudy:
        """The study as one task among several. Raises ConfigError where no trial is complete."""
        return task_study(self.folder, self.id, self.rows, self.records[Stage.FINAL], self.final_scores)

    @cached_property
    def rows(self) -> list[leaderboard.Row]:
        """The leaderboard, with test scores where there are any."""
        space = self.manifest.space
        ranked = leaderboard.rank(self.trials, space.search.objectives, space.searched_keys)
        rows = leaderboard.with_test(leaderboard.with_speeds(ranked, self.folder), self.manifest.test_scores)
        is_live = [self.runs_now and row.status is Status.RUNNING for row in rows]
        return [replace(row, reason=RUNS) if live else row for row, live in zip(rows, is_live, strict=True)]

    @cached_property
    def complete(self) -> list[leaderboard.Row]:
        """The trials with the full budget, the best first."""
        return [row for row in self.rows if row.status == Status.COMPLETE]

    @cached_property
    def runs(self) -> list[FinalRun]:
        """Those planned for the final stage."""
        return final_table.planned_runs(self.folder, self.rows, self.manifest.final_search)

    @cached_property
    def table(self) -> list[FinalRow]:
        """The final stage, the winner first; empty while nobody may win."""
        found = final_table.final_table(
            self.folder, self.runs, self.rows, self.manifest.final_search, self.final_scores
        )
        return final_table.with_test(found, self.runs, self.manifest.test_scores)

    @cached_property
    def failed_finals(self) -> list[str]:
        """The planned runs of the final stage that came to a bad end."""
        names = {run.name for run in self.runs}
        bad = (Status.FAILED, Status.INFEASIBLE)
        return [record.name for record in self.records[Stage.FINAL] if record.name in names and record.status in bad]

    @cached_property
    def winner(self) -> Winner | None:
        """Whom the study chose, once its test split was opened."""
        return winner.of_study(self.folder, self.manifest, self.rows, self.runs, self.table)

    @cached_property
    def chosen(self) -> Chosen | None:
        """The run that validation chooses so far, whether or not it was tested."""
        return winner.chosen(self.folder, self.rows, self.runs)

    @cached_property
    def predicted(self) -> Predicted:
        """What runs say of each validation image."""
        return Predicted.of(self.folder, self.chosen, self.runs, self.data["fingerprint"])

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
    def described(self) -> DatasetInfo | None:
        """Rows and classes by the manifest, which outlives the data; a version before left them to the data."""
        of = self.data
        if "counts" not in of:
            return self.info
        known = {name: of[name] for name in ("source", "task", "kind", "synthetic", "rows", "counts")}
        return DatasetInfo(**known, classes=tuple(of["classes"]))

    @cached_property
    def task(self) -> Task | None:
        """What was to be learnt, as far as scores need to know it."""
        return self.described.as_task if self.described else None

    @cached_property
    def metric(self) -> str:
        """What a score on validation is; "score" where nothing is known of the data, which decide it."""
        if not self.task or not self.trials:
            return "score"
        return self.task.score_metric(self.trials[0].config.objective.metric)

    @property
    def resume(self) -> str:
        """What goes on with the study, as one would type it."""
        typed, *words = self.manifest.command
        name = Path(typed).name
        return resume_line([name] if name in COMMANDS.values() else ["python", typed], words, self.folder)

    def file(self, name: str) -> str:
        """The name of a table or picture of this study, unlike those of others on the page, that any disk can hold."""
        return f"{_storable(self.id)}-{_storable(name)}" if self.is_one_of_several else _storable(name)

    @property
    def data(self) -> dict[str, Any]:
        """What the manifest says of the data."""
        return dict(self.manifest.content["data"])

    @property
    def searched(self) -> Sequence[str]:
        """The keys that the study searches."""
        return self.manifest.space.searched_keys


def read_study(
    path: Path, id: str, is_one_of_several: bool = False, with_faces: bool = True, is_over: bool = False
) -> StudyOnPage:
    """The study in a run folder. `is_over`: the session that works on it is the one that asks, at its end. Raises
    ConfigError where there is none.
    """
    folder = RunFolder(path)
    folder.check_study()
    manifest = read_manifest(folder.manifest)
    begun = {stage: folder.records(stage) for stage in Stage}
    why = {record.folder: record.damage for records in begun.values() for record in records}
    whole = {stage: [record for record in records if not why[record.folder]] for stage, records in begun.items()}
    damaged = [f"The record in {text}" for text in why.values() if text]
    runs_now = not is_over and is_locked(folder)
    return StudyOnPage(id, ReadOnce(path, whole), manifest, is_one_of_several, with_faces, runs_now, damaged)


def _storable(name: str) -> str:
    """A name as any disk can hold it. One that had to change keeps apart, by a few digits, from what it is like now."""
    found = re.sub(r"[^\w.+-]", "_", name)
    if found == name:
        return found
    return f"{found}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:6]}"


def _info(path: Path) -> DatasetInfo | None:
    try:
        return read_info(path)
    except ConfigError:
        return None
