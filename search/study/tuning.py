"""The stages of a study under Ray Tune: search, learning rates of baselines, final runs. All can be gone on with."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import optuna
from pyarrow.fs import LocalFileSystem
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from rich.console import Console

from lssat.model import catalog
from lssat.on_ray.machine_fault import MachineFailed
from lssat.train.result import EpochResult, read_report
from search.record.folder import Stage
from search.record.trials import Status, TrialRecord
from search.space import epochs
from search.space.drawable import architectures, demands
from search.strategy.baselines import num_rates
from search.strategy.budget import Budget
from search.strategy.deadline import Deadline
from search.strategy.finalists import FinalRun
from search.strategy.forecast import Forecast
from search.strategy.known.history import History
from search.strategy.schedulers import compares_trials, scheduler
from search.strategy.searcher import OptunaSearcher, num_asked, open_study
from search.strategy.suggestion import Suggestion, suggestion_of
from search.study import memory_kills
from search.study.capacity import Following, at_once
from search.study.context import Study
from search.study.progress import Part, Progress
from search.study.reconcile_with_optuna import reconcile
from search.study.recorder import Recorder, keep_predictions, tensorboard_of
from search.study.trial import StageContext, resources_of, run_trial
from search.study.tune_adaptor import Adaptor, Listener, Participants
from search.study.watch.alone import FORGIVEN_DEATHS, Deaths
from search.study.watch.draining import DrainingNodes
from search.study.watch.joining import JoiningNodes
from search.study.watch.running import HungTrials, Look, Watch
from search.study.watch.waiting import WaitingTrials

TITLES = {Stage.BASELINE: "supervised baselines", Stage.FINAL: "final stage"}
TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the Recorder writes
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Ray's own snapshots are not used: Optuna's study and our JSON are the truth
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial reports why, and no score
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches us as KeyboardInterrupt
    "RAY_AIR_NEW_OUTPUT": "0",
}


def begin_progress(study: Study, console: Console) -> Progress:
    """The display of all that a session of a study trains."""
    search, num_epochs, backbones = study.space.search, study.space.example().optim.epochs, architectures(study.space)
    of_baselines = epochs.baselines(search, num_epochs, len(backbones), num_rates(study.space)).expected
    if search.rotate:  # each seed trains once for each of them
        search = search.model_copy(update={"final_seeds": search.final_seeds * len(study.rotated)})
    return Progress(console, Forecast(search, num_epochs, backbones=len(backbones), of_baselines=of_baselines))


def search(study: Study, deadline: Deadline, progress: Progress) -> None:
    """Run the search, or go on with it, until its trials are done, its budget is spent or the rest of the time is for
    the final stage.

    Raises ConfigError, MachineFailed, KeyboardInterrupt.
    """
    settings = study.space.search
    optuna_study = open_study(study.folder.study_db, study.folder.name, study.space)
    records = reconcile(study.folder, optuna_study, settings)
    progress.forecast.begin_search(records)
    over = [record for record in records if record.status != Status.RUNNING]
    num_broken = sum("failed" in trial.user_attrs for trial in optuna_study.get_trials(deepcopy=False))
    remaining = settings.num_trials - len(over) - num_broken
    if remaining > 0:
        recorder = Recorder(study, Stage.SEARCH, progress)
        budget = Budget(settings, records, recorder.seconds)
        deadline.watch(records, recorder.seconds)
        searcher = OptunaSearcher(optuna_study, study.space, deadline.closes)
        rungs = scheduler(settings, study.space.example().optim.epochs)
        listeners: list[Listener] = [recorder, budget, deadline, progress, searcher]
        participants = Participants(searcher, rungs, listeners, lambda: budget.is_spent() or deadline.is_over())
        adaptor = Adaptor(settings, participants, partial(study.folder.record, Stage.SEARCH))
        if compares_trials(rungs):
            adaptor.replay(over)
        part = Part("search", "trials", settings.num_trials, records, _best(records), budget.seconds_left)
        with progress.shows(part):
            # To Tune, a trial that goes on after a pause is another one; the searcher says when it is over.
            _tune(study, adaptor, recorder, -1 if settings.scheduler == "promotion" else remaining)
            _raise_if_interrupted(adaptor)
        records = reconcile(study.folder, optuna_study, settings)  # trials that paused and were never promoted
        _say_why_it_ends(study, optuna_study, budget, deadline, progress.console)
    else:
        deadline.watch(records, lambda name: 0.0)
        progress.console.print(f"all {len(over) + num_broken} trials of the search are over; `--extend N` adds more")
    progress.forecast.end_search(records)
    _settle(study, Stage.SEARCH, records)


def train_baselines(study: Study, runs: Sequence[Suggestion], progress: Progress) -> None:
    """Train those runs of supervised baselines, each with a learning rate of its own, that are not over.

    Raises ConfigError, MachineFailed, KeyboardInterrupt.
    """
    _train_stage(study, Stage.BASELINE, runs, progress)


def train_finals(study: Study, runs: Sequence[FinalRun], progress: Progress) -> None:
    """Train the runs of the final stage that are not over, to their last epoch.

    Raises ConfigError, MachineFailed, KeyboardInterrupt.
    """
    _train_stage(study, Stage.FINAL, [run.suggestion for run in runs], progress)


def train_again(study: Study, stage: Stage, names: Sequence[str], progress: Progress) -> None:
    """Train runs that are over anew, from their seed, since their best checkpoint is lost. What is on record stays.

    Raises MachineFailed, KeyboardInterrupt.
    """
    if names:
        suggestions = [Suggestion(name, study.folder.record(stage, name).sampled) for name in names]
        part = Part("training lost runs again", "runs", len(names))
        _train_listed(study, suggestions, Recorder(study, stage, progress), part)


def train_copy(study: Study, stage: Stage, run: Suggestion, epochs: int, progress: Progress) -> None:
    """Train one run from its seed, as far as so many epochs; its schedule stays that of all its epochs.

    Raises MachineFailed, KeyboardInterrupt.
    """
    part = Part("training it again", "runs", 1)
    _train_listed(study, [run], Recorder(study, stage, progress), part, UpTo(epochs))


class UpTo(FIFOScheduler):  # type: ignore[misc]
    """Stops every run after so many epochs."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the run goes on; at its own end it ends by itself."""
        message = read_report(result)
        is_enough = isinstance(message, EpochResult) and message.epoch >= self._epochs and not message.is_last
        return str(TrialScheduler.STOP if is_enough else TrialScheduler.CONTINUE)


class ListedRuns:
    """Hands out the runs of a list, in order."""

    def __init__(self, runs: Sequence[Suggestion]) -> None:
        self._waiting = list(runs)

    @property
    def is_finished(self) -> bool:
        """Whether all were handed out."""
        return not self._waiting

    def suggest(self) -> Suggestion | None:
        """The next run."""
        return self._waiting.pop(0) if self._waiting else None


def _train_stage(study: Study, stage: Stage, runs: Sequence[Suggestion], progress: Progress) -> None:
    """Train the runs that are not over. Those of earlier sessions that are not wanted any more are counted as well."""
    over = [record.name for record in study.folder.records(stage) if record.outcome]
    records = [study.folder.record(stage, name) for name in dict.fromkeys([*over, *(run.name for run in runs)])]
    begin = progress.forecast.begin_finals if stage is Stage.FINAL else progress.forecast.begin_baselines
    begin(records)
    remaining = [run for run in runs if run.name not in over]
    if remaining:
        part = Part(TITLES[stage], "runs", len(records), [record for record in records if record.exists])
        _train_listed(study, remaining, Recorder(study, stage, progress), part)
    _settle(study, stage, study.folder.records(stage))


def _train_listed(
    study: Study, runs: Sequence[Suggestion], recorder: Recorder, part: Part, rungs: TrialScheduler | None = None
) -> None:
    participants = Participants(ListedRuns(runs), rungs or FIFOScheduler(), [recorder, recorder.progress])
    adaptor = Adaptor(study.space.search, participants, partial(study.folder.record, recorder.stage))
    with recorder.progress.shows(part):
        _tune(study, adaptor, recorder, len(runs))
        _raise_if_interrupted(adaptor)


def _best(records: Sequence[TrialRecord]) -> tuple[float, str] | None:
    """The best score of earlier sessions, and whose it is."""
    scores = {record: record.last.best for record in records if record.status == Status.COMPLETE and record.last}
    best = max(scores, key=lambda record: scores[record], default=None)
    return (scores[best], f"{catalog.architecture(best.config.backbone)}, {best.name}") if best else None


def _say_why_it_ends(
    study: Study, optuna_study: optuna.Study, budget: Budget, deadline: Deadline, console: Console
) -> None:
    if spent := budget.spent():
        console.print(
            f"the budget of {spent} is spent; `--resume` goes on, with a larger one or, of hours on the clock, as "
            "long again",
        )
    elif deadline.is_over() or (deadline.closes() and num_asked(optuna_study) < study.space.search.num_trials):
        hours = f"{study.space.search.hours:g} hours (`--hours`)"
        console.print(f"the rest of the {hours} is for the final stage, so the search ends here; `--resume` goes on")
    elif History(optuna_study, study.space.search, ()).stagnates:
        patience = study.space.search.patience
        console.print(f"no better score in {patience} trials (`search.patience`), so the search ends here")


def _raise_if_interrupted(adaptor: Adaptor) -> None:
    if adaptor.failure:
        raise adaptor.failure
    if adaptor.interruption:
        raise MachineFailed(adaptor.interruption)


def _settle(study: Study, stage: Stage, records: Sequence[TrialRecord]) -> None:
    """Of runs that are over, keep the predictions, complete what TensorBoard shows, and drop what only a run that goes
    on needs: a kill may have come before any of it, and a trial that paused may not go on.
    """
    tensorboard, over = tensorboard_of(study, stage), []
    for record in records:
        if record.status == Status.COMPLETE:
            keep_predictions(study, stage, record)
        if record.outcome:
            tensorboard.end(record)
            over.append(record.name)
    study.mirror.ask(partial(study.storage.drop_resumable_states, stage, over))


def _tune(study: Study, adaptor: Adaptor, recorder: Recorder, num_runs: int) -> None:
    """Let Ray Tune run what the adaptor suggests. `num_runs` of -1: as many as there are."""
    os.environ.update(TUNE_SETTINGS | ({"TUNE_MAX_PENDING_TRIALS_PG": "64"} if study.on_cluster else {}))
    # which would list every trial as one whose metrics cannot be read: Tune does not write them
    logging.getLogger("ray.tune.analysis.experiment_analysis").setLevel(logging.ERROR)
    memory_kills.survive()
    stage, wanted, search = recorder.stage, demands(study.space), study.space.search
    looks: list[Look] = [HungTrials(search.hang_minutes, adaptor.died_of, recorder.progress.say)]
    if study.on_cluster:
        adaptor.most_at_once = Following(wanted, study.is_streamed, search.max_concurrent)
        say, wait = recorder.progress.say, recorder.progress.wait
        looks += [JoiningNodes(say), DrainingNodes(say), WaitingTrials(wait)]
    else:
        most = at_once(wanted, study.is_streamed, search.max_concurrent)
        adaptor.most_at_once = lambda: most
    checkpoints, name = str(study.storage.place / stage), f"{study.folder.name}-{stage}"
    context = StageContext(
        study.splits, study.task, checkpoints, name, study.texts, study.storage.mark, study.rotated, study.keys
    )
    tune.Tuner(
        tune.with_resources(tune.with_parameters(run_trial, context=context), resources_of),
        tune_config=tune.TuneConfig(
            search_alg=adaptor.tune_searcher,
            scheduler=adaptor.tune_scheduler,
            num_samples=num_runs,
            reuse_actors=all(each.num_workers == 1 for each in wanted),
            trial_dirname_creator=lambda trial: suggestion_of(trial).name,
        ),
        run_config=tune.RunConfig(
            name=f"tune-{stage}",
            storage_path=str(study.storage.ray),
            storage_filesystem=LocalFileSystem(),  # else Ray takes the path for a URI
            callbacks=[recorder, Deaths(adaptor.alone, recorder.progress.say), Watch(looks)],
            failure_config=tune.FailureConfig(max_failures=FORGIVEN_DEATHS + 1),  # the last one alone
            stop=adaptor.tune_stopper,
            verbose=0,
        ),
    ).fit()
