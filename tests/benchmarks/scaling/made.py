"""A study in the middle of its search, made without training: many trials are over, many others run."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from lssat.config import build
from lssat.storage.place import Place
from lssat.train.result import EpochResult
from search.record.folder import RunFolder, Stage, Storage
from search.record.manifest import new_manifest
from search.record.trials import Status
from search.space.definition import Space
from search.space.file import load
from search.strategy.searcher import storage_of, trial_name
from tests.benchmarks.performance.record import ROOT

EPOCHS = 20
TEMPLATES = 50
"""Trials that are drawn; all others are copies of them with learning rates of their own."""
RATE = "optim.lr"
METRICS = ("task_loss", "accuracy", "macro_f1", "balanced_accuracy", "auc", "average_precision", "ece")
CHILDREN = ("params", "values", "intermediate_values", "user_attributes", "system_attributes")
"""Tables `trial_*` of Optuna's database that hold what a trial has."""


def space_of(num_trials: int) -> Space:
    """The space of the project's demo, whose trials train longer."""
    pins = {"optim.epochs": EPOCHS}
    return load(ROOT / "spaces" / "backbones.yaml", "laptop", pins, {"num_trials": num_trials})


def make(folder: RunFolder, space: Space, over: int, running: int) -> None:
    """A study in a run folder: trials that had all their epochs, then some that had two of them and were cut off."""
    storage = storage_of(folder.study_db)
    study = optuna.create_study(study_name=folder.name, storage=storage, direction="maximize")
    shadow = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for group, epochs, first in ((over, EPOCHS, 0), (running, 2, over)):
        templates = [_trial(space, shadow, epochs) for _ in range(min(group, TEMPLATES))]
        study.add_trials(templates)
        rates = _multiply(folder.study_db, first, len(templates), group)
        for index in range(group):
            template = templates[index % len(templates)]
            _record(folder, trial_name(first + index), template, rates.get(first + index, template.params[RATE]))
    new_manifest(folder, space, {"source": "made", "fingerprint": "made"}, ROOT).begin_session(
        Storage(Place.of(folder.path)), space, "made"
    )


def _trial(space: Space, shadow: optuna.Study, epochs: int) -> FrozenTrial:
    asked = shadow.ask()
    sampled = space.sample(asked)
    value = float(np.random.default_rng(asked.number).random())
    scores = {epoch: value * (1 - 0.5**epoch) for epoch in range(1, epochs + 1)}
    is_over, ends = epochs == EPOCHS, datetime(2026, 1, 1) + timedelta(seconds=asked.number)
    trial = create_trial(
        state=TrialState.COMPLETE if is_over else TrialState.RUNNING,
        value=scores[epochs] if is_over else None,
        params=asked.params,
        distributions=asked.distributions,
        intermediate_values=scores,
        user_attrs={"config": json.dumps(sampled)},
        constraints={"memory": 0.0} if is_over else None,
    )
    trial.datetime_start, trial.datetime_complete = ends, ends if is_over else None
    return trial


def _multiply(database: Path, first: int, templates: int, wanted: int) -> dict[int, float]:
    """Copy the last trials of a database until there are so many of them; number of a copy -> its learning rate."""
    with sqlite3.connect(database) as connection:
        connection.create_function("moved", 2, lambda number, rate: 1.5e-3 + (number * 0.6180339887 % 1) * 4.5e-3)
        base = connection.execute("select trial_id from trials where number = ?", (first,)).fetchone()[0]
        for shift in range(templates, wanted, templates):
            copied = f"between {base} and {base + min(templates, wanted - shift) - 1}"
            _copy(connection, "trials", {"trial_id": shift, "number": shift}, copied)
            for child in CHILDREN:
                _copy(connection, f"trial_{child}", {"trial_id": shift}, copied)
        found = connection.execute(
            "select number, param_value from trials join trial_params using (trial_id) where param_name = ?", (RATE,)
        )
        return dict(found.fetchall())


def _copy(connection: sqlite3.Connection, table: str, shifted: dict[str, int], copied: str) -> None:
    columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
    kept = columns if table == "trials" else columns[1:]  # the first is a number of its own
    values = {name: f"{name} + {by}" for name, by in shifted.items()}
    if table == "trial_params":
        moved = f"moved(trial_id + {shifted['trial_id']}, param_value)"
        values["param_value"] = f"case param_name when '{RATE}' then {moved} else param_value end"
    read = ", ".join(values.get(name, name) for name in kept)
    connection.execute(f"insert into {table} ({', '.join(kept)}) select {read} from {table} where trial_id {copied}")


def _record(folder: RunFolder, name: str, trial: FrozenTrial, rate: float) -> None:
    """The files of a trial; one write each and no fsync, since there are thousands."""
    sampled = {**json.loads(trial.user_attrs["config"]), RATE: rate}
    record = folder.record(Stage.SEARCH, name)
    record.folder.mkdir(parents=True)
    flat = _flat(trial)
    settings = {"sampled": sampled, "resolved": {**flat, RATE: rate}, "hash": f"{int(name):08x}"}
    (record.folder / "config.json").write_text(json.dumps(settings, indent=2))
    lines = [_line(epoch, score) for epoch, score in trial.intermediate_values.items()]
    (record.folder / "metrics.jsonl").write_text("".join(lines))
    if trial.state == TrialState.COMPLETE:
        ending = {"status": Status.COMPLETE, "reason": "", "seconds": float(EPOCHS)}
        (record.folder / "outcome.json").write_text(json.dumps(ending))


_known: dict[str, dict[str, Any]] = {}


def _flat(trial: FrozenTrial) -> dict[str, Any]:
    """All settings of a template."""
    text = trial.user_attrs["config"]
    if text not in _known:
        _known[text] = build(json.loads(text)).flat()
    return _known[text]


def result_of(epoch: int, score: float) -> EpochResult:
    """An epoch as trials report it."""
    metrics = {"train/task_loss": 1 - score, "train/lr": 1e-3, "train/images_per_s": 100.0}
    metrics |= {f"val/{name}": score for name in METRICS}
    return EpochResult(epoch, EPOCHS, score, score, 370_000, 1, metrics, flops=40_000_000)


def _line(epoch: int, score: float) -> str:
    return json.dumps({**result_of(epoch, score).to_json(), "time": 1.8e9 + epoch, "seconds": float(epoch)}) + "\n"
