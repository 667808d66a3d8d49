"""A checkpoint that this version cannot read is refused with its folder and the repair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lssat.config import build
from lssat.task import Task
from lssat.train import checkpoint
from lssat.train.checkpoint import CheckpointError
from lssat.train.learner import RunState, load_trained, new_learner
from lssat.train.result import EpochResult

TASK = Task("emotion", "multiclass", ("a", "b", "c"), (1, 1, 1), 3)
CONFIG = build({"backbone.name": "test_vit", "backbone.patch_size": 8, "data.image_size": 32, "masking.unit": 8})
STATE = RunState(CONFIG, TASK, EpochResult(epoch=1, epochs=2, score=0.5, best=0.5, parameters=7, micro_batches=1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A `best` checkpoint."""
    learner = new_learner(CONFIG, TASK, torch.device("cpu"))
    checkpoint.save(tmp_path / "best", tensors=learner.evaluated_tensors(), state=STATE.to_json())
    return tmp_path / "best"


def test_what_was_saved_is_read(folder: Path) -> None:
    assert load_trained(folder)[0] == STATE


def test_tensors_that_do_not_fit_are_not_gone_on_from(folder: Path) -> None:
    learner = new_learner(CONFIG, TASK, torch.device("cpu"))
    tensors = learner.tensors()
    learner.restore(tensors, folder)
    del tensors["model.head.bias"]
    with pytest.raises(CheckpointError, match=rf"(?s)checkpoint in {folder} is of another version \(.*head.bias.*\)"):
        learner.restore(tensors, folder)


def _without_result(state: dict[str, Any]) -> None:
    del state["result"]


def _with_unknown_key(state: dict[str, Any]) -> None:
    state["config"]["backbone"]["colour"] = "red"


def _with_unknown_backbone(state: dict[str, Any]) -> None:
    state["config"]["backbone"]["name"] = "no_such_thing"


def _with_other_shapes(state: dict[str, Any]) -> None:
    state["config"]["decoder"]["dim"] = 36


def _with_longer_task(state: dict[str, Any]) -> None:
    state["task"]["colour"] = "red"


BREAKS = (_without_result, _with_unknown_key, _with_unknown_backbone, _with_other_shapes, _with_longer_task)


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_checkpoint_of_another_version_is_refused(folder: Path, breaks: Callable[[dict[str, Any]], None]) -> None:
    tensors, state = checkpoint.load(folder)
    breaks(state)
    checkpoint.save(folder, tensors=tensors, state=state)
    with pytest.raises(CheckpointError, match=rf"(?s)checkpoint in {folder} is of another version \(.*\); delete it"):
        load_trained(folder)
