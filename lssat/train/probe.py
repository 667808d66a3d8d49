"""How many micro-batches a device needs, found before the first epoch: on a device with its own memory, running out of
it is an error that can be caught, and an early look costs one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from lssat.data.prepared.rows import UNKNOWN_ROW, Batch
from lssat.model.encoders.norms import norms_alone
from lssat.model.tuned import training_mode
from lssat.train import microbatch
from lssat.train.distributed import Distributed
from lssat.train.learner import Learner
from lssat.train.step import StepContext, train_step


def has_own_memory(device: torch.device) -> bool:
    """Whether running out of memory is an error there that can be caught; a CPU's process may be killed instead."""
    return device.type != "cpu"


def fewest_micro_batches(context: StepContext, learner: Learner, at_least: int) -> int:
    """The fewest micro-batches, `at_least` or a doubling of it, with which a training step fits into the device.

    Weights, buffers, random state and gradients are as before afterwards. Raises DoesNotFit.
    """
    config, device = context.config, context.distributed.device
    num_micro_batches = at_least
    training_mode(learner.model, config.optim.tune)
    while not _fits(context, learner, num_micro_batches):
        microbatch.release(device)
        num_micro_batches = microbatch.doubled(config, num_micro_batches)
    microbatch.release(device)
    return num_micro_batches


def _fits(context: StepContext, learner: Learner, num_micro_batches: int) -> bool:
    """Whether a step fits beside what training holds later: AdamW's two numbers per weight, and one for the buckets of
    DistributedDataParallel.
    """
    config, device = context.config, context.distributed.device
    alone = replace(context, distributed=Distributed(device))  # waits for no other worker
    copies = (0 if learner.optimizer.state else 2) + (1 if config.resources.num_workers > 1 else 0)
    try:
        with _undone(learner.model, device), norms_alone():  # another worker may be probing another size
            weights = [weight for weight in learner.model.parameters() if weight.requires_grad]
            _held = [torch.empty_like(weight) for weight in weights for _ in range(copies)]
            train_step(alone, learner.model, _empty_batch(context), torch.Generator(), num_micro_batches)
    except (RuntimeError, ValueError) as error:
        if microbatch.lacks_rows(error) and num_micro_batches > config.optim.accumulate:
            raise microbatch.too_large(config, microbatch.TWO_ROWS) from error
        if not microbatch.is_out_of_memory(error):
            raise
        return False
    return True


def _empty_batch(context: StepContext) -> Batch:
    """A worker's part of a batch, all zeros."""
    config, task = context.config, context.task
    size, side = config.optim.batch_size // context.distributed.world_size, config.data.image_size
    labels = (size, task.num_outputs) if task.kind == "multilabel" else (size,)
    return Batch(
        image=np.zeros((size, side, side, 3), np.uint8),
        label=np.zeros(labels, np.int64),
        row=np.full(size, UNKNOWN_ROW),
        size=size,
    )


@contextmanager
def _undone(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Within, random numbers are drawn, buffers move and gradients gather; afterwards nothing of it is left."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        for parameter in model.parameters():
            parameter.grad = None
