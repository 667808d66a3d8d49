"""One sitting at a study: data, Ray, trials, leaderboard, winner, and the one look at the test split."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from lssat.config import ConfigError
from lssat.data.prepare import prepare
from lssat.data.table import DatasetInfo, read_info, read_texts, shard_paths
from lssat.fairness import Groups
from lssat.task import Task
from search import leaderboard, manifest, study
from search.backbones import check_backbones
from search.cluster import check_storage, connect
from search.recorder import write_json
from search.screen import show_leaderboard
from search.space import Space


def run(folder: Path, space: Space, arguments: argparse.Namespace, console: Console, root: Path) -> bool:
    """Everything from a validated space to a winner with its test score; whether there is a winner. Raises ConfigError."""
    found = f" (taken because {'a GPU was' if space.profile == 'gpu' else 'no GPU was'} found)" if arguments.profile == "auto" else ""
    console.print(f"[bold]L-SSAT Search[/bold]  {arguments.space}, profile {space.profile}{found}")
    config = space.example()
    if not arguments.resume:  # a resumed trial has its own weights
        check_backbones(space, lambda text: console.print(f"  {text}", markup=False))
    cache = (arguments.storage.resolve() if arguments.storage else folder.parent) / ".data"  # data that are streamed are read on every node
    prepared = prepare(config.data, cache, lambda text: console.print(f"  {text}", markup=False))
    info = read_info(prepared)
    _introduce(console, info, space)
    task = task_of(info)
    _check_metric(task, config.objective.metric)
    _check_subgroups(info, config.objective.subgroups)
    storage = arguments.storage.resolve() / folder.name if arguments.storage else folder
    record = manifest.start(folder, storage, space, {**_summary(info), "prepared": str(prepared)}, root, arguments.resume)
    storage.mkdir(parents=True, exist_ok=True)
    if not arguments.resume:  # checkpoints that an older study of this name left there
        shutil.rmtree(storage / "trials", ignore_errors=True)
    connect(arguments.address, root)
    try:
        from lssat.data.ingest import open_splits

        check_storage(storage)
        splits = open_splits(prepared, ("train", "val"), config.data.image_size, config.resources.num_workers)
        study.run(study.Study(folder, storage, space, task, splits, _groups(prepared, config.objective.subgroups)), console)
    finally:
        ray.shutdown()
    return finish(folder, storage, prepared, record, console)


def _check_metric(task: Task, metric: str) -> None:
    if task.kind == "multiclass" and metric in ("auc", "average_precision"):
        raise ConfigError(f"`objective.metric` {metric} needs a binary or multi-label task; choose macro_f1, balanced_accuracy or accuracy")


def _check_subgroups(info: DatasetInfo, subgroups: list[str]) -> None:
    for name in subgroups:
        if name not in info.columns:
            raise ConfigError(f"`objective.subgroups` names `{name}`, but the data have no such column; they have {', '.join(info.columns) or 'none'}")


def _groups(prepared: Path, subgroups: list[str]) -> Groups | None:
    if not subgroups:
        return None
    texts = read_texts(prepared, "val")
    return {name: texts[name] for name in subgroups}


def task_of(info: DatasetInfo) -> Task:
    """What the loop needs to know of a prepared data set."""
    counts = tuple(info.counts["train"][name] for name in info.classes)
    return Task(info.task, info.kind, info.classes, counts, info.rows["train"])


def finish(folder: Path, storage: Path, prepared: Path, record: dict[str, Any], console: Console) -> bool:
    """Rank on validation; then, with the choice fixed, score the winner on test once. Whether there is a winner."""
    rows = leaderboard.rank(folder)
    best = leaderboard.winner(rows)
    if best is None:
        leaderboard.write(rows, folder)
        manifest.save(folder, record)
        show_leaderboard(console, rows)
        console.print(f"no trial reached its full budget, so there is no winner; the reasons are above and in {folder / 'log.txt'}", style="red")
        return False
    opened = next((entry for entry in record["test_opened"] if entry["trial"] == best.trial), None)
    if opened is None:
        opened = {"trial": best.trial, "time": manifest.now(), "result": _test(folder, storage, prepared, best.trial)}
        record["test_opened"].append(opened)
    rows = leaderboard.with_test(rows, best.trial, opened["result"]["score"])
    leaderboard.write(rows, folder)
    manifest.save(folder, record)
    show_leaderboard(console, rows)
    _conclude(console, folder, best, opened["result"], len(record["test_opened"]))
    return True


def _test(folder: Path, storage: Path, prepared: Path, trial: str) -> dict[str, Any]:
    from lssat.data.ingest import read_resident
    from lssat.evaluate import export, open_bundle, score_bundle

    export(storage / "trials" / trial / "best", folder / "best")
    image_size = open_bundle(folder / "best")[0].data.image_size
    subgroups = open_bundle(folder / "best")[0].objective.subgroups
    result = score_bundle(folder / "best", read_resident(shard_paths(prepared, "test"), image_size), read_texts(prepared, "test"), subgroups)
    write_json(folder / "best" / "test.json", result)
    return result


def _introduce(console: Console, info: DatasetInfo, space: Space) -> None:
    kind = "synthetic faces, rendered by this project" if info.synthetic else info.source
    rows = ", ".join(f"{count} {split}" for split, count in info.rows.items())
    console.print(f"  data      {kind}: task {info.task} ({info.kind}, {len(info.classes)} {'labels' if info.kind == 'multilabel' else 'classes'}), {rows}")
    if info.rejects:
        first = ", ".join(f"{reject['row']} ({reject['reason']})" for reject in info.rejects[:3])
        console.print(f"warning: {len(info.rejects)} images or rows were left out: {first}, ...; all are in rejects.csv", style="yellow", markup=False)
    searched = ", ".join(space.searched_keys) or "nothing"
    console.print(f"  search    {space.search.num_trials} trials by {space.search.sampler} and {space.search.scheduler} over {searched}")


def _summary(info: DatasetInfo) -> dict[str, Any]:
    return {
        "source": info.source,
        "synthetic": info.synthetic,
        "task": info.task,
        "rows": info.rows,
        "fingerprint": info.fingerprint,
        "rejects": len(info.rejects),
    }


def _conclude(console: Console, folder: Path, best: leaderboard.Row, result: dict[str, Any], openings: int) -> None:
    others = ", ".join(
        f"{key} {value:.4f}" for key, value in result.items() if isinstance(value, float) and key not in ("score", "task_loss", result["metric"])
    )
    low, high = result["interval"]
    shown = Path(os.path.relpath(folder)) if folder.is_relative_to(Path.cwd()) else folder
    console.print(f"\nwinner: trial {best.trial}, {best.backbone}, {result['metric']} {best.score:.4f} on validation, {result['score']:.4f} on test ({others})")
    console.print(f"95% interval of the test score: {low:.4f} to {high:.4f} (other test images of such people, the same model); more in best/test.json")
    times = "once" if openings == 1 else f"{openings} times in all, once for each winner that an extension of the study brought"
    console.print(f"the choice was made on validation alone; then test was opened for the winner ({times})")
    console.print(f"  weights and config   {shown / 'best'}\n  leaderboard          {shown / 'leaderboard.md'}", markup=False)
    python = Path(sys.executable)
    tensorboard = python.with_name("tensorboard")
    binary = os.path.relpath(tensorboard) if tensorboard.is_relative_to(Path.cwd()) else tensorboard.name
    console.print(f"  TensorBoard          {binary} --logdir {shown / 'tensorboard'} --host 127.0.0.1", markup=False)
