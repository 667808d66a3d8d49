"""Planted studies are what they say; and what is said of them is seldom false: a short run of docs/claims.md."""

import numpy as np
import pytest

from search.claims.estimate import estimate
from search.claims.words import Claim, Word
from search.planted.arm_tables import kinds
from search.planted.studies import Plant, draw, with_truth
from search.planted.tally import Tally, is_false, tally, tally_earlier
from search.planted_truth import page, through_files

STUDIES = 200
LARGEST = 0.1
"""What 5% exceed in fewer than 1 of 500 runs of so many studies."""


def many(plant, studies=3000):
    generator = np.random.default_rng(0)
    return [draw(plant, generator) for _ in range(studies)]


def test_the_standard_error_of_planted_arms_is_the_one_said():
    plant = Plant(arms=3, seeds=4, units=500)
    found = [estimate(runs) for runs in many(plant)]
    differences = [of_study.means[0] - of_study.means[1] for of_study in found]
    assert np.std(differences) == pytest.approx(plant.gap_of_one_se, rel=0.04)
    variances = [of_study.standard_error[0, 1] ** 2 for of_study in found]
    assert np.mean(variances) == pytest.approx(plant.gap_of_one_se**2, rel=0.08)


def test_picked_arms_are_luckier_than_their_baselines():
    runs = many(Plant(arms=4, candidates=12, baselines=2), 1000)
    means = np.mean([estimate(of_study).means for of_study in runs], axis=0)
    assert means[:2].min() > means[2:].max() + 0.001


def test_runs_that_are_missing_are_not_drawn():
    kept = ((True, True, True), (True, False, True))
    runs = draw(Plant(arms=2, kept=kept), np.random.default_rng(0))
    assert runs.arms == ("arm 00",) * 3 + ("arm 01",) * 2
    assert runs.seeds == (0, 1, 2, 0, 2)


def test_a_truth_is_added_to_the_runs_of_its_arm():
    runs = draw(Plant(arms=2), np.random.default_rng(0))
    moved = with_truth(runs, np.array([0.5, 0]))
    assert (moved.scores - runs.scores).tolist() == pytest.approx([0.5] * 3 + [0] * 3)


@pytest.mark.parametrize(
    ("arm", "beside", "word", "false"),
    [
        ("a", "b", Word.WORSE, True),
        ("c", "a", Word.WORSE, False),
        ("a", "a", Word.BEST, True),
        ("c", "c", Word.BEST, True),
        ("b", "a", Word.EQUIVALENT, False),
        ("c", "a", Word.EQUIVALENT, True),
        ("c", "a", Word.MAY_BE_BEST, False),
        ("c", "a", Word.UNTOLD, False),
    ],
)
def test_a_claim_is_false_where_the_truth_is_another(arm, beside, word, false):
    """a and b are equally good, c lies behind."""
    assert is_false(Claim(arm, beside, 0.0, 0.0, 0.0, word), {"a": 0.9, "b": 0.9, "c": 0.8}) == false


@pytest.mark.parametrize(
    "plant", [Plant(4, 3, 1000), Plant(8, 5, 300), Plant(4, 5, 1000, run_sd=(0.03, 0.01, 0.01, 0.01))]
)
def test_claims_are_seldom_false_and_intervals_hold(plant):
    found = tally(plant, STUDIES)
    assert found.share("false") < LARGEST
    assert found.share("texture") < LARGEST
    assert found.share("half false") < LARGEST
    assert found.share("pair holds") > 1 - LARGEST
    assert found.share("lead 4") > 0.7


def test_the_earlier_rule_is_more_often_false_the_more_seeds_there_are():
    few, many_seeds = (tally_earlier(Plant(4, seeds, 300), 40) for seeds in (3, 10))
    assert many_seeds.share("false") > max(few.share("false"), 0.2)


def test_a_study_through_predictions_has_balanced_accuracies():
    plant = Plant(arms=3, seeds=2, units=400)
    runs = through_files(plant, np.random.default_rng(0))
    assert runs.arms == ("arm 00",) * 2 + ("arm 01",) * 2 + ("arm 02",) * 2 and runs.seeds == (0, 1) * 3
    assert runs.scores == pytest.approx(np.full(6, 0.85), abs=0.08)
    assert (runs.units, runs.lacking) == (400, "")


def test_claims_through_prediction_files_are_seldom_false_and_intervals_hold():
    found = tally(Plant(3, 3, 300), 8, through_files)
    assert found.seen["false"] <= 2 and found.seen["texture"] <= 2, "more is luck in 1 of 170"
    assert found.seen["pair holds"] >= 6


def test_limits_hold_the_share_and_are_those_of_a_table():
    """Clopper and Pearson for 5 of 100."""
    found = Tally(studies=100)
    found.seen["false"] = 5
    assert found.limits("false") == pytest.approx((0.0164, 0.1128), abs=1e-4)
    assert found.limits("never")[0] == 0


def test_the_page_has_a_row_for_each_kind():
    text, _, _ = page(studies=1, files=1, command="python -m search.planted_truth").partition("## One for all")
    assert all(text.count(f"| {name} |") == 2 for name in kinds())
