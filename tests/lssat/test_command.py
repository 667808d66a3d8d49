"""Whatever a person can repair, and Ctrl-C, ends a command with one line and an exit code of its own."""

import pytest

from lssat.command import exit_code
from lssat.config import ConfigError, build
from lssat.errors import UserError
from lssat.train import checkpoint


def test_a_command_returns_its_code_or_0():
    assert exit_code(lambda: None) == 0
    assert exit_code(lambda: 1) == 1


@pytest.mark.parametrize("error", [ConfigError, checkpoint.CheckpointError, UserError])
def test_what_can_be_repaired_is_one_line_and_2(capsys, error):
    def command():
        raise error("say so")

    assert exit_code(command) == 2
    assert capsys.readouterr().err == "error: say so\n"


def test_a_damaged_checkpoint_and_a_wrong_setting_are_such(tmp_path, capsys):
    (tmp_path / checkpoint.STATE).write_text("{")
    assert exit_code(lambda: checkpoint.load(tmp_path) and None) == 2
    assert exit_code(lambda: build({"optim.epochs": -1}) and None) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: the checkpoint in {tmp_path} is damaged")
    assert second.startswith("error: `optim.epochs` must be")


def test_an_interruption_is_one_line_and_130(capsys):
    def command():
        raise KeyboardInterrupt

    assert exit_code(command) == 130
    assert exit_code(command, "the same command goes on") == 130
    assert capsys.readouterr().err == "interrupted\nthe same command goes on\n"


def test_what_nobody_foresaw_is_not_hidden():
    def command():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_code(command)
