"""Claims in words: difference, interval, word and cost are of one claim, and the rate is that of the records."""

import json
from dataclasses import replace

import numpy as np
import pytest

from search.claims.cost import Cost
from search.claims.estimate import estimate
from search.claims.words import Word, beside_baselines, beside_best
from search.findings.told import Rule, seconds_of_a_seed, told, would_tell
from search.page.statements import of_claim
from search.planted.studies import Plant, draw, with_truth
from search.record.folder import RunFolder, Stage
from tests.search.records import epoch, record

MARGIN = 0.01
OPEN = (Word.MAY_BE_BEST, Word.UNTOLD)


def random_study(seed):
    """Any number of arms, seeds and units, some runs missing, any spread; now and then nothing is known of units."""
    generator = np.random.default_rng(seed)
    arms, seeds = int(generator.integers(2, 7)), int(generator.integers(1, 6))
    kept = generator.random((arms, seeds)) < 0.85
    kept[:, 0] = True
    plant = Plant(arms, seeds, int(generator.choice([50, 150, 4000, 100_000])), kept=tuple(map(tuple, kept.tolist())))
    return estimate(with_truth(draw(plant, generator), generator.choice([0, 0.005, 0.05, 0.3], arms)))


@pytest.mark.parametrize("seed", range(150))
def test_word_interval_and_cost_never_contradict_each_other(seed):
    found = random_study(seed)
    rule = Rule(MARGIN, seconds_of_a_seed=90.0)
    top, *others = told(found, beside_best(found, MARGIN), rule)
    pairs = told(found, beside_baselines(found, [(found.arms[0], found.arms[1])], 5, MARGIN), rule)
    for of in [*others, *pairs]:
        word, difference, half = of.claim.word, of.difference, of.half
        assert (half is None) == bool(of.claim.why) == bool(found.trouble), "an interval, or why there is none"
        assert bool(of.to_tell) == (word in OPEN), "what is open has a cost or a reason, and nothing else has"
        shown = [float(number) for number in of.plus_minus.split(" ± ")]
        assert shown[0] == pytest.approx(difference, abs=5e-5)
        if half is None:
            assert (word, len(shown)) == (Word.UNTOLD, 1)
            continue
        is_inside = abs(difference) + half < MARGIN
        assert (word is Word.EQUIVALENT) == is_inside
        assert (word in OPEN) == (half >= abs(difference) and not is_inside)
        assert (word is Word.BETTER) == (difference > half and not is_inside)
        if word is not Word.EQUIVALENT:
            assert (shown[1] >= abs(shown[0])) if word in OPEN else (shown[1] <= abs(shown[0])), "as it is printed"
    assert (top.difference, top.plus_minus) == (None, "")
    assert (top.claim.word is Word.BEST) == all(of.claim.word is Word.WORSE for of in others)


def test_a_smaller_margin_makes_nothing_equivalent_that_a_larger_one_does_not():
    for seed in range(30):
        found = random_study(seed)
        equal = [
            {of.arm for of in beside_best(found, margin) if of.word is Word.EQUIVALENT} for margin in (0.001, 0.01, 0.1)
        ]
        assert equal[0] <= equal[1] <= equal[2]


def record_spans(folder, runs):
    """Runs of two epochs of the same length. `runs`: name -> (start, end), in seconds."""
    for name, (start, end) in runs.items():
        made = record(folder.record(Stage.FINAL, name).folder, {"optim.epochs": 2}, [epoch(1, 0.5), epoch(2, 0.5)])
        path = made.folder / "metrics.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line, at in zip(lines, ((start + end) / 2, end), strict=True):
            line |= {"time": at, "seconds": at - start}
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


ARMS = {"a-seed1": ("a", 1), "a-seed2": ("a", 2), "b-seed1": ("b", 1), "b-seed2": ("b", 2)}


@pytest.mark.parametrize(
    ("runs", "seconds"),
    [
        ([(0, 100), (100, 200), (200, 500), (500, 800)], 400),  # one after the other
        ([(0, 100), (0, 100), (100, 400), (100, 400)], 200),  # two at a time
        ([(0, 100), (5000, 5100), (5100, 5400), (5400, 5700)], 400),  # nothing ran in between
    ],
)
def test_a_seed_takes_a_run_of_every_arm_at_the_rate_of_the_record(tmp_path, runs, seconds):
    folder = RunFolder(tmp_path)
    record_spans(folder, dict(zip(ARMS, runs, strict=True)))
    assert seconds_of_a_seed(folder, Stage.FINAL, ARMS) == pytest.approx(seconds)


def test_the_pause_of_a_run_that_was_interrupted_does_not_count(tmp_path):
    folder = RunFolder(tmp_path)
    record_spans(folder, {name: (0, 100) for name in ARMS})  # four at a time
    for name in ARMS:
        path = folder.record(Stage.FINAL, name).folder / "metrics.jsonl"
        first, last = (json.loads(line) for line in path.read_text().splitlines())
        path.write_text(f"{json.dumps(first)}\n{json.dumps(last | {'time': 9000})}\n")
    assert seconds_of_a_seed(folder, Stage.FINAL, ARMS) == pytest.approx(50)


def test_runs_without_an_epoch_have_no_rate(tmp_path):
    assert seconds_of_a_seed(RunFolder(tmp_path), Stage.FINAL, ARMS) is None


def test_seeds_are_said_with_the_time_they_take_and_all_open_claims_with_the_most():
    runs = with_truth(draw(Plant(4, 4, 4000), np.random.default_rng(1)), np.array([0.02, 0.01, 0.015, 0.0]))
    found = estimate(runs)
    claims = [of for of in told(found, beside_best(found), Rule(MARGIN, 0, 1800.0)) if of.cost]
    assert len(claims) > 1
    for of in claims:
        assert of.cost.seeds is None or f"more seeds ({0.5 * of.cost.seeds:.1f} h)" in of.to_tell
    seeds = [of.cost.seeds for of in claims]
    said = would_tell(claims)
    assert (f"about {max(seeds)} more seeds" in said) if None not in seeds else ("more seeds" not in said)


@pytest.mark.parametrize(
    ("cost", "clause"),
    [
        (Cost(1, None), "about 1 more seed would tell"),
        (Cost(4, 900), "about 4 more seeds, or about 900 more validation units would tell"),
        (Cost(None, 900), "not with this validation set; about 900 more validation units would tell"),
        (Cost(None, None), "only more of both, seeds and units, would tell"),
    ],
)
def test_what_would_tell_is_a_whole_clause_on_the_page_too(cost, clause):
    runs = with_truth(draw(Plant(2, 4, 4000), np.random.default_rng(1)), np.zeros(2))
    found = estimate(runs)
    open_claim = replace(told(found, beside_best(found), Rule(MARGIN))[1], cost=cost)
    assert would_tell([open_claim]) == clause
    assert of_claim(open_claim, "s.x", "x.csv").text.endswith(f": {clause}.")
