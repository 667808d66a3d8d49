"""Memory of a training step, before anything of it is allocated: one is run on fake tensors, which have shapes and no
numbers.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from lssat.config import Config
from lssat.inputs.masking import Mask, random_mask
from lssat.inputs.target import target_loss, target_width
from lssat.model.encoders.base import Encoder
from lssat.model.lssat import LSSAT, Output, build_model
from lssat.train.optim import freeze, training_mode
from lssat.train.precision import autocast


@dataclass(frozen=True)
class Footprint:
    """Bytes of one worker where a step needs most: as the backward pass begins.

    Left out: what single operations need for a moment (the workspace of a convolution, a gradient before it is added),
    what an allocator keeps unused, Python and torch themselves (0.4 GB on a CPU, about as much for a CUDA context), and
    the data.
    """

    parameters: int  # number of the model's, not bytes
    weights: int  # with buffers
    gradients: int  # of what is trained; with several workers DistributedDataParallel's buckets too
    moments: int  # AdamW's two
    average: int  # of the weights, where `optim.ema_decay` keeps one
    activations: int  # what the backward pass of a micro-batch reads
    inputs: int  # images of the whole batch; views and target of a micro-batch

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.moments + self.average + self.activations + self.inputs


def footprint(config: Config, num_outputs: int, micro_batches: int) -> Footprint:
    """What a step of a configuration needs with so many micro-batches. Raises ConfigError for backbones that cannot be.

    With GPUs the activations are counted as of fused attention in bfloat16, unless `optim.precision` says float32; else
    as of this CPU.
    """
    with torch.device("meta"):
        model = freeze(build_model(config, num_outputs, trained=True), config.backbone.trainable)
    training_mode(model, config.backbone.trainable)
    rows = config.optim.batch_size // config.resources.num_workers
    at_once = -(-rows // micro_batches)
    trained = sum(_size(weight) for weight in model.parameters() if weight.requires_grad)
    weights = sum(map(_size, [*model.parameters(), *model.buffers()]))
    image = 3 * config.data.image_size**2 * 4
    return Footprint(
        parameters=sum(weight.numel() for weight in model.parameters()),
        weights=weights,
        gradients=trained * (2 if config.resources.num_workers > 1 else 1),
        moments=2 * trained,
        average=weights if config.optim.ema_decay else 0,
        activations=_activations(config, model, at_once),
        inputs=rows * image + at_once * (3 * image if config.trains_auxiliary else image),
    )


def _activations(config: Config, model: LSSAT, rows: int) -> int:
    """Bytes that autograd keeps of a forward pass of so many rows; weights are not among them, but their copies in
    bfloat16 are.
    """
    side, encoder = config.data.image_size, model.encoder
    kept: dict[int, int] = {}
    with FakeTensorMode():
        state = {name: _fake(tensor) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
        own = {tensor.untyped_storage()._cdata for tensor in state.values()}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in own:
                kept[storage._cdata] = storage.nbytes()
            return tensor

        image = torch.empty(rows, 3, side, side)
        mask = _fake_mask(config, encoder, rows) if config.trains_auxiliary else None
        shown = (image,) if mask is None else (image, image, mask)
        with saved_tensors_hooks(note, lambda tensor: tensor):
            with _autocast(config, model):
                output: Output = functional_call(model, state, shown)
            loss = output.logits.float().sum()
            if output.pred is not None and mask is not None:
                target = torch.empty(rows, encoder.num_cells, target_width(config, encoder.unit))
                loss = loss + target_loss(output.pred.float(), target, mask.hidden, config, encoder.unit).sum()
    assert (
        loss.requires_grad
    )  # and with it all that was noted is still alive, so that no storage was counted for another
    return sum(kept.values())


def _fake_mask(config: Config, encoder: Encoder, rows: int) -> Mask:
    """A mask that has the right shapes: inside of a FakeTensorMode nothing is drawn or sorted."""
    return random_mask(torch.empty(rows, encoder.num_cells), encoder.ratio(config.masking.ratio))


def _autocast(config: Config, model: LSSAT) -> AbstractContextManager[Any]:
    if not config.resources.gpus_per_worker:
        return autocast(config, model.encoder.masking, torch.device("cpu"))
    return torch.autocast("cpu", torch.bfloat16, enabled=config.optim.precision != "float32")


def _fake(tensor: Tensor) -> Tensor:
    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
    return nn.Parameter(fake, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
