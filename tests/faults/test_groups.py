"""Trials with a worker on each of two machines: one of their processes, or a machine, is lost."""

import time

import pytest

from tests.faults.cluster import cluster
from tests.faults.injected import Fault
from tests.faults.study import curves, outcomes, run_folder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
ONE_EPOCH = "the epoch that was being trained"
TWO = ["--set", "resources.num_workers=2"]


def epochs_of(folder):
    return [line["epoch"] for line in curves(run_folder(folder))["0000"]]


@pytest.mark.parametrize("process", ["RayTrainWorker", "TrainController"])
def test_a_process_of_a_group_is_killed(tmp_path, injected, process):
    with cluster(tmp_path, "one", "two", dashboard=True) as made:
        command = made.search(*TWO, num_trials=1)
        command.wait(lambda: command.epochs() >= 2, 300)
        found = [each for name in ("head", "one", "two") for each in made.hosts.processes(name, process)]
        assert found, command.text
        found[0].kill()
        known = command.epochs()
        seconds = command.wait(lambda: command.epochs() > known, 240)
        assert command.end(400) == 0, command.text
    assert outcomes(run_folder(tmp_path))["0000"]["status"] == "complete", command.text
    assert epochs_of(tmp_path) == [1, 2, 3, 4, 5, 6]
    assert not any("train/workers" in line for line in curves(run_folder(tmp_path))["0000"])
    what = {"RayTrainWorker": "a worker of a trial that has two", "TrainController": "who controls a trial's workers"}
    injected(Fault(f"{what[process]} is killed", f"kill -KILL <{process}>", ONE_EPOCH, seconds))


def test_a_group_that_lost_a_machine_goes_on_with_fewer_workers(tmp_path, injected):
    with cluster(tmp_path, "one", "two", dashboard=True) as made:
        command = made.search(*TWO, num_trials=1)
        command.wait(lambda: command.epochs() >= 2, 300)
        made.hosts.off("two")
        known = command.epochs()
        seconds = command.wait(lambda: command.epochs() > known, 300)
        assert command.end(400) == 0, command.text
    assert outcomes(run_folder(tmp_path))["0000"]["status"] == "complete", command.text
    assert epochs_of(tmp_path) == [1, 2, 3, 4, 5, 6]
    assert "0000 goes on with 1 of its 2 workers from epoch" in command.text
    workers = [line.get("train/workers") for line in curves(run_folder(tmp_path))["0000"]]
    assert workers[0] is None and workers[-1] == 1
    how = "kill -KILL <all its processes>"
    injected(Fault("one of the two machines of a trial with two workers is switched off", how, ONE_EPOCH, seconds))


def test_a_group_leaves_a_machine_that_is_drained_once_an_epoch_is_saved(tmp_path, injected):
    with cluster(tmp_path, "one", "two", dashboard=True) as made:
        command = made.search(*TWO, "--set", "optim.epochs=30", num_trials=1)
        command.wait(lambda: command.epochs() >= 2, 300)
        began = time.monotonic()
        typed = made.drain("two", 600)
        command.wait(lambda: not made.hosts.processes("two", "RayTrainWorker"), 120)
        left = time.monotonic() - began
        command.wait(lambda: any("train/workers" in line for line in curves(command.folder)["0000"]), 240)
        seconds = time.monotonic() - began
        assert command.end(400) == 0, command.text
    assert left < 100, "long before the machine is gone"
    assert outcomes(run_folder(tmp_path))["0000"]["status"] == "complete", command.text
    assert epochs_of(tmp_path) == list(range(1, 31))
    workers = [line.get("train/workers") for line in curves(run_folder(tmp_path))["0000"]]
    assert workers[0] is None and workers[-1] == 1
    what = "one of the two machines of a trial with two workers is drained"
    injected(Fault(what, typed, "nothing: it leaves once an epoch is saved", seconds))
