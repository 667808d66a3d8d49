"""What training never sees, and what the scores are of: `data.hold_out`."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lssat.config import build
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.selection import (
    Cell,
    _as_scored,
    _in_domain,
    as_used,
    cells_of,
    check_folds,
    check_hold_out,
    folds_of,
    learnt_rows,
    used_shares,
)
from lssat.data.prepared.table import SPLITS, DatasetInfo, Row, read_info, read_texts, shard_paths
from lssat.data.prepared.writing import write_dataset
from lssat.errors import ConfigError
from lssat.evaluation.units import RowTexts, texts_to_send
from lssat.settings.data import DataConfig
from lssat.task import Task

METHODS = ("swap", "warp", "paint")
INFO = DatasetInfo("fakes.csv", "deepfake", "binary", ("real", "fake"), False, columns=("method", "camera"))


def held(*values, column="method"):
    return DataConfig(hold_out=column, held_out=list(values))


def png(level):
    out = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def prepared(tmp_path):
    """Of each split 12 real images, and 4 of each method; the camera alternates."""
    rows = [
        Row(png(number), int(bool(method)), f"{split} {number}", split, columns=(method, "ab"[number % 2]))
        for split in ("train", "val", "test")
        for number, method in enumerate(["", "", "", *METHODS] * 4)
    ]
    write_dataset(tmp_path / "data", rows, INFO)
    return tmp_path / "data"


def test_training_has_no_row_of_a_held_out_value_and_all_others(prepared):
    mask, methods = learnt_rows(prepared, held("warp")), read_texts(prepared, "train")["method"]
    assert sorted(methods[mask]) == sorted([""] * 12 + ["swap"] * 4 + ["paint"] * 4)
    assert (methods[~mask] == "warp").all()
    assert learnt_rows(prepared, DataConfig()) is None
    rows = read_resident(shard_paths(prepared, "train"), 16, mask)
    (batch,) = rows.batches(64, 1, seed=1)
    assert sorted(batch.row) == np.flatnonzero(mask).tolist()


@pytest.mark.parametrize("values", [("warp",), ("swap", "paint"), METHODS])
def test_both_parts_of_a_split_are_all_of_it_and_share_the_rows_without_a_value(prepared, values):
    texts = RowTexts.of_columns(read_texts(prepared, "val"), (), "method")
    labels = (texts.values != "").astype(int)
    held_out, in_domain = texts.domains(values, labels)
    methods = texts.values
    assert (held_out | in_domain).all()
    assert set(methods[held_out]) == {"", *values}
    assert set(methods[in_domain]) == {"", *METHODS} - {*values}
    assert ((held_out & in_domain) == (methods == "")).all()
    order = np.random.default_rng(0).permutation(len(methods))
    for mine, theirs in zip(texts.of(order).domains(values, labels[order]), (held_out, in_domain), strict=True):
        assert (mine == theirs[order]).all(), "wherever the rows stand"


def test_workers_get_what_tells_both_parts_apart(prepared):
    texts = RowTexts.of_columns(read_texts(prepared, "val"), (), "method")
    labels = (texts.values != "").astype(int)
    for task in (Task("deepfake", "binary", ("real", "fake"), (1, 1), 2), Task("x", "binary", ("a", "b"), (1, 1), 2)):
        sent = texts_to_send(task, texts)
        assert all(
            np.array_equal(*both)
            for both in zip(sent.domains(["swap"], labels), texts.domains(["swap"], labels), strict=True)
        )
    assert texts_to_send(task, RowTexts.of_columns(read_texts(prepared, "val"))) is None


def test_counts_are_of_what_is_learnt_from_and_scored(prepared):
    used = as_used(prepared, held("warp"))
    assert used.rows == {"train": 20, "val": 16, "test": 16}
    assert used.counts["train"] == {"real": 12, "fake": 8} and used.counts["test"] == {"real": 12, "fake": 4}
    assert (used.as_task.counts, used.as_task.num_train) == ((12, 8), 20)
    assert as_used(prepared, DataConfig()) == read_info(prepared)
    shares = used_shares(cells_of(prepared, "method"), held("warp"))
    assert shares == {"train": 20 / 24, "val": 16 / 24, "test": 16 / 24}
    assert used_shares(None, DataConfig()) == dict.fromkeys(SPLITS, 1.0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            held("warp", column="metod"),
            "names `metod`, but the data have no such column; did you mean `method`?",
        ),
        (
            held("swop"),
            "names `swop`, which no image has as `method`; did you mean `swap` or `warp`?",
        ),
        (held(*METHODS), "leaves no image of class `fake` in training; hold out other values of `method`, which has"),
        (held("a", "b", column="camera"), "leaves no image in training; hold out other values of `camera`"),
    ],
)
def test_a_hold_out_that_leaves_nothing_is_refused(prepared, data, message):
    with pytest.raises(ConfigError) as refused:
        check_hold_out(read_info(prepared), data, cells_of(prepared, data.hold_out))
    assert message in str(refused.value)


def test_real_videos_with_a_method_of_their_own_are_in_both_parts():
    """As FaceForensics++ and Celeb-DF are read, whatever their classes are called; other cameras of theirs are not."""
    values = np.array(["youtube", "actors", "swap", "warp", "swap", "warp"])
    for labels in (np.array([0, 0, 1, 1, 1, 1]), np.array([1, 1, 0, 0, 0, 0])):
        texts = RowTexts(values, values, {}, values)
        held_out, in_domain = texts.domains(["warp"], labels)
        assert set(values[held_out]) == {"youtube", "actors", "warp"}
        assert set(values[in_domain]) == {"youtube", "actors", "swap"}
        cells = [
            Cell(split, int(label), value)
            for split in ("train", "val", "test")
            for label, value in zip(labels.tolist(), values.tolist(), strict=True)
        ]
        check_hold_out(INFO, held("warp"), cells)
        folds, why_not = folds_of(INFO, held("warp"), cells)
        assert folds == ["swap", "warp"]
        assert why_not == [f"`{name}` (its images are of another class)" for name in ("actors", "youtube")]
    both = np.array([0, 0, 1, 1, 1, 0])
    held_out, in_domain = texts.domains(["warp"], both)
    assert set(values[held_out]) == {"warp"}, "a value that both classes have is scored by itself"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("values", [("a",), ("a", "b")])
def test_what_is_counted_is_what_is_scored(seed, kind, values):
    """Of any labels and values, in every split for itself: the counts before launch are those of rows that are scored.
    The rule stands twice, as counting reads no predictions and scoring no data: here both meet.
    """
    generator = np.random.default_rng(seed)
    classes = ("real", "fake", "drawn")[: 2 if kind == "binary" else 3]
    info, data = replace(INFO, kind=kind, classes=classes), held(*values)
    cells, known = [], {}
    for split in ("val", "test"):
        column = generator.choice(["", "a", "b", "c"], 12)
        labels = generator.integers(0, 2, (12, 3)) if kind == "multilabel" else generator.integers(0, len(classes), 12)
        labels_of = map(tuple, labels.tolist()) if kind == "multilabel" else labels.tolist()
        cells += map(Cell, [split] * 12, labels_of, map(str, column))
        known[split] = labels, RowTexts(column, column, {}, column).domains(values, labels)
    counted = [_as_scored(info, cells, data), _in_domain(info, cells, data)]
    for split, (labels, domains) in known.items():
        for of_part, rows in zip(counted, domains, strict=True):
            of_class = (
                labels[rows].T if kind == "multilabel" else [labels[rows] == each for each in range(len(classes))]
            )
            assert of_part.rows[split] == rows.sum()
            assert list(of_part.counts[split].values()) == [each.sum() for each in of_class]


def test_each_part_needs_every_class():
    """Whatever lacks one: the message names the part, what is lacking, and what there is."""
    everything = [
        Cell(split, int(bool(method)), method) for split in ("train", "val", "test") for method in ("", *METHODS)
    ]
    check_hold_out(INFO, held("warp"), everything)
    parts = {"val": "`val`", "test": "`test`"}
    for split, (gone, part) in itertools.product(parts, {"warp": "held-out", "": "held-out"}.items()):
        cells = [cell for cell in everything if (cell.split, cell.value) != (split, gone)]
        lacking = "fake" if gone else "real"
        with pytest.raises(ConfigError, match=f"no image of class `{lacking}` in the {part} part of {parts[split]}"):
            check_hold_out(INFO, held("warp"), cells)
    cells = [cell for cell in everything if cell.split != "val" or cell.value in ("", "warp")]
    with pytest.raises(ConfigError, match=r"in the other part of `val`; .*`swap` \(1 train, 0 val, 1 test\)"):
        check_hold_out(INFO, held("warp"), cells)


def test_labels_of_several_need_rows_with_and_without():
    info = DatasetInfo("f.csv", "a,b", "multilabel", ("a", "b"), False, columns=("camera",))
    cells = [
        Cell(split, label, camera)
        for split in ("train", "val", "test")
        for camera in "xyz"
        for label in ((0, 1), (1, 0))
    ]
    check_hold_out(info, held("x", column="camera"), cells)
    with pytest.raises(ConfigError, match="no positive image of label `b` in the held-out part of `val`"):
        check_hold_out(info, held("x", column="camera"), [c for c in cells if c[:2] != ("val", (0, 1))])


def test_values_that_can_be_held_out_by_themselves_are_folds_and_two_are_needed():
    everything = [
        Cell(split, int(bool(method)), method) for split in ("train", "val", "test") for method in ("", *METHODS)
    ]
    assert folds_of(INFO, held("warp"), everything) == (sorted(METHODS), [])
    without = [cell for cell in everything if cell != ("test", 1, "paint")]
    folds, why_not = folds_of(INFO, held("warp"), without)
    assert folds == ["swap", "warp"]
    assert why_not == ["`paint` (leaves no image of class `fake` in the held-out part of `test`)"]
    check_folds(folds, why_not, None)
    with pytest.raises(ConfigError, match=r"at least two values .*, but got 1: `paint` \(leaves .* \(my.yaml:9\)"):
        check_folds(folds[:1], why_not, "my.yaml:9")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.held_out": ["x"]}, "name the column by `data.hold_out`"),
        ({"data.hold_out": "method"}, "needs `data.held_out`: the values that training never sees"),
        ({"data.hold_out": "method", "data.held_out": []}, "needs `data.held_out`"),
        ({"data.hold_out": "method", "data.held_out": [""]}, "empty cells cannot be held out"),
    ],
)
def test_one_key_needs_the_other(settings, message):
    with pytest.raises(ConfigError, match=message) as refused:
        build(settings, dict.fromkeys(settings, "spaces/my.yaml:7"))
    assert "(spaces/my.yaml:7)" in str(refused.value)


def test_numbers_are_values_and_other_configurations_keep_their_hash():
    assert build({"data.hold_out": "camera", "data.held_out": [1, 2]}).data.held_out == ["1", "2"]
    assert build({}).hash() == build({"data.hold_out": None, "data.held_out": None}).hash()
    assert build({"data.hold_out": "c", "data.held_out": ["1"]}).hash() != build({}).hash()
