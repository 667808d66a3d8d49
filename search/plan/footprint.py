"""Memory of a training step before anything of it is allocated: one runs on fake tensors, which have shapes and no
numbers.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from lssat.config import Config
from lssat.inputs.masking import random_mask
from lssat.inputs.target import target_loss, target_width
from lssat.model.encoders.build import num_parameters
from lssat.model.lssat import LSSAT, Output, build_model
from lssat.model.tuned import freeze, training_mode
from lssat.train.microbatch import num_masked
from lssat.train.precision import autocast


@dataclass(frozen=True)
class Footprint:
    """Bytes of one worker where a step needs most: as the backward pass begins.

    Left out: what single operations need for a moment (the workspace of a convolution, a gradient before it is added),
    what an allocator keeps unused, Python and torch themselves (0.4 GB on a CPU, about as much for a CUDA context), and
    the data.
    """

    parameters: int
    """How many numbers the model has, not their bytes."""
    weights: int
    """With buffers."""
    gradients: int
    """Of what is trained; with several workers the buckets of DistributedDataParallel too."""
    moments: int
    """AdamW's two."""
    average: int
    """Of the weights, where `optim.ema_decay` keeps one."""
    activations: int
    """What the backward pass of a micro-batch reads."""
    inputs: int
    """Images of the whole batch; views and target of a micro-batch."""

    @property
    def total(self) -> int:
        """All bytes together."""
        return self.weights + self.gradients + self.moments + self.average + self.activations + self.inputs


def footprint(config: Config, num_outputs: int, num_micro_batches: int) -> Footprint:
    """What a step of a configuration needs. Raises ConfigError for a backbone that cannot be built.

    With GPUs the activations are those of fused attention in bfloat16, unless `optim.precision` says float32; without,
    those of this machine's CPU.
    """
    with torch.device("meta"):
        model = freeze(build_model(config, num_outputs, trained=True), config.optim.tune)
    training_mode(model, config.optim.tune)
    rows = config.optim.batch_size // config.resources.num_workers
    rows_at_once = -(-rows // num_micro_batches)
    trained = sum(_bytes(weight) for weight in model.parameters() if weight.requires_grad)
    weights = sum(map(_bytes, [*model.parameters(), *model.buffers()]))
    image, masked = 3 * config.data.image_size**2 * 4, num_masked(config, rows_at_once)
    return Footprint(
        parameters=num_parameters(model),
        weights=weights,
        gradients=trained * (2 if config.resources.num_workers > 1 else 1),
        moments=2 * trained,
        average=weights if config.optim.ema_decay else 0,
        activations=_activations(config, model, rows_at_once),
        inputs=(rows + rows_at_once) * image + (2 * image * masked if config.trains_auxiliary else 0),
    )


def _activations(config: Config, model: LSSAT, rows: int) -> int:
    """Bytes that the backward pass reads: what autograd keeps and, with activation checkpointing, the largest of the
    parts that are computed again.
    """
    kept = _kept(config, model, rows)
    return kept + _largest_part(config, model, rows) if config.resources.activation_checkpointing else kept


def _kept(config: Config, model: LSSAT, rows: int) -> int:
    """Bytes that autograd keeps of a forward pass of so many rows; weights are not among them, but their copies in
    bfloat16 are.
    """
    saved: weakref.WeakSet[_Saved] = weakref.WeakSet()

    def save(tensor: Tensor) -> _Saved:
        kept = _Saved(tensor)
        saved.add(kept)
        return kept

    with FakeTensorMode():
        state = {name: _fake(tensor) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
        with saved_tensors_hooks(save, lambda kept: kept.tensor):
            loss = _loss(config, model, state, rows)
        assert loss.requires_grad  # it holds the graph, and the graph what the backward pass reads
        storages = {kept.tensor.untyped_storage()._cdata: kept.tensor.untyped_storage().nbytes() for kept in saved}
    of_state = {tensor.untyped_storage()._cdata for tensor in state.values()}
    return sum(size for address, size in storages.items() if address not in of_state)


def _largest_part(config: Config, model: LSSAT, rows: int) -> int:
    """Bytes that autograd would keep of the largest part that is computed again. Ends checkpointing in `model`."""
    saved: dict[int, Tensor] = {}
    before: list[int] = []
    sizes: list[int] = []
    parts: list[nn.Module] = [model.encoder.model.get_submodule(name) for name in model.encoder.segments]
    model.encoder.segments = ()
    if model.decoder:
        parts += model.decoder.blocks
        model.decoder.checkpoints = False

    def save(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    def num_bytes() -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())

    for part in parts:
        part.register_forward_pre_hook(lambda *_: before.append(num_bytes()))
        part.register_forward_hook(lambda *_: sizes.append(num_bytes() - before.pop()))
    with FakeTensorMode():
        state = {name: _fake(tensor) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
        for tensor in state.values():
            save(tensor)  # weights are no activations
        with saved_tensors_hooks(save, lambda tensor: tensor):
            _loss(config, model, state, rows)
    return max(sizes, default=0)


class _Saved:
    """A tensor for as long as the graph of the loss holds it: what no loss depends on is freed in the forward pass."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _loss(config: Config, model: LSSAT, state: Mapping[str, Tensor], rows: int) -> Tensor:
    """The loss of images and masks that have the right shapes. Inside of a FakeTensorMode nothing is computed."""
    side, encoder = config.data.image_size, model.encoder
    image = torch.empty(rows, 3, side, side)
    if not config.trains_auxiliary:
        with _autocast(config, model):
            clean: Output = functional_call(model, dict(state), (image,))
        return clean.logits.float().sum()
    masked = num_masked(config, rows)
    mask = random_mask(torch.empty(masked, encoder.num_cells), encoder.ratio(config.masking.ratio))
    with _autocast(config, model):
        joint: Output = functional_call(model, dict(state), (image, image[:masked], mask))
    assert joint.pred is not None, "a model with a decoder predicts"
    target = torch.empty(masked, encoder.num_cells, target_width(config, encoder.unit))
    reconstruction = target_loss(joint.pred.float(), target, mask.hidden, config, encoder.unit)
    return joint.logits.float().sum() + reconstruction.sum()


def _autocast(config: Config, model: LSSAT) -> AbstractContextManager[Any]:
    """The precision of a step. That of a GPU is described with the CPU's autocast, since no GPU need be here."""
    if not config.resources.gpus_per_worker:
        return autocast(config, model.encoder.masking, torch.device("cpu"))
    return torch.autocast("cpu", torch.bfloat16, enabled=config.optim.precision != "float32")


def _fake(tensor: Tensor) -> Tensor:
    fake = torch.empty(tensor.shape, dtype=tensor.dtype)
    return nn.Parameter(fake, requires_grad=tensor.requires_grad) if isinstance(tensor, nn.Parameter) else fake


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
