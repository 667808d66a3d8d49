"""One training step, to be read from top to bottom: rows on the device, views, both passes, losses, gradients."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from lssat.config import Config
from lssat.data.prepared.rows import Batch
from lssat.inputs.mixup import mixed_loss
from lssat.inputs.target import target_loss
from lssat.model.encoders.norms import norms_of_few, norms_uncounted
from lssat.model.lssat import LSSAT, Output
from lssat.task import Task
from lssat.train import microbatch
from lssat.train.distributed import Distributed, to_device
from lssat.train.losses import class_weights, joint_loss, task_loss
from lssat.train.precision import autocast
from lssat.train.views import Draws, Views, draw, make_views


@dataclass(frozen=True)
class StepContext:
    """What every step of a run reads and none changes; made by `StepContext.of`. `class_weights`: as of
    `losses.class_weights`; None: all 1.
    """

    config: Config
    task: Task
    distributed: Distributed
    class_weights: Tensor | None

    @classmethod
    def of(cls, config: Config, task: Task, distributed: Distributed) -> StepContext:
        """With the class weights that the configuration asks for, on the worker's device."""
        if not config.optim.class_balanced or draws_evenly(config, task):
            return cls(config, task, distributed, None)
        counts = torch.tensor(task.counts)
        if task.kind == "multilabel":  # rows without and with each label
            counts = torch.stack([task.num_train - counts, counts], dim=1)
        return cls(config, task, distributed, class_weights(counts, task.kind).to(distributed.device))

    @property
    def trains_on_raw_task_loss(self) -> bool:
        """Whether nothing weights or smooths the task loss, so that the loss that is logged is the one that trains."""
        return self.class_weights is None and not self.config.optim.label_smoothing


class Losses(NamedTuple):
    """Raw losses summed over rows, and the number of those rows, all [] on the device.

    Raw: before class weights, label smoothing and `aux_weight`, so that runs with other settings compare. Where the
    masked pass sees some rows alone, `reconstruction` is their sum times (all rows / those rows) of the global batch.
    """

    task: Tensor
    reconstruction: Tensor
    rows: Tensor

    @classmethod
    def zero(cls, device: torch.device) -> Losses:
        """Of no rows."""
        return cls(*(torch.zeros((), device=device) for _ in cls._fields))

    def plus(self, other: Losses) -> Losses:
        """Of the rows of both."""
        return Losses(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Scale(NamedTuple):
    """What the losses of rows are multiplied by, each [] on the device, so that their sum over all micro-batches and
    workers is a mean over the rows of the global batch.
    """

    joint: Tensor
    reconstruction: Tensor | None
    """Beside it: all rows / rows that the masked pass sees, both of the global batch; None where it sees all."""

    @classmethod
    def of(cls, context: StepContext, batch: Batch, num_micro_batches: int) -> Scale:
        """The same on all workers."""
        config, distributed, num_rows = context.config, context.distributed, len(batch.label)
        parts = microbatch.cut(config, num_rows, batch.size, num_micro_batches)
        masked = sum(microbatch.num_masked(config, part.stop - part.start) for part in parts)
        counts = [torch.full((), float(count), device=distributed.device) for count in (num_rows, masked)]
        of_all, of_masked = distributed.sum(torch.stack(counts)).clamp(min=1).unbind()
        # DistributedDataParallel takes the mean of the workers' gradients, hence the factor `world_size`.
        joint = distributed.world_size / of_all
        return cls(joint, of_all / of_masked if config.masking.share < 1 else None)


class DeviceRows(NamedTuple):
    """Rows of a batch on the device, with the random numbers that were drawn for them."""

    image: Float[Tensor, "B 3 H W"]
    label: Tensor
    draws: Draws

    @classmethod
    def sent(cls, batch: Batch, draws: Draws, device: torch.device) -> DeviceRows:
        """Those of a batch, with the first of the draws."""
        image, label = to_device(batch, device)
        own = draws.of(slice(0, len(image)))
        return cls(image, label, own.to(device, (image.shape[2], image.shape[3])))

    def of(self, rows: slice) -> DeviceRows:
        """Some of the rows."""
        return DeviceRows(self.image[rows], self.label[rows], self.draws.of(rows))


def train_step(
    context: StepContext, model: nn.Module, batch: Batch, generator: torch.Generator, num_micro_batches: int
) -> Losses:
    """Add the gradients of the joint loss, a mean over the rows of the global batch, to those of `model`.

    `batch` is this worker's part of the global batch; the last of an epoch may be short, or empty beside other workers'
    rows. No row is dropped: batch norm normalises one that is left alone as `norms_of_few` says. `generator` must be in
    the same state on every worker: it draws for a whole global batch, and each worker takes its rows' part. Gives the
    raw losses of this worker's rows.
    """
    config, distributed, num_rows = context.config, context.distributed, len(batch.label)
    own = slice(distributed.rank * batch.size, (distributed.rank + 1) * batch.size)
    draws = draw(config, unwrap(model).encoder, generator).of(own)
    scale = Scale.of(context, batch, num_micro_batches)

    losses = Losses.zero(distributed.device)
    parts = _micro_batches(context, batch, draws, num_micro_batches)
    for number, rows in enumerate(parts, 1):
        with (
            nullcontext() if number == len(parts) else _without_sync(model),
            norms_of_few() if num_rows < batch.size else nullcontext(),
        ):
            if rows:
                losses = losses.plus(_add_gradients(context, model, rows, scale))
            else:
                _keep_pace(context, model, batch, draws)
    return losses


def draws_evenly(config: Config, task: Task) -> bool:
    """Whether rows are drawn so that every class comes equally often; drawing rows cannot even out several labels."""
    return config.data.sampling != "natural" and task.kind != "multilabel"


def unwrap(model: nn.Module) -> LSSAT:
    """The model inside of torch's wrapper for several workers or for a running mean."""
    inner = model.module if isinstance(model, DistributedDataParallel | AveragedModel) else model
    assert isinstance(inner, LSSAT)
    return inner


def _micro_batches(context: StepContext, batch: Batch, draws: Draws, num_micro_batches: int) -> list[DeviceRows | None]:
    """The rows of each. Several workers have equally many, for they wait for each other in every one: None where this
    one has no rows left.
    """
    slices = microbatch.cut(context.config, len(batch.label), batch.size, num_micro_batches)
    if not slices:
        return [None] * num_micro_batches
    rows = DeviceRows.sent(batch, draws, context.distributed.device)
    num_idle = num_micro_batches - len(slices) if context.distributed.world_size > 1 else 0
    return [rows.of(part) for part in slices] + [None] * num_idle


def _keep_pace(context: StepContext, model: nn.Module, batch: Batch, draws: Draws) -> None:
    """Take part in what other workers add up, with a black picture that counts nowhere: not in the loss, and not in the
    statistics of batch norm.
    """
    image, label, row = (np.zeros((1, *part.shape[1:]), part.dtype) for part in (batch.image, batch.label, batch.row))
    black = Batch(image, label, row, size=1)
    device = context.distributed.device
    with norms_uncounted():
        nothing = torch.zeros((), device=device)
        _add_gradients(context, model, DeviceRows.sent(black, draws, device), Scale(nothing, None))


def _add_gradients(context: StepContext, model: nn.Module, rows: DeviceRows, scale: Scale) -> Losses:
    """Add the gradients of some rows' joint losses, scaled."""
    config, encoder = context.config, unwrap(model).encoder
    views = make_views(config, encoder, rows.image, rows.draws)

    with autocast(config, encoder.masking, rows.image.device):
        output: Output = model(views.classified, views.masked, views.mask)

    task = _task_loss(context, output, rows)
    reconstruction = _reconstruction_loss(config, output, views, encoder.unit)
    if reconstruction is not None and scale.reconstruction is not None:
        unseen = reconstruction.new_zeros(len(task) - len(reconstruction))
        reconstruction = torch.cat([reconstruction * scale.reconstruction, unseen])
    joint = joint_loss(task, reconstruction, config.aux_weight)
    torch.autograd.backward(scale.joint * joint.sum())

    return Losses(
        task=_raw_task_loss(context, output, rows, task).sum(),
        reconstruction=torch.zeros_like(scale.joint) if reconstruction is None else reconstruction.detach().sum(),
        rows=torch.full_like(scale.joint, len(rows.label)),
    )


def _task_loss(context: StepContext, output: Output, rows: DeviceRows) -> Float[Tensor, " B"]:
    """The task loss that trains: weighted by class and smoothed where that was asked for."""
    kind, smoothing = context.task.kind, context.config.optim.label_smoothing
    return mixed_loss(
        lambda label: task_loss(output.logits, label, kind, context.class_weights, smoothing),
        rows.label,
        rows.draws.augment.share,
    )


@torch.no_grad()
def _raw_task_loss(
    context: StepContext, output: Output, rows: DeviceRows, trained: Float[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """The task loss before class weights and smoothing. It is only logged, so no graph is kept for it."""
    if context.trains_on_raw_task_loss:
        return trained.detach()
    kind = context.task.kind
    return mixed_loss(lambda label: task_loss(output.logits, label, kind), rows.label, rows.draws.augment.share)


def _reconstruction_loss(config: Config, output: Output, views: Views, unit: int) -> Float[Tensor, " B"] | None:
    """None without a masked pass."""
    if output.pred is None or views.target is None or views.mask is None:
        return None
    return target_loss(output.pred.float(), views.target, views.mask.hidden, config, unit)


def _without_sync(model: nn.Module) -> AbstractContextManager[Any]:
    """Within, gradients stay with each worker: those of the last micro-batch take all the others along, once a step."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
