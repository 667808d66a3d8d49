"""What the page says of cost is what a slow recount of the records says."""

import json

import numpy as np
import pytest

from search.findings.spent import left_out, on_the_clock, spent
from search.page.charts import spec
from search.page.document import Chart, Statement, Table
from search.page.sections import cost
from search.record.folder import Stage
from tests.search.page.made import ROWS, begun, of_kind, on_page, trial, without_nan
from tests.search.records import epoch


@pytest.fixture
def folder(tmp_path):
    """A study in which everything has happened once."""
    made = begun(tmp_path / "s")
    trial(made, "0000", [epoch(n, 0.5) for n in range(1, 5)], "complete")
    trial(made, "0001", [epoch(1, 0.5)], "stopped", backbone__name="test_convnext", data__train_fraction=0.25)
    trial(made, "0002", [epoch(n, 0.5) for n in range(1, 4)], "stopped")
    trial(made, "0003", [], "failed")
    trial(made, "0004", [epoch(1, 0.5)])
    trial(made, "0000-supervised-lr1", [epoch(n, 0.5) for n in range(1, 3)], "complete", Stage.BASELINE)
    trial(made, "0000-seed1", [epoch(n, 0.5) for n in range(1, 5)], "complete", Stage.FINAL)
    return made


def recount(folder, stages):
    """Runs, epochs, images and seconds, line by line."""
    runs = epochs = images = seconds = 0
    for stage in stages:
        for path in sorted((folder.path / stage).iterdir()):
            sampled = json.loads((path / "config.json").read_text())["resolved"]
            lines = (path / "metrics.jsonl").read_text().splitlines() if (path / "metrics.jsonl").exists() else []
            runs, epochs = runs + 1, epochs + len(lines)
            images += sum(ROWS["train"] * sampled["data.train_fraction"] for _ in lines)
            seconds += json.loads(lines[-1])["seconds"] if lines else 0
    return [runs, epochs, images, round(seconds / 3600, 4)]


def test_each_stage_costs_what_its_records_say(folder):
    table = of_kind(cost.section(on_page(folder)), Table)["cost_by_stage"]
    assert [row[:5] for row in table.rows] == [[stage.words, *recount(folder, [stage])] for stage in Stage]


def test_backbones_cost_together_what_the_stages_cost_together(folder):
    tables = of_kind(cost.section(on_page(folder)), Table)
    by_stage, by_backbone = (
        np.array([row[1:4] for row in tables[name].rows]).sum(axis=0).tolist()
        for name in ("cost_by_stage", "cost_by_backbone")
    )
    assert by_stage == by_backbone == recount(folder, Stage)[:3]


def test_stopping_left_out_the_epochs_of_stopped_trials_alone(folder):
    study = on_page(folder)
    saved = left_out(study.trials, ROWS["train"])
    assert (saved.runs, saved.epochs, saved.planned, saved.images) == (2, 3 + 1, 5 * 4, 3 * 250 + 1 * 1000)
    assert saved.seconds == pytest.approx(3 * 1.0 + 1 * 1.0)
    said = of_kind(cost.section(study), Statement)["cost.stopping"].text
    assert "Stopping 2 of 5 trials early left out 4 of 20 epochs (20%), 1,750 images and about 4 s" in said


def test_nothing_is_said_of_stopping_where_no_trial_was_stopped(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [epoch(1, 0.5)], "failed")
    assert of_kind(cost.section(on_page(folder)), Statement).keys() == {"cost.total"}


def test_a_run_that_failed_within_an_epoch_costs_until_then(tmp_path):
    folder = begun(tmp_path / "s")
    record = trial(folder, "0000", [epoch(1, 0.5)], "failed")
    path = record.folder / "outcome.json"
    path.write_text(json.dumps({"status": "failed", "reason": "", "seconds": 90.0}))
    assert spent(on_page(folder).trials, 10).seconds == 90


def test_the_clock_counts_what_ran_side_by_side_once_and_pauses_never(tmp_path):
    """Against a count of tenths of a second."""
    folder, generator = begun(tmp_path / "s"), np.random.default_rng(0)
    covered = set()
    for name in range(5):
        record = trial(folder, f"000{name}", [epoch(n, 0.5) for n in range(1, 5)], "complete")
        lines = [json.loads(line) for line in (record.folder / "metrics.jsonl").read_text().splitlines()]
        ended, seconds = 0, 0
        for line in lines:
            length = int(generator.integers(1, 30))
            ended += int(generator.integers(0, 60)) + length  # a pause before it
            seconds += length
            covered |= set(range(ended - length, ended))
            line.update(time=1e9 + ended / 10, seconds=seconds / 10)
        (record.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert on_the_clock(on_page(folder).trials) == pytest.approx(len(covered) / 10, abs=1e-4)


def test_bars_show_the_time_of_each_backbone_in_each_stage(folder):
    chart = without_nan(spec(of_kind(cost.section(on_page(folder)), Chart)["cost"].chart))
    bars = {(bar["backbone"], bar["stage"]): bar["seconds"] for bar in chart["data"]["values"]}
    assert bars == {
        ("test_resnet", "search"): 4 + 3 + 1,
        ("test_convnext", "search"): 1,
        ("test_resnet", "rates of baselines"): 2,
        ("test_resnet", "final stage"): 4,
    }


def test_before_the_first_epoch_there_is_no_section(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [])
    assert cost.section(on_page(folder)) is None
