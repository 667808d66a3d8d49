"""A kept winner scores as its training said it did, read from shards again, whichever metric selects."""

import io
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from lssat import evaluate
from lssat.bundle import opening
from lssat.bundle.exporting import export
from lssat.bundle.opening import open_bundle
from lssat.bundle.scoring import score_bundle, score_trained
from lssat.config import build
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.table import DatasetInfo, Row
from lssat.data.prepared.writing import write_dataset
from lssat.evaluation import uncertainty
from lssat.evaluation.units import RowTexts
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit

ROOT = Path(__file__).resolve().parents[2]
ROWS, SHARDS = 120, (70, 50)
TASKS = {
    "binary": Task("bright", "binary", ("no", "yes"), (60, 60), ROWS),
    "deepfake": Task("deepfake", "binary", ("real", "fake"), (60, 60), ROWS),  # selects by AUC, unless asked otherwise
    "multiclass": Task("hue", "multiclass", ("a", "b", "c"), (40, 40, 40), ROWS),
    "multilabel": Task("traits", "multilabel", ("a", "b"), (60, 40), ROWS),
}
LABELS = {
    "binary": np.arange(ROWS) % 2,
    "deepfake": np.arange(ROWS) % 2,
    "multiclass": np.arange(ROWS) % 3,
    "multilabel": np.stack([np.arange(ROWS) % 2, (np.arange(ROWS) % 3 == 0)], axis=1).astype(int),
}
SMALL = {
    "backbone.name": "test_efficientnet",
    "data.image_size": 32,
    "masking.unit": 8,
    "decoder.dim": 32,
    "auxiliary": False,
    "optim.epochs": 2,
    "optim.warmup_epochs": 0,
    "objective.subgroups": ["Male", "Age"],
}


@pytest.fixture(scope="module", params=TASKS)
def case(request, tmp_path_factory):
    """A task, its rows in two shards, and subgroups of unequal size in which classes are not equally frequent."""
    folder, generator = tmp_path_factory.mktemp(request.param), np.random.default_rng(0)
    labels = LABELS[request.param]
    brightness = labels if labels.ndim == 1 else labels.sum(1)
    images = generator.integers(0, 150, (ROWS, 32, 32, 3)) + 30 * brightness[:, None, None, None]
    bounds = np.cumsum([0, *SHARDS])
    shards = [
        shard(folder / f"{start}.parquet", images[start:end], labels[start:end])
        for start, end in itertools.pairwise(bounds)
    ]
    shares = {"Male": 0.3 + 0.4 * (brightness > 0), "Age": np.full(ROWS, 0.25)}
    texts = {name: np.where(generator.random(ROWS) < share, "1", "0") for name, share in shares.items()}
    nothing, rows = np.full(ROWS, ""), np.arange(ROWS)
    frames = np.char.add("v", (rows // 4 * 2 + rows % 2).astype(str))  # two of each video
    video = frames if request.param == "deepfake" else nothing
    return TASKS[request.param], shards, {**texts, "identity": nothing, "video": video}


def png(image):
    out = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def shard(path, images, labels):
    pngs = [png(image) for image in images]
    pq.write_table(pa.table({"image": pngs, "label": list(labels)}), path)
    return path


def test_rows_of_several_shards_know_where_in_the_split_they_are(case):
    _, shards, _ = case
    assert [batch.row[0] for batch in read_resident(shards, 32).batches(1, ROWS, None)] == list(range(ROWS))


@pytest.mark.parametrize("metric", ["auto", "accuracy", "macro_f1", "auc", "worst_group"])
def test_search_finalists_and_the_winners_scorecard_say_the_same(tmp_path, monkeypatch, case, metric):
    """Score, worst group and gap: one metric everywhere, the one that selects."""
    monkeypatch.setattr(uncertainty, "RESAMPLES", 3)  # intervals are not looked at
    task, shards, texts = case
    if metric == "auc" and task.kind == "multiclass":
        pytest.skip("a study of several classes refuses this metric")
    rows = read_resident(shards, 32)
    config = build({**SMALL, "objective.metric": metric})
    reported = []
    known = RowTexts.of_columns(texts, config.objective.subgroups)
    run = TrainingRun(config, task, rows, rows, Distributed(torch.device("cpu")), tmp_path / "run", known)
    fit(run, reported.append)
    best = max(reported, key=lambda result: result.score)

    finalist = score_trained(tmp_path / "run" / "best", rows, texts).result
    assert finalist["metric"] == task.score_metric(metric)
    assert finalist["score"] == pytest.approx(best.score)
    of_frames = ("frame_auc", "frame_balanced_accuracy") if task.is_deepfake else ()
    for name in ("worst_group", "gap", "balanced_accuracy", *of_frames):
        assert finalist[name] == pytest.approx(best.metrics[f"val/{name}"]), name
    assert best.best_gap == best.metrics["val/gap"]

    export(tmp_path / "run" / "best", tmp_path / "bundle")
    card = score_bundle(open_bundle(tmp_path / "bundle"), rows, texts, config.objective.subgroups).result
    columns = card["subgroups"].values()
    assert card["metric"] == finalist["metric"]
    assert card["score"] == pytest.approx(best.score)
    assert {column["metric"] for column in columns} == {task.group_metric(metric)}
    assert min(column["worst_score"] for column in columns) == pytest.approx(finalist["worst_group"])
    assert max(column["gap"] for column in columns) == pytest.approx(finalist["gap"])
    if metric == "worst_group":
        assert card["score"] == finalist["worst_group"]
    if task.is_deepfake:
        for name in ("auc", "accuracy"):
            assert card[name] == card["video"][name] == pytest.approx(best.metrics[f"val/{name}"])
        assert card["frame_auc"] == pytest.approx(best.metrics["val/frame_auc"])
        assert sum(map(sum, card["confusion"]["counts"])) == card["video"]["videos"] == ROWS / 2
    assert card["scored_by"] == ("video" if task.is_deepfake else "row")
    assert list(card["labels" if task.kind == "multilabel" else "classes"]) == list(task.classes)
    json.dumps(card, allow_nan=False)


def test_the_command_builds_the_model_once_and_says_what_the_bundle_scores(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(uncertainty, "RESAMPLES", 3)  # intervals are not looked at
    images = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype(np.uint8)
    rows = [Row(png(images[n]), n % 2, f"{split}-{n}", split) for split in ("train", "val", "test") for n in range(16)]
    info = DatasetInfo("elsewhere", "bright", "binary", ("no", "yes"), synthetic=False)
    write_dataset(tmp_path / "data", rows, info)
    data = read_resident([tmp_path / "data" / "test-00000.parquet"], 32)
    run = TrainingRun(build(SMALL), TASKS["binary"], data, data, Distributed(torch.device("cpu")), tmp_path / "run")
    fit(run, lambda result: None)
    export(tmp_path / "run" / "best", tmp_path / "best")

    made, build_model = [], opening.build_model
    monkeypatch.setattr(opening, "build_model", lambda *args, **kwargs: made.append(1) or build_model(*args, **kwargs))
    words = ["evaluate", str(tmp_path / "best"), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "card.json")]
    monkeypatch.setattr(sys, "argv", words)
    assert evaluate.main() == 0
    assert made == [1]
    card = json.loads((tmp_path / "card.json").read_text())
    texts = {
        name: np.array([f"test-{n}" if name == "identity" else "" for n in range(16)]) for name in ("identity", "video")
    }
    assert card["score"] == pytest.approx(score_bundle(open_bundle(tmp_path / "best"), data, texts).result["score"])
    said = capsys.readouterr().out
    assert f"{card['score']:.4f}" in said and "truth \\ prediction" in said and "counted in rows" in said
    rows_on_screen = [re.findall(r"[\w.]+", line) for line in said.splitlines()]
    for name, counts in zip(("no", "yes"), card["confusion"]["counts"], strict=True):
        assert [name, *map(str, counts)] in rows_on_screen


def test_data_of_another_task_are_refused_in_one_sentence(tmp_path, monkeypatch, capsys, best):
    rows = [Row(png(np.zeros((8, 8, 3))), n % 2, f"{s}-{n}", s) for s in ("train", "val", "test") for n in range(4)]
    write_dataset(tmp_path / "data", rows, DatasetInfo("x", "mood", "binary", ("sad", "glad"), synthetic=False))
    monkeypatch.setattr(sys, "argv", ["evaluate", str(best), "--data", str(tmp_path / "data")])
    assert evaluate.main() == 2
    said = capsys.readouterr().err
    assert said.startswith("error: the bundle tells no, yes apart (binary), but the data hold sad, glad (binary)")
    assert "name data of the same task, or choose labels by `--task` and `--classes`" in said and said.count("\n") == 1


@pytest.mark.parametrize("command", ["evaluate", "prepare", "predict"])
def test_help_loads_no_torch(command):
    """It takes seconds to load."""
    code = (
        f"import sys\nfrom lssat import {command}\nsys.argv = ['{command}', '--help']\n"
        f"try:\n    {command}.main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(', '.join({'torch', 'ray', 'timm', 'optuna', 'sklearn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m lssat.{command}")
