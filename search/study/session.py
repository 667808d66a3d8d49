"""One sitting at a study: data, Ray, trials, leaderboard, winner, and the one look at the test split."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from lssat.config import ConfigError
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.table import DatasetInfo, read_info, read_texts
from lssat.evaluation.fairness import Groups
from lssat.task import Task
from search.plan.command import compare_with_plan
from search.record import manifest
from search.record.folder import clear_storage
from search.report import leaderboard
from search.report.screen import show_leaderboard
from search.space.definition import Space
from search.space.reach import demands
from search.strategy import finalists as finals
from search.study import conclusion
from search.study import tuning as study
from search.study.backbones import check_backbones
from search.study.cluster import check_storage, connect


def run(folder: Path, space: Space, arguments: argparse.Namespace, console: Console, root: Path) -> bool:
    """Everything from a validated space to a winner with its test score; whether there is a winner. Raises ConfigError."""
    found = (
        f" (taken because {'a GPU was' if space.profile == 'gpu' else 'no GPU was'} found)"
        if arguments.profile == "auto" and arguments.space.suffix != ".json"
        else ""
    )
    console.print(f"[bold]L-SSAT Search[/bold]  {arguments.space}, profile {space.profile}{found}")
    config = space.example()
    if not arguments.resume:  # a resumed trial has its own weights
        check_backbones(space, lambda text: console.print(f"  {text}", markup=False))
    cache = (
        arguments.storage.resolve() if arguments.storage else folder.parent
    ) / ".data"  # data that are streamed are read on every node
    prepared = prepare(config.data, cache, lambda text: console.print(f"  {text}", markup=False))
    info = read_info(prepared)
    _introduce(console, info, space)
    task = task_of(info)
    _check_metric(task, config.objective.metric)
    _check_subgroups(info, config.objective.subgroups)
    storage = arguments.storage.resolve() / folder.name if arguments.storage else folder
    earlier = manifest.of_study(folder, storage, space, info.fingerprint) if arguments.resume else None
    connect(arguments.address, root)
    try:
        from lssat.on_ray.ingest import open_splits

        storage.mkdir(parents=True, exist_ok=True)
        check_storage(storage)
        splits = {
            number: open_splits(prepared, ("train", "val"), config.data.image_size, number)
            for number in {wanted.num_workers for wanted in demands(space)}
        }
        running = study.Study(folder, storage, space, task, splits, _groups(prepared, config.objective.subgroups))
        study.concurrency(demands(space), running.streamed, space.search.max_concurrent)
        if not arguments.resume:
            clear_storage(storage, folder)
        record = manifest.start(
            folder, storage, space, {**_summary(info), "prepared": str(prepared)}, root, earlier
        )  # now it can begin
        study.search(running, console)
        rows = leaderboard.rank(folder)
        leaderboard.write(rows, folder)
        runs = finals.plan(rows, folder, space.search)
        if runs:
            show_leaderboard(console, rows)
            console.print(
                f"final stage: the best {len({run.of for run in runs})} and their supervised twins over "
                f"{space.search.final_seeds} fresh seeds"
            )
        study.train_finals(running, runs, console)
    finally:
        ray.shutdown()
    has_winner = conclusion.conclude(folder, storage, prepared, record, runs, console)
    compare_with_plan(space, folder, console)
    return has_winner


def _check_metric(task: Task, metric: str) -> None:
    if task.kind == "multiclass" and metric in ("auc", "average_precision"):
        raise ConfigError(
            f"`objective.metric` {metric} needs a binary or multi-label task; choose macro_f1, balanced_accuracy or "
            "accuracy"
        )


def _check_subgroups(info: DatasetInfo, subgroups: list[str]) -> None:
    for name in subgroups:
        if name not in info.columns:
            raise ConfigError(
                f"`objective.subgroups` names `{name}`, but the data have no such column; they have "
                f"{', '.join(info.columns) or 'none'}"
            )


def _groups(prepared: Path, subgroups: list[str]) -> Groups | None:
    if not subgroups:
        return None
    texts = read_texts(prepared, "val")
    return {name: texts[name] for name in subgroups}


def task_of(info: DatasetInfo) -> Task:
    """What the loop needs to know of a prepared data set."""
    counts = tuple(info.counts["train"][name] for name in info.classes)
    return Task(info.task, info.kind, info.classes, counts, info.rows["train"])


def _introduce(console: Console, info: DatasetInfo, space: Space) -> None:
    kind = "synthetic faces, rendered by this project" if info.synthetic else info.source
    rows = ", ".join(f"{count} {split}" for split, count in info.rows.items())
    console.print(
        f"  data      {kind}: task {info.task} ({info.kind}, {len(info.classes)} "
        f"{'labels' if info.kind == 'multilabel' else 'classes'}), {rows}"
    )
    if info.rejects:
        first = ", ".join(f"{reject['row']} ({reject['reason']})" for reject in info.rejects[:3])
        console.print(
            f"warning: {len(info.rejects)} images or rows were left out: {first}, ...; all are in rejects.csv",
            style="yellow",
            markup=False,
        )
    searched = ", ".join(space.searched_keys) or "nothing"
    console.print(
        f"  search    {space.search.num_trials} trials by {space.search.sampler} and {space.search.scheduler} over "
        f"{searched}"
    )


def _summary(info: DatasetInfo) -> dict[str, Any]:
    return {
        "source": info.source,
        "synthetic": info.synthetic,
        "task": info.task,
        "rows": info.rows,
        "fingerprint": info.fingerprint,
        "rejects": len(info.rejects),
    }
