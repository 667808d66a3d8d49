"""Each epoch of a trial is handed on once, whoever reports it again and after whatever kill."""

import pytest
from ray.tune.schedulers import FIFOScheduler

from lssat.train.result import Ended
from search.strategy.suggestion import Suggestion
from search.study.adaptor import Adaptor
from tests.search.records import epoch, record

SAMPLED = {"optim.epochs": 4}


class Scheduler(FIFOScheduler):
    """Stops a trial at an epoch, and notes which epochs it was asked about."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.stop_at, self.asked = stop_at, []

    def on_trial_result(self, tune_controller, trial, result):
        self.asked.append(result["epoch"])
        return "STOP" if result["epoch"] == self.stop_at else "CONTINUE"


class Listener:
    def __init__(self):
        self.heard = []

    def observe(self, suggestion, message):
        self.heard.append((suggestion.name, message))


class Trial:
    trial_id, config = "id", Suggestion("0003", SAMPLED).for_tune()


@pytest.fixture
def made(tmp_path):
    """An adaptor over a record with so many epochs, its scheduler and its listener."""

    def make(num_recorded=0, stop_at=None, is_budget_spent=lambda: False):
        recorded = record(tmp_path / "0003", SAMPLED, [epoch(at, 0.1 * at) for at in range(1, num_recorded + 1)])
        scheduler, listener = Scheduler(stop_at), Listener()
        adaptor = Adaptor(scheduler, [listener], lambda name: recorded, is_budget_spent)
        adaptor.on_trial_add(None, Trial)
        return adaptor, scheduler, listener

    return make


def test_a_trial_that_goes_on_reports_its_last_epoch_again_and_nobody_hears_of_it(made):
    adaptor, scheduler, listener = made(num_recorded=2)
    assert scheduler.asked == [1, 2], "what was on record is replayed to the scheduler alone"
    for at in (2, 3, 3, 4):
        assert adaptor.on_trial_result(None, Trial, epoch(at, 0.1 * at).to_report()) == "CONTINUE"
    assert listener.heard == [("0003", epoch(3, 0.1 * 3)), ("0003", epoch(4, 0.4))]
    assert scheduler.asked == [1, 2, 3, 4]


def test_an_epoch_that_was_saved_and_not_recorded_is_handed_on(made):
    adaptor, _, listener = made(num_recorded=1)
    adaptor.on_trial_result(None, Trial, epoch(2, 0.2).to_report())  # first thing after the kill
    assert listener.heard == [("0003", epoch(2, 0.2))]


def test_a_decision_that_a_kill_came_before_is_made_again(made):
    adaptor, _, listener = made(num_recorded=2, stop_at=2)
    assert adaptor.on_trial_result(None, Trial, epoch(2, 0.2).to_report()) == "STOP"
    assert listener.heard == []


@pytest.mark.parametrize("ended", [Ended("failed", "ValueError: no"), Ended("infeasible", "DoesNotFit: too large")])
def test_why_a_trial_ends_is_heard_and_decides_nothing(made, ended):
    adaptor, scheduler, listener = made()
    assert adaptor.on_trial_result(None, Trial, ended.to_report()) == "CONTINUE"
    assert (listener.heard, scheduler.asked) == ([("0003", ended)], [])


def test_a_trial_that_returns_without_a_word(made):
    adaptor, _, listener = made()
    assert adaptor.on_trial_result(None, Trial, {"done": True, "trial_id": "id"}) == "CONTINUE"
    assert listener.heard == []


def test_the_trial_whose_last_epoch_spends_the_budget_is_told_to_stop_so_that_it_counts_as_complete(made):
    """Tune ends all trials at once when the budget is spent; only what is stopped before is told to the searcher."""
    adaptor, _, listener = made(is_budget_spent=lambda: True)
    assert adaptor.on_trial_result(None, Trial, epoch(3, 0.3).to_report()) == "CONTINUE", "this one can go on later"
    assert adaptor.on_trial_result(None, Trial, epoch(4, 0.4).to_report()) == "STOP"
    assert len(listener.heard) == 2
