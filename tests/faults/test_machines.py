"""Machines of a cluster that are killed, cut off, drained or join. The study comes to the same end as without."""

import time

import pytest

from tests.faults.cluster import cluster
from tests.faults.injected import Fault
from tests.faults.study import curves, outcomes, run_folder

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
ONE_EPOCH = "the epoch that was being trained"
MACHINES = ("one", "two")


def until_it_trains(command, made):
    """The machine that trains, once an epoch or two are on record."""
    command.wait(lambda: command.epochs() >= 2, 240)
    found = made.trains(*MACHINES)
    assert found, command.text
    return found


def until_next_epoch(command):
    known = sum(command.epochs(f"000{number}") for number in range(3))
    return command.wait(lambda: sum(command.epochs(f"000{number}") for number in range(3)) > known, 240)


def check(command, folder, undisturbed):
    assert command.end(400) == 0, command.text
    assert [each["status"] for each in outcomes(run_folder(folder)).values()] == ["complete"] * 3, command.text
    assert curves(run_folder(folder)) == undisturbed


def test_a_machine_whose_raylet_is_killed(tmp_path, undisturbed, injected):
    with cluster(tmp_path, *MACHINES) as made:
        command = made.search()
        made.hosts.processes(until_it_trains(command, made), "raylet/raylet")[0].kill()
        seconds = until_next_epoch(command)
        check(command, tmp_path, undisturbed)
    injected(Fault("the raylet of a machine is killed", "kill -KILL <raylet>", ONE_EPOCH, seconds))


def test_a_machine_that_is_off(tmp_path, undisturbed, injected):
    with cluster(tmp_path, *MACHINES) as made:
        command = made.search()
        made.hosts.off(until_it_trains(command, made))
        seconds = until_next_epoch(command)
        check(command, tmp_path, undisturbed)
    injected(Fault("a machine is switched off", "kill -KILL <all its processes>", ONE_EPOCH, seconds))


def test_a_machine_that_is_cut_off_for_a_minute(tmp_path, undisturbed, injected):
    with cluster(tmp_path, *MACHINES) as made:
        command = made.search()
        name = until_it_trains(command, made)
        made.hosts.cut(name)
        began = time.monotonic()
        seconds = until_next_epoch(command)
        time.sleep(max(0.0, 60 - (time.monotonic() - began)))
        made.hosts.mend(name)
        check(command, tmp_path, undisturbed)
    how = "ip link set <its cable> down; sleep 60; ip link set <its cable> up"
    injected(Fault("a machine is cut off for 60 s", how, ONE_EPOCH, seconds))


def test_a_machine_that_is_drained(tmp_path, undisturbed, injected):
    with cluster(tmp_path, *MACHINES) as made:
        command = made.search()
        name = until_it_trains(command, made)
        typed = made.drain(name, 300)
        (other,) = set(MACHINES) - {name}
        seconds = command.wait(lambda: made.trains(other), 120)
        check(command, tmp_path, undisturbed)
    assert "is on a node that is being drained; it goes on elsewhere after its next epoch" in command.text
    assert "died" not in command.text
    injected(Fault("a machine is drained, as before a spot machine goes", typed, "nothing", seconds))


def test_a_machine_that_joins_with_another_version_is_given_no_trial(tmp_path, undisturbed, injected):
    other = tmp_path / "other" / "timm-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Name: timm\nVersion: 0.0.1\n")
    with cluster(tmp_path, "one") as made:
        command = made.search(max_concurrent=None)
        until_it_trains(command, made)
        made.join("two", env=f"PYTHONPATH={other.parent}")
        address = made.hosts.addresses["two"]
        said = f"node {address} has timm 0.0.1 instead of "
        seconds = command.wait(lambda: said in command.text, 120)
        command.wait(lambda: not made.trains("two"), 60)
        check(command, tmp_path, undisturbed)
    how = "ray start --address=head:6379 --num-cpus=1, with another timm"
    injected(Fault("a machine with other versions joins", how, "nothing", seconds))
