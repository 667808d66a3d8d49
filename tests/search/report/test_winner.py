"""The winner in words: the numbers of the tables and of its scorecard, and what is no better than guessing."""

import csv
import io
import re

import pytest

from lssat.console import SafeConsole
from lssat.data.prepared.table import DatasetInfo
from lssat.task import Task
from search.record.folder import RunFolder, Stage
from search.report import final_table, leaderboard, winner
from search.report.screen import show_final_table
from search.space.settings import SearchConfig
from search.strategy.finalists import Arm, FinalRun
from tests.search.records import epoch, record

SCORES = {1: 0.70, 2: 0.76, 3: 0.73}
TESTED = {1: 0.61, 2: 0.58, 3: 0.64}
CARD = {"metric": "balanced_accuracy", "score": 0.58, "interval": [0.55, 0.62], "accuracy": 0.9, "task_loss": 1.0}


@pytest.fixture
def folder(tmp_path):
    sampled = {"backbone.name": "test_resnet", "optim.epochs": 2, "auxiliary": False}
    record(tmp_path / "trials" / "0004", sampled, [epoch(at, 0.9, 2) for at in (1, 2)], "complete")
    return RunFolder(tmp_path)


def final_stage(folder, seeds):
    """The final table, with test scores, and its runs."""
    rows = leaderboard.of_folder(folder)
    runs: list[FinalRun] = final_table.planned_runs(folder, rows, SearchConfig(finalists=1, final_seeds=seeds))
    for run in runs:
        results = [epoch(at, SCORES[run.seed], 2) for at in (1, 2)]
        record(folder.record(Stage.FINAL, run.name).folder, run.suggestion.sampled, results, "complete")
    tested = {run.name: TESTED[run.seed] for run in runs}
    return final_table.with_test(final_table.final_table(folder, runs), runs, tested), runs


def numbers(text):
    return [float(number) for number in re.findall(r"\d\.\d{4}", text)]


def test_the_last_screen_the_final_table_its_csv_and_the_scorecard_say_the_same_numbers(folder):
    table, _ = final_stage(folder, 3)
    final_table.write(table, folder)
    with folder.final_table.open(newline="") as file:
        (kept,) = csv.DictReader(file)
    lines = winner.lines(winner.of_final_stage(table[0], "0004-seed2", SCORES[2], CARD), table)
    first, best, others = lines
    in_csv = [round(float(kept[name]), 4) for name in ("mean", "half", "test", "test_half")]
    assert numbers(first) == in_csv
    assert in_csv[::2] == [0.73, 0.61], "means over the same seeds"
    assert "winner: 0004, test_resnet, balanced_accuracy" in first and "mean of 3 fresh seeds" in first
    assert "seed 2 (0004-seed2)" in best and numbers(best) == [SCORES[2], CARD["score"], *CARD["interval"]]
    assert "accuracy 0.9000" in others
    console = SafeConsole(file=io.StringIO(), width=160)
    show_final_table(console, table)
    assert numbers(next(line for line in console.file.getvalue().splitlines() if "0004" in line)) == in_csv


def test_an_arm_of_which_one_seed_is_left_has_no_interval(folder):
    _, runs = final_stage(folder, 2)
    other = FinalRun(Arm("0009", {**runs[0].arm.sampled, "optim.lr": 0.01}), 1)
    record(folder.record(Stage.FINAL, other.name).folder, other.suggestion.sampled, [epoch(2, 0.5, 2)], "complete")
    row = final_table.final_table(folder, [*runs, other])[1]
    (tested,) = final_table.with_test([row], [other], {other.name: 0.4})
    cells = dict(zip(final_table.COLUMNS, final_table.cells(tested), strict=True))
    assert (cells["arm"], cells["score"], cells["test"]) == ("0009", "0.5000", "0.4000")
    assert "nan" not in "".join(cells.values())


def test_a_search_without_final_stage_names_its_trial_and_the_leaderboard_has_that_test_score(folder):
    rows = leaderboard.with_test(leaderboard.of_folder(folder), {"0004": CARD["score"]})
    lines = winner.lines(winner.of_search(rows[0], CARD), [])
    assert numbers(lines[0]) == [0.9, CARD["score"]] == [rows[0].score, rows[0].test]
    assert "winner: trial 0004" in lines[0] and "one run in the search" in lines[0]


def test_no_test_score_of_other_seeds_stands_beside_a_trial(folder):
    table, runs = final_stage(folder, 3)
    rows = leaderboard.with_test(leaderboard.of_folder(folder), {run.name: TESTED[run.seed] for run in runs})
    assert [row.test for row in rows] == [None]
    assert table[0].arm == rows[0].trial


def chance_line(validation, test, interval, metric="balanced_accuracy", positives=(200, 300)):
    """`positives`: of 400 rows on validation and on test."""
    kept = {**CARD, "metric": metric, "interval": interval}
    counts = {split: {"no": 400 - count, "yes": count} for split, count in zip(("val", "test"), positives, strict=True)}
    info = DatasetInfo("x", "t", "binary", ("no", "yes"), False, counts=counts, rows={"val": 400, "test": 400})
    found = winner.Winner("0004", "b", winner.Mean(validation), winner.Mean(test), "", "", kept)
    return winner.chance_line(found, Task("t", "binary", ("no", "yes"), (1, 1), 2), info)


@pytest.mark.parametrize(
    ("validation", "test", "interval", "said"),
    [
        (0.50, 0.56, (0.51, 0.60), "0.5000 on validation"),
        (0.53, 0.49, (0.51, 0.60), "0.4900 on test"),
        (0.53, 0.52, (0.49, 0.55), "0.4900 to 0.5500"),
        (0.53, 0.52, (0.501, 0.55), None),
    ],
)
def test_a_winner_that_is_no_better_than_guessing_is_called_so(validation, test, interval, said):
    line = chance_line(validation, test, interval)
    assert (line is None) == (said is None)
    assert line is None or ("no better than chance (0.500)" in line and said in line)


def test_what_guessing_gets_is_that_of_each_split():
    """Half of validation is positive and three quarters of test."""
    assert chance_line(0.6, 0.8, (0.76, 0.84), "accuracy") is None
    assert "(0.750): on test" in chance_line(0.6, 0.77, (0.74, 0.8), "accuracy")
    assert "(0.750): 0.7400 on test" in chance_line(0.6, 0.74, (0.7, 0.8), "average_precision")
    assert "(0.500): 0.4000 on validation" in chance_line(0.4, 0.74, (0.7, 0.8), "average_precision")


def test_the_worst_group_is_compared_with_what_guessing_gets_in_any_group():
    assert "(0.500)" in chance_line(0.45, 0.6, (0.55, 0.65), "worst_group")
    assert chance_line(0.6, 0.6, (0.55, 0.65), "worst_group") is None
