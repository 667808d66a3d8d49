"""The two stages of a study under Ray Tune: the search, and the final runs. Both can be gone on with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import optuna
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from rich.console import Console

from lssat.train.result import Ended, EpochResult
from search.record.folder import Stage
from search.record.trials import Outcome, Status, TrialRecord
from search.report import leaderboard
from search.space.drawable import demands
from search.space.epochs import searched
from search.strategy.budget import Budget, stagnates
from search.strategy.finalists import FinalRun
from search.strategy.schedulers import scheduler
from search.strategy.searcher import OptunaSearcher, open_study
from search.strategy.suggestion import Suggestion, suggestion_of
from search.study import memory_kills
from search.study.capacity import concurrency
from search.study.context import Study
from search.study.progress import Expected, Progress
from search.study.reconcile_with_optuna import reconcile
from search.study.recorder import Recorder
from search.study.trial import Setting, resources_of, run_trial
from search.study.tune_adaptor import Adaptor, Participants

FORGIVEN_DEATHS = 2  # of a trial's process: it goes on from its last epoch
TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the Recorder writes
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Ray's own snapshots are not used: Optuna's study and our JSON are the truth
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial reports why, and no score
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches us as KeyboardInterrupt
    "RAY_AIR_NEW_OUTPUT": "0",
}


def search(study: Study, console: Console) -> None:
    """Run the search, or go on with it, until its trials are done or its budget is spent.

    Raises ConfigError, KeyboardInterrupt.
    """
    settings = study.space.search
    optuna_study = open_study(study.folder.study_db, study.folder.name, study.space)
    reconcile(study.folder, optuna_study, settings)
    records = study.folder.records(Stage.SEARCH)
    over = [record for record in records if record.status != Status.RUNNING]
    num_broken = sum("failed" in trial.user_attrs for trial in optuna_study.get_trials(deepcopy=False))
    remaining = settings.num_trials - len(over) - num_broken
    if remaining > 0:
        _search_on(study, optuna_study, records, remaining, console)
    for record in study.folder.records(Stage.SEARCH):  # trials that paused and were never promoted
        if record.status == Status.STOPPED:
            study.storage.drop_resumable_state(Stage.SEARCH, record.name)


def _search_on(
    study: Study, optuna_study: optuna.Study, records: Sequence[TrialRecord], remaining: int, console: Console
) -> None:
    """`records`: of all trials so far."""
    settings, epochs = study.space.search, study.space.example().optim.epochs
    over = [record for record in records if record.status != Status.RUNNING]
    best = leaderboard.winner(leaderboard.rank(records, settings.objectives))
    best_so_far = (best.score, f"{best.backbone}, trial {best.trial}") if best and best.score is not None else None
    num_epochs_left = searched(settings, epochs).expected - sum(record.num_epochs for record in records)
    expected = Expected("trial", settings.num_trials, num_epochs_left)
    with Progress(console, expected, [record.status for record in over], best_so_far) as progress:
        recorder = Recorder(study, Stage.SEARCH, progress)
        budget = Budget(settings, records, recorder.seconds)
        participants = Participants(
            OptunaSearcher(optuna_study, study.space),
            scheduler(settings, epochs),
            [budget, progress, recorder],
            budget.stop_all,
        )
        adaptor = Adaptor(settings, participants, partial(study.folder.record, Stage.SEARCH))
        adaptor.replay(over)
        # To Tune, a trial that goes on after a pause is another one; the searcher says when it is over.
        num_runs = -1 if settings.scheduler == "promotion" else remaining
        _tune(study, adaptor, recorder, num_runs, stop=budget)
    reconcile(study.folder, optuna_study, settings)  # trials that paused and were never promoted
    if spent := budget.spent():
        console.print(
            f"the budget of {spent} is spent; `--resume` goes on, with a larger one or, of hours on the clock, as "
            "long again",
            markup=False,
        )
    elif stagnates(optuna_study, settings):
        console.print(
            f"no better score in {settings.patience} trials (`search.patience`), so the search ends here", markup=False
        )


def train_finals(study: Study, runs: Sequence[FinalRun], console: Console) -> None:
    """Train the runs of the final stage that are not over, to their last epoch.

    Raises ConfigError, KeyboardInterrupt.
    """
    outcomes = {run.name: study.folder.record(Stage.FINAL, run.name).outcome for run in runs}
    over = [outcome.status for outcome in outcomes.values() if outcome]
    remaining = [run for run in runs if outcomes[run.name] is None]
    if remaining:
        expected = Expected("final", len(runs), len(remaining) * study.space.example().optim.epochs)
        with Progress(console, expected, over, None) as progress:
            recorder = Recorder(study, Stage.FINAL, progress)
            participants = Participants(ListedRuns(remaining), FIFOScheduler(), [progress, recorder])
            adaptor = Adaptor(study.space.search, participants, partial(study.folder.record, Stage.FINAL))
            _tune(study, adaptor, recorder, len(remaining))


class ListedRuns:
    """Hands out the runs of a list, in order."""

    def __init__(self, runs: Sequence[FinalRun]) -> None:
        self._waiting = list(runs)

    @property
    def is_finished(self) -> bool:
        """Whether all were handed out."""
        return not self._waiting

    def suggest(self) -> Suggestion | None:
        """The next run."""
        return self._waiting.pop(0).suggestion if self._waiting else None

    def observe(self, suggestion: Suggestion, message: EpochResult | Ended) -> None:
        """Nothing follows from it."""

    def finish(self, suggestion: Suggestion, outcome: Outcome | None, last: EpochResult | None) -> None:
        """Nothing follows from it."""


def _tune(study: Study, adaptor: Adaptor, recorder: Recorder, num_runs: int, stop: Budget | None = None) -> None:
    """Let Ray Tune run what the adaptor suggests. `num_runs` of -1: as many as there are."""
    os.environ.update(TUNE_SETTINGS)
    memory_kills.survive()
    stage, wanted = recorder.stage, demands(study.space)
    checkpoints, name = str(study.storage.path / stage), f"{study.folder.name}-{stage}"
    setting = Setting(study.splits, study.task, checkpoints, name, study.groups)
    tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, setting=setting), resources_of),
        tune_config=tune.TuneConfig(
            search_alg=adaptor.searcher,
            scheduler=adaptor.scheduler,
            num_samples=num_runs,
            max_concurrent_trials=concurrency(wanted, study.is_streamed, study.space.search.max_concurrent),
            reuse_actors=all(each.num_workers == 1 for each in wanted),
            trial_dirname_creator=lambda trial: suggestion_of(trial).name,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{stage}",
            storage_path=str(study.storage.ray),
            callbacks=[recorder],
            failure_config=tune.FailureConfig(max_failures=FORGIVEN_DEATHS),
            stop=stop,
            verbose=0,
        ),
    ).fit()
