"""The table of trials is the leaderboard: its rows, its numbers, and its rule of what all rows have alike."""

from search.findings import screen
from search.page.document import Table, shown
from search.page.sections import trials
from tests.search.page.made import begun, of_kind, on_page, trial
from tests.search.records import epoch


def table(folder):
    return of_kind(trials.section(on_page(folder)), Table)["trials"]


def test_rows_and_numbers_are_those_of_the_leaderboard(tmp_path):
    folder = begun(tmp_path / "s")
    for place in range(25):
        results = [epoch(n, place / 40 + n / 100, parameters=10**6, flops=3 * 10**9) for n in range(1, 5)]
        trial(folder, f"{place:04d}", results, "complete", optim__lr=0.0001 * (place + 1))
    study, found = on_page(folder), table(folder)
    rows = [dict(zip(found.columns, cells, strict=True)) for cells in found.rows]
    assert [row["trial"] for row in rows] == [row.trial for row in study.rows]
    assert [row["score"] for row in rows] == [row.score for row in study.rows]
    assert [row["optim.lr"] for row in rows] == [row.searched["optim.lr"] for row in study.rows]
    assert {(row["parameters"], row["flops"]) for row in rows} == {(10**6, 3 * 10**9)}
    assert found.shown == 20
    assert found.best == (0,)


def test_settings_alike_are_said_below_by_the_rule_of_the_screen(tmp_path):
    folder = begun(tmp_path / "s")
    for place, backbone in enumerate(["test_resnet", "test_convnext"]):
        trial(folder, f"000{place}", [epoch(1, 0.5)], "stopped", backbone__name=backbone, optim__lr=0.001)
    found, rows = table(folder), on_page(folder).rows
    assert "optim.lr" not in found.columns
    assert "streams" not in found.columns
    assert all(said in found.note for said in screen.alike_in_all(rows))
    assert found.best == ()


def test_a_trial_that_has_not_ended_an_epoch_has_a_row(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", [])
    assert [row[:2] for row in table(folder).rows] == [[1, "0000"]]


def test_before_the_first_trial_there_is_no_section(tmp_path):
    assert trials.section(on_page(begun(tmp_path / "s"))) is None


def test_a_small_rate_keeps_its_digits():
    assert [shown(rate) for rate in (0.00003, 0.00052, 0.0031, 0.0)] == ["3e-05", "0.00052", "0.0031", "0.0000"]
