"""Which trials hang, which leave a node that is drained, and what a trial waits for."""

import threading
from types import SimpleNamespace

import pytest
import ray

from search.strategy.suggestion import Suggestion
from search.study.watch import head, hung
from search.study.watch.draining import DrainingNodes
from search.study.watch.running import HungTrials, Running, Watch
from search.study.watch.waiting import reason
from tests.search.records import epoch


@pytest.mark.parametrize(
    ("longest", "of_any", "seconds"),
    [(0, 0, 18000), (0, 7200, 72000), (60, 7200, 1800), (600, 0, 6000)],
)
def test_a_trial_has_ten_times_its_longest_epoch_and_before_its_first_ten_times_as_long(longest, of_any, seconds):
    assert hung.limit(30, longest, of_any) == seconds


@pytest.fixture
def killed(monkeypatch):
    """Whose process was ended."""
    found = []
    monkeypatch.setattr(ray, "kill", found.append)
    return found


def trial_of(name):
    metadata, state = SimpleNamespace(num_failures=0), SimpleNamespace(ray_actor=name)
    config = Suggestion(name, {}).for_tune()
    return SimpleNamespace(trial_id=name, config=config, run_metadata=metadata, temporary_state=state)


def test_the_process_of_a_trial_that_reports_nothing_is_ended_and_that_of_one_that_does_is_not(killed):
    died_of, said, clock = {}, [], [100.0]
    watch = Watch([HungTrials(1, died_of, said.append)], clock=lambda: clock[0])
    still, lively = trial_of("still"), trial_of("lively")

    def pass_seconds(seconds):
        for _ in range(seconds):
            clock[0] += 1
            watch.on_step_end(0, [])

    watch.on_step_end(0, [])
    for each in (still, lively):
        watch.on_trial_start(0, [], each)
    for at in (1, 2, 3):
        pass_seconds(5)
        for each in (still, lively):
            watch.on_trial_result(0, [], each, epoch(at, 0.5, 20).to_report())
    for at in range(4, 16):
        pass_seconds(5)
        watch.on_trial_result(0, [], lively, epoch(at, 0.5, 20).to_report())
    assert killed == []
    clock[0] += 100000  # a laptop that was shut
    watch.on_step_end(0, [])
    assert killed == ["still"] and died_of == {"still": "no epoch in 2 min (`search.hang_minutes`)"}
    watch.on_trial_recover(0, [], still)
    watch.on_trial_start(0, [], still)
    watch.on_trial_result(0, [], still, epoch(3, 0.5, 20).to_report())
    assert "still" in died_of, "an epoch that it reports again is none"
    watch.on_trial_result(0, [], still, epoch(4, 0.5, 20).to_report())
    assert died_of == {}


def test_a_trial_leaves_a_node_that_is_drained_after_an_epoch_and_it_is_no_death(killed, monkeypatch):
    draining = {}
    monkeypatch.setattr(ray._private.state.state, "get_draining_nodes", lambda: draining)
    said = []
    nodes = DrainingNodes(said.append)
    running = {name: Running(trial_of(name), since=0.0, longest=10.0) for name in ("a", "b")}
    running["a"].node, running["b"].node = "1", "2"
    nodes.look(dict(running), [], 5.0)
    draining["1"] = 0
    nodes.look(running, [], 6.0)
    nodes.reported(running["b"])
    nodes.look(running, [], 8.0)
    assert killed == [] and len(said) == 1
    nodes.reported(running["a"])
    trial = running["a"].trial
    nodes.look(running, [], 10.0)
    assert killed == ["a"] and set(running) == {"b"} and trial.run_metadata.num_failures == -1


@pytest.mark.parametrize(("longest", "now"), [(10.0, 5.0), (0.0, 30.0)], ids=["trained", "in its first epoch"])
def test_where_there_is_no_time_for_an_epoch_it_leaves_at_once(killed, monkeypatch, longest, now):
    monkeypatch.setattr(ray._private.state.state, "get_draining_nodes", lambda: {"1": 1000})
    running = {"a": Running(trial_of("a"), since=0.0, longest=longest)}
    running["a"].node = "1"
    DrainingNodes(lambda text: None).look(running, [], now)
    assert killed == ["a"]


@pytest.mark.parametrize(
    ("wanted", "have", "free", "text"),
    [
        ({"CPU": 2, "GPU": 1}, {"CPU": 8, "GPU": 4}, {"CPU": 4}, "1 GPU, and of the cluster's 4 there is none free"),
        ({"CPU": 2, "GPU": 1}, {"CPU": 8}, {"CPU": 8}, "1 GPU, and the cluster has none: 3 nodes left"),
        ({"CPU": 4, "GPU": 0}, {"CPU": 2}, {"CPU": 2}, "4 CPUs, and the cluster has 2: 3 nodes left"),
        ({"CPU": 2, "GPU": 0}, {"CPU": 4}, {"CPU": 2}, ""),
    ],
)
def test_what_a_trial_waits_for(wanted, have, free, text):
    assert reason(wanted, have, free, 3) == (f"it needs {text}" if text else "")


def test_a_head_that_is_gone_is_said_and_then_lost(monkeypatch):
    monkeypatch.setattr(head, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(head, "GIVE_UP_S", 0.05)
    answers, said, lost = [True, False, True, *[False] * 1000], [], []
    monkeypatch.setattr(head, "answers", lambda address: answers.pop(0))
    head.look("10.0.0.1:6379", said.append, lost.append, threading.Event())
    assert [text.split(" at ")[0] for text in said] == [
        "the cluster's head does not answer",
        "the cluster's head answers again,",
        "the cluster's head does not answer",
    ]
    assert "start the cluster again" in str(lost[0])
