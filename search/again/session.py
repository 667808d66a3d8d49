"""A recorded run trained anew: the same settings, seed and data by the same path, in a place of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lssat.command import Notify
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.row_keys import RowKeys, read_keys
from lssat.data.prepared.selection import as_used
from lssat.data.prepared.table import is_complete, read_info, read_texts
from lssat.errors import ConfigError
from lssat.evaluation.units import RowTexts, texts_to_send
from lssat.model import catalog
from lssat.on_ray.ingest import open_splits
from lssat.storage.place import Place
from lssat.train.microbatch import begin_with
from search.again.curves import verdict
from search.again.row import RecordedRun
from search.record.folder import Storage
from search.record.manifest import differences_of_place
from search.space.definition import Space
from search.space.settings import SearchConfig
from search.strategy.forecast import Forecast
from search.strategy.suggestion import Suggestion
from search.study import tuning
from search.study.capacity import check_possible
from search.study.cluster import begun, check_storage, connect
from search.study.context import Study, check_drawing
from search.study.progress import Progress

ALONE = SearchConfig(num_trials=1, scheduler="none", finalists=0)
"""How a single run is searched for: not at all."""


@dataclass(frozen=True)
class Places:
    """`cache`: of prepared data. `data`: where the source lies now, as `--data` names it. `storage`: of checkpoints.
    `address`: of a Ray cluster; None: Ray on this machine. `root`: of the project's code.
    """

    cache: Path
    data: str | list[str] | None
    storage: Place | None
    address: str | None
    root: Path


def run_again(run: RecordedRun, places: Places, console: Console) -> bool:
    """Train the run anew as far as its record goes, and compare: whether every epoch is equal to the bit.

    The record is read, never written. Raises ConfigError, MachineFailed, KeyboardInterrupt.
    """
    record, config, last = run.record, run.record.config, run.record.num_epochs
    console.print(f"  run       {catalog.architecture(config.backbone)}, seed {config.seed}, {last} epochs on record")
    storage = Storage(places.storage / run.folder.name / run.place.name if places.storage else Place.of(run.place.path))
    with storage.scratch(), begun(places.address, places.root):
        prepared = study_data(run, places, lambda text: console.print(f"  {text}", soft_wrap=True))
        connect(places.address, places.root)
        keys = read_keys(prepared, config.data, lambda text: console.print(f"  {text}", soft_wrap=True))
        study = _open(run, prepared, storage, places.address, keys)
        _begin_anew(study, run)
        progress = Progress(console, Forecast(ALONE, last))
        tuning.train_copy(study, run.stage, Suggestion(record.name, record.sampled), last, progress)
    storage.drop_resumable_state(run.stage, record.name)
    copy = study.folder.record(run.stage, record.name)
    is_equal, lines = verdict(record, copy.epochs)
    if copy.outcome and copy.outcome.reason:
        lines.append(f"now {copy.outcome.status}: {copy.outcome.reason}")
    if not is_equal:
        differing = [*differences_of_place(run.manifest, places.root), *run.changed_settings()]
        lines.append(f"what differs: {'; '.join(differing) or 'nothing that is on record'}")
    console.print(f"{run.name}: {lines[0]}", style="green" if is_equal else "yellow", soft_wrap=True)
    for line in lines[1:]:
        console.print(f"  {line}", soft_wrap=True)
    console.print(f"  its curve and weights of now are in {copy.folder}", soft_wrap=True)
    return is_equal


def study_data(run: RecordedRun, places: Places, notify: Notify) -> Path:
    """The study's own data: as they were prepared then or, where that is gone, prepared anew from a source that is
    still the same. Raises ConfigError.
    """
    recorded = run.manifest.content["data"]
    wanted = str(run.manifest.content["resolved"]["data"])
    kept = Path(recorded["prepared"]) if "prepared" in recorded else None
    for folder in [kept, places.cache / kept.name] if kept and places.data is None else []:
        if is_complete(folder) and read_info(folder).fingerprint == wanted:
            return folder
    data = run.record.config.data
    moved = data.model_copy(update={"source": places.data or data.source})
    try:
        folder = prepare(moved, places.cache, notify)
    except ConfigError as error:
        raise ConfigError(
            f"the data of the study are gone: as they were prepared they are not in {kept}, and the source says: "
            f"{error}. Restore either, or name where the source lies now by `--data`"
        ) from None
    if read_info(folder).fingerprint != wanted:
        raise ConfigError(
            f"the data in {' and '.join(moved.sources)} are not those that the study was trained on: files, their "
            "content or their times have changed; restore them (a copy must keep the times of its files, as `cp -a` "
            "does), or name a copy of then by `--data`"
        )
    return folder


def _open(run: RecordedRun, prepared: Path, storage: Storage, address: str | None, keys: RowKeys | None) -> Study:
    """The study of this one run. Raises ConfigError where the machines cannot hold it."""
    config = run.record.config
    if address:
        storage.place.make()
        check_storage(storage.place)
    space = Space(run.manifest.space.profile, dict(run.record.sampled), (), {}, ALONE, {})
    task, workers = as_used(prepared, config.data).as_task, config.resources.num_workers
    shards = storage.shards(prepared) if address else None
    splits = open_splits(prepared, ("train", "val"), config.data, [workers], shards)
    texts = RowTexts.of_columns(read_texts(prepared, "val"), config.objective.subgroups, config.data.hold_out)
    study = Study(run.place, storage, space, task, prepared, splits, texts_to_send(task, texts), keys=keys)
    check_drawing(study, config.data)
    check_possible([config.resources], study.is_streamed)
    return study


def _begin_anew(study: Study, run: RecordedRun) -> None:
    """Delete what an earlier call left of this run, and let it begin with batches cut as on record."""
    record, storage = run.record, study.storage
    Place.of(study.folder.record(run.stage, record.name).folder).delete()
    storage.checkpoints(run.stage, record.name).delete()
    storage.write_mark(study.folder)
    first = record.epochs[0].micro_batches
    if first != record.config.optim.accumulate:
        begin_with(storage.checkpoints(run.stage, record.name), first)
