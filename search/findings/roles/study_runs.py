"""The finished runs of a study, and what each trained: read once for all that is said of roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from search.claims.runs import Runs
from search.findings.scored_runs import StageRuns, scored_runs
from search.record.folder import RunFolder, Stage
from search.record.manifest import Manifest
from search.record.trials import Status, TrialRecord
from search.strategy.finalists import arm_and_seed, of_one_kind

SEED = "seed"


@dataclass(frozen=True)
class StudyRuns:
    """`trials`: all of the search, however they ended, and `begun_finals` all of the final stage, whose scores are
    `scored`.
    """

    folder: RunFolder
    manifest: Manifest
    trials: Sequence[TrialRecord]
    begun_finals: Sequence[TrialRecord]
    scored: StageRuns

    @cached_property
    def complete(self) -> list[TrialRecord]:
        """The trials that had the full budget."""
        return [record for record in self.trials if record.status == Status.COMPLETE]

    @cached_property
    def finals(self) -> list[TrialRecord]:
        """The runs of the final stage that reached their last epoch."""
        complete = [record for record in self.begun_finals if record.status == Status.COMPLETE]
        return of_one_kind(complete, self.manifest.rotation)

    @property
    def keys(self) -> list[str]:
        """The settings that the study searches."""
        return [key for key in self.manifest.space.searched_keys if key != SEED]

    @property
    def is_grid(self) -> bool:
        """Whether every setting varies by itself, so that its share can be told."""
        return self.manifest.space.search.sampler == "grid"

    @cached_property
    def of_search(self) -> Runs:
        """The scores of the complete trials. Raises ValueError where they cannot be compared."""
        return scored_runs(self.folder, Stage.SEARCH, self._arms(self.complete))

    @cached_property
    def of_finals(self) -> Runs:
        """The same of the final stage."""
        return self.scored.of(self._arms(self.finals))

    def arm_of(self, record: TrialRecord) -> str:
        """What a run trained, whatever its seed."""
        return arm_of(record, self.keys)

    def _arms(self, records: Sequence[TrialRecord]) -> dict[str, tuple[str, int]]:
        """Run -> its arm and its seed."""
        return {record.name: (self.arm_of(record), record.config.seed) for record in records}


def arm_of(record: TrialRecord, keys: Sequence[str]) -> str:
    """What a run trained, whatever its seed: searched keys of a trial, or the arm of a run of the final stage."""
    if "-seed" in record.name:
        return arm_and_seed(record.name)[0]
    return ", ".join(f"{key}={value}" for key, value in record.sampled.items() if key in keys)
