"""Each epoch of a trial is handed on once, whoever reports it again and after whatever kill."""

import sqlite3
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from lssat.train.result import Ended
from search.record.trials import Outcome, Status
from search.space.settings import SearchConfig
from search.strategy.suggestion import Suggestion
from search.study.tune_adaptor import Adaptor, Participants
from tests.search.records import epoch, record

SAMPLED = {"optim.epochs": 4}
SEARCH = SearchConfig(scheduler="asha")


class Decider(FIFOScheduler):
    """Stops a trial at an epoch, and notes which epochs it was asked about."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.stop_at, self.asked = stop_at, []

    def on_trial_result(self, tune_controller, trial, result):
        self.asked.append(result["epoch"])
        return "STOP" if result["epoch"] == self.stop_at else "CONTINUE"


class Listener:
    """Suggests one trial, and notes what it hears."""

    def __init__(self):
        self.heard, self.ended, self.is_finished = [], [], False

    def suggest(self):
        suggested, self.is_finished = (None if self.is_finished else Suggestion("0003", SAMPLED)), True
        return suggested

    def observe(self, suggestion, result):
        self.heard.append((suggestion.name, result))

    def finish(self, suggestion, outcome, last):
        self.ended.append((suggestion.name, outcome, last))


class Trial:
    trial_id, config = "id", Suggestion("0003", SAMPLED).for_tune()
    run_metadata = SimpleNamespace(num_failures=0)


@pytest.fixture
def made(tmp_path):
    """What Tune takes for its scheduler, over a record with so many epochs; who decides; who listens."""

    def make(num_recorded=0, stop_at=None, is_budget_spent=lambda: False):
        recorded = record(tmp_path / "0003", SAMPLED, [epoch(at, 0.1 * at) for at in range(1, num_recorded + 1)])
        decider, listener = Decider(stop_at), Listener()
        participants = Participants(listener, decider, [listener], is_budget_spent)
        make.adaptor = Adaptor(SEARCH, participants, lambda name: recorded)
        make.adaptor.tune_scheduler.on_trial_add(None, Trial)
        return make.adaptor.tune_scheduler, decider, listener

    return make


def test_a_trial_that_goes_on_reports_its_last_epoch_again_and_nobody_hears_of_it(made):
    scheduler, decider, listener = made(num_recorded=2)
    assert decider.asked == [1, 2], "what was on record is replayed to the scheduler alone"
    for at in (2, 3, 3, 4):
        assert scheduler.on_trial_result(None, Trial, epoch(at, 0.1 * at).to_report()) == "CONTINUE"
    assert listener.heard == [("0003", epoch(3, 0.1 * 3)), ("0003", epoch(4, 0.4))]
    assert decider.asked == [1, 2, 3, 4]


def test_an_epoch_that_was_saved_and_not_recorded_is_handed_on(made):
    scheduler, _, listener = made(num_recorded=1)
    scheduler.on_trial_result(None, Trial, epoch(2, 0.2).to_report())  # first thing after the kill
    assert listener.heard == [("0003", epoch(2, 0.2))]


def test_a_decision_that_a_kill_came_before_is_made_again(made):
    scheduler, _, listener = made(num_recorded=2, stop_at=2)
    assert scheduler.on_trial_result(None, Trial, epoch(2, 0.2).to_report()) == "STOP"
    assert listener.heard == []


DIED = "its process died 4 times without a new epoch, the last time alone; see log.txt"
ENDED = [Ended("failed", "ValueError: no"), Ended("infeasible", "DoesNotFit: too large")]


@pytest.mark.parametrize("ended", ENDED)
def test_why_a_trial_ends_decides_nothing_and_is_how_it_ended(made, ended):
    scheduler, decider, listener = made()
    assert scheduler.on_trial_result(None, Trial, ended.to_report()) == "CONTINUE"
    assert (listener.heard, decider.asked) == ([], [])
    made.adaptor.tune_searcher.on_trial_complete("id")
    assert listener.ended == [("0003", Outcome(Status(ended.status), ended.reason), None)]


@pytest.mark.parametrize("ended", ENDED)
def test_what_a_process_said_that_then_died_does_not_count(made, ended):
    """Tune lets the trial go on, and it reaches its last epoch."""
    scheduler, _, listener = made()
    scheduler.on_trial_result(None, Trial, ended.to_report())
    scheduler.on_trial_error(None, Trial)
    scheduler.on_trial_add(None, Trial)
    scheduler.on_trial_result(None, Trial, epoch(4, 0.4).to_report())
    made.adaptor.tune_searcher.on_trial_complete("id")
    assert listener.ended == [("0003", Outcome(Status.COMPLETE), epoch(4, 0.4))]


def test_the_trial_whose_last_epoch_spends_the_budget_is_told_to_stop_so_that_it_counts_as_complete(made):
    """Tune ends all trials at once when the budget is spent; only what is stopped before is told to the searcher."""
    scheduler, _, listener = made(is_budget_spent=lambda: True)
    assert scheduler.on_trial_result(None, Trial, epoch(3, 0.3).to_report()) == "CONTINUE", "this one can go on later"
    assert scheduler.on_trial_result(None, Trial, epoch(4, 0.4).to_report()) == "STOP"
    assert len(listener.heard) == 2


def test_so_is_one_whose_last_epoch_is_on_record_already(made):
    scheduler, _, listener = made(num_recorded=4, is_budget_spent=lambda: True)
    assert scheduler.on_trial_result(None, Trial, epoch(4, 0.4).to_report()) == "STOP"
    assert listener.heard == []


@pytest.mark.parametrize(
    ("reported", "died", "outcome"),
    [
        ([1, 2, 3, 4], False, Outcome(Status.COMPLETE)),
        ([1, 2], False, Outcome(Status.STOPPED)),
        ([1, 2], True, Outcome(Status.FAILED, DIED)),
    ],
)
def test_everybody_hears_the_same_of_how_a_trial_ended(made, reported, died, outcome):
    scheduler, _, listener = made()
    for at in reported:
        scheduler.on_trial_result(None, Trial, epoch(at, 0.1).to_report())
    made.adaptor.tune_searcher.on_trial_complete("id", error=died)
    assert listener.ended == [("0003", outcome, epoch(reported[-1], 0.1))]


def test_a_trial_that_says_only_what_is_on_record_ends_as_it_stands_there(made):
    """A kill came between the decision to stop it and its end: it reports its last epoch again and is stopped."""
    scheduler, _, listener = made(num_recorded=2, stop_at=2)
    assert scheduler.on_trial_result(None, Trial, epoch(2, 0.2).to_report()) == "STOP"
    made.adaptor.tune_searcher.on_trial_complete("id")
    assert listener.ended == [("0003", Outcome(Status.STOPPED), epoch(2, 0.2))]


def test_a_trial_whose_process_died_is_added_again_and_nothing_is_replayed_twice(made, tmp_path):
    scheduler, decider, listener = made()
    for at in (1, 2):
        scheduler.on_trial_result(None, Trial, epoch(at, 0.1).to_report())
    scheduler.on_trial_error(None, Trial)
    record(tmp_path / "0003", SAMPLED, [epoch(1, 0.1), epoch(2, 0.1)])
    scheduler.on_trial_add(None, Trial)
    for at in (2, 3):
        scheduler.on_trial_result(None, Trial, epoch(at, 0.1).to_report())
    assert decider.asked == [1, 2, 3]
    assert [result.epoch for _, result in listener.heard] == [1, 2, 3]


def test_a_trial_that_never_began_has_only_paused(made):
    scheduler, _, listener = made()
    scheduler.on_trial_remove(None, Trial)
    made.adaptor.tune_searcher.on_trial_complete("id")
    assert listener.ended == [("0003", None, None)]


def test_tune_is_told_to_wait_or_that_nothing_is_left(made):
    _, _, listener = made()
    searcher = made.adaptor.tune_searcher
    assert searcher.suggest("a") == Suggestion("0003", SAMPLED).for_tune()
    listener.is_finished = True
    assert searcher.suggest("b") == Searcher.FINISHED
    listener.suggest = lambda: None
    listener.is_finished = False
    assert searcher.suggest("c") is None


def test_a_spent_budget_ends_all_trials_and_no_single_one(made):
    """Tune takes what a stopper ends for complete; a spent budget ends all trials where they are."""
    made(is_budget_spent=lambda: True)
    stopper = made.adaptor.tune_stopper
    assert stopper.stop_all() and not stopper("id", {})


def test_a_failure_of_the_machine_ends_all_trials_and_tells_nobody_an_outcome(made):
    scheduler, _, listener = made(num_recorded=1)
    failed = Ended("interrupted", "OSError: [Errno 28] No space left on device")
    scheduler.on_trial_result(None, Trial, failed.to_report())
    adaptor = made.adaptor
    assert adaptor.interruption == "0003: OSError: [Errno 28] No space left on device"
    assert adaptor.tune_stopper.stop_all()
    assert adaptor.tune_searcher.suggest("next") == Searcher.FINISHED, "the next would fail as well"
    adaptor.tune_searcher.on_trial_complete("id")
    assert listener.ended == [("0003", None, epoch(1, 0.1))], "as after a kill: it can go on"


def test_deaths_count_since_the_last_new_epoch(made):
    scheduler, _, _ = made(num_recorded=1)
    Trial.run_metadata.num_failures = 2
    scheduler.on_trial_result(None, Trial, epoch(1, 0.1).to_report())
    assert Trial.run_metadata.num_failures == 2, "the repeated report of an epoch is no progress"
    scheduler.on_trial_result(None, Trial, epoch(2, 0.2).to_report())
    assert Trial.run_metadata.num_failures == 0


@pytest.mark.parametrize(
    "over",
    [
        lambda adaptor: adaptor.tune_searcher.on_trial_complete("id"),
        lambda adaptor: adaptor.tune_scheduler.on_trial_remove(None, Trial),
    ],
)
def test_who_cannot_write_down_how_a_trial_ended_ends_the_session_and_is_no_death_of_it(made, monkeypatch, over):
    """Tune takes an error of its searcher for a death of the trial, and would train it again."""
    _, _, listener = made(num_recorded=1)
    locked = sqlite3.OperationalError("database is locked")

    def finish(*heard):
        raise locked

    monkeypatch.setattr(listener, "finish", finish)
    over(made.adaptor)
    assert made.adaptor.failure is locked and made.adaptor.tune_stopper.stop_all()
    assert made.adaptor.tune_searcher.suggest("next") == Searcher.FINISHED
