"""The front on the page is that of the definition, and a study of one objective is not said to have searched for it."""

import numpy as np
import pytest

from search.page.charts import spec
from search.page.document import Chart, Statement, Table
from search.page.sections import front
from tests.search.page.made import begun, of_kind, on_page, trial, without_nan
from tests.search.records import epoch


def complete(folder, points, **more):
    """A trial for each (score, parameters, flops)."""
    for place, (score, parameters, flops) in enumerate(points):
        results = [epoch(n, score, parameters=parameters, flops=flops, **more) for n in range(1, 5)]
        trial(folder, f"{place:04d}", results, "complete")
    return folder


@pytest.fixture
def points():
    generator = np.random.default_rng(3)
    scores, (parameters, flops) = generator.random(30).round(2), generator.integers(1, 9, (2, 30))
    return list(zip(scores.tolist(), parameters.tolist(), flops.tolist(), strict=True))


def unbeaten(points):
    """By the definition: none is at least as good in all and better in one."""
    return {
        f"{place:04d}"
        for place, point in enumerate(points)
        if not any(all(a >= b for a, b in zip(other, point, strict=True)) and other != point for other in points)
    }


def ringed(chart):
    return {point["trial"] for point in without_nan(spec(chart.chart))["data"]["values"] if point["front"]}


def test_with_one_objective_each_cost_has_a_front_of_its_own(tmp_path, points):
    section = front.section(on_page(complete(begun(tmp_path / "s"), points)))
    charts = of_kind(section, Chart)
    assert ringed(charts["front_parameters"]) == unbeaten([(s, -p) for s, p, _ in points])
    assert ringed(charts["front_flops"]) == unbeaten([(s, -f) for s, _, f in points])
    assert {row[0] for row in of_kind(section, Table)["front"].rows} == ringed(charts["front_parameters"])
    assert "did not search for that" in of_kind(section, Statement)["front"].text


def test_with_several_objectives_all_charts_have_the_front_of_these(tmp_path, points):
    section = front.section(on_page(complete(begun(tmp_path / "s", "score, parameters, flops"), points)))
    expected = unbeaten([(s, -p, -f) for s, p, f in points])
    assert [ringed(chart) for chart in of_kind(section, Chart).values()] == [expected, expected]
    assert {row[0] for row in of_kind(section, Table)["front"].rows} == expected
    said = of_kind(section, Statement)["front"].text
    assert f"{len(expected)} of 30 complete trials are on the Pareto front of score, parameters and flops" in said


def test_a_gap_between_subgroups_is_weighed_where_it_is_an_objective(tmp_path):
    for objectives, is_there in (("score", False), ("score, gap", True)):
        folder = begun(tmp_path / objectives[-3:], objectives)
        for place, gap in enumerate((0.1, 0.3)):
            results = [epoch(n, 0.5 + gap, best_gap=gap, flops=5) for n in range(1, 5)]
            trial(folder, f"000{place}", results, "complete")
        section = front.section(on_page(folder))
        assert (section is not None) is is_there


def test_trials_that_all_cost_the_same_have_no_section(tmp_path):
    assert front.section(on_page(complete(begun(tmp_path / "s"), [(0.5, 7, 7), (0.6, 7, 7)]))) is None


def test_stopped_trials_are_not_weighed(tmp_path):
    folder = begun(tmp_path / "s")
    for place, status in enumerate(["complete", "stopped"]):
        trial(folder, f"000{place}", [epoch(n, 0.5, parameters=place + 1) for n in range(1, 5)], status)
    assert front.section(on_page(folder)) is None


def test_a_version_that_did_not_count_operations_has_no_chart_of_them(tmp_path):
    folder = complete(begun(tmp_path / "s"), [(0.5, 7, None), (0.6, 8, None)])
    assert of_kind(front.section(on_page(folder)), Chart).keys() == {"front_parameters"}
