"""A study as one task among several: its backbones, how each was tuned, and the final runs that speak for it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lssat.errors import ConfigError
from search.claims.runs import Runs
from search.findings import leaderboard
from search.findings.scored_runs import StageRuns
from search.findings.told import Rule, seconds_of_a_seed
from search.record.folder import RunFolder, Stage
from search.record.manifest import read_manifest
from search.record.trials import Status, TrialRecord
from search.strategy.finalists import arm_and_seed, of_one_kind


@dataclass(frozen=True)
class TaskStudy:
    """`single`: backbone -> score of its best complete trial. `tuned`: backbone -> how many of its trials are complete.
    `finals`: backbone -> names of the complete final runs of its best trial that has any. `data`, `profile`: what the
    manifest says; empty where there is none. `scored`: the final stage.
    """

    name: str
    folder: RunFolder
    single: Mapping[str, float]
    tuned: Mapping[str, int]
    finals: Mapping[str, Sequence[str]]
    data: str
    profile: str
    scored: StageRuns

    @property
    def unequally_tuned(self) -> str:
        """That it is so, in words; empty where it is not."""
        counts = self.tuned.values()
        if min(counts) == max(counts):
            return ""
        return (
            f"tuned its backbones by unequal numbers of trials ({min(counts)} to {max(counts)}), which favours those "
            "with more"
        )

    def runs(self, backbones: Sequence[str]) -> Runs:
        """The final runs of these backbones, which are the arms."""
        return self.scored.of(self._arms(backbones))

    def rule(self, backbones: Sequence[str], margin: float) -> Rule:
        """By which claims of them are told: what one more seed of each takes is known from those that there are."""
        return Rule(margin, seconds_of_a_seed=seconds_of_a_seed(self.folder, Stage.FINAL, self._arms(backbones)))

    def _arms(self, backbones: Sequence[str]) -> dict[str, tuple[str, int]]:
        return {name: (backbone, arm_and_seed(name)[1]) for backbone in backbones for name in self.finals[backbone]}


def read_task_study(path: Path, name: str) -> TaskStudy:
    """The study in a run folder. Raises ConfigError where it cannot be read, or has no complete trial."""
    folder = RunFolder(path)
    try:
        rows = leaderboard.of_folder(folder)
        finals = _finals(folder, folder.records(Stage.FINAL), rows)
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"{path} cannot be read: {type(error).__name__}: {error}; it was written by another version, or is damaged"
        ) from None
    return _task_study(folder, name, rows, finals, StageRuns(folder, Stage.FINAL))


def task_study(
    folder: RunFolder, name: str, rows: Sequence[leaderboard.Row], finals: Sequence[TrialRecord], scored: StageRuns
) -> TaskStudy:
    """The study whose trials rank as `rows` say, and whose final runs so far are `finals`. Raises ConfigError where no
    trial is complete.
    """
    return _task_study(folder, name, rows, _finals(folder, finals, rows), scored)


def _task_study(
    folder: RunFolder,
    name: str,
    rows: Sequence[leaderboard.Row],
    finals: Mapping[str, Sequence[str]],
    scored: StageRuns,
) -> TaskStudy:
    if not rows:
        raise ConfigError(f"{folder.name} is no run folder of this project; give results/<name> of a finished search")
    complete = [(row.backbone, row.score) for row in rows if row.status == Status.COMPLETE and row.score is not None]
    if not complete:
        raise ConfigError(f"{folder.name} has no complete trial; go on with its search (`--resume`)")
    single = {backbone: score for backbone, score in reversed(complete)}  # ranked from the best to the worst
    tuned = Counter(backbone for backbone, _ in complete)
    return TaskStudy(name, folder, single, tuned, finals, *_origin(folder), scored)


def _finals(folder: RunFolder, records: Sequence[TrialRecord], rows: Sequence[leaderboard.Row]) -> dict[str, list[str]]:
    """The choice among several finalists of a backbone is that of the search: their final scores are not looked at."""
    runs: dict[str, list[str]] = {}
    rotation = read_manifest(folder.manifest).rotation if folder.manifest.exists() else None
    for record in of_one_kind([record for record in records if record.status == Status.COMPLETE], rotation):
        if record.last:
            runs.setdefault(arm_and_seed(record.name)[0], []).append(record.name)
    found: dict[str, list[str]] = {}
    for row in rows:  # from the best to the worst
        if row.trial in runs:
            found.setdefault(row.backbone, runs[row.trial])
    return found


def _origin(folder: RunFolder) -> tuple[str, str]:
    """Task and fingerprint of the data, and the profile."""
    try:
        content = json.loads(folder.manifest.read_text())
        data, profile = content["data"], content["resolved"]["space"]["profile"]
        return f"{data['task']} {data['fingerprint']}", str(profile)
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""
