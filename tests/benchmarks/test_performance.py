"""The bench itself, on a network that takes no time: what it compares is equal, and what became worse is said."""

import pytest

from tests.benchmarks.performance import joint_step, overhead, page
from tests.benchmarks.performance.machine import has_bfloat16
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import Ratio

SMALL = {
    **joint_step.PLAIN,
    "backbone.name": "test_vit",
    "data.image_size": 64,
    "masking.unit": 16,
    "decoder.dim": 32,
    "decoder.num_heads": 4,
    "optim.batch_size": 4,
    "optim.precision": "float32",
}


def section(value, aim):
    return [Section("Speed", "Of something.", [Row("speed", Ratio(value, value, value, 5), aim)])]


def test_our_step_and_the_published_one_come_to_the_same_losses():
    assert joint_step.check_losses(SMALL, 1e-4) <= 1e-4


def test_a_step_that_computes_something_else_is_refused():
    with pytest.raises(joint_step.UnequalLosses):
        joint_step.check_losses({**SMALL, "augment.color": 0.5}, 1e-4)


@pytest.mark.benchmark
@pytest.mark.parametrize("precision", ["float32", *(["bfloat16"] if has_bfloat16() else [])])
def test_a_step_is_timed_beside_the_reference_and_the_peak(precision):
    vit = joint_step.Vit("Small", "test_vit", {"decoder.dim": 32, "decoder.num_heads": 4}, 2, 0.5)
    rows, line = joint_step.measured(vit, precision, seconds=0)
    assert all(row.ratio.value > 0 for row in rows)
    assert len(line) == len(joint_step.HEADER)


@pytest.mark.benchmark
def test_the_parts_of_a_step_are_timed_for_a_backbone_that_drops_tokens_and_one_that_cannot():
    found = overhead.measured("Small", overhead.AT_64[:2], 1.3, Effort(seconds=0, quick=True))
    assert len(found.rows) == 4 and len(found.table) == 3
    assert all(row.ratio.value > 0 for row in found.rows)


@pytest.mark.parametrize(
    ("aim", "value", "is_worse"),
    [
        (Aim("at least", 1), 0.7, True),
        (Aim("at least", 1), 0.8, False),
        (Aim("at least", 1), 2.0, False),
        (Aim("at most", 1), 1.3, True),
        (Aim("at most", 1), 0.5, False),
    ],
)
def test_a_ratio_that_is_worse_than_recorded_by_over_a_quarter_is_said(tmp_path, monkeypatch, aim, value, is_worse):
    monkeypatch.setattr(page, "RECORDED", tmp_path / "recorded.json")
    page.record(section(1.0, aim))
    assert bool(page.worse(section(value, aim))) is is_worse


def test_nothing_is_compared_with_another_processor(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RECORDED", tmp_path / "recorded.json")
    with pytest.raises(page.NotRecorded):
        page.worse(section(1.0, Aim("at least", 1)))


def test_the_page_says_what_was_not_measured():
    text = page.markdown([*section(0.5, Aim("at least", 1)), Section("bfloat16", "", not_measured="no hardware")])
    assert "| speed | 0.50 (0.50 to 0.50, 5 rounds) | at least 1 | no |" in text
    assert "Not measured: no hardware." in text
