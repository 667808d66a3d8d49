"""Every run without a full result is on the page, with its reason and what to do; where all is well, nothing is."""

from search.page.document import Statement, Table
from search.page.sections import failures
from search.record.folder import Stage
from tests.search.page.made import begun, of_kind, on_page, trial
from tests.search.records import epoch

FULL = [epoch(n, 0.5) for n in range(1, 5)]


def test_where_all_is_well_there_is_no_section(tmp_path):
    folder = begun(tmp_path / "s")
    assert failures.section(on_page(folder)) is None
    trial(folder, "0000", FULL, "complete")
    trial(folder, "0001", FULL[:2], "stopped")
    assert failures.section(on_page(folder)) is None


def test_each_reason_stands_once_with_what_to_do(tmp_path):
    folder = begun(tmp_path / "s")
    trial(folder, "0000", FULL, "complete")
    for place in range(1, 7):
        trial(folder, f"000{place}", [], "infeasible", reason="a micro-batch must fit into memory")
    trial(folder, "0007", FULL[:1], "failed", reason="its score is not a number")
    trial(folder, "0008", FULL[:1], "failed", reason="its process died; see log.txt")
    trial(folder, "0009", FULL[:2])
    trial(folder, "0000-seed1", [], "failed", Stage.FINAL, reason="its process died; see log.txt")
    section = failures.section(on_page(folder))
    tables = of_kind(section, Table)
    found = {(status, reason): (number, to_do) for status, number, reason, to_do, _ in tables["reasons"].rows}
    assert found["infeasible", "a micro-batch must fit into memory"][0] == 6
    assert "optim.lr" in found["failed", "its score is not a number"][1]
    assert "--resume" in found["running", "interrupted or paused; `--resume` goes on"][1]
    assert any("its arm cannot win" in row[3] for row in tables["reasons"].rows)
    assert sorted(row[1] for row in tables["failures"].rows) == [
        "0000-seed1", *(f"000{place}" for place in range(1, 10))
    ]  # fmt: skip
    assert tables["statuses"].rows == [["search", 1, 0, 1, 6, 2], ["final stage", 0, 0, 0, 0, 1]]
    said = of_kind(section, Statement)
    assert said["failures.failed"].text == "Failed: 3 of 11 runs."
    assert said["failures.failed"].is_warning
    assert said["failures.infeasible"].text == "Did not fit into memory: 6 of 11 runs."
