"""A validated space and a prepared data set -> a finished study: sampler, scheduler, resources, resume."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from rich.console import Console

from lssat.config import Config, ConfigError
from lssat.data.ingest import Split
from lssat.fairness import Groups
from lssat.task import Task
from search import leaderboard
from search.progress import Progress
from search.recorder import Recorder
from search.recovery import reconcile
from search.searcher import OptunaSearcher, open_study
from search.space import Space
from search.trial import resources, run_trial, trial_name

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
    splits: Mapping[str, Split]
    groups: Groups | None = None  # subgroups of the validation rows


def run(study: Study, console: Console) -> None:
    """Run, or go on with, a study until its trials are done. Raises ConfigError, KeyboardInterrupt."""
    os.environ.update(SETTINGS)
    config = study.space.example()
    concurrent = concurrency(study.space, config, any(split.resident is None for split in study.splits.values()))
    optuna_study = open_study(study.folder, study.folder.name, study.space)
    reconcile(study.folder, optuna_study)
    rows = leaderboard.rank(study.folder)
    over = [row for row in rows if row.status != "running"]
    remaining = study.space.search.num_trials - len(over) - _failed_at_sampling(optuna_study)
    if remaining <= 0:
        return
    best = leaderboard.winner(rows)
    best_so_far = (best.score, f"{best.backbone}, trial {best.trial}") if best and best.score is not None else None
    with Progress(console, study.space.search.num_trials, Counter(row.status for row in over), best_so_far) as progress:
        trainable = tune.with_parameters(
            run_trial, splits=study.splits, task=study.task, storage=str(study.storage), study=study.folder.name, groups=study.groups
        )
        tune.Tuner(
            tune.with_resources(trainable, resources(config)),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearcher(optuna_study, study.space),
                scheduler=scheduler(study.space, config, study.folder, over),
                num_samples=remaining,
                max_concurrent_trials=concurrent,
                reuse_actors=config.resources.num_workers == 1,
                trial_dirname_creator=lambda trial: trial_name(trial.config["number"]),
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(study.storage / ".ray"),
                callbacks=[Recorder(study.folder, study.storage, study.space.searched_keys, progress)],
                failure_config=tune.FailureConfig(max_failures=DEATHS),
                verbose=0,
            ),
        ).fit()


def scheduler(space: Space, config: Config, folder: Path, over: list[leaderboard.Row]) -> TrialScheduler:
    """One bracket of ASHA on our own `epoch`, fed with what finished trials of an earlier session had reported."""
    if space.search.scheduler == "none" or space.search.grace_epochs >= config.optim.epochs:
        return FIFOScheduler()
    asha = ResumableAsha(
        folder,
        time_attr="epoch",
        metric="val/best",
        mode="max",
        max_t=config.optim.epochs,
        grace_period=space.search.grace_epochs,
        reduction_factor=space.search.reduction_factor,
    )
    for row in over:
        asha.on_trial_add(None, SimpleNamespace(trial_id=f"earlier-{row.trial}", config={"number": int(row.trial)}))
    return asha


class ResumableAsha(AsyncHyperBandScheduler):  # type: ignore[misc]
    """ASHA that knows what an interrupted trial had reported before it goes on."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(**settings)
        self._folder = folder

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        for result in leaderboard.metrics(self._folder / "trials" / trial_name(trial.config["number"])):
            self.on_trial_result(tune_controller, trial, result)


def concurrency(space: Space, config: Config, streamed: bool) -> int:
    """Trials at a time: what the machines hold, or less where the space says so. An impossible request is an error at once."""
    wanted = config.resources
    have = ray.cluster_resources()
    cpus = have.get("CPU", 0) - (1 if streamed else 0)  # Ray Data needs a core of its own to decode a stream
    per_trial = {"CPU": wanted.num_workers * wanted.cpus_per_worker, "GPU": wanted.num_workers * wanted.gpus_per_worker}
    fits = int(cpus // per_trial["CPU"])
    if per_trial["GPU"]:
        fits = min(fits, int(have.get("GPU", 0) // per_trial["GPU"]))
    if fits < 1:
        reserve = ", one of them reserved for decoding data that do not fit into memory" if streamed else ""
        raise ConfigError(
            f"a trial needs {per_trial['CPU']} CPUs and {per_trial['GPU']:g} GPUs, but there are {have.get('CPU', 0):g} and {have.get('GPU', 0):g}{reserve};"
            " lower `resources.num_workers`, `resources.cpus_per_worker` or `resources.gpus_per_worker`"
        )
    worker = {"CPU": wanted.cpus_per_worker, "GPU": wanted.gpus_per_worker}
    if not any(node["Alive"] and all(node["Resources"].get(kind, 0) >= amount for kind, amount in worker.items()) for node in ray.nodes()):
        raise ConfigError(f"a worker needs {worker['CPU']} CPUs and {worker['GPU']:g} GPUs, but no single node has them; lower `resources.cpus_per_worker`")
    return min(fits, space.search.max_concurrent or fits)


def _failed_at_sampling(optuna_study: Any) -> int:
    return sum("failed" in trial.user_attrs for trial in optuna_study.get_trials(deepcopy=False))
