"""The record of a study -> a study of Optuna's in memory, for people to look at.

The one in the run folder is what the sampler reads and a study goes on from: its parameters carry their conditions in
their names, and a paused trial is a running one to it. It is left as it is.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import Trial
from optuna_dashboard import save_note
from sqlalchemy.exc import SQLAlchemyError

from lssat.errors import ConfigError
from lssat.files import stamps
from search.dashboard_view.distributions import distributions
from search.dashboard_view.standing import Search, Standing, standing, without_record
from search.dashboard_view.trials import Shown, placeholder
from search.findings import leaderboard
from search.record.folder import RunFolder, Stage
from search.record.locking import is_locked
from search.record.manifest import Manifest, read_manifest
from search.record.trials import TrialRecord
from search.strategy.objectives import OBJECTIVES
from search.strategy.promotion import pauses
from search.strategy.searcher import broken_points


class StudyView:
    """The study of a run folder as it is now. `panels`: an empty folder, for links to those of its trials."""

    def __init__(self, folder: RunFolder, panels: Path) -> None:
        self._folder = folder
        self._panels = panels
        self._records: dict[str, tuple[object, TrialRecord]] = {}  # by name, with the times of its files
        self._seen: object = None

    def changed(self) -> InMemoryStorage | None:
        """A new storage, whose only study is for people; None where nothing has changed since the last one.

        Raises ConfigError for what is no study, or has no trial yet.
        """
        manifest = read_manifest(self._folder.manifest, "give a run folder of this project, `results/<name>`")
        known = self._records
        self._records = {}
        for record in self._folder.records(Stage.SEARCH):
            if not record.name.isdecimal():  # somebody's copy of one
                continue
            times = stamps(record.folder.iterdir())
            if record.name in known and known[record.name][0] == times:
                self._records[record.name] = known[record.name]
            elif not record.damage:  # else it is shown as one without a record
                self._records[record.name] = times, record
        runs = is_locked(self._folder)
        seen = manifest.content["sessions"], runs, {name: times for name, (times, _) in self._records.items()}
        if seen == self._seen:
            return None
        if not self._records:
            raise ConfigError(f"no trial of {self._folder.path} has begun yet; look again when one has")
        records = [record for _, record in self._records.values()]
        storage = _Study(self._folder, manifest, records, runs).storage(self._panels)
        self._seen = seen
        return storage


@dataclass(frozen=True)
class _Study:
    """What is on record. `runs`: whether a session does now."""

    folder: RunFolder
    manifest: Manifest
    records: list[TrialRecord]
    runs: bool

    def storage(self, panels: Path) -> InMemoryStorage:
        """The study for people in a storage of its own."""
        storage = InMemoryStorage()
        objectives = self.manifest.space.search.objectives
        # No sampler is to draw; this one does not look at all trials whenever a note is written.
        study = optuna.create_study(
            study_name=self.folder.name,
            storage=storage,
            directions=[OBJECTIVES[name].direction for name in objectives],
            sampler=RandomSampler(),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(list(objectives))
        standings = self._standings()
        study.add_trials(self._trials(standings, panels))
        for trial in study.get_trials(deepcopy=False):
            save_note(Trial(study, trial._trial_id), standings[trial.number].note)
        for key, value in self._settings().items():
            study.set_user_attr(key, value)
        save_note(study, self._note(standings.values()))
        return storage

    def _standings(self) -> dict[int, Standing]:
        """How each trial stands, by its number, without a gap: Optuna numbers trials as they come."""
        search = self.manifest.space.search
        rungs = pauses(search, self.records[0].config.optim.epochs)
        rules = Search(rungs, search.reduction_factor, self.manifest.session_began if self.runs else None)
        found = {_number(record): standing(record, rules) for record in self.records}
        broken = self._broken()
        numbers = range(max([*found, *broken]) + 1)
        return {number: found.get(number) or without_record(broken.get(number)) for number in numbers}

    def _broken(self) -> dict[int, str]:
        """The trials that never began, and why. Raises ConfigError."""
        try:
            return broken_points(self.folder.study_db) if self.folder.has_begun else {}
        except (SQLAlchemyError, optuna.exceptions.OptunaError, ValueError) as error:
            raise ConfigError(
                f"{self.folder.study_db} cannot be read ({type(error).__name__}); restore it from a copy, or move it "
                "away: the records of trials are enough to look at"
            ) from error

    def _trials(self, standings: Mapping[int, Standing], panels: Path) -> Iterable[optuna.trial.FrozenTrial]:
        """All trials in their order."""
        space = self.manifest.space
        ranked = leaderboard.rank(self.records, space.search.objectives)
        tested = leaderboard.with_test(ranked, self.manifest.test_scores)
        rows = {row.trial: row for row in leaderboard.with_speeds(tested, self.folder)}
        known = distributions(space, (record.sampled for record in self.records))
        shown = Shown(known, frozenset(space.fixed), space.search.objectives, panels)
        records = {_number(record): record for record in self.records}
        for number, of in standings.items():
            record = records.get(number)
            yield shown.trial(record, rows[record.name], of) if record else placeholder(of)

    def _settings(self) -> dict[str, Any]:
        """What all trials have in common: what the space fixes, and how it is searched."""
        space = self.manifest.space
        search = {f"search.{name}": value for name, value in space.search.model_dump().items() if value is not None}
        return {"profile": space.profile, **space.fixed, **search}

    def _note(self, standings: Iterable[Standing]) -> str:
        counts = Counter(of.word for of in standings)
        listed = ", ".join(f"{count} {word}" for word, count in counts.most_common())
        has_ended = self.manifest.content["sessions"][-1]["ended"] is not None
        stands = "runs now" if self.runs else "has ended" if has_ended else "was interrupted; `--resume` goes on"
        anew = f": what was trained anew is in `{self.folder.final_page.name}`" * self.folder.final_page.exists()
        return (
            f"**{sum(counts.values())} trials**: {listed}. The study {stands}.\n\n"
            f"- A score is a trial's best on validation, from one seed. The best of many is the luckiest too{anew}.\n"
            "- A curve is the best score so far, by epoch, which is what trials are stopped by.\n"
            "- Each trial's note says how it stands, why, and what it would take.\n"
            "- This is a view of the study's record. Nothing can be written here."
        )


def _number(record: TrialRecord) -> int:
    return int(record.name)
