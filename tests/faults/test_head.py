"""The head of a cluster is lost, or the command itself is killed: `--resume` goes on, and nothing recorded is lost."""

import signal

import pytest

from tests.faults.cluster import cluster
from tests.faults.injected import Fault
from tests.faults.study import Command, curves, outcomes, run_folder, words

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
GO_ON = "the same command with `--resume`"


def before_and_after(command, undisturbed):
    """What was on record when the command ended is what an undisturbed study has there."""
    kept = curves(command.folder)
    assert kept and all(undisturbed[name][: len(lines)] == lines for name, lines in kept.items())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_is_killed_and_resumed(tmp_path, undisturbed, injected, how):
    command = Command.begin(words(tmp_path), tmp_path)
    command.wait(lambda: command.epochs() >= 2)
    command.process.send_signal(how)
    assert command.end() == (-9 if how == signal.SIGKILL else 128 + how), command.text
    before_and_after(command, undisturbed)
    command = Command.begin(words(tmp_path, "--resume"), tmp_path)
    known = command.epochs()
    seconds = command.wait(lambda: command.epochs() > known)
    assert command.end() == 0, command.text
    assert curves(run_folder(tmp_path)) == undisturbed
    name = how.name.removeprefix("SIG")
    lost = "the epoch that was being trained"
    injected(Fault(f"the command is ended by {how.name}", f"kill -{name} <search/run.py>", lost, seconds, GO_ON))


def test_the_head_is_lost_and_another_takes_its_place(tmp_path, undisturbed, injected):
    with cluster(tmp_path, "one") as made:
        command = made.search()
        command.wait(lambda: command.epochs() >= 2, 240)
        made.hosts.processes("head", "gcs_server")[0].kill()
        seconds = command.wait(lambda: command.process.poll() is not None, 120)
        assert command.end() == 3, command.text
        assert "the cluster's head does not answer at" in command.text
        assert "the machine failed, not a configuration: the cluster's head has not answered at" in command.text
        assert "--resume" in command.text
        before_and_after(command, undisturbed)
        for name in ("head", "one"):
            made.hosts.off(name)
        made.start_head()
        made.join("one")
        command = made.search("--resume")
        assert command.end(400) == 0, command.text
        assert [each["status"] for each in outcomes(run_folder(tmp_path)).values()] == ["complete"] * 3
        assert curves(run_folder(tmp_path)) == undisturbed
    how = "kill -KILL <gcs_server>"
    lost = "the epoch that was being trained"
    after = f"the cluster is started anew, then {GO_ON}"
    injected(Fault("the head of the cluster is lost", how, lost, seconds, after))
