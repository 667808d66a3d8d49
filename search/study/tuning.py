"""A validated space and a prepared data set -> trials that are run: scheduler, resources, budgets, resume."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from rich.console import Console

from lssat.config import ConfigError, ResourcesConfig
from lssat.evaluation.fairness import Groups
from lssat.on_ray.ingest import Split
from lssat.task import Task
from search.report import leaderboard
from search.space.definition import Space
from search.space.epochs import searched
from search.space.reach import demands
from search.strategy.budget import Budget, gpu_hours
from search.strategy.finalists import Final
from search.strategy.schedulers import scheduler
from search.strategy.searcher import OptunaSearcher, open_study, stagnates
from search.study import memory_kills
from search.study.progress import Progress
from search.study.recorder import Recorder
from search.study.recovery import reconcile
from search.study.trial import resources, run_trial

DEATHS = 2  # of a trial's process that are forgiven: it goes on from its last epoch
SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the Recorder writes
    "TUNE_MAX_PENDING_TRIALS_PG": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Ray's own snapshots are not used: the Optuna study and our JSON are the truth
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial reports `failed` and no score
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C reaches us as KeyboardInterrupt
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True)
class Study:
    """A study that can be run."""

    folder: Path  # what the driver writes
    storage: Path  # checkpoints, on storage that all nodes see
    space: Space
    task: Task
    splits: Mapping[int, Mapping[str, Split]]  # by number of workers, then by name
    groups: Groups | None = None  # subgroups of the validation rows

    @property
    def streamed(self) -> bool:
        return any(split.resident is None for splits in self.splits.values() for split in splits.values())


def search(study: Study, console: Console) -> None:
    """Run, or go on with, the search until its trials are done or its budget is spent. Raises ConfigError,
    KeyboardInterrupt.
    """
    settings = study.space.search
    optuna_study = open_study(study.folder, study.folder.name, study.space)
    reconcile(study.folder, optuna_study, settings)
    rows = leaderboard.rank(study.folder)
    over = sorted((row for row in rows if row.status != "running"), key=lambda row: row.trial)
    remaining = (
        settings.num_trials
        - len(over)
        - sum("failed" in trial.user_attrs for trial in optuna_study.get_trials(deepcopy=False))
    )
    if remaining > 0:
        _go_on(study, optuna_study, rows, over, remaining, console)
    for row in leaderboard.rank(study.folder):  # of trials that paused and were never promoted
        if row.status == "stopped":
            shutil.rmtree(study.storage / "trials" / row.trial / "last", ignore_errors=True)


def _go_on(
    study: Study,
    optuna_study: Any,
    rows: Sequence[leaderboard.Row],
    over: Sequence[leaderboard.Row],
    remaining: int,
    console: Console,
) -> None:
    """`rows`: of all trials so far; `over`: of those that have ended."""
    settings, epochs = study.space.search, study.space.example().optim.epochs
    budget = Budget(
        settings,
        {row.trial: row.epochs for row in rows},
        gpu_hours([_held(study.folder / "trials" / row.trial) for row in rows]),
    )
    best = leaderboard.winner(rows)
    best_so_far = (best.score, f"{best.backbone}, trial {best.trial}") if best and best.score is not None else None
    rungs = scheduler(
        settings, epochs, lambda name: leaderboard.metrics(study.folder / "trials" / name), [row.trial for row in over]
    )
    expected = searched(settings, epochs).expected - sum(row.epochs for row in rows)
    with Progress(
        console, "trial", settings.num_trials, expected, Counter(row.status for row in over), best_so_far
    ) as progress:
        number = (
            -1 if settings.scheduler == "promotion" else remaining
        )  # to Tune, a trial that goes on is another one; the searcher says when it is over
        _tune(study, "trials", OptunaSearcher(optuna_study, study.space), rungs, number, progress, budget)
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


def train_finals(study: Study, finals: Sequence[Final], console: Console) -> None:
    """Train the runs of the final stage that are not over, to their last epoch. Raises ConfigError, KeyboardInterrupt."""
    outcomes = {final.name: study.folder / "finals" / final.name / "outcome.json" for final in finals}
    over = Counter(json.loads(path.read_text())["status"] for path in outcomes.values() if path.exists())
    remaining = [final for final in finals if not outcomes[final.name].exists()]
    if remaining:
        expected = len(remaining) * study.space.example().optim.epochs
        with Progress(console, "final", len(finals), expected, over, None) as progress:
            _tune(study, "finals", _Listed(remaining), FIFOScheduler(), len(remaining), progress, None)


class _Listed(Searcher):  # type: ignore[misc]
    """Hands out what is on a list."""

    def __init__(self, finals: Sequence[Final]) -> None:
        super().__init__(metric="val/best", mode="max")
        self._waiting = list(finals)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        if not self._waiting:
            return str(Searcher.FINISHED)
        final = self._waiting.pop(0)
        return {"name": final.name, "config": final.sampled}

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Nothing follows from it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: what is over is on disk."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


def _tune(
    study: Study,
    stage: str,
    searcher: Searcher,
    rungs: TrialScheduler,
    number: int,
    progress: Progress,
    budget: Budget | None,
) -> None:
    os.environ.update(SETTINGS)
    memory_kills.survive()
    wanted = demands(study.space)
    storage, name = str(study.storage / stage), f"{study.folder.name}-{stage}"
    trainable = tune.with_parameters(
        run_trial, splits=study.splits, task=study.task, storage=storage, study=name, groups=study.groups
    )
    tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=rungs,
            num_samples=number,
            max_concurrent_trials=concurrency(wanted, study.streamed, study.space.search.max_concurrent),
            reuse_actors=all(each.num_workers == 1 for each in wanted),
            trial_dirname_creator=lambda trial: trial.config["name"],
        ),
        run_config=tune.RunConfig(
            name=f"tune-{stage}",
            storage_path=str(study.storage / ".ray"),
            callbacks=[
                Recorder(study.folder, study.storage, stage, study.space.search, study.space.searched_keys, progress)
            ],
            failure_config=tune.FailureConfig(max_failures=DEATHS),
            stop=budget,
            verbose=0,
        ),
    ).fit()


def concurrency(wanted: Sequence[ResourcesConfig], streamed: bool, most: int | None) -> int:
    """Trials at a time: what the machines hold, or less where the space says so. An impossible request is an error at
    once.

    Trials that train alone hold their resources themselves, so Tune counts them; where some have workers of their own,
    no more trials run than fit if each were the largest.
    """
    fits = [_fits(each, streamed) for each in wanted]
    together = any(each.num_workers > 1 for each in wanted)
    return min(min(fits) if together else max(fits), most or max(fits))


def _fits(wanted: ResourcesConfig, streamed: bool) -> int:
    have = ray.cluster_resources()
    cpus = have.get("CPU", 0) - (1 if streamed else 0)  # Ray Data needs a core of its own to decode a stream
    per_trial = {"CPU": wanted.num_workers * wanted.cpus_per_worker, "GPU": wanted.num_workers * wanted.gpus_per_worker}
    fits = int(cpus // per_trial["CPU"])
    if per_trial["GPU"]:
        fits = min(fits, int(have.get("GPU", 0) // per_trial["GPU"]))
    if fits < 1:
        reserve = ", one of them reserved for decoding data that do not fit into memory" if streamed else ""
        raise ConfigError(
            f"a trial needs {per_trial['CPU']} CPUs and {per_trial['GPU']:g} GPUs, but there are "
            f"{have.get('CPU', 0):g} and {have.get('GPU', 0):g}{reserve}; lower `resources.num_workers`, "
            "`resources.cpus_per_worker` or `resources.gpus_per_worker`"
        )
    worker = {"CPU": wanted.cpus_per_worker, "GPU": wanted.gpus_per_worker}
    if not any(
        node["Alive"] and all(node["Resources"].get(kind, 0) >= amount for kind, amount in worker.items())
        for node in ray.nodes()
    ):
        raise ConfigError(
            f"a worker needs {worker['CPU']} CPUs and {worker['GPU']:g} GPUs, but no single node has them; lower "
            "`resources.cpus_per_worker`"
        )
    return fits


def _held(trial_folder: Path) -> tuple[dict[str, Any], float]:
    """The resolved settings of a trial, and the seconds that it has run."""
    reported = leaderboard.metrics(trial_folder)
    return json.loads((trial_folder / "config.json").read_text())["resolved"], reported[-1].get(
        "seconds", 0.0
    ) if reported else 0.0
