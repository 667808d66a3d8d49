"""What a study is expected to train, corrected as trials end, and its pace."""

import itertools
from collections import Counter

import pytest

from search.record.trials import Outcome, Status
from search.space import epochs
from search.space.settings import SearchConfig
from search.strategy.forecast import Forecast
from search.strategy.suggestion import Suggestion
from tests.search.records import epoch, record

SAMPLED = {"backbone.name": "test_resnet", "data.image_size": 64}
ASHA = SearchConfig(num_trials=9, grace_epochs=1, reduction_factor=3)
PROMOTION = ASHA.model_copy(update={"scheduler": "promotion"})
WHOLE = {"scheduler": "none"}


@pytest.mark.parametrize(
    ("search", "over", "begun", "total"),
    [
        (ASHA, [], [], 9 * 1 + 3 * 2 + 1 * 6),  # rungs at 1, 3
        (ASHA, [1], [], 9 * 1 + (8 / 3) * 2 + 1 * 6),
        (ASHA, [], [1], 9 * 1 + (1 + 8 / 3) * 2 + (1 + 8 / 3) / 3 * 6),  # it was not stopped at the first rung
        (ASHA, [1] * 8, [9], 8 + 9),
        (ASHA, [1] * 8, [], 8 + 9),  # the last of them has to reach the end
        (ASHA, [9, 3, *[1] * 7], [], 9 + 3 + 7),
        (ASHA, [0] * 9, [], 0),
        (ASHA, [2, 0], [], 2 + 7 * 1 + (7 / 3) * 2 + 1 * 6),  # two that failed between rungs
        (ASHA.model_copy(update=WHOLE), [9, 4], [2], 7 * 9 + 9 + 4),
        (PROMOTION, [], [1] * 9, 9 + 3 * 2 + 1 * 6),  # all wait at the first rung
        (PROMOTION, [], [3, 3, 3, *[1] * 6], 9 + 3 * 2 + 1 * 6),
        (PROMOTION, [], [3, 3, 3, 3, *[1] * 5], 9 + 4 * 2 + 1 * 6),  # one was overtaken
        (PROMOTION, [9], [3, 3, *[1] * 6], 9 + 3 * 2 + 1 * 6),
    ],
)
def test_epochs_that_are_expected_after_what_is_known(search, over, begun, total):
    assert epochs.expected(search, 9, Counter(over), Counter(begun)) == pytest.approx(total)


@pytest.mark.parametrize("scheduler", ["asha", "promotion", "hyperband", "median", "none"])
def test_whatever_is_known_no_epoch_is_expected_that_was_trained_or_cannot_be(scheduler):
    search = SearchConfig(num_trials=3, grace_epochs=1, reduction_factor=2, scheduler=scheduler)
    for reached in itertools.product(range(6), repeat=3):
        for num_over in range(4):
            over, begun = list(reached[:num_over]), list(reached[num_over:])
            total = epochs.expected(search, 5, Counter(over), Counter(begun))
            assert sum(reached) <= total + 1e-9
            assert total <= sum(over) + 5 * len(begun) + 1e-9, (over, begun)
            if num_over == 3:
                assert total == pytest.approx(sum(reached))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def start(forecast, *names):
    for name in names:
        forecast.started(Suggestion(name, SAMPLED))


def finish(forecast, name, status):
    forecast.finish(Suggestion(name, SAMPLED), Outcome(status), None)


def test_both_stages_count_from_the_first_epoch_to_the_last():
    search = ASHA.model_copy(update={"num_trials": 2, "finalists": 1, "final_seeds": 2, "scheduler": "none"})
    forecast = Forecast(search, 3)
    assert forecast.left() == 2 * 3 + 2 * 2 * 3
    start(forecast, "0000")
    forecast.observe(Suggestion("0000", SAMPLED), epoch(1, 0.5, 3))
    finish(forecast, "0000", Status.FAILED)
    assert (forecast.trained, forecast.left()) == (1, 3 + 12)
    finish(forecast, "0001", Status.INFEASIBLE)
    assert (forecast.trained, forecast.left()) == (1, 12)


def test_a_known_final_stage_takes_the_place_of_an_expected_one_and_a_failed_run_is_not_waited_for(tmp_path):
    search = ASHA.model_copy(update={"num_trials": 1, "finalists": 1, "final_seeds": 2})
    trial = record(tmp_path / "0000", SAMPLED, [epoch(at, 0.5, 3) for at in (1, 2, 3)], "complete")
    forecast = Forecast(search, 3)
    forecast.begin_search([trial])
    assert (forecast.trained, forecast.left()) == (3, 12)
    forecast.end_search([trial])
    names = [f"0000-seed{seed}" for seed in (1, 2)]
    begun = record(tmp_path / names[0], SAMPLED, [epoch(1, 0.5, 3)])
    forecast.begin_finals([begun, type(begun)(tmp_path / names[1])])
    assert (forecast.trained, forecast.left()) == (4, 5), "the finalist has no auxiliary task: it is its own baseline"
    finish(forecast, names[0], Status.FAILED)
    assert forecast.left() == 3


def test_rates_of_baselines_are_expected_and_then_known(tmp_path):
    search = ASHA.model_copy(update={"num_trials": 1, "finalists": 1, "final_seeds": 2})
    trial = record(tmp_path / "0000", SAMPLED, [epoch(at, 0.5, 3) for at in (1, 2, 3)], "complete")
    forecast = Forecast(search, 3, of_baselines=4.5)
    forecast.begin_search([trial])
    forecast.end_search([trial])
    assert forecast.left() == 4.5 + 12
    name = "0000-supervised-lr0.01"
    forecast.begin_baselines([type(trial)(tmp_path / name)])
    assert forecast.left() == 3 + 12
    start(forecast, name)
    forecast.observe(Suggestion(name, SAMPLED), epoch(1, 0.5, 3))
    assert (forecast.trained, forecast.left()) == (4, 2 + 12)
    finish(forecast, name, Status.FAILED)
    assert forecast.left() == 12


def test_time_left_is_counted_down_and_follows_the_pace_of_late():
    search = ASHA.model_copy(update={"num_trials": 1, "finalists": 0, "scheduler": "none"})
    clock = Clock()
    forecast = Forecast(search, 100, clock)
    start(forecast, "0000")

    def left():
        return forecast.seconds_left(forecast.left())

    assert left() is None
    clock.now = 20  # processes start
    for at in range(1, 51):
        clock.now += 10
        forecast.observe(Suggestion("0000", SAMPLED), epoch(at, 0.5, 100))
    assert left() == pytest.approx(500)
    clock.now += 4
    assert left() == pytest.approx(496)
    clock.now += 600
    assert left() == pytest.approx(490), "an epoch that is late does not bring the end nearer than the others allow"
    clock.now -= 604
    for at in range(51, 101):
        clock.now += 20
        forecast.observe(Suggestion("0000", SAMPLED), epoch(at, 0.5, 100))
        if at == 90:
            assert left() == pytest.approx(200, rel=0.2)
    assert left() == 0


def test_trials_side_by_side_do_not_make_the_first_epochs_look_fast():
    """Eight trials report at nearly the same moment."""
    search = ASHA.model_copy(update={"num_trials": 8, "finalists": 0, "scheduler": "none"})
    clock = Clock()
    forecast = Forecast(search, 10, clock)
    start(forecast, *(f"{trial:04d}" for trial in range(8)))
    for at in range(1, 11):
        for trial in range(8):
            clock.now = at * 60 + trial / 100
            forecast.observe(Suggestion(f"{trial:04d}", SAMPLED), epoch(at, 0.5, 10))
            if (at, trial) >= (1, 1):
                true = 600 - clock.now
                assert forecast.seconds_left(forecast.left()) == pytest.approx(true, rel=0.01, abs=1)


def test_hours_that_a_budget_leaves_end_the_search_and_not_the_final_stage():
    search = ASHA.model_copy(update={"num_trials": 100, "finalists": 1, "final_seeds": 2, "scheduler": "none"})
    clock = Clock()
    forecast = Forecast(search, 10, clock)
    start(forecast, "0000")
    for at in range(1, 11):
        clock.now += 10
        forecast.observe(Suggestion("0000", SAMPLED), epoch(at, 0.5, 10))
    assert forecast.left(seconds_of_search=200) == pytest.approx(20 + 40)
    assert forecast.left(seconds_of_search=0) == 40
