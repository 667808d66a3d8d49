"""One session of a study: data, Ray, trials, leaderboard, winner, and the one look at the test split."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from lssat.command import Notify, from_here, words_that_start
from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.row_keys import read_keys
from lssat.data.prepared.selection import as_used, cells_of, check_hold_out
from lssat.data.prepared.table import (
    DATASETS,
    SPLITS,
    DatasetInfo,
    changed_fingerprint,
    detected_fingerprint,
    read_info,
    read_texts,
)
from lssat.data.prepared.writing import REJECTS_FILE
from lssat.errors import ConfigError
from lssat.evaluation.units import RowTexts, scores_videos, texts_to_send
from lssat.model import catalog
from lssat.on_ray import driver
from lssat.on_ray.machine_fault import MachineFailed
from lssat.task import Task
from lssat.text.durations import duration
from search.earlier.words import other_data, taken
from search.findings import final_table, leaderboard
from search.findings.screen import show_leaderboard
from search.plan.command import compare_with_plan
from search.record import going_on
from search.record.folder import RunFolder, Stage, Storage
from search.record.manifest import FIRST_WEIGHTS, FOLDS, SCORED_BY, Manifest, new_manifest, notify_of_other_versions
from search.record.mirror import NO_MIRROR, Mirror
from search.space.data_rules import check_objective, check_sampling
from search.space.definition import Space
from search.space.drawable import architectures, demands
from search.space.settings import SearchConfig
from search.strategy.baselines import Baselines, num_rates
from search.strategy.deadline import Deadline
from search.strategy.finalists import FinalRun, trial_of
from search.study import tuning
from search.study.backbone_checks import FirstWeights, check_by_building
from search.study.capacity import check_possible
from search.study.cluster import check_storage, check_url, connect
from search.study.conclusion import conclude, lost_runs
from search.study.context import Study, check_drawing
from search.study.hold_out import opened, say_what_is_held_out, values_to_rotate
from search.study.progress import Progress
from search.study.watch import head

MOST_CLASSES = 10  # whose counts are shown


@dataclass(frozen=True)
class Session:
    """What was asked for. `cache`: of prepared data. `root`: of the project's code. `address`: of a Ray cluster; None:
    Ray on this machine. `begun`: the manifest of a study that goes on. `mirror`: the copy of the run folder. `lost`:
    called, from a thread, where the head of the cluster is lost: this process has then to end.
    """

    folder: RunFolder
    storage: Storage
    space: Space
    cache: Path
    root: Path
    address: str | None
    begun: Manifest | None
    mirror: Mirror = NO_MIRROR
    lost: Callable[[MachineFailed], None] = lambda error: None


def run(session: Session, console: Console) -> bool:
    """Everything from a validated space to a winner with its test score; whether there is a winner.

    On a cluster the storage is looked at first: preparing data may take hours. Raises ConfigError.
    """
    space = session.space
    began = time.monotonic()
    if session.storage.place.local is None:
        check_url(session.storage.place)

    def notify(text: str) -> None:
        console.print(f"  {text}")

    while_joined = ExitStack()
    try:
        weights: list[FirstWeights] = []
        if session.begun:
            notify_of_other_versions(session.begun, notify)
        else:  # a resumed trial has its own weights
            weights = check_by_building(space, notify)
        if session.address:
            _join_cluster(session)
            while_joined.enter_context(head.watched(driver.address(), notify, session.lost))
        prepared = prepare(space.example().data, session.cache, notify)
        info = read_info(prepared)
        _introduce(console, info, prepared, space)
        scored_by = "video" if _scores_videos(prepared, info.as_task) else "row"
        with space.naming_lines():
            _check_data(session, prepared, scored_by)
        if session.begun:
            space = going_on.at_recorded_place(session.begun, space)
            session = replace(session, space=space)
        if not session.address:
            connect(None, session.root)
        used = as_used(prepared, space.example().data)
        say_what_is_held_out(console, prepared, space.example().data)
        values = values_to_rotate(prepared, space, notify)
        if session.begun:
            going_on.check_rotates_alike(session.begun, space.search, values)
        with space.naming_lines():
            study = _open(session, prepared, used.as_task, values, notify)
        deadline = Deadline(
            space.search, space.example().optim.epochs, began, num_rates(space), max(1, len(study.rotated))
        )
        data = {**_summary(used), FOLDS: values, SCORED_BY: scored_by, "prepared": str(prepared)}
        manifest = _begin(session, data, weights)  # everything is checked
        _say_how_to_watch(session.folder, console)
        rows, runs = _train(study, manifest, deadline, console, notify)
    finally:
        while_joined.close()
        driver.stop()
    has_winner = conclude(study, manifest, rows, runs, console)
    compare_with_plan(space, session.folder, console)
    return has_winner


def _train(
    study: Study, manifest: Manifest, deadline: Deadline, console: Console, notify: Notify
) -> tuple[list[leaderboard.Row], list[FinalRun]]:
    """The search, then the final stage: the ranked trials, and its runs. Raises as `tuning` does."""
    progress = tuning.begin_progress(study, console)
    tuning.search(study, deadline, progress)
    rows = leaderboard.of_folder(study.folder)
    leaderboard.write(rows, study.folder)
    settings = _time_for(study, rows, deadline, console)
    manifest.begin_final_stage(settings)
    _tune_baselines(study, rows, settings, progress)
    runs = _final_runs(study, rows, settings, console)
    tuning.train_finals(study, runs, progress)
    tuning.train_again(study, *lost_runs(study, manifest, rows, runs, notify), progress)
    return rows, runs


def _time_for(study: Study, rows: Sequence[leaderboard.Row], deadline: Deadline, console: Console) -> SearchConfig:
    """The settings with as large a final stage as there is time for."""
    folder, search = study.folder, study.space.search

    def trials_of(settings: SearchConfig) -> list[str]:
        runs = [(Stage.FINAL, run.suggestion) for run in final_table.planned_runs(folder, rows, settings)]
        chosen = final_table.planned_finalists(folder, rows, settings)
        runs += [(Stage.BASELINE, run) for run in Baselines(folder, settings).runs(chosen, study.space)]
        return [trial_of(run.name) for stage, run in runs if folder.record(stage, run.name).outcome is None]

    cut = deadline.cut(trials_of)
    if cut != search:
        num_finalists, of_each = len(final_table.planned_finalists(folder, rows, cut)), _of_each(search)
        number = cut.finalists if of_each else num_finalists
        is_any = num_finalists > 0
        what = f"{number}{of_each} x {cut.final_seeds} seeds" if is_any else "none: the best trial of the search wins"
        left = duration(max(0.0, deadline.seconds_left))
        console.print(
            f"final stage cut from {search.finalists}{of_each} x {search.final_seeds} seeds to {what}, as {left} are "
            "left of `--hours`",
            style="yellow",
            soft_wrap=True,
        )
    return cut


def _tune_baselines(study: Study, rows: Sequence[leaderboard.Row], settings: SearchConfig, progress: Progress) -> None:
    """Find the learning rate of each finalist's supervised baseline, and say it. Raises as `tuning` does."""
    chosen = final_table.planned_finalists(study.folder, rows, settings)
    if not chosen:
        return tuning.train_baselines(study, [], progress)  # the forecast waits for none
    console = progress.console
    show_leaderboard(console, rows)
    runs = Baselines(study.folder, settings).runs(chosen, study.space)
    if runs:
        console.print(f"{len(runs)} runs to find learning rates of supervised baselines")
    tuning.train_baselines(study, runs, progress)
    for line in Baselines(study.folder, settings).lines(chosen, study.space):
        console.print(f"  {line}", soft_wrap=True)


def _final_runs(
    study: Study, rows: Sequence[leaderboard.Row], settings: SearchConfig, console: Console
) -> list[FinalRun]:
    """The runs of the final stage; says what they are."""
    runs = final_table.planned_runs(study.folder, rows, settings)
    if runs:
        number = len(final_table.planned_finalists(study.folder, rows, settings))
        of_each = f" ({settings.finalists}{_of_each(settings)})" if _of_each(settings) else ""
        baselines = "" if settings.supervised == "none" else " and their supervised baselines"
        folds = f" x {len(study.rotated)} held-out values" if settings.rotate else ""
        console.print(
            f"final stage: the best {number}{of_each}{baselines} over {settings.final_seeds} fresh seeds{folds}"
        )
        if of_each:
            _say_which_are_missing(study, runs, console)
    return runs


def _of_each(search: SearchConfig) -> str:
    """Of what the finalists are the best, where not of the whole study."""
    return " of each backbone" if search.finalists_per == "backbone" else ""


def _say_which_are_missing(study: Study, runs: Sequence[FinalRun], console: Console) -> None:
    """The backbones of the space that the final stage cannot compare."""
    there = {catalog.architecture(run.arm.config.backbone) for run in runs}
    if missing := [name for name in architectures(study.space) if name not in there]:
        console.print(
            f"not in the final stage, as no trial of them is complete: {', '.join(missing)}; give the search more time "
            "or trials, `--resume` goes on",
            style="yellow",
            soft_wrap=True,
        )


def _begin(session: Session, data: dict[str, Any], weights: list[FirstWeights]) -> Manifest:
    """The manifest with this session, of a study that begins or goes on. `data`: what is said of the data; `weights`:
    what backbones of a new study begin with, where it is not drawn.
    """
    manifest = session.begun
    if manifest is None:
        session.storage.clear_for(session.folder)
        fresh = new_manifest(session.folder, session.space, data, session.root)
        manifest = replace(fresh, content={**fresh.content, FIRST_WEIGHTS: weights})
    else:
        session.storage.write_mark(session.folder)  # either may have been moved
    return manifest.begin_session(session.storage, session.space, str(data["source"]))


def _join_cluster(session: Session) -> None:
    """Raises ConfigError."""
    connect(session.address, session.root)
    session.storage.place.make()
    check_storage(session.storage.place)


def _check_data(session: Session, prepared: Path, scored_by: str) -> None:
    """Raises ConfigError where the study cannot be run, or go on, with these data."""
    info, config = read_info(prepared), session.space.example()
    check_objective(config.objective, info.kind, info.columns)
    check_sampling(config.data, config.optim.class_balanced, info.kind, info.columns)
    if config.data.hold_out:
        check_hold_out(info, config.data, cells_of(prepared, config.data.hold_out))
    if session.begun:
        _check_read_alike(session.begun, info)
        going_on.check_goes_on(session.begun, session.space, info.fingerprint)
        going_on.check_scores_alike(session.begun, scored_by)


def _open(session: Session, prepared: Path, task: Task, values: Sequence[str], notify: Notify) -> Study:
    """The study with its data decoded, and whatever the machines must have checked. `values`: that the final stage may
    hold out one after the other. Raises ConfigError.
    """
    space, config = session.space, session.space.example()
    keys = read_keys(prepared, config.data, notify)
    worker_counts = sorted({wanted.num_workers for wanted in demands(space)})
    shards = session.storage.shards(prepared) if session.address else None
    splits, rotated = opened(prepared, space, values, worker_counts, shards)
    texts = RowTexts.of_columns(read_texts(prepared, "val"), config.objective.subgroups, config.data.hold_out)
    texts_sent = texts_to_send(task, texts)
    told = texts_sent, rotated, keys, session.mirror, session.address is not None
    study = Study(session.folder, session.storage, space, task, prepared, splits, *told)
    check_drawing(study, config.data)
    has_shrunk = session.begun is not None and session.address is not None
    check_possible(demands(space), study.is_streamed, may_wait=has_shrunk)
    return study


def _check_read_alike(begun: Manifest, info: DatasetInfo) -> None:
    """Raises ConfigError where the study began with a version that read the same data differently."""
    began = str(begun.content["data"]["fingerprint"])
    if info.fingerprint in {detected_fingerprint(each, DETECTOR) for each in (began, changed_fingerprint(began))}:
        raise ConfigError(
            f"the study `{begun.name}` began with an older version, which found the faces of `{info.source}` "
            "by another detector; its trials and new ones would not learn from the same data: begin "
            "another study by `--name`"
        )
    if info.fingerprint == changed_fingerprint(began):
        raise ConfigError(
            f"the study `{begun.name}` began with an older version, which read {', '.join(info.options['changed'])} of "
            f"`{info.source}` differently (pictures turned by EXIF, of 16 bits or transparent; cells such as NA, true "
            "or 010); its trials and new ones would not learn from the same data: begin another study by `--name`"
        )


def _scores_videos(prepared: Path, task: Task) -> bool:
    """Whether validation or test is scored by video. Their texts are read in deepfake detection alone."""
    held_out = (RowTexts.of_columns(read_texts(prepared, split)) for split in ("val", "test"))
    return task.is_deepfake and any(scores_videos(task, texts) for texts in held_out)


def _introduce(console: Console, info: DatasetInfo, prepared: Path, space: Space) -> None:
    kind = "synthetic faces, rendered by this project" if info.synthetic else info.source
    rows = ", ".join(f"{count} {split}" for split, count in info.rows.items())
    outputs = f"{len(info.classes)} {'labels' if info.kind == 'multilabel' else 'classes'}"
    console.print(f"  data      {kind}: task {info.task} ({info.kind}, {outputs}), {rows}")
    for name, of in info.options.get(DATASETS, {}).items():
        counted = ", ".join(f"{count:,} {split}" for split, count in of["rows"].items())
        console.print(f"  {name:<10}{of['source']}: {counted}", soft_wrap=True)
    for split in SPLITS:
        console.print(f"  {split:<10}{_counts(info, split)}", soft_wrap=True)
    if info.rejects:
        first = ", ".join(f"{reject['row']} ({reject['reason']})" for reject in info.rejects[:3])
        console.print(
            f"warning: {len(info.rejects)} images or rows were left out: {first}, ...; all are in "
            f"{prepared / REJECTS_FILE}",
            style="yellow",
            soft_wrap=True,
        )
    searched = ", ".join(space.searched_keys) or "nothing"
    search = space.search
    console.print(f"  search    {search.num_trials} trials by {search.sampler} and {search.scheduler} over {searched}")
    for study in space.earlier:
        for text in filter(None, (taken(study), other_data(study, info.fingerprint))):
            console.print(f"  from      {text}", soft_wrap=True)


def _say_how_to_watch(folder: RunFolder, console: Console) -> None:
    command = shlex.join([*words_that_start("python search/report.py"), from_here(folder.path), "--watch"])
    console.print(f"  watch     {command}", soft_wrap=True)


def _counts(info: DatasetInfo, split: str) -> str:
    """How many images of a split are of each class; of many classes the first."""
    counts = [f"`{name}` {count:,}" for name, count in info.counts[split].items()]
    more = f", and {len(counts) - MOST_CLASSES} more" if len(counts) > MOST_CLASSES else ""
    return f"{info.rows[split]:,} images: {', '.join(counts[:MOST_CLASSES])}{more}"


def _summary(info: DatasetInfo) -> dict[str, Any]:
    """What is said of the data once they are gone. `info`: with the numbers of what is learnt from and scored."""
    return {
        "source": info.source,
        "synthetic": info.synthetic,
        "task": info.task,
        "kind": info.kind,
        "classes": list(info.classes),
        "rows": info.rows,
        "counts": info.counts,
        "fingerprint": info.fingerprint,
        "rejects": len(info.rejects),
    }
