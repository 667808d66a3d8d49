"""Which values a study rotates, and what a run learns from that holds out one of them."""

import io

import numpy as np
import pytest
from PIL import Image

from lssat.config import build
from lssat.data.prepared.table import DatasetInfo, Row
from lssat.data.prepared.writing import write_dataset
from lssat.errors import ConfigError
from lssat.task import Task
from search.space.file import load
from search.study.hold_out import values_to_rotate
from search.study.trial import LearntFrom, StageContext, key_of

SPACE = """
data: {{hold_out: {column}, held_out: [warp]}}
space: {{optim.lr: [1e-3, 1e-4]}}
search: {{num_trials: 2, rotate: {rotate}}}
"""


@pytest.fixture
def prepared(tmp_path):
    """Each split has real images and two methods; a third one is in training alone."""
    rows = []
    for split in ("train", "val", "test"):
        for number, method in enumerate(["", "swap", "warp", *(["rare"] if split == "train" else [])] * 2):
            out = io.BytesIO()
            Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(out, "PNG")
            rows.append(Row(out.getvalue(), int(bool(method)), "", split, columns=(method,)))
    info = DatasetInfo("fakes", "label", "binary", ("real", "fake"), False, columns=("method",))
    write_dataset(tmp_path / "data", rows, info)
    return tmp_path / "data"


def space(tmp_path, rotate="on"):
    (tmp_path / "s.yaml").write_text(SPACE.format(column="method", rotate=rotate))
    return load(tmp_path / "s.yaml", "laptop", {}, {})


def test_the_values_that_can_be_held_out_are_said_with_those_that_cannot(tmp_path, prepared):
    said = []
    assert values_to_rotate(prepared, space(tmp_path), said.append) == ["swap", "warp"]
    assert "holds out swap, warp, one after the other" in said[0]
    assert "`rare` (leaves no image of class `fake` in the held-out part of `val`)" in said[1]
    said.clear()
    assert values_to_rotate(prepared, space(tmp_path, "off"), said.append) == ["swap", "warp"], "to go on with later"
    assert said == []


def test_one_value_is_nothing_to_rotate(tmp_path, prepared):
    for path in prepared.glob("*.parquet"):
        path.rename(path.with_suffix(".gone"))
    with pytest.raises(ConfigError, match=r"at least two values .*s\.yaml:4"):
        values_to_rotate(prepared, space(tmp_path), print)


def test_a_run_learns_from_what_its_own_value_leaves():
    own, other = (Task("t", "binary", ("no", "yes"), (5, number), 5 + number) for number in (3, 9))
    config = {"data.hold_out": "method", "data.held_out": ["warp"]}
    rotated = {key_of(build({**config, "data.held_out": ["swap"]}).data): LearntFrom(other, {1: {}})}
    context = StageContext({}, own, "", "s", None, None, rotated)
    assert context.learnt_by(build({**config, "data.held_out": ["swap"]})).task is other
    assert context.learnt_by(build(config)).task is own
    assert context.learnt_by(build({})).task is own
