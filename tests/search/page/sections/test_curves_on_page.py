"""Learning curves say what the records say: every epoch, every stop, and nothing of what is no number."""

import ast
import json
import math

import pytest

from search.page.charts import spec
from search.page.document import Chart, Statement
from search.page.groups import colour, few
from search.page.lines import drawn
from search.page.sections import curves
from search.record.folder import Stage
from tests.search.page.made import begun, of_kind, on_page, trial, without_nan
from tests.search.records import epoch


def charts(folder):
    section = curves.section(on_page(folder))
    return {name: without_nan(spec(chart.chart)) for name, chart in of_kind(section, Chart).items()}


def lines(chart):
    return {line["t"]: line for line in chart["data"]["values"]}


def test_every_epoch_of_every_trial_is_on_the_chart(tmp_path):
    folder = begun(tmp_path / "s")
    made = [
        trial(folder, "0000", [epoch(n, 0.9, score=0.5 + n / 7) for n in range(1, 5)], "complete"),
        trial(folder, "0001", [epoch(n, 0.2, score=0.123456) for n in range(1, 3)], "stopped"),
        trial(folder, "0002", [epoch(1, 0.4)]),
    ]
    found = lines(charts(folder)["curves"])
    assert found.keys() == {record.name for record in made}
    for record in made:
        scores = [float(f"{result.score:.4g}") for result in record.epochs]
        assert found[record.name]["e"] == [result.epoch for result in record.epochs]
        assert found[record.name]["s"] == scores
        assert found[record.name]["x"] == record.status


def test_marks_stand_where_trials_ended_early_and_nowhere_else(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [epoch(n, 0.9) for n in range(1, 5)], "complete")
    trial(folder, "0001", [epoch(n, n / 10) for n in range(1, 3)], "stopped")
    trial(folder, "0002", [epoch(n, n / 5) for n in range(1, 4)], "failed")
    marks = next(layer for layer in charts(folder)["curves"]["layer"] if "data" in layer)
    ends = {(mark["x"], mark["e"], mark["s"]) for mark in marks["data"]["values"]}
    assert ends == {("stopped", 2, 0.2), ("failed", 3, 0.6)}
    assert marks["encoding"]["shape"]["scale"]["domain"] == ["stopped", "failed"]


def test_a_score_that_is_no_number_is_a_gap(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [epoch(1, 0.3), epoch(2, math.nan)], "failed", reason="its score is not a number")
    chart = charts(folder)["curves"]
    assert lines(chart)["0000"]["s"] == [0.3, None]
    marks = next(layer for layer in chart["layer"] if "data" in layer)
    assert [mark["e"] for mark in marks["data"]["values"]] == [1]


def test_scores_of_which_none_is_a_number_are_drawn_as_nothing(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [epoch(1, math.nan)], "failed")
    assert lines(charts(folder)["curves"])["0000"]["s"] == [None]


def test_a_trial_without_an_epoch_is_counted_below_the_chart(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [epoch(1, 0.3)], "stopped")
    trial(folder, "0001", [], "failed")
    chart = of_kind(curves.section(on_page(folder)), Chart)["curves"]
    assert lines(spec(chart.chart)).keys() == {"0000"}
    assert "Without an epoch, and not here: 1." in chart.caption


def test_a_curve_ends_before_a_line_that_a_kill_has_cut(tmp_path):
    folder = begun(tmp_path / "s")
    record = trial(folder, "0000", [epoch(n, n / 10) for n in range(1, 4)])
    path = record.folder / "metrics.jsonl"
    path.write_text(path.read_text()[:-40])
    assert lines(charts(folder)["curves"])["0000"]["e"] == [1, 2]


@pytest.mark.parametrize("begin", [False, True])
def test_before_the_first_epoch_there_is_no_section(tmp_path, begin):
    folder = begun(tmp_path / "s")
    if begin:
        trial(folder, "0000", [])
    assert curves.section(on_page(folder)) is None


def test_losses_are_those_of_the_run_that_validation_chose(tmp_path):
    folder = begun(tmp_path / "s")
    for name, best in (("0000", 0.4), ("0001", 0.8), ("0002", 0.6)):
        made = [epoch(n, best) for n in range(1, 5)]
        for result in made:
            loss = {
                "train/task_loss": best / result.epoch,
                "val/task_loss": best,
                "train/reconstruction_loss": math.inf,
            }
            result.metrics.update(loss)
        trial(folder, name, made, "complete")
    found = charts(folder)
    task = [(point["d"], point["e"], point["v"]) for point in found["curves_of_task_loss"]["data"]["values"]]
    assert task == [
        (split, n, float(f"{value:.4g}")) for n in range(1, 5) for split, value in (("train", 0.8 / n), ("val", 0.8))
    ]
    assert {point["v"] for point in found["curves_of_reconstruction_loss"]["data"]["values"]} == {None}


def test_final_runs_have_a_chart_of_their_own_with_supervised_ones_dashed(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [epoch(n, 0.4) for n in range(1, 5)], "complete")
    for name in ("0000-seed1", "0000-supervised-seed1"):  # not planned, as the space has no final stage: none is chosen
        trial(folder, name, [epoch(n, 0.4) for n in range(1, 5)], "complete", Stage.FINAL)
    found = charts(folder)
    assert {name: line["d"] for name, line in lines(found["curves_of_finals"]).items()} == {
        "0000-seed1": False,
        "0000-supervised-seed1": True,
    }
    assert lines(found["curves"]).keys() == {"0000"}


@pytest.mark.parametrize(("rising", "is_said"), [(3, True), (2, True), (1, False)])
def test_more_epochs_are_advised_where_most_complete_trials_were_best_at_their_last(tmp_path, rising, is_said):
    folder = begun(tmp_path / "s")
    for place in range(3):
        scores = [0.1, 0.2, 0.3, 0.4] if place < rising else [0.1, 0.4, 0.3, 0.2]
        results = [epoch(n, max(scores[:n]), score=score) for n, score in enumerate(scores, start=1)]
        trial(folder, f"000{place}", results, "complete")
    assert ("curves.rising" in of_kind(curves.section(on_page(folder)), Statement)) is is_said


def test_500_trials_of_50_epochs_take_less_than_one_and_a_half_megabytes():
    made = [
        {"t": f"{n:04d}", "b": "efficientnet_b5", "g": "efficientnet", "x": "complete", "d": False,
         "e": list(range(1, 51)), "s": [0.1234 + n / 10_000] * 50}
        for n in range(500)
    ]  # fmt: skip
    text = json.dumps(
        spec(drawn(made, colour("g", ["efficientnet"], "family"), "score", "0499")), separators=(",", ":")
    )
    assert len(text) < 1_500_000


def test_families_beyond_the_colours_are_others_and_those_of_the_best_keep_theirs(tmp_path):
    names = [f"family{n}" for n in range(12)] * 2
    found = few(names)
    assert [found[f"family{n}"] for n in range(7)] == names[:7]
    assert {found[f"family{n}"] for n in range(7, 12)} == {"other"}
    assert few(names[:3]) == {name: name for name in names[:3]}
    folder = begun(tmp_path / "s")
    for place in range(10):
        best = epoch(1, 0.5 + place / 100, epochs=1)
        trial(folder, f"000{place}", [best], "complete", backbone__name=f"test_resnet.{place}" if place else "test_vit")
    shown = {line["b"]: line["g"] for line in lines(charts(folder)["curves"]).values()}
    assert shown["test_resnet.9"] == "test_resnet.9"
    assert shown["test_vit"] == "other"


def test_a_name_with_a_quote_is_a_name_like_others():
    """The condition is code for the browser, which reads the name back as it is."""
    name = 'it\'s "x" \\'
    made = [{"t": name, "b": "b", "g": "g", "x": "complete", "d": False, "e": [1], "s": [0.5]}]
    found = json.dumps(spec(drawn(made, colour("g", ["g"], "family"), "score", name)))
    written = {each.partition("=== ")[2].removesuffix(")") for each in _tests(json.loads(found)) if "datum.t" in each}
    assert written and {ast.literal_eval(each) for each in written} == {name}


def _tests(node):
    """The conditions in a chart."""
    if isinstance(node, dict):
        own = [node["test"]] if isinstance(node.get("test"), str) else []
        return own + [each for value in node.values() for each in _tests(value)]
    return [each for value in node for each in _tests(value)] if isinstance(node, list) else []
