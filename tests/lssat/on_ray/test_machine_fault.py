"""What the machine is to blame for, however deep Ray has wrapped it, and what a configuration is to blame for."""

import errno
import os
import pickle
import sqlite3

import pytest
from ray.exceptions import ObjectStoreFullError, RayTaskError
from ray.train import WorkerGroupError
from ray.tune import TuneError

from lssat.errors import ConfigError
from lssat.on_ray.machine_fault import machine_failed, machine_fault
from lssat.train.checkpoint import CheckpointError

NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV, errno.EMFILE]


def os_error(number):
    return OSError(number, os.strerror(number), "/scratch/last")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_number_of_the_error_gives_the_repair(number):
    said = str(machine_failed(os_error(number)))
    assert os.strerror(number) in said and "/scratch/last" in said
    assert said.count("; ") == 1, "the reason, and what to do"


def caused(cause, error):
    try:
        raise error from cause
    except Exception as raised:
        return raised


def while_handling(first, second):
    try:
        try:
            raise first
        except Exception:
            raise second  # noqa: B904
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    "error",
    [
        os_error(errno.ENOSPC),
        sqlite3.OperationalError("database or disk is full"),
        ObjectStoreFullError("full"),
        RayTaskError("f", "Traceback ...", os_error(errno.EIO)),
        RayTaskError("f", "Traceback ...", os_error(errno.EIO)).as_instanceof_cause(),
        WorkerGroupError("lost", {0: RuntimeError("connection closed by peer"), 1: os_error(errno.EDQUOT)}),
        caused(sqlite3.OperationalError("disk I/O error"), RuntimeError("An exception is raised during the commit.")),
        while_handling(os_error(errno.EROFS), TuneError("Traceback (most recent call last): ...")),
    ],
)
def test_the_machine_is_blamed(error):
    assert machine_fault(error)
    assert pickle.loads(pickle.dumps(machine_failed(error))).args == machine_failed(error).args


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ConfigError("`optim.lr` must be above 0"),
        caused(FileNotFoundError("weights.pt"), ConfigError("`backbone.pretrained`: no such file")),
        caused(FileNotFoundError("state.json"), CheckpointError("there is no whole checkpoint")),
        while_handling(FileNotFoundError("looked for and not needed"), ValueError("not a configuration")),
        WorkerGroupError("lost", {0: RuntimeError("no")}),
    ],
)
def test_the_configuration_is_blamed(error):
    assert machine_fault(error) is None
