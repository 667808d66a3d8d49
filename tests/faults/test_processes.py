"""Processes of a study on one machine that are killed or hang. It comes to the same end as without."""

import re
import signal
import time

import pytest

from tests.faults.injected import Fault
from tests.faults.study import Command, curves, outcomes, run_folder, words

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
TRAINER = "ImplicitFunc"
ONE_EPOCH = "the epoch that was being trained"


def until_next_epoch(command):
    known = command.epochs()
    return command.wait(lambda: command.epochs() > known)


def test_a_trial_whose_process_is_killed_goes_on(tmp_path, undisturbed, injected):
    command = Command.begin(words(tmp_path), tmp_path)
    command.wait(lambda: command.epochs() >= 2)
    command.below(TRAINER)[0].kill()
    seconds = until_next_epoch(command)
    assert command.end() == 0, command.text
    assert curves(run_folder(tmp_path)) == undisturbed
    injected(Fault("the process of a trial is killed", "kill -KILL <ray::ImplicitFunc>", ONE_EPOCH, seconds))


def test_a_trial_that_hangs_is_noticed_and_goes_on(tmp_path, undisturbed, injected):
    command = Command.begin(words(tmp_path, hang_minutes=0.2), tmp_path)
    command.wait(lambda: command.epochs() >= 2)
    command.below(TRAINER)[0].send_signal(signal.SIGSTOP)
    seconds = until_next_epoch(command)
    assert command.end() == 0, command.text
    assert re.search(r"0000 hangs: no epoch in \d+ s \(`search.hang_minutes`\); its process is ended", command.text)
    assert curves(run_folder(tmp_path)) == undisturbed
    how = "kill -STOP <ray::ImplicitFunc>"
    injected(Fault("a trial hangs (`search.hang_minutes: 0.2`)", how, ONE_EPOCH, seconds))


def test_a_trial_that_kills_its_process_each_time_fails_and_the_study_goes_on(tmp_path, undisturbed, injected):
    command = Command.begin(words(tmp_path), tmp_path)
    began, num_killed, killed = time.monotonic(), 0, set()
    others = ("0001", "0002")
    while command.process.poll() is None and time.monotonic() - began < 200:
        ended = outcomes(command.folder)
        is_first = not (command.folder / "trials" / "0001" / "config.json").exists()
        if is_first or all(name in ended for name in others):
            for trainer in command.below(TRAINER):
                if trainer.pid not in killed and "0000" not in ended:
                    trainer.kill()
                    killed.add(trainer.pid)
                    num_killed += 1
        time.sleep(0.05)
    assert command.end() == 0, command.text
    ended = outcomes(run_folder(tmp_path))
    assert ended["0000"]["status"] == "failed" and "the last time alone" in ended["0000"]["reason"], ended
    assert [ended[name]["status"] for name in others] == ["complete"] * 2
    assert "0000: its process has died 3 times without a new epoch" in command.text
    found = curves(run_folder(tmp_path))
    assert {name: found[name] for name in others} == {name: undisturbed[name] for name in others}
    how = "kill -KILL <ray::ImplicitFunc>, each that trains the trial"
    injected(Fault("a trial that kills its process each time", how, "that trial, which has failed", None))


@pytest.mark.parametrize("process", ["raylet/raylet", "dashboard/agent.py"])
def test_a_process_of_ray_on_this_machine_is_killed_and_the_study_resumed(tmp_path, undisturbed, injected, process):
    """Where Ray ends with it, it ends the command, too, by a code of its own."""
    command = Command.begin(words(tmp_path), tmp_path)
    command.wait(lambda: command.epochs() >= 2)
    known, began = command.epochs(), time.monotonic()
    command.below(process)[0].kill()
    command.wait(lambda: command.process.poll() is not None or command.epochs() > known + 1, 150)
    seconds = time.monotonic() - began
    code = command.end()
    assert code in (0, 1, 3), command.text
    if code:
        assert "--resume" in command.text
        assert Command.begin(words(tmp_path, "--resume"), tmp_path).end() == 0
    assert curves(run_folder(tmp_path)) == undisturbed
    after = "the same command with `--resume`" if code else "nothing"
    what = {"raylet/raylet": "Ray's raylet", "dashboard/agent.py": "the agent of Ray's dashboard"}[process]
    how = f"kill -KILL <{process.rpartition('/')[2]}>"
    injected(Fault(f"{what} is killed, on one machine", how, ONE_EPOCH if code else "nothing", seconds, after))
