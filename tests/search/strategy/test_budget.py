"""Budgets count what was spent, earlier sessions included."""

import time

import pytest

from search.space.settings import SearchConfig
from search.strategy.budget import Budget, gpu_hours


def result(name, epoch, **config):
    return {"epoch": epoch, "config": {"name": name, "config": config}, "time_this_iter_s": 1800.0}


def test_epochs_of_all_sessions_and_a_repeated_one_once():
    budget = Budget(SearchConfig(max_epochs=10), {"0000": 5, "0001": 2}, 0.0)
    assert budget.spent() is None
    for name, epoch in (("0001", 2), ("0001", 3), ("0002", 1)):
        budget("id", result(name, epoch))
        assert not budget.stop_all()
    budget("id", result("0002", 2))
    assert budget.stop_all()
    assert budget.spent() == "10 epochs (`search.max_epochs`)"


def test_hours_of_gpus_are_those_that_trials_hold(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget = Budget(SearchConfig(max_gpu_hours=1.5), {}, 0.5)
    gpus = {"resources.gpus_per_worker": 0.5, "resources.num_workers": 2, "optim.batch_size": 64}
    budget("id", result("0000", 1, **gpus))  # half an hour until its first report
    assert budget.spent() is None
    now[0] = 1799
    budget("id", result("0000", 2, **gpus))
    assert budget.spent() is None
    now[0] = 90000
    budget(
        "again", {**result("0000", 3, **gpus), "time_this_iter_s": 2.0}
    )  # it had paused for a day, which holds no GPU
    assert budget.spent() == "1.5 GPU-hours (`search.max_gpu_hours`)"


def test_hours_on_the_clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    budget = Budget(SearchConfig(max_hours=1), {"0000": 99}, 0.0)
    now[0] += 3599
    assert not budget.stop_all()
    now[0] += 1
    assert budget.stop_all()


def test_what_finished_trials_have_held():
    settings = {"resources.num_workers": 2, "resources.gpus_per_worker": 0.25}
    assert gpu_hours([(settings, 7200.0), (settings, 0.0)]) == pytest.approx(1.0)


def test_a_trial_whose_last_epoch_spends_the_budget_is_complete():
    """Tune ends all trials at once when the budget is spent; what a stopper ends is told to the searcher."""
    budget = Budget(SearchConfig(max_epochs=4), {}, 0.0)
    assert not budget("a", {**result("0000", 2), "epochs": 2}), "it ends by itself"
    assert not budget("b", {**result("0001", 1), "epochs": 2})
    assert budget("b", {**result("0001", 2), "epochs": 2})
    assert not budget("c", {**result("0002", 1), "epochs": 2}), "this one can be gone on with"
