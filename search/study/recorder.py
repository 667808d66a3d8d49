"""The driver writes what trials report: the record, TensorBoard, outcomes. Trials write checkpoints only."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from lssat.train.checkpoint import CheckpointError
from lssat.train.learner import load_predictions
from lssat.train.result import EpochResult
from search.record import predictions
from search.record.folder import Stage
from search.record.trials import Outcome, Status, TrialRecord
from search.strategy.suggestion import Suggestion, suggestion_of
from search.study.context import Study
from search.study.memory_kills import halve_rows_if_killed
from search.study.progress import Progress
from search.study.tensorboard.writer import TensorBoard


class Recorder(Callback):  # type: ignore[misc]
    """Records the runs of one stage, and tells the progress display when they start."""

    def __init__(self, study: Study, stage: Stage, progress: Progress) -> None:
        self._study = study
        self._folder = study.folder
        self._storage = study.storage
        self.stage = stage
        self.progress = progress
        self._tensorboard = tensorboard_of(study, stage)
        self._records: dict[str, TrialRecord] = {}
        self._started: dict[str, tuple[float, float]] = {}  # name -> clock now, seconds that it had trained before

    def __getstate__(self) -> dict[str, Any]:
        """Ray snapshots its callbacks; nothing reads those snapshots, and a terminal cannot be copied."""
        return {}

    def seconds(self, name: str) -> float:
        """That a run has trained so far, pauses left out."""
        if name not in self._started:  # it died before it could start
            return 0.0
        started, before = self._started[name]
        return before + time.monotonic() - started

    def observe(self, suggestion: Suggestion, result: EpochResult) -> None:
        """Write an epoch down."""
        self._tensorboard.add(suggestion, result)
        self._records[suggestion.name].append(result, self.seconds(suggestion.name))

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """Write down how a run ended; of one that has paused, nothing."""
        name = suggestion.name
        self._tensorboard.close(name)
        self._records.pop(name, None)
        if outcome:
            seconds = round(self.seconds(name), 1)
            record = self._folder.record(self.stage, name)
            if not record.exists:  # no process of it has lived long enough
                record = record.begin(suggestion.sampled, suggestion.config)
            if outcome.status == Status.COMPLETE:
                keep_predictions(self._study, self.stage, record)
            record.end(Outcome(outcome.status, outcome.reason, seconds))
            self._tensorboard.end(record)
            self._study.mirror.ask(partial(self._storage.drop_resumable_state, self.stage, name))

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A run starts, or goes on."""
        suggestion = suggestion_of(trial)
        record = self._folder.record(self.stage, suggestion.name).begin(suggestion.sampled, suggestion.config)
        self._records[record.name] = record
        self._started[record.name] = time.monotonic(), record.seconds
        self.progress.started(suggestion)
        self._study.mirror.ask()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Drop the panel: Tune keeps the last report of every trial."""
        result["panel"] = None

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A run is over, or pauses."""
        _forget_means(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A run is over."""
        _forget_means(trial)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A run whose process died goes on."""
        suggestion = suggestion_of(trial)
        halve_rows_if_killed(trial, self._storage.checkpoints(self.stage, suggestion.name), suggestion.config)


def _forget_means(trial: Trial) -> None:
    """Drop Tune's running means of each metric, which it keeps of every trial: 2 KB a metric (Ray 2.60)."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()


def tensorboard_of(study: Study, stage: Stage) -> TensorBoard:
    """What TensorBoard shows of a stage."""
    return TensorBoard(study.folder.tensorboard, stage, study.space)


def keep_predictions(study: Study, stage: Stage, record: TrialRecord) -> None:
    """Put what a run that is complete says of each validation row into its record, from the checkpoint of its best
    epoch; what is there already stays.

    Nothing is written where that checkpoint has none (a version before wrote it), is damaged, of another epoch or
    cannot be read: a report then says that they are lacking, and a study that goes on tries again.
    """
    path = record.predictions("val")
    if path.exists():
        return
    try:
        found = load_predictions(study.storage.best(stage, record.name))
    except (CheckpointError, OSError):
        return
    if found and found[0].epoch == record.best_epoch:
        predictions.write(path, predictions.joined(study.validation, study.task, record.config, *found[1]))
