"""Which of timm's models can be trained here: of every module the smallest architecture is built, trained for a step
and checked against the contract of an encoder.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch

from lssat.config import Config, ConfigError, build
from lssat.data.prepared.rows import Batch
from lssat.inputs.masking import random_mask
from lssat.model.encoders.build import meta_model, num_parameters
from lssat.model.lssat import LSSAT, build_model
from lssat.task import Task
from lssat.tools.encoder_contract import broken_promises
from lssat.train.distributed import Distributed
from lssat.train.step import StepContext, train_step

BATCH = 2
GRIDS = ((64, 16), (96, 16), (112, 28), (128, 32), (224, 32), (240, 48), (256, 32))
"""Image sides and mask units that are tried, in this order."""

TASK = Task("survey", "binary", ("no", "yes"), (1, 1), BATCH)


@dataclass(frozen=True)
class Row:
    """What the survey found of one module of timm."""

    module: str
    architecture: str
    params: int
    masking: str = ""
    image_size: int = 0
    unit: int = 0
    step: bool = False
    contract: bool = False
    reason: str = ""
    """Why it is refused, or what went wrong."""

    @property
    def ok(self) -> bool:
        """Whether it can be trained here."""
        return self.step and self.contract


def survey(module: str) -> Row:
    """The smallest architecture of a module at the first of GRIDS where it can be trained; where there is none, the row
    of the grid at which most succeeded.
    """
    params, name = smallest(module)
    rows: list[Row] = []
    for image_size, unit in GRIDS:
        rows.append(_try(module, name, params, image_size, unit))
        gc.collect()
        if rows[-1].ok:
            return rows[-1]
    return max(rows, key=lambda row: (row.step, bool(row.masking)))


def smallest(module: str) -> tuple[int, str]:
    """(parameters without classifier, name) of the smallest architecture."""
    return min((num_parameters(meta_model(name)), name) for name in timm.list_models(module=module))


def _try(module: str, name: str, params: int, image_size: int, unit: int) -> Row:
    settings = {
        "data.image_size": image_size,
        "masking.unit": unit,
        "backbone.name": name,
        "optim.batch_size": BATCH,
        "optim.precision": "float32",
    }
    config = build(settings)
    torch.manual_seed(0)
    try:
        model = build_model(config, TASK.num_outputs)
    except ConfigError as error:
        return Row(module, name, params, image_size=image_size, unit=unit, reason=str(error))
    encoder = model.encoder
    of_step, of_contract = broken_step(config, model), broken_contract(model, image_size)
    reason = "; ".join([*of_step, *of_contract])
    return Row(module, name, params, encoder.masking, image_size, encoder.unit, not of_step, not of_contract, reason)


def broken_contract(model: LSSAT, image_size: int) -> list[str]:
    """`encoder_contract.broken_promises` on random images under a random mask."""
    encoder = model.encoder
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(BATCH, 3, image_size, image_size, generator=generator)
    noise = torch.rand(BATCH, encoder.num_cells, generator=generator)
    try:
        return broken_promises(encoder, image, random_mask(noise, encoder.ratio(None)))
    except Exception as error:  # timm's models fail in many ways; each is a row of the table
        return [f"contract: {type(error).__name__}: {error}"]


def broken_step(config: Config, model: LSSAT) -> list[str]:
    """What keeps a joint step from training every parameter that the clean pass of timm's model reaches; empty where
    nothing does.
    """
    generator = torch.Generator().manual_seed(0)
    context = StepContext.of(config, TASK, Distributed(torch.device("cpu")))
    try:
        reached = _reached(model, config.data.image_size)
        model.train()
        losses = train_step(context, model, _batch(config), generator, num_micro_batches=1)
    except Exception as error:  # timm's models fail in many ways; each is a row of the table
        return [f"step: {type(error).__name__}: {error}"]
    broken = []
    if not torch.isfinite(losses.task + losses.reconstruction):
        broken.append("step: the loss is not finite")
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    if missing := [name for name in reached if gradients[name] is None]:
        broken.append(f"step: no gradient in {_first_few(missing)}")
    given = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    if wild := [name for name, gradient in given.items() if not gradient.isfinite().all()]:
        broken.append(f"step: gradients are not finite in {_first_few(wild)}")
    token = gradients.get("encoder.mask_token")
    if token is not None and not token.any():
        broken.append("step: the mask token learns nothing")
    return broken


def _first_few(names: list[str]) -> str:
    """The first three names, and how many more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _reached(model: LSSAT, image_size: int) -> list[str]:
    """The parameters that a joint step must reach: head, decoder, mask token, and of timm's model those that its output
    depends on.
    """
    backbone: Any = model.encoder.model
    image = torch.randn(BATCH, 3, image_size, image_size, generator=torch.Generator().manual_seed(2))
    backbone.eval()(image).sum().backward()
    unused = {id(parameter) for parameter in backbone.parameters() if parameter.grad is None}
    model.zero_grad(set_to_none=True)
    return [name for name, parameter in model.named_parameters() if id(parameter) not in unused]


def _batch(config: Config) -> Batch:
    side = config.data.image_size
    image = np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8)
    return Batch(image, np.array([0, 1]), np.arange(BATCH), BATCH)
