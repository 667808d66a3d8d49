"""What a run changes as it trains (model, running mean, optimizer), and what a checkpoint holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lssat.config import Config, saved_config
from lssat.errors import ConfigError
from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.model.lssat import LSSAT, build_model
from lssat.model.tuned import freeze
from lssat.task import Task
from lssat.train import checkpoint
from lssat.train.checkpoint import CheckpointError
from lssat.train.distributed import Distributed
from lssat.train.optim import build_optimizer
from lssat.train.result import EpochResult, read_report
from lssat.train.step import unwrap

MODEL, AVERAGE, PREDICTIONS = "model.", "average.", "predictions."
"""Prefixes of tensors in a checkpoint, beside `checkpoint.OPTIMIZER`."""


class Learner(NamedTuple):
    """A model, its running mean and its optimizer."""

    model: LSSAT
    average: AveragedModel | None
    """An exponential moving average of the model, its running statistics included; None where it is off."""
    optimizer: Optimizer
    wrapped: DistributedDataParallel | None = None
    """The model as several workers train it together; None for one worker."""

    @property
    def trained(self) -> nn.Module:
        """The model as a training step calls it."""
        return self.wrapped or self.model

    @property
    def evaluated(self) -> LSSAT:
        """The model that is scored and kept."""
        return unwrap(self.average) if self.average else self.model

    @property
    def num_parameters(self) -> int:
        """Parameters of the encoder alone: it is what a study compares."""
        return sum(parameter.numel() for parameter in self.model.encoder.parameters())

    @property
    def num_learning(self) -> int:
        """Those among them that learn."""
        return sum(parameter.numel() for parameter in self.model.encoder.parameters() if parameter.requires_grad)

    def update(self, clip_norm: float) -> None:
        """Let the gradients, clipped to a global norm, move the weights and the running mean; then drop them."""
        nn.utils.clip_grad_norm_(self.model.parameters(), clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update_parameters(self.model)

    def in_parallel(self, distributed: Distributed) -> Learner:
        """The same learner; with several workers, a backward pass now takes the mean of all workers' gradients.

        Call it last: the buckets of DistributedDataParallel take as much memory as the gradients.
        """
        return self if distributed.world_size == 1 else self._replace(wrapped=DistributedDataParallel(self.model))

    def tensors(self) -> dict[str, Tensor]:
        """All that training goes on from, fit to be saved."""
        tensors = _named(MODEL, self.model) | checkpoint.flatten_optimizer(self.optimizer)
        return tensors | _named(AVERAGE, self.average) if self.average else tensors

    def evaluated_tensors(self) -> dict[str, Tensor]:
        """The model that is scored, under the names of a model."""
        return _named(MODEL, self.evaluated)

    def restore(self, tensors: dict[str, Tensor], folder: Path) -> None:
        """Put back what `tensors` gave, from the checkpoint in `folder`. Raises CheckpointError unless they fit."""
        _load(self.model, _of(MODEL, tensors), folder)
        checkpoint.restore_optimizer(self.optimizer, tensors)
        if self.average:
            _load(self.average, _of(AVERAGE, tensors), folder)


@dataclass(frozen=True)
class RunState:
    """What a checkpoint says beside its tensors: the run, and the epoch after which it was written.

    `history`: a line of each epoch so far, as `metrics.jsonl` has it, with the `time` when it ended (seconds since
    1970): from those a record that is lost is written anew. Of a version before, the last two at most, without times.
    """

    config: Config
    task: Task
    result: EpochResult
    history: tuple[Mapping[str, Any], ...] = ()

    @property
    def latest(self) -> list[EpochResult]:
        """The last two epochs: a group of workers may have saved both and told neither when it died, since Ray Train
        fetches results from time to time.
        """
        before = [read_report(line) for line in self.history[-2:-1]]
        return [*(result for result in before if isinstance(result, EpochResult)), self.result]

    def to_json(self) -> dict[str, Any]:
        """Without the panels."""
        return {
            "result": self.result.to_json(),
            "history": self.history,
            "config": self.config.model_dump(),
            "task": self.task.to_json(),
        }

    @classmethod
    def from_json(cls, state: dict[str, Any], folder: Path) -> RunState:
        """Of the checkpoint in `folder`, by this version or an earlier one. Raises CheckpointError for any other."""
        try:
            result = read_report(state["result"])
            of_before = [line for line in (state.get("earlier"), state["result"]) if line]
            history = tuple(state.get("history", of_before))
            config, task = saved_config(state["config"]), Task.from_json(state["task"])
        except (ConfigError, KeyError, TypeError) as error:
            raise _of_another_version(folder, error) from error
        assert isinstance(result, EpochResult), "checkpoints are written after epochs"
        return cls(config, task, result, history)


def new_learner(config: Config, task: Task, device: torch.device, *, resumed: bool = False) -> Learner:
    """A learner at its start, drawn from torch's random state. `resumed`: all weights will come from a checkpoint.

    Raises ConfigError where the backbone cannot be built, or has nothing of what `optim.tune` asks for.
    """
    model = build_model(config, task.num_outputs, trained=resumed).to(device)
    model = freeze(model, config.optim.tune)
    return Learner(model, _running_mean(model, config.optim.ema_decay), build_optimizer(model, config.optim))


def load_trained(folder: Path) -> tuple[RunState, LSSAT]:
    """The run and the model of a `best` checkpoint, on the CPU. Raises CheckpointError."""
    tensors, state_json = checkpoint.load(folder)
    state = RunState.from_json(state_json, folder)
    try:
        model = build_model(state.config, state.task.num_outputs, trained=True)
    except ConfigError as error:
        raise _of_another_version(folder, error) from error
    _load(model, _of(MODEL, tensors), folder)
    return state, model


class RowPredictions(NamedTuple):
    """What a model says of the rows of a split, and where in that split each row stands [N]."""

    predictions: Predictions
    positions: Array

    def tensors(self) -> dict[str, Tensor]:
        """For the checkpoint of the model that they are of. Labels and positions are small numbers."""
        (logits, labels), positions = self
        arrays = {"logits": logits, "labels": labels.astype(np.int32), "positions": positions.astype(np.int32)}
        return {PREDICTIONS + name: torch.from_numpy(array) for name, array in arrays.items()}


def load_predictions(folder: Path) -> tuple[EpochResult, RowPredictions] | None:
    """What a `best` checkpoint holds of its epoch: the result, and the predictions for the validation rows from which
    its score comes. None where a version before kept none. Raises CheckpointError, OSError.
    """
    tensors, state = checkpoint.load(folder, PREDICTIONS)
    if not tensors:
        return None
    logits, labels, positions = (tensors[PREDICTIONS + name].numpy() for name in ("logits", "labels", "positions"))
    kept = RowPredictions(Predictions(logits, labels.astype(np.int64)), positions.astype(np.int64))
    return RunState.from_json(state, folder).result, kept


def _load(module: nn.Module, state: dict[str, Tensor], folder: Path) -> None:
    """Raises CheckpointError where the tensors are not the module's."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:  # torch has no type of its own for it
        raise _of_another_version(folder, error) from error


def _of_another_version(folder: Path, error: Exception) -> CheckpointError:
    reason = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else error
    return CheckpointError(
        f"the checkpoint in {folder} is of another version ({reason}); delete it to train anew, or read it with the "
        "version that wrote it"
    )


def _running_mean(model: LSSAT, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]


def _named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in module.state_dict().items()}


def _of(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
