"""Training steps that try a backbone: real ones, of small batches, whose losses and gradients are looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lssat.config import Config
from lssat.data.prepared.rows import Batch
from lssat.model.lssat import LSSAT
from lssat.model.tuned import training_mode
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.learner import Learner
from lssat.train.step import Losses, StepContext, train_step

CPU = torch.device("cpu")
BATCHES = (2, 3, 8)
"""Rows of a batch. An odd number and a larger one walk other paths of the CPU's kernels than two rows do."""
STEPS = 3
"""Steps for each of BATCHES. Memory that a kernel corrupts is often noticed only when the next steps allocate."""

TASK = Task("survey", "binary", ("no", "yes"), (max(BATCHES), max(BATCHES)), 2 * max(BATCHES))


def broken_steps(config: Config, learner: Learner) -> list[str]:
    """What the first bad step of the joint loss breaks; empty where all train every parameter that the clean pass of
    timm's model reaches.

    Rows come, and weights move, as in training: images lie channels-last, and AdamW has its peak learning rate.
    """
    try:
        reached = _reached(learner.model, config.data.image_size)
    except Exception as error:  # timm's models fail in many ways; each is a row of the table
        return [f"step: {type(error).__name__}: {error}"]
    training_mode(learner.model, config.optim.tune)
    generator = torch.Generator().manual_seed(0)
    for rows in BATCHES:
        changed = config.model_copy(update={"optim": config.optim.model_copy(update={"batch_size": rows})})
        context = StepContext.of(changed, TASK, Distributed(CPU))
        for step in range(STEPS):
            try:
                losses = train_step(context, learner.trained, _batch(changed), generator, num_micro_batches=1)
                broken = _broken(learner.model, losses, reached)
                learner.update(config.optim.clip_norm)
            except Exception as error:
                broken = [f"{type(error).__name__}: {error}"]
            if broken:
                return [f"step {step + 1} of {rows} rows: {what}" for what in broken]
    return []


def _broken(model: LSSAT, losses: Losses, reached: list[str]) -> list[str]:
    """What is wrong with the loss and the gradients of one step."""
    broken = []
    if not torch.isfinite(losses.task + losses.reconstruction):
        broken.append("the loss is not finite")
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    if missing := [name for name in reached if gradients[name] is None]:
        broken.append(f"no gradient in {_first_few(missing)}")
    given = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    if wild := [name for name, gradient in given.items() if not gradient.isfinite().all()]:
        broken.append(f"gradients are not finite in {_first_few(wild)}")
    token = gradients.get("encoder.mask_token")
    if token is not None and not token.any():
        broken.append("the mask token learns nothing")
    return broken


def _first_few(names: list[str]) -> str:
    """The first three names, and how many more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _reached(model: LSSAT, image_size: int) -> list[str]:
    """The parameters that a joint step must reach: head, decoder, mask token, and of timm's model those that its output
    depends on.
    """
    backbone: Any = model.encoder.model
    image = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(2))
    backbone.eval()(image).sum().backward()
    unused = {id(parameter) for parameter in backbone.parameters() if parameter.grad is None}
    model.zero_grad(set_to_none=True)
    return [name for name, parameter in model.named_parameters() if id(parameter) not in unused]


def _batch(config: Config) -> Batch:
    rows, side = config.optim.batch_size, config.data.image_size
    image = np.random.default_rng(0).integers(0, 256, (rows, side, side, 3), dtype=np.uint8)
    return Batch(image, np.arange(rows) % 2, np.arange(rows), rows)
