"""A trial that died too often lets others pass, and runs once more when there are none."""

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import FIFOScheduler

from search.space.settings import SearchConfig
from search.strategy.suggestion import Suggestion
from search.study.tune_adaptor import Adaptor, Participants
from search.study.watch.alone import Deaths


class Trial(SimpleNamespace):
    """What is read of a trial of Ray Tune."""

    def __init__(self, name):
        super().__init__(
            trial_id=name,
            status="PENDING",
            config=Suggestion(name, {}).for_tune(),
            run_metadata=SimpleNamespace(num_failures=0),
        )


class Controller:
    """Tune's, as a scheduler sees it."""

    def __init__(self, trials):
        self.trials = trials

    def get_trials(self):
        return self.trials

    def _set_trial_status(self, trial, status):
        trial.status = status


class Endless:
    """Suggests a trial each time."""

    is_finished = False

    def suggest(self):
        return Suggestion("new", {})


@pytest.fixture
def made():
    """The adaptor, Tune's controller, three trials that it knows, and what was said."""
    nothing = SimpleNamespace(epochs=[])
    adaptor = Adaptor(SearchConfig(), Participants(Endless(), FIFOScheduler(), []), lambda name: nothing)
    trials, said = [Trial("a"), Trial("b"), Trial("c")], []
    for trial in trials:
        adaptor.tune_scheduler.on_trial_add(None, trial)
    return adaptor, Controller(trials), trials, said


def die(adaptor, trial, said, times):
    trial.run_metadata.num_failures = times
    Deaths(adaptor.alone, said.append).on_trial_recover(0, [], trial)


def test_two_deaths_are_forgiven_beside_others(made):
    adaptor, controller, trials, said = made
    die(adaptor, trials[0], said, 2)
    assert adaptor.tune_scheduler.choose_trial_to_run(controller) is trials[0]
    assert said == []


def test_after_a_third_it_waits_until_no_other_runs_and_then_nothing_begins_beside_it(made):
    adaptor, controller, (a, b, c), said = made
    adaptor.most_at_once = lambda: 3
    assert adaptor.tune_searcher.suggest("x") is None, "three are there"
    die(adaptor, a, said, 3)
    assert said[0].startswith("a: its process has died 3 times")
    choose = adaptor.tune_scheduler.choose_trial_to_run
    assert choose(controller) is b and a.status == "PAUSED"
    assert adaptor.tune_searcher.suggest("x")["suggestion"].name == "new", "it takes nobody's place while it waits"
    b.status, c.status = "TERMINATED", "RUNNING"
    assert choose(controller) is None
    c.status = "TERMINATED"
    for each in (b, c):
        adaptor.tune_searcher.on_trial_complete(each.trial_id)
    assert choose(controller) is a
    assert adaptor.tune_searcher.suggest("y") is None, "it is alone"
    adaptor.tune_searcher.on_trial_complete("a", error=True)
    assert adaptor.tune_searcher.suggest("y")["suggestion"].name == "new"


def test_no_more_trials_than_the_machines_hold_now(made):
    """Those of earlier sessions take no room."""
    adaptor, _, _, _ = made
    adaptor.replay([SimpleNamespace(name="0000")])
    room = [3]
    adaptor.most_at_once = lambda: room[0]
    assert adaptor.tune_searcher.suggest("x") is None
    room[0] = 4
    assert adaptor.tune_searcher.suggest("x") is not None
