"""Whatever a person can repair, and Ctrl-C, ends a command with one line and an exit code of its own."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from lssat.command import INTERRUPTED, STOPPING, exit_code, local_path, signals_wait
from lssat.config import build
from lssat.errors import ConfigError, UserError
from lssat.train import checkpoint

ROOT = Path(__file__).resolve().parents[2]


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


COMMAND = """
import sys, time
from lssat.command import INTERRUPTED, STOPPING, exit_code, local_path, signals_wait
def command():
    try:
        print("runs", flush=True)
        time.sleep(60)
    finally:
        print("tidied", flush=True)
sys.exit(exit_code(command, "go on like this"))
"""


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_in_order(how, code):
    with subprocess.Popen([sys.executable, "-c", COMMAND], cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout.readline() == "runs\n"
        process.send_signal(how)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (code, "tidied\n", "go on like this\n")


def test_what_nohup_ignores_stays_ignored():
    nohup = ["sh", "-c", 'trap "" HUP; exec "$0" -c "$1"', sys.executable, COMMAND.replace("60", "0.5")]
    with subprocess.Popen(nohup, cwd=ROOT, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=30) == ("tidied\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_wait_for_what_is_half_begun_whoever_takes_their_handlers_meanwhile(number):
    done = []

    def command():
        with signals_wait():
            signal.raise_signal(number)
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # as Ray does
            done.append("begun")
        done.append("never")

    handlers = [signal.getsignal(each) for each in (signal.SIGINT, *STOPPING)]
    assert exit_code(command) == 128 + number
    assert done == ["begun"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, *STOPPING)] == handlers


@pytest.mark.parametrize("url", ["s3://bucket/study", "gs://bucket", "hdfs://host:9000/a", "file:///shared"])
def test_an_address_is_no_path(url):
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be a path of this machine.*mount it"):
        local_path(url)
    assert local_path("results/s3:x") == Path("results/s3:x")


def test_what_is_no_text_breaks_no_screen():
    code = "from lssat.command import exit_code; exit_code(lambda: print('\\udcd5.jpg'))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert (done.stdout, done.returncode) == ("\\udcd5.jpg\n", 0), done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_signal_gives_the_code_whoever_makes_another_error_of_it(number, code):
    """Ray makes a KeyboardInterrupt of its own, without the context, of what a handler has raised."""

    def command():
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)  # not heard any more
        return INTERRUPTED

    assert exit_code(command) == code
    assert exit_code(lambda: INTERRUPTED) == 130
