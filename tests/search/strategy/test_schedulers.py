"""Who is stopped, and that an interruption changes nothing of it."""

from types import SimpleNamespace

import numpy as np
import pytest
from ray.tune.schedulers import FIFOScheduler

from search.space.settings import SearchConfig
from search.strategy.schedulers import scheduler

EPOCHS = 9
CURVES = np.random.default_rng(4).random((30, EPOCHS)).cumsum(1) / EPOCHS


def entry(number, epoch):
    return {"epoch": epoch, "epochs": EPOCHS, "val/best": float(CURVES[number, epoch - 1])}


class Trial:
    def __init__(self, number, session):
        self.trial_id, self.config = f"{session}-{number}", {"name": f"{number:04d}"}


def run(kind, interrupt=lambda number, epoch: False):
    """Epochs of each trial, one after the other; an interruption makes the scheduler anew from what is on record,
    decision pending.
    """
    search = SearchConfig(scheduler=kind, grace_epochs=1, reduction_factor=3)
    records = {f"{number:04d}": [] for number in range(len(CURVES))}
    session, reached = 0, []
    rungs = scheduler(search, EPOCHS, records.__getitem__, [])
    for number in range(len(CURVES)):
        name, epoch, decision = f"{number:04d}", 0, "CONTINUE"
        trial = Trial(number, session)
        rungs.on_trial_add(None, trial)
        while decision == "CONTINUE" and epoch < EPOCHS:
            epoch += 1
            decision = rungs.on_trial_result(None, trial, entry(number, epoch))
            records[name].append(entry(number, epoch))
            if interrupt(number, epoch):
                session += 1
                rungs = scheduler(search, EPOCHS, records.__getitem__, [f"{n:04d}" for n in range(number)])
                trial = Trial(number, session)
                rungs.on_trial_add(None, trial)
                decision = rungs.on_trial_result(None, trial, entry(number, epoch))  # it reports its last epoch again
        reached.append(epoch)
        rungs.on_trial_complete(None, trial, entry(number, epoch))
    return reached


@pytest.mark.parametrize("kind", ["asha", "hyperband", "median"])
def test_an_interruption_at_any_epoch_changes_nothing(kind):
    whole = run(kind)
    assert 3 < sum(epochs < EPOCHS for epochs in whole) < len(CURVES)
    random = np.random.default_rng(0)
    assert run(kind, lambda number, epoch: random.random() < 0.3) == whole


def test_asha_by_hand():
    """Rungs at 1, 3 and 9; at each, the trial must reach the upper third of those that were there before it."""
    scores = {1: [], 3: []}
    expected = []
    for curve in CURVES:
        reached = EPOCHS
        for rung in (1, 3):
            value = curve[rung - 1]
            behind = bool(scores[rung]) and value < np.percentile(scores[rung], 100 * 2 / 3)
            scores[rung].append(value)
            if behind:
                reached = rung
                break
        expected.append(reached)
    assert run("asha") == expected


def test_hyperband_has_brackets_that_begin_later():
    reached = run("hyperband")
    assert {1, 3, 9} <= set(reached)
    assert sum(epochs > 1 for epochs in reached) > sum(epochs > 1 for epochs in run("asha"))


def test_none_stops_nothing():
    assert isinstance(scheduler(SearchConfig(scheduler="none"), EPOCHS, lambda name: [], []), FIFOScheduler)
    assert isinstance(
        scheduler(SearchConfig(scheduler="asha", grace_epochs=9), EPOCHS, lambda name: [], []), FIFOScheduler
    )
    assert run("none") == [EPOCHS] * len(CURVES)


def test_a_result_without_an_epoch_is_let_pass():
    rungs = scheduler(SearchConfig(), EPOCHS, lambda name: [], [])
    trial = SimpleNamespace(trial_id="a", config={"name": "0000"})
    rungs.on_trial_add(None, trial)
    assert rungs.on_trial_result(None, trial, {"failed": "ValueError: no"}) == "CONTINUE"


def test_median_told_in_another_order_goes_on():
    """Several at a time: the record is told trial by trial, so that a trial may seem to be behind where it was not."""
    search = SearchConfig(scheduler="median", grace_epochs=1)
    records = {
        f"{number:04d}": [entry(number, epoch) for epoch in range(1, EPOCHS + 1)] for number in range(len(CURVES))
    }
    rungs = scheduler(search, EPOCHS, records.__getitem__, sorted(records, key=lambda name: -CURVES[int(name)].sum()))
    trial = Trial(0, "next")
    trial.config = {"name": "0030"}
    records["0030"] = []
    rungs.on_trial_add(None, trial)
    assert rungs.on_trial_result(None, trial, {**entry(0, 1), "val/best": 9.0}) == "CONTINUE"
