"""Which of timm's models can be trained here: of every module the smallest architecture is built, trained for a few
steps and checked against the contract of an encoder.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace

import timm
import torch

from lssat.config import Config, build
from lssat.errors import ConfigError
from lssat.inputs.masking import random_mask
from lssat.model.encoders.build import meta_model, num_parameters
from lssat.model.lssat import LSSAT
from lssat.model.tuned import norm_names, num_blocks
from lssat.tools.encoder_contract import broken_promises
from lssat.tools.encoder_steps import CPU, TASK, broken_steps
from lssat.train.learner import new_learner

BATCH = 2
"""Images with which the contract is checked."""

GRIDS = ((64, 16), (96, 16), (112, 28), (128, 32), (224, 32), (240, 48), (256, 32))
"""Image sides and mask units that are tried, in this order."""


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
    norms: float = 0.0
    """Share of its parameters that norms have: what learns with `optim.tune: norms`; 0: it cannot be tuned so."""
    blocks: int = 0
    """Blocks or stages: the largest k of `optim.tune: last_k`."""
    reason: str = ""
    """Why it is refused, or what went wrong."""
    onnx: str = ""
    """Whether `python -m lssat.export` can write it: yes, or why not; empty where that was not tried."""

    @property
    def ok(self) -> bool:
        """Whether it can be trained here."""
        return self.step and self.contract

    def config(self) -> Config:
        """Of a run of this architecture at this image side and unit."""
        settings = {
            "data.image_size": self.image_size,
            "masking.unit": self.unit,
            "backbone.name": self.architecture,
            "optim.precision": "float32",
        }
        return build(settings)


def survey(module: str, begun: Callable[[Row], object] = lambda row: None) -> Row:
    """The smallest architecture of a module at the first of GRIDS where it can be trained; where there is none, the row
    of the grid at which most succeeded.

    `begun` hears of each attempt before it is made, for the case that the process does not outlive it.
    """
    params, name = smallest(module)
    norms, blocks = tunable(name)
    rows: list[Row] = []
    for image_size, unit in GRIDS:
        row = Row(module, name, params, image_size=image_size, unit=unit, norms=norms, blocks=blocks)
        rows.append(_try(row, begun))
        gc.collect()
        if rows[-1].ok:
            return rows[-1]
    return max(rows, key=lambda row: (row.step, bool(row.masking)))


def smallest(module: str) -> tuple[int, str]:
    """(parameters without classifier, name) of the smallest architecture."""
    return min((num_parameters(meta_model(name)), name) for name in timm.list_models(module=module))


def tunable(name: str) -> tuple[float, int]:
    """The share of an architecture's parameters that norms have, and how many blocks or stages it has."""
    model = meta_model(name)
    numbers = {key: parameter.numel() for key, parameter in model.named_parameters()}
    return sum(numbers[key] for key in norm_names(model)) / sum(numbers.values()), num_blocks(model)


def _try(attempt: Row, begun: Callable[[Row], object]) -> Row:
    """The row that an attempt at an architecture, image side and unit comes to."""
    begun(attempt)
    config = attempt.config()
    torch.manual_seed(0)
    try:
        learner = new_learner(config, TASK, CPU)
    except ConfigError as error:
        return replace(attempt, reason=str(error))
    encoder = learner.model.encoder
    attempt = replace(attempt, masking=encoder.masking, unit=encoder.unit)
    begun(attempt)
    of_steps = broken_steps(config, learner)
    of_contract = broken_contract(learner.model, attempt.image_size)
    return replace(attempt, step=not of_steps, contract=not of_contract, reason="; ".join([*of_steps, *of_contract]))


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
