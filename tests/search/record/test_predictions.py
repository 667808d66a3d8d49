"""Kept predictions are read back as they were written, whole or not at all; anything else is refused in a sentence."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lssat.config import build
from lssat.errors import ConfigError
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from lssat.task import Task
from search.record.predictions import METADATA, About, KeptPredictions, SplitTexts, joined, read, write

ROOT = Path(__file__).resolve().parents[3]
ROWS = 12
ABOUT = About("hue", "multiclass", ("a", "b", "c"), "macro_f1", "val", "f1")
NOTHING = np.full(ROWS, "")
WRITE_FOR_EVER = """
import sys
import numpy as np
from pathlib import Path
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from search.record.predictions import About, KeptPredictions, write
number, rows = 0, 20_000
texts = RowTexts(np.array([f"row {row}" for row in range(rows)]), np.full(rows, ""), {})
while True:
    number += 1
    predictions = Predictions(np.full((rows, 1), number, np.float32), np.full(rows, number))
    write(Path(sys.argv[1]), KeptPredictions(About("t", "binary", ("0", "1"), "auc", "val", ""), predictions, texts))
    print(number, flush=True)
"""


def kept(labels=None, video=NOTHING, groups=None, width=3):
    generator = np.random.default_rng(0)
    labels = np.arange(ROWS) % 3 if labels is None else labels
    units = np.array([f"person {row // 2}" for row in range(ROWS)])
    predictions = Predictions(generator.normal(size=(ROWS, width)).astype(np.float32), labels)
    return KeptPredictions(ABOUT, predictions, RowTexts(units, video, groups or {}))


CASES = {
    "classes": kept(),
    "one logit": kept(labels=np.arange(ROWS) % 2, width=1),
    "several labels": kept(labels=np.eye(3, dtype=int)[np.arange(ROWS) % 3]),
    "one label of several": kept(labels=np.ones((ROWS, 1), int), width=1),
    "videos": kept(video=np.array(["", "größe"] * 6)),
    "subgroups called as columns": kept(groups={"label": np.array(["f", "m"] * 6), "unit": NOTHING, "a b": NOTHING}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_is_what_was_written(tmp_path, case):
    written = CASES[case]
    write(tmp_path / "deep" / "p.parquet", written)
    found = read(tmp_path / "deep" / "p.parquet")
    assert found.about == written.about
    assert found.predictions.logits.dtype == np.float32
    for one, other in zip(found.predictions, written.predictions, strict=True):
        assert one.shape == other.shape and np.array_equal(one, other)
    assert np.array_equal(found.texts.identity, written.texts.identity)
    assert np.array_equal(found.texts.video, written.texts.video)
    assert found.texts.groups.keys() == written.texts.groups.keys()
    assert all(np.array_equal(found.texts.groups[name], words) for name, words in written.texts.groups.items())


def test_the_file_has_the_columns_that_the_page_names(tmp_path):
    write(tmp_path / "p.parquet", kept(video=np.array(["v"] * ROWS), groups={"Male": NOTHING}))
    file = pq.ParquetFile(tmp_path / "p.parquet")
    assert file.schema_arrow.names == ["row", "unit", "label", "logits", "video", "group_Male"]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert json.loads(file.schema_arrow.metadata[METADATA]) == {
        "format": 1,
        "task": "hue",
        "kind": "multiclass",
        "classes": ["a", "b", "c"],
        "metric": "macro_f1",
        "split": "val",
        "data": "f1",
    }
    page = (ROOT / "docs" / "reading-the-result.md").read_text()
    for name in ("row", "unit", "label", "logits", "video"):
        assert f"`{name}`" in page


def test_rows_are_sorted_and_get_what_the_data_say_of_them():
    """Two workers give theirs in an order of their own."""
    texts = {
        "identity": np.array(["p", "", "", ""]),
        "video": np.array(["v", "v", "", ""]),
        "Male": np.array(["0", "1", "0", "1"]),
    }
    split, config = SplitTexts("val", "f", texts), build({"objective.subgroups": ["Male"]})
    positions = np.array([2, 0, 3, 1])
    predictions = Predictions(positions[:, None].astype(np.float32), positions % 2)
    of_faces = joined(split, Task("bright", "binary", ("0", "1"), (2, 2), 4), config, predictions, positions)
    assert of_faces.predictions.logits[:, 0].tolist() == [0, 1, 2, 3]
    assert of_faces.predictions.labels.tolist() == [0, 1, 0, 1]
    assert of_faces.texts.identity.tolist() == ["p", "v", "row 2", "row 3"]
    assert not of_faces.texts.has_videos, "this task is scored by row"
    assert of_faces.texts.groups["Male"].tolist() == ["0", "1", "0", "1"]
    assert of_faces.about.metric == "balanced_accuracy"
    forged = joined(split, Task("deepfake", "binary", ("0", "1"), (2, 2), 4), config, predictions, positions)
    assert forged.texts.video.tolist() == ["v", "v", "", ""] and forged.about.metric == "auc"
    with pytest.raises(ValueError, match="each of the 4 rows of `val` once"):
        joined(split, Task("bright", "binary", ("0", "1"), (2, 2), 4), config, predictions, np.array([0, 0, 1, 2]))


def with_metadata(path, change):
    table = pq.ParquetFile(path).read()
    about = json.loads(table.schema.metadata[METADATA])
    pq.write_table(table.replace_schema_metadata({METADATA: json.dumps(change(about)).encode()}), path)


FOREIGN = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "empty": lambda path: path.write_bytes(b""),
    "no table": lambda path: path.write_text("row,unit"),
    "another's": lambda path: pq.write_table(pa.table({"image": [1]}), path),
    "a later format": lambda path: with_metadata(path, lambda about: {**about, "format": 2}),
    "more than is known": lambda path: with_metadata(path, lambda about: {**about, "model": "x"}),
    "without a column": lambda path: pq.write_table(pq.ParquetFile(path).read().drop_columns("unit"), path),
    "rows in another order": lambda path: pq.write_table(pq.ParquetFile(path).read()[::-1], path),
    "a part of the rows": lambda path: pq.write_table(pq.ParquetFile(path).read()[2:], path),
}


@pytest.mark.parametrize("harm", FOREIGN)
def test_a_file_that_is_no_such_file_is_refused(tmp_path, harm):
    path = tmp_path / "p.parquet"
    write(path, kept())
    FOREIGN[harm](path)
    with pytest.raises(ConfigError, match=r"p\.parquet holds no predictions"):
        read(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(ConfigError, match="there are no predictions in"):
        read(tmp_path / "p.parquet")


def test_data_with_another_fingerprint_are_other_data():
    assert replace(ABOUT, data="f2") != ABOUT


def test_a_killed_process_leaves_a_whole_file(tmp_path):
    path, moments = tmp_path / "p.parquet", random.Random(0)
    for _ in range(3):
        words = [sys.executable, "-c", WRITE_FOR_EVER, str(path)]
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2):
            assert child.stdout.readline()
        time.sleep(moments.uniform(0, 0.05))
        os.kill(child.pid, signal.SIGKILL)
        written = [int(line) for line in child.stdout.read().split()]
        child.wait()
        child.stdout.close()
        logits, labels = read(path).predictions
        assert len(labels) == 20_000
        assert (logits == labels[0]).all() and (labels == labels[0]).all() and labels[0] >= max(written, default=2)
