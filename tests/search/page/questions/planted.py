"""Studies whose runs have predictions of a known rightness, made without training."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lssat.evaluation.metrics import one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from lssat.storage.place import Place
from search.page.study import read_study
from search.planted.files import ABOUT, METRIC
from search.record import manifest
from search.record.folder import RunFolder, Stage, Storage
from search.record.predictions import KeptPredictions, write
from search.space.file import load
from search.space.grid import every_point
from tests.search.records import epoch, record

BACKBONES = """
fixed: {data.image_size: 64, masking.unit: 16}
space:
  backbone.name: [test_resnet, test_convnext, test_efficientnet]
  optim.lr: [1.0e-3, 2.0e-3]
search: {sampler: grid, scheduler: none, finalists: 1, finalists_per: backbone, supervised: none, final_seeds: 3}
"""
TEXTURES = """
fixed: {data.image_size: 64, masking.unit: 16}
space:
  seed: [0, 1, 2]
  backbone.name: [test_resnet, test_convnext]
  auxiliary: [off, on]
  streams: {choices: [MRGB/RLDP/CRGB], when: {auxiliary: [on]}}
search: {sampler: grid, scheduler: none, finalists: 0}
"""
UNITS = 400
Rightness = Callable[[Mapping[str, Any]], float]
"""Of the settings of a run: the share of rows that it answers rightly."""


def begun(path, text, task="emotion"):
    """A study without a trial, and its space."""
    path.mkdir(parents=True)
    (path / "s.yaml").write_text(text)
    space, folder = load(path / "s.yaml", "laptop", {}, {}), RunFolder(path)
    rows = {"train": 10, "val": UNITS, "test": 10}
    data = {"fingerprint": task, "rows": rows, "source": "faces.csv", "task": task, "rejects": 0}
    manifest.new_manifest(folder, space, data, path).begin_session(Storage(Place.of(path)), space, "faces.csv")
    return folder, space


def run(folder, stage, name, sampled, right):
    """A complete run that answers so many rows rightly, the same ones as others as far as it can."""
    labels = (np.arange(UNITS) % 3 == 0).astype(int)
    easy = np.random.default_rng(0).random(UNITS)
    own = np.random.default_rng([sum(map(ord, name)), sampled["seed"]]).normal(0, 0.1, UNITS)
    rightness = right - easy - own
    predictions = Predictions(np.where(labels == 1, rightness, -rightness)[:, None].astype(np.float32), labels)
    score = one_score(ABOUT.kind, METRIC, *predictions)
    made = record(folder.path / stage / name, sampled, [epoch(1, score, epochs=1)], "complete")
    texts = RowTexts(np.array([f"row {row}" for row in range(UNITS)]), np.full(UNITS, ""), {})
    write(made.predictions("val"), KeptPredictions(ABOUT, predictions, texts))


def grid(path, text, rightness: Rightness, task="emotion"):
    """A finished grid."""
    folder, space = begun(path, text, task)
    for number, (_, sampled) in enumerate(every_point(space.sample)):
        run(folder, Stage.SEARCH, f"{number:04d}", {"seed": 0, **sampled}, rightness(sampled))
    return folder


def with_finals(path, rightness: Mapping[str, float], task="emotion", seeds=(1, 2, 3)):
    """A grid of backbones, and a final stage with the best trial of each of those that are named."""
    folder = grid(path, BACKBONES, lambda sampled: rightness.get(sampled["backbone.name"], 0.5), task)
    finalists = {row.backbone: row.trial for row in reversed(on_page(folder).rows)}
    for backbone in rightness:
        trial = finalists[backbone]
        sampled = folder.record(Stage.SEARCH, trial).sampled
        for seed in seeds:
            run(folder, Stage.FINAL, f"{trial}-seed{seed}", {**sampled, "seed": seed}, rightness[backbone])
    return folder


def without_predictions(folder):
    """The same study after somebody has deleted what its runs said."""
    for path in folder.path.rglob("predictions-*.parquet"):
        path.unlink()
    return folder


def on_page(folder, id="s", is_one_of_several=False):
    """The study as sections see it, afresh."""
    return read_study(folder.path, id, is_one_of_several)


def statements(section):
    """Its sentences by what their ids say after the study's."""
    return {block.id.partition(".")[2]: block for block in section.blocks if hasattr(block, "text")}


def tables(section):
    """Its tables by their names."""
    return {block.name: block for block in section.blocks if hasattr(block, "columns")}


def charts(section):
    """Its charts by their names."""
    return {block.name: block for block in section.blocks if hasattr(block, "chart")}
