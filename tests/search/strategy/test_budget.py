"""Budgets count what was spent, earlier sessions included."""

import time

from lssat.config import build
from search.record.trials import Outcome, Status, TrialRecord
from search.space.settings import SearchConfig
from search.strategy.budget import Budget
from search.strategy.suggestion import Suggestion
from tests.search.records import epoch, record

GPUS = {"resources.gpus_per_worker": 0.5, "resources.num_workers": 2, "optim.batch_size": 64}


def earlier(tmp_path, **num_epochs):
    """Records of trials with so many epochs, a second each."""
    return [
        record(tmp_path / name, GPUS, [epoch(at, 0.5, 9) for at in range(1, count + 1)])
        for name, count in num_epochs.items()
    ]


def test_epochs_of_all_sessions(tmp_path):
    records = earlier(tmp_path, a=5, b=2)
    budget = Budget(SearchConfig(max_epochs=10), records, lambda name: 0.0)
    assert budget.spent() is None
    for name, at in (("b", 3), ("c", 1)):
        budget.observe(Suggestion(name, GPUS), epoch(at, 0.5, 9))
        assert not budget.is_spent()
    budget.observe(Suggestion("c", GPUS), epoch(2, 0.5, 9))
    assert budget.is_spent()
    assert budget.spent() == "10 epochs (`search.max_epochs`)"


def test_hours_of_gpus_are_those_that_trials_hold(tmp_path):
    """Two halves of a GPU; pauses hold none, so what counts is how long a trial has trained."""
    seconds = {"a": 1800.0}
    budget = Budget(SearchConfig(max_gpu_hours=1), [], seconds.__getitem__)
    budget.observe(Suggestion("a", GPUS), epoch(1, 0.5, 9))
    assert budget.spent() is None
    seconds["a"] = 3599.0
    budget.observe(Suggestion("a", GPUS), epoch(2, 0.5, 9))
    assert budget.spent() is None
    seconds["a"] = 3600.0
    budget.observe(Suggestion("a", GPUS), epoch(3, 0.5, 9))
    assert budget.spent() == "1 GPU-hours (`search.max_gpu_hours`)"


def test_a_trial_that_fails_has_held_its_gpus_as_well(tmp_path):
    """Else a space in which nothing fits would never come to an end."""
    budget = Budget(SearchConfig(max_gpu_hours=1), [], lambda name: 3600.0)
    budget.finish(Suggestion("a", GPUS), Outcome(Status.INFEASIBLE, "DoesNotFit"), None)
    assert budget.is_spent()
    failed = TrialRecord(tmp_path / "b").begin(GPUS, build(GPUS))
    failed.end(Outcome(Status.FAILED, "ValueError", 3600.0))
    assert Budget(SearchConfig(max_gpu_hours=1), [failed], lambda name: 0.0).is_spent()


def test_gpus_that_trials_of_earlier_sessions_have_held(tmp_path):
    records = earlier(tmp_path, a=4, b=2)
    assert Budget(SearchConfig(max_gpu_hours=6.1 / 3600), records, lambda name: 0.0).spent() is None
    assert Budget(SearchConfig(max_gpu_hours=5.9 / 3600), records, lambda name: 0.0).is_spent()


def test_hours_on_the_clock_are_those_of_this_session(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget = Budget(SearchConfig(max_hours=1), earlier(tmp_path, a=9), lambda name: 99999.0)
    now[0] += 3599
    assert not budget.is_spent()
    now[0] += 1
    assert budget.is_spent()


def test_seconds_that_are_left_of_hours_on_the_clock():
    assert Budget(SearchConfig(), [], lambda name: 0.0).seconds_left() == float("inf")
    assert 3590 < Budget(SearchConfig(max_hours=1), [], lambda name: 0.0).seconds_left() <= 3600
    assert Budget(SearchConfig(max_hours=1e-15), [], lambda name: 0.0).seconds_left() == 0
