"""A run folder that is lost, written anew from its storage: the copy of the study, then the checkpoints of the trials
that ran, which hold the epochs that the copy lacks.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lssat.errors import ConfigError
from lssat.storage.place import Place
from lssat.storage.whole import read_of_whole
from lssat.text.durations import duration
from lssat.train.result import EVALUATION_SECONDS, LAST_CHECKPOINT, TRAINING_SECONDS
from search.record import names
from search.record.folder import RunFolder, Stage, Storage
from search.record.locking import locked, replace_unbegun
from search.record.mirror import LAST_PATIENCE_S, bring_back, is_mirrored, read_copied
from search.record.trials import TrialRecord

STATE = "state.json"


def rebuilt_where_lost(folder: RunFolder, place: Place, goes_on: bool) -> list[str]:
    """Write a run folder that is not there anew from the copy of its study in `place`, if there is one and it
    `goes_on`; what was found, as lines for the screen.

    Raises ConfigError where another study would be begun on top of the copy, or the study went on elsewhere since,
    StorageRefuses, StorageLost, OSError.
    """
    if Storage(place).is_of(folder) or not is_mirrored(replace(place, patience_s=LAST_PATIENCE_S)):
        return []
    if folder.has_begun:
        _check_newest(folder, place)
        return []
    if not goes_on:
        raise ConfigError(
            f"{place} holds a study of that name, whose run folder is not here; go on with it (`--resume`), replace it "
            "(`--overwrite`), or choose another `--name`"
        )
    with locked(folder):
        return rebuild(folder, Storage(place))


def _check_newest(folder: RunFolder, place: Place) -> None:
    """Raises ConfigError where the copy has sessions that the run folder does not have: of another machine."""
    here, there = (_sessions(content) for content in (folder.manifest.read_bytes(), read_copied(place, names.MANIFEST)))
    if len(there) > len(here):
        raise ConfigError(
            f"the study in {folder.path} went on on another machine ({there[-1].get('started')}), and its copy in "
            f"{place} knows more; move {folder.path} away, and `--resume` goes on from there"
        )


def _sessions(manifest: bytes | None) -> list[dict[str, Any]]:
    try:
        return list(json.loads(manifest or b"{}").get("sessions", ()))
    except ValueError:
        return []


def rebuild(folder: RunFolder, storage: Storage) -> list[str]:
    """Write the run folder anew; what was found, as lines for the screen. Raises ConfigError, StorageLost, OSError."""
    made = folder.path.with_name(f".{folder.name}.rebuilt")
    copied = bring_back(storage.place, made)
    rebuilt = RunFolder(made)
    records = {stage: rebuilt.records(stage) for stage in Stage}
    over = sum(record.outcome is not None for found in records.values() for record in found)
    running = [(stage, record) for stage, found in records.items() for record in found if record.outcome is None]
    added = {f"{stage}/{record.name}": _add_epochs(record, storage, stage) for stage, record in running}
    unknown = _delete_unknown(rebuilt, storage)
    replace_unbegun(folder, made)
    lines = [
        f"rebuilt from {storage.place}, copied {duration(max(0.0, time.time() - copied))} ago: {over} runs that are "
        f"over, {len(running)} that go on"
    ]
    lines += [f"{name}: {number} epochs from its checkpoint" for name, number in added.items() if number]
    if unknown:
        lines.append(f"begun after that copy, so that they begin anew: {', '.join(unknown)}")
    return lines


def _add_epochs(record: TrialRecord, storage: Storage, stage: Stage) -> int:
    """Put the epochs of a run that its checkpoint knows and its record does not on record; how many."""
    path = record.folder / names.METRICS
    lines = [*TrialRecord(record.folder).lines]
    seconds, number = record.seconds, len(lines)
    for line in _history(storage, stage, record.name)[number:]:
        if line["epoch"] != len(lines) + 1:
            break  # of a version that kept the last two only
        seconds += line.get(TRAINING_SECONDS, 0.0) + line.get(EVALUATION_SECONDS, 0.0)
        lines.append({**line, "seconds": round(seconds, 1)})
    if len(lines) > number:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return len(lines) - number


def _history(storage: Storage, stage: Stage, name: str) -> list[dict[str, Any]]:
    """The epochs that the last checkpoint of a run knows of."""
    last = storage.checkpoints(stage, name) / LAST_CHECKPOINT
    content = _read(last.local / STATE) if last.local else read_of_whole(last, STATE)
    try:
        return list(json.loads(content)["state"].get("history", ())) if content else []
    except (ValueError, KeyError):  # damaged on the disk; the run begins anew
        return []


def _read(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None


def _delete_unknown(rebuilt: RunFolder, storage: Storage) -> list[str]:
    """Delete checkpoints of runs that the copy does not know: another configuration may be suggested by that name."""
    deleted = []
    for stage in Stage:
        known = {record.name for record in rebuilt.records(stage)}
        found = {name.split("/")[0] for name in (storage.place / stage).sizes()}
        for name in sorted(found - known):
            storage.checkpoints(stage, name).delete()
            deleted.append(f"{stage}/{name}")
    return deleted
