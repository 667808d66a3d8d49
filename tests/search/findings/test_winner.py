"""The winner in words: the numbers of the tables and of its scorecard, and what is no better than guessing."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from lssat.text.console import SafeConsole
from search.findings import final_table, leaderboard, winner
from search.findings.screen import show_final_table
from search.findings.told import Rule
from search.record.folder import RunFolder, Stage
from search.record.predictions import About, KeptPredictions, write
from search.space.settings import SearchConfig
from search.strategy.finalists import Arm, FinalRun, Fold
from tests.search import final_stage
from tests.search.records import epoch, record

SCORES = {1: 0.70, 2: 0.76, 3: 0.73}
TESTED = {1: 0.61, 2: 0.58, 3: 0.64}
CARD = {"metric": "balanced_accuracy", "score": 0.58, "interval": [0.55, 0.62], "accuracy": 0.9, "task_loss": 1.0}


@pytest.fixture
def folder(tmp_path):
    sampled = {"backbone.name": "test_resnet", "optim.epochs": 2, "auxiliary": False}
    record(tmp_path / "trials" / "0004", sampled, [epoch(at, 0.9, 2) for at in (1, 2)], "complete")
    return RunFolder(tmp_path)


def trained(folder, seeds):
    """The final table, with test scores, and its runs."""
    rows = leaderboard.of_folder(folder)
    runs: list[FinalRun] = final_table.planned_runs(folder, rows, SearchConfig(finalists=1, final_seeds=seeds))
    for run in runs:
        results = [epoch(at, SCORES[run.seed], 2) for at in (1, 2)]
        record(folder.record(Stage.FINAL, run.name).folder, run.suggestion.sampled, results, "complete")
    tested = {run.name: TESTED[run.seed] for run in runs}
    return final_table.with_test(final_table.final_table(folder, runs, rows, SearchConfig()), runs, tested), runs


def numbers(text):
    return [float(number) for number in re.findall(r"\d\.\d{4}", text)]


def test_the_last_screen_the_final_table_its_csv_and_the_scorecard_say_the_same_numbers(folder):
    table, _ = trained(folder, 3)
    final_table.write(table, [], folder)
    with folder.final_table.open(newline="") as file:
        (kept,) = csv.DictReader(file)
    lines = winner.lines(winner.of_final_stage(table[0], "0004-seed2", SCORES[2], CARD), table)
    first, best, others = lines
    in_csv = [round(float(kept[name]), 4) for name in ("mean", "test")]
    assert numbers(first) == in_csv == [0.73, 0.61], "means over the same seeds"
    assert "winner: 0004, test_resnet, balanced_accuracy" in first and "mean of 3 fresh seeds" in first
    assert "seed 2 (0004-seed2)" in best and numbers(best) == [SCORES[2], CARD["score"], *CARD["interval"]]
    assert "accuracy 0.9000" in others
    console = SafeConsole(file=io.StringIO(), width=160)
    show_final_table(console, table)
    assert numbers(next(line for line in console.file.getvalue().splitlines() if "0004" in line)) == in_csv


def test_a_search_without_final_stage_names_its_trial_and_the_leaderboard_has_that_test_score(folder):
    rows = leaderboard.with_test(leaderboard.of_folder(folder), {"0004": CARD["score"]})
    lines = winner.lines(winner.of_search(rows[0], CARD), [])
    assert numbers(lines[0]) == [0.9, CARD["score"]] == [rows[0].score, rows[0].test]
    assert "winner: trial 0004" in lines[0] and "one run in the search" in lines[0]


def test_no_test_score_of_other_seeds_stands_beside_a_trial(folder):
    table, runs = trained(folder, 3)
    rows = leaderboard.with_test(leaderboard.of_folder(folder), {run.name: TESTED[run.seed] for run in runs})
    assert [row.test for row in rows] == [None]
    assert table[0].arm == rows[0].trial


def keep(folder, chosen, labels, metric="balanced_accuracy", video=None, **hold_out):
    """The predictions of a run. `labels`: by split; `hold_out`: the value of each row, and those that are held out."""
    for split, of_split in labels.items():
        rows = len(of_split)
        about = About("deepfake", "binary", ("no", "yes"), metric, split, "x", *hold_out.get("about", ()))
        groups = {"who": np.full(rows, "all")} if metric == "worst_group" else {}
        texts = RowTexts(
            np.arange(rows).astype(str), np.full(rows, "") if video is None else video, groups, hold_out.get("values")
        )
        kept = KeptPredictions(about, Predictions(np.zeros((rows, 1), np.float32), np.array(of_split)), texts)
        path = folder.record(chosen.stage, chosen.run).predictions(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, kept)


def chance_line(folder, validation, test, interval, metric="balanced_accuracy"):
    """Half of validation is positive, and three quarters of test."""
    chosen = winner.Chosen("0004", "0004", Stage.SEARCH)
    keep(folder, chosen, {"val": [0, 1] * 200, "test": [0, 1, 1, 1] * 100}, metric)
    found = winner.Winner("0004", "b", validation, test, "", "", {**CARD, "metric": metric, "interval": interval})
    return winner.chance_line(found, winner.guessed(folder, chosen, []))


@pytest.mark.parametrize(
    ("validation", "test", "interval", "said"),
    [
        (0.50, 0.56, (0.51, 0.60), "0.5000 on validation"),
        (0.53, 0.49, (0.51, 0.60), "0.4900 on test"),
        (0.53, 0.52, (0.49, 0.55), "0.4900 to 0.5500"),
        (0.53, 0.52, (0.501, 0.55), None),
    ],
)
def test_a_winner_that_is_no_better_than_guessing_is_called_so(folder, validation, test, interval, said):
    line = chance_line(folder, validation, test, interval)
    assert (line is None) == (said is None)
    assert line is None or ("no better than chance (0.500)" in line and said in line)


def test_what_guessing_gets_is_that_of_each_split(folder):
    assert chance_line(folder, 0.6, 0.8, (0.76, 0.84), "accuracy") is None
    assert "(0.750): on test" in chance_line(folder, 0.6, 0.77, (0.74, 0.8), "accuracy")
    assert "(0.750): 0.7400 on test" in chance_line(folder, 0.6, 0.74, (0.7, 0.8), "average_precision")
    assert "(0.500): 0.4000 on validation" in chance_line(folder, 0.4, 0.74, (0.7, 0.8), "average_precision")


def test_the_worst_group_is_compared_with_what_guessing_gets_in_any_group(folder):
    assert "(0.500)" in chance_line(folder, 0.45, 0.6, (0.55, 0.65), "worst_group")
    assert chance_line(folder, 0.6, 0.6, (0.55, 0.65), "worst_group") is None


def test_guessing_is_by_videos_where_these_are_scored(folder):
    """Nine frames of a real video and one of a fake are half and half."""
    chosen = winner.Chosen("0004", "0004", Stage.SEARCH)
    labels, video = [0] * 9 + [1], np.array(["real"] * 9 + ["fake"])
    keep(folder, chosen, {"val": labels, "test": labels}, "accuracy", video)
    assert winner.guessed(folder, chosen, []) == winner.Guessed(0.5, 0.5, 0.5)
    keep(folder, chosen, {"val": labels, "test": labels}, "accuracy")
    assert winner.guessed(folder, chosen, []) == winner.Guessed(0.9, 0.9, 0.9)


@pytest.mark.parametrize(("over", "expected"), [("mean", 0.625), ("worst", 0.5)])
def test_guessing_is_over_all_that_is_held_out(folder, over, expected):
    """Without `a`, 4 real images meet 4 fakes and 4 others none; without `b` these meet 12."""
    labels = [0] * 4 + [1] * 4 + [1] * 12
    values = np.array([""] * 4 + ["a"] * 4 + ["b"] * 12)
    runs = [FinalRun(Arm("0004", {}), seed, Fold(at, value), over) for seed in (1, 2) for at, value in enumerate("ab")]
    for run in runs:
        about = ("method", (run.fold.value,))
        one = winner.Chosen(run.name, "0004", Stage.FINAL)
        keep(folder, one, {"val": labels, "test": labels}, "accuracy", about=about, values=values)
    kept = winner.Chosen("0004-seed2-fold1", "0004", Stage.FINAL)
    assert winner.guessed(folder, kept, runs) == winner.Guessed(expected, expected, 0.75)
    folder.record(Stage.FINAL, "0004-seed2-fold0").predictions("test").unlink()
    assert winner.guessed(folder, kept, runs) is None


def said(scores, chance=None, rule=final_stage.RULE, **of_units):
    """What is said of a final stage with these scores, below whose weights are kept."""
    table = [
        replace(row, test=0.6, parameters=100 * int(row.arm[:4])) for row in final_stage.table(scores, rule, **of_units)
    ]
    return winner.lines(winner.of_final_stage(table[0], f"{table[0].arm}-seed1", 0.8, CARD), table, chance)[3:]


CLEAR = {"0001": [0.80, 0.82, 0.84], "0001-supervised": [0.60, 0.61, 0.65], "0002": [0.70, 0.72, 0.75]}


def test_a_clear_winner_is_called_the_best_and_its_auxiliary_task_is_said_to_have_helped():
    best, auxiliary = said(CLEAR)
    assert best == "  0001 is the best: every other arm is worse"
    assert auxiliary.startswith("  the auxiliary task: helped 0001 (+0.2000 ± ")


def test_an_auxiliary_task_that_harms_is_said_to():
    *_, auxiliary = said({**CLEAR, "0001-supervised": [0.90, 0.91, 0.95]})
    assert "harmed 0001 (-0.1000 ± " in auxiliary


def test_arms_that_may_be_best_are_named_with_what_would_tell_and_the_smallest():
    """Seeds alone do; an hour trains every arm from one more."""
    best, smallest, auxiliary = said(final_stage.CLOSE, rule=Rule(0.01, 0, 3600.0))
    assert re.fullmatch(
        r"  0001 and 0001-supervised may be the best: validation cannot tell them apart; "
        r"about (\d+) more seeds \(\1.0 h\)(, or about \d+ more validation units)? would tell",
        best,
    )
    assert smallest == "  the smallest of these: 0001, test_resnet"
    assert auxiliary.startswith("  whether the auxiliary task helps 0001 (+0.0100 ± ") and "more seeds (" in auxiliary


def test_arms_that_do_not_differ_are_called_equivalent_and_the_margin_is_said():
    same = {"0001": [0.800, 0.811, 0.84], "0001-supervised": [0.80, 0.81, 0.84]}
    assert said(same, sd=0.02) == [
        "  0001 may be the best",
        "  equivalent to 0001 (apart by less than 0.01): 0001-supervised",
        "  the smallest of these: 0001, test_resnet",
        "  the auxiliary task: equivalent without it: 0001 (+0.0003 ± 0.0019)",
    ]


@pytest.mark.parametrize(
    ("scores", "of_units", "why"),
    [
        (CLEAR, {"units": 60}, "too few validation units (60; it takes 100)"),
        (CLEAR, {"units": 1}, "too few validation units (1; it takes 100)"),
        (CLEAR, {"lacking": "the runs were scored on other rows"}, "the runs were scored on other rows"),
        ({arm: found[:1] for arm, found in CLEAR.items()}, {}, "one seed shows no spread"),
    ],
)
def test_what_cannot_be_told_is_said_once_with_its_reason(scores, of_units, why):
    best, auxiliary = said(scores, **of_units)
    assert best == f"  which arm is the best cannot be told: {why}"
    assert re.fullmatch(
        rf"  whether the auxiliary task helps 0001 \(\+0.2\d+\) cannot be told: {re.escape(why)}", auxiliary
    )


def test_one_arm_is_not_called_the_best_of_one():
    assert said({"0001": [0.8, 0.9]}) == []


def test_an_arm_with_a_failed_run_does_not_win_and_is_said_to_be_the_best_all_the_same():
    best, failed, _ = said({**CLEAR, "0003": [0.95, 0.96, None]})
    assert best == "  0003 is the best: every other arm is worse"
    assert failed == "  0003 has the highest mean, but does not win: 1 of its runs failed"


def test_nothing_is_called_the_best_before_it_is_said_that_it_only_guesses():
    found = said(CLEAR, chance="  no better than chance")
    assert found[0] == "  no better than chance"
    assert "is the best" in found[1]
