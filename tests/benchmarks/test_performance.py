"""The bench itself, on a network that takes no time: what it compares is equal, and what became worse is said."""

import pytest

from lssat.data.prepared import decoding
from lssat.data.prepared.table import row_groups, shard_paths
from tests.benchmarks.performance import __main__ as command
from tests.benchmarks.performance import joint_step, overhead, page, texture, turnover
from tests.benchmarks.performance.feeding import pictures, rates, waiting
from tests.benchmarks.performance.machine import has_bfloat16
from tests.benchmarks.performance.record import Kept, Record
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


def row(value, aim=Aim("at least", 1)):  # noqa: B008
    return Row("speed", Ratio(value, value, value, 5), aim)


def section(title, value):
    return Section(title, "Of something.", [row(value)], [("step", "GB"), ("joint", "3")])


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


@pytest.mark.benchmark
def test_textures_are_equal_to_slower_code_and_timed_beside_it_and_beside_the_step():
    times = texture.beside_others(2, 32, seconds=0)
    assert all(times.median(name) > 0 for name in texture.NAMES)
    assert texture.shares("LDP", "small", SMALL, seconds=0).ratio.value > 0


@pytest.mark.benchmark
def test_rows_are_fed_cached_and_streamed_beside_bare_decoding_and_the_loader_of_torch():
    found = [*rates.streaming(64, 32, seconds=0).rows, *rates.cached(64, 32, seconds=0).rows]
    assert len(found) == 3 and all(row.ratio.value > 0 for row in found)
    setting = waiting.Setting("small", SMALL, cached=16, streamed=16)
    shares = [row.ratio.value for row in waiting.measured(setting, seconds=0).rows]
    assert len(shares) == 2 and all(0 < share < 1 for share in shares)


def test_what_the_loader_of_torch_reads_is_what_we_read():
    with pictures.prepared(20) as folder:
        theirs = rates.Files(folder, 48)
        ours = decoding.read_resident(shard_paths(folder, "train"), 48)
        (batch,) = ours.batches(20, 1, None)
        assert [label for _, label in theirs] == batch.label.tolist()
        assert all((image == mine).all() for (image, _), mine in zip(theirs, batch.image, strict=True))
        groups = row_groups(shard_paths(folder, "train"))
        assert sum(rates.decoded(group, 48) for group in groups) == 20


def test_a_gap_is_between_a_trials_end_and_the_first_step_in_its_place():
    """Two at a time: the third and fourth take the place of the second, which ends before the first."""
    moments = [(0.0, 9.0), (1.0, 5.0), (5.5, 6.0), (6.25, 12.0)]
    assert turnover.gaps_between([turnover.Moments(*each) for each in moments]) == [0.5, 0.25]


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
def test_a_ratio_that_is_worse_than_recorded_by_over_a_quarter_is_said(aim, value, is_worse):
    assert bool(command.worse([row(value, aim)], {"speed": row(1.0, aim)})) is is_worse


def test_nothing_is_compared_with_another_processor(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.benchmarks.performance.machine.processor", lambda: "theirs")
    Record(tmp_path / "page.json").end("joint", [section("Speed", 1.0)], "today")
    monkeypatch.setattr("tests.benchmarks.performance.machine.processor", lambda: "ours")
    assert Record(tmp_path / "page.json").rows() == {}


def test_a_run_that_is_ended_keeps_what_it_had_measured_and_the_page_the_rest_as_it_was(tmp_path):
    output, record = tmp_path / "page.md", Record(tmp_path / "page.json")

    def ended(effort):
        yield section("First", 3.0)
        raise KeyboardInterrupt

    def whole(effort):
        yield section("First", 1.0)
        yield section("Second", 2.0)

    command.measure({"joint": whole}, Effort(0, False), record, output)
    assert record.has_whole("joint", command.measured_of())
    with pytest.raises(KeyboardInterrupt):
        command.measure({"joint": ended}, Effort(0, False), record, output)
    assert [each.section.rows[0].ratio.value for each in record.sections("joint")] == [3.0, 2.0]
    assert not record.has_whole("joint", command.measured_of())
    text = output.read_text()
    assert text.index("| speed | 3.00") < text.index("| speed | 2.00") and "| joint | 3 |" in text


def test_a_section_is_the_same_after_it_was_recorded(tmp_path):
    measured = [section("First", 1.0), Section("bfloat16", "", not_measured="no hardware")]
    record = Record(tmp_path / "page.json")
    record.end("joint", measured, "today")
    kept = [Kept(each, "today") for each in measured]
    assert page.markdown(record.sections("joint")) == page.markdown(kept)
    assert not record.has_whole("joint", "tomorrow")


def test_the_page_says_what_was_not_measured_and_what_was_measured_of_something_else():
    lacking = Section("bfloat16", "", not_measured="no hardware")
    text = page.markdown([Kept(section("Speed", 0.5), "today"), Kept(lacking, "yesterday")])
    assert "| speed | 0.50 (0.50 to 0.50, 5 rounds) | at least 1 | no |" in text
    assert "## bfloat16\n\nMeasured of: yesterday\n\nNot measured: no hardware." in text
