"""A step of training through the code that trains: the same batch again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lssat.config import Config, build
from lssat.data.prepared.rows import Batch
from lssat.model.tuned import training_mode
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.learner import Learner, new_learner
from lssat.train.step import Losses, StepContext, train_step
from lssat.train.views import Draws, draw
from tests.benchmarks.performance.machine import device

TASK = Task("emotion", "multiclass", tuple("abcdefgh"), (8,) * 8, 64)
SEED = 3


class Trained(NamedTuple):
    """A learner and the batch that it is trained with."""

    context: StepContext
    learner: Learner
    batch: Batch

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Trained:
        """From the seed: two of the same settings begin with the same weights."""
        config = build(settings)
        context = StepContext.of(config, TASK, Distributed(device()))
        torch.manual_seed(config.seed)
        learner = new_learner(config, TASK, device())
        training_mode(learner.model, config.optim.tune)
        return cls(context, learner, _batch(config))

    @property
    def config(self) -> Config:
        return self.context.config

    def draws(self) -> Draws:
        """What the next step will draw: every one draws the same."""
        return draw(self.config, self.learner.model.encoder, torch.Generator().manual_seed(SEED))

    def gradients(self) -> Losses:
        """A step without the optimiser, and the gradients dropped."""
        losses = self._add_gradients()
        self.learner.optimizer.zero_grad(set_to_none=True)
        return losses

    def step(self) -> Losses:
        """A whole step."""
        losses = self._add_gradients()
        self.learner.update(self.config.optim.clip_norm)
        return losses

    def flops(self) -> int:
        """Floating-point operations of a step, forward and backward, attention as plain products."""
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            self.gradients()
        return int(counter.get_total_flops())

    def _add_gradients(self) -> Losses:
        generator = torch.Generator().manual_seed(SEED)
        return train_step(self.context, self.learner.trained, self.batch, generator, 1)


def _batch(config: Config) -> Batch:
    """Smooth random pictures: texture maps have ties and edges there, as on photos."""
    size, side = config.optim.batch_size, config.data.image_size
    random = np.random.default_rng(SEED)
    noise = torch.from_numpy(random.random((size, 3, side // 8, side // 8), np.float32))
    smooth = torch.nn.functional.interpolate(noise, size=(side, side), mode="bicubic").clamp(0, 1)
    image = (255 * smooth).permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()
    rows = np.arange(size)
    return Batch(image=image, label=rows % TASK.num_outputs, row=rows, size=size)
