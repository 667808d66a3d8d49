"""Who is stopped, and that an interruption changes nothing of it."""

from types import SimpleNamespace

import numpy as np
import pytest
from ray.tune.schedulers import FIFOScheduler

from search.record.folder import RunFolder, Stage
from search.space.settings import SearchConfig
from search.strategy.schedulers import scheduler
from search.strategy.suggestion import Suggestion
from search.study.tune_adaptor import Adaptor, Participants
from tests.search.records import epoch

EPOCHS = 9
CURVES = np.random.default_rng(4).random((30, EPOCHS)).cumsum(1) / EPOCHS


def entry(number, at):
    return epoch(at, float(CURVES[number, at - 1]), EPOCHS)


class Trial:
    """What a scheduler reads of a trial of Ray Tune."""

    def __init__(self, number, session):
        self.trial_id, self.config = f"{session}-{number}", Suggestion(f"{number:04d}", {}).for_tune()
        self.run_metadata = SimpleNamespace(num_failures=0)


class Records:
    """The record as a listener: what is on it has been handed on."""

    def __init__(self, path):
        self._folder = RunFolder(path)

    def of(self, name):
        return self._folder.record(Stage.SEARCH, name)

    def observe(self, suggestion, result):
        record = self.of(suggestion.name)
        record.folder.mkdir(parents=True, exist_ok=True)
        record.append(result, 1.0)


def adaptor(search, records, earlier=()):
    """What Ray Tune takes for its scheduler."""
    made = Adaptor(search, Participants(None, scheduler(search, EPOCHS), [records]), records.of)
    made.replay(records.of(name) for name in earlier)
    return made.tune_scheduler


def run(kind, path, interrupt=lambda number, at: False):
    """Epochs of each trial, one after the other; an interruption makes everything anew from what is on record, decision
    pending.
    """
    search = SearchConfig(scheduler=kind, grace_epochs=1, reduction_factor=3)
    records = Records(path)
    session, reached = 0, []
    rungs = adaptor(search, records)
    for number in range(len(CURVES)):
        at, decision, trial = 0, "CONTINUE", Trial(number, session)
        rungs.on_trial_add(None, trial)
        while decision == "CONTINUE" and at < EPOCHS:
            at += 1
            decision = rungs.on_trial_result(None, trial, entry(number, at).to_report())
            if interrupt(number, at):
                session += 1
                rungs = adaptor(search, records, [f"{earlier:04d}" for earlier in range(number)])
                trial = Trial(number, session)
                rungs.on_trial_add(None, trial)
                decision = rungs.on_trial_result(None, trial, entry(number, at).to_report())  # its last epoch again
        reached.append(at)
        rungs.on_trial_complete(None, trial, entry(number, at).to_report())
    return reached


@pytest.mark.parametrize("kind", ["asha", "hyperband", "median"])
def test_an_interruption_at_any_epoch_changes_nothing(tmp_path, kind):
    whole = run(kind, tmp_path / "whole")
    assert 3 < sum(epochs < EPOCHS for epochs in whole) < len(CURVES)
    random = np.random.default_rng(0)
    assert run(kind, tmp_path / "interrupted", lambda number, at: random.random() < 0.3) == whole


def test_asha_by_hand(tmp_path):
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
    assert run("asha", tmp_path) == expected


def test_hyperband_has_brackets_that_begin_later(tmp_path):
    reached = run("hyperband", tmp_path / "hyperband")
    assert {1, 3, 9} <= set(reached)
    assert sum(epochs > 1 for epochs in reached) > sum(epochs > 1 for epochs in run("asha", tmp_path / "asha"))


def test_none_stops_nothing(tmp_path):
    assert isinstance(scheduler(SearchConfig(scheduler="none"), EPOCHS), FIFOScheduler)
    assert isinstance(scheduler(SearchConfig(scheduler="asha", grace_epochs=9), EPOCHS), FIFOScheduler)
    assert run("none", tmp_path) == [EPOCHS] * len(CURVES)


def test_median_that_hears_of_trials_in_another_order_goes_on(tmp_path):
    """The record is replayed trial by trial, so that a trial may seem to be behind where it was not."""
    search, records = SearchConfig(scheduler="median", grace_epochs=1), Records(tmp_path)
    names = [f"{number:04d}" for number in range(len(CURVES))]
    for number, name in enumerate(names):
        for at in range(1, EPOCHS + 1):
            records.observe(Suggestion(name, {}), entry(number, at))
    rungs = adaptor(search, records, sorted(names, key=lambda name: -CURVES[int(name)].sum()))
    trial = Trial(30, "next")
    rungs.on_trial_add(None, trial)
    assert rungs.on_trial_result(None, trial, epoch(1, 9.0, EPOCHS).to_report()) == "CONTINUE"
