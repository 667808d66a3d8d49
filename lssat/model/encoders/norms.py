"""Batch-norm where a plain one would be wrong.

Under a mask: statistics of the visible positions of this batch, in float32, and no buffer touched. On several workers:
statistics of the whole batch, not of one worker's part. In a short batch: running statistics where a channel has a
single value, which has no variance.

How many workers there are is asked of torch's process group, although state goes in by argument elsewhere: timm calls
the norms, and has no argument that could carry it. `norms_alone`, `norms_uncounted` and `norms_of_few` say what else
they must know of a pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional as F

from lssat.errors import ConfigError

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d
VisibleAt = Callable[[tuple[int, int]], Bool[Tensor, "B 1 H W"]]
"""Which positions of a map of a given size (H, W) are visible, for the mask of this batch."""
Module = TypeVar("Module", bound=nn.Module)
_ALONE, _UNCOUNTED, _FEW = (ContextVar(name, default=False) for name in ("_ALONE", "_UNCOUNTED", "_FEW"))


@contextmanager
def norms_masked(model: nn.Module, visible_at: VisibleAt) -> Iterator[None]:
    """Within, every batch-norm of `model` normalises by the visible positions of the batch it sees, training or not.

    Positions that are hidden are normalised too, by the same statistics. Running statistics are not written, and read
    only as `norms_of_few` says.
    """
    with replaced(_batch_norms(model), partial(_masked, visible_at)):
        yield


def norms_synced(model: nn.Module) -> AbstractContextManager[None]:
    """Within, where several workers train together, batch-norm sees the batch of all of them, as one worker with the
    whole batch would.

    torch's SyncBatchNorm does so on GPUs only.
    """
    training = [norm for norm in _batch_norms(model) if norm.training] if _workers() > 1 or _FEW.get() else []
    return replaced(training, _synced)


def norms_alone() -> AbstractContextManager[None]:
    """Within, a forward pass and its backward pass wait for no other worker: batch-norm sees this worker's rows only.

    It computes in the same way, and so needs the same memory, as together with the others.
    """
    return _set(_ALONE)


def norms_uncounted() -> AbstractContextManager[None]:
    """Within, this worker's rows are normalised by the statistics of the other workers' and do not enter them."""
    return _set(_UNCOUNTED)


def norms_of_few() -> AbstractContextManager[None]:
    """Within, a batch-norm in training that is given one value per channel, which torch refuses, normalises it by the
    running statistics and leaves them as they are.

    It is for what an epoch leaves over: a single row, where a map has one position. Several workers, none of which
    knows how many rows the others have left, always keep to this rule.
    """
    return _set(_FEW)


def check_norms(model: nn.Module) -> None:
    """Refuse norms with running statistics that are no plain batch-norm: a masked pass would change them. Raises
    ConfigError.
    """
    for name, module in model.named_modules():
        keeps = any(buffer.startswith("running_") for buffer, _ in module.named_buffers(recurse=False))
        if keeps and not (isinstance(module, BatchNorm) and module.affine):
            raise ConfigError(
                f"`backbone.name`: {type(module).__name__} (`{name}`) keeps running statistics that a masked pass "
                "would change; choose another backbone, or train without the auxiliary task (`auxiliary: false`)"
            )


def visibility(hidden: Bool[Tensor, "B L"], grid: tuple[int, int]) -> VisibleAt:
    """A mask at any map size: a position is visible where it touches a visible unit, so at every size each sample
    shows something.
    """
    cells = (~hidden).reshape(-1, 1, *grid).to(torch.float32)
    known: dict[tuple[int, int], Bool[Tensor, "B 1 H W"]] = {}

    def at(size: tuple[int, int]) -> Bool[Tensor, "B 1 H W"]:
        if size not in known:
            known[size] = F.adaptive_max_pool2d(cells, size) > 0
        return known[size]

    return at


def _batch_norms(model: nn.Module) -> list[BatchNorm]:
    return [module for module in model.modules() if isinstance(module, BatchNorm)]


@contextmanager
def _set(flag: ContextVar[bool]) -> Iterator[None]:
    token = flag.set(True)
    try:
        yield
    finally:
        flag.reset(token)


@contextmanager
def replaced(modules: Sequence[Module], forward: Callable[[Module, Tensor], Tensor]) -> Iterator[None]:
    """Within, each of `modules` runs `forward(module, input)` in place of its own forward."""
    for module in modules:
        module.forward = partial(forward, module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward  # the instance attribute; the method of the class shows again


def _masked(visible_at: VisibleAt, norm: BatchNorm, given: Float[Tensor, "N C ..."]) -> Float[Tensor, "N C ..."]:
    normalised, *_ = _VisibleNorm.apply(_as_maps(given), _shown(visible_at, given), norm.weight, norm.bias, norm)
    return _activated(norm, normalised if given.ndim == 4 else normalised.reshape(given.shape))


def _synced(norm: BatchNorm, given: Float[Tensor, "N C ..."]) -> Float[Tensor, "N C ..."]:
    maps = _as_maps(given)
    everywhere = maps.new_ones((maps.shape[0], 1, *maps.shape[2:]), dtype=torch.bool)
    normalised, mean, variance, count = _VisibleNorm.apply(maps, everywhere, norm.weight, norm.bias, norm)
    if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
        suffices = count > 1  # else these statistics are the running ones
        norm.num_batches_tracked.add_(suffices)
        momentum = norm.momentum if norm.momentum is not None else 1 / max(1.0, float(norm.num_batches_tracked))
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(torch.where(suffices, variance * count / (count - 1), variance), momentum)
    return _activated(norm, normalised if given.ndim == 4 else normalised.reshape(given.shape))


def _as_maps(given: Float[Tensor, "N C ..."]) -> Float[Tensor, "N C H W"]:
    """Maps as they are; vectors [N,C] and sequences [N,C,L] as maps of one column."""
    return given if given.ndim == 4 else given.reshape(*given.shape[:2], -1, 1)


def _shown(visible_at: VisibleAt, given: Float[Tensor, "N C ..."]) -> Bool[Tensor, "N 1 H W"]:
    """Which positions of maps, vectors or sequences are visible.

    Vectors [N,C] are those of a batch of square maps, row by row (LeViT). Sequences [N,C,L] are pools of many tokens
    (NextViT), all of which count as visible.
    """
    if given.ndim == 4:
        return visible_at((given.shape[2], given.shape[3]))
    if given.ndim == 2:
        side = math.isqrt(given.shape[0] // visible_at((1, 1)).shape[0])
        return visible_at((side, side)).reshape(-1, 1, 1, 1)
    return given.new_ones((given.shape[0], 1, given.shape[2], 1), dtype=torch.bool)


def _activated(norm: BatchNorm, normalised: Tensor) -> Tensor:
    if isinstance(norm, BatchNormAct2d):  # timm's batch-norm that also drops and activates
        normalised = norm.act(norm.drop(normalised))
    return normalised


def _workers() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _VisibleNorm(torch.autograd.Function):
    """Batch-norm whose mean and variance weigh visible positions 1/n and hidden ones 0; n counts those of all workers
    where several train together.

    As one function with its own derivative it takes about the time of torch's batch-norm; composed of tensor
    operations, twice to five times that.
    """

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, visible: Tensor, weight: Tensor, bias: Tensor, norm: BatchNorm
    ) -> tuple[Tensor, ...]:
        """Maps [B,C,H,W], `visible` [B,1,H,W], weight and bias [C] -> normalised maps, mean [C], variance [C], n."""
        together = norm.training and _workers() > 1 and not _ALONE.get()
        rows = _rows(maps)
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        shown = visible.reshape(1, -1).to(rows.dtype)
        if _UNCOUNTED.get():
            shown = torch.zeros_like(shown)
        count = _total(shown.sum(), together)
        lacks = count < 2 if together or _FEW.get() else None
        share = _unless(lacks, shown / count, 0.0)
        with _full_precision(maps.device.type):
            mean = _unless(lacks, _total(share @ rows, together), norm.running_mean)
            centred = rows - mean
            variance = _unless(lacks, _total(share @ centred.square(), together), norm.running_var)
        inverse = torch.rsqrt(variance + norm.eps)
        ctx.save_for_backward(centred, share, inverse, weight)
        ctx.together = together
        # The sum is made in the shape of the maps: a view of a sum could not be activated in place.
        scale, shift = inverse * weight, bias[:, None, None]
        normalised = torch.addcmul(shift, _maps(centred, maps), scale.reshape(-1, 1, 1)).to(maps.dtype)
        statistics = mean[0], variance[0], count
        ctx.mark_non_differentiable(*statistics)
        return normalised, *statistics

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of maps, weight and bias; the statistics are no outputs that anything learns from."""
        centred, share, inverse, weight = ctx.saved_tensors
        rows = _rows(gradients[0]).to(centred.dtype)
        to_bias = rows.sum(0)
        to_weight = (rows * centred).sum(0) * inverse[0]
        through_mean, through_variance = _total(torch.stack([to_bias, to_weight]), ctx.together)
        to_rows = (rows - share.t() * (through_mean + centred * (inverse * through_variance))) * (inverse * weight)
        return _maps(to_rows, gradients[0]).to(gradients[0].dtype), None, to_weight, to_bias, None


def _total(value: Tensor, together: bool) -> Tensor:
    """The sum over all workers, the same on each."""
    if together:
        value = value.clone()  # new memory: the sum is made in place
        dist.all_reduce(value)
    return value


def _unless(lacks: Tensor | None, value: Tensor, otherwise: Tensor | float | None) -> Tensor:
    """`otherwise` in place of the value where it `lacks` what it is made of."""
    return value if lacks is None or otherwise is None else torch.where(lacks, otherwise, value)


def _full_precision(device: str) -> AbstractContextManager[object]:
    """No autocast within. The meta device, on which the catalogue is made, has none to switch off."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def _rows(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "N C"]:
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _maps(rows: Float[Tensor, "N C"], like: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    batch, channels, height, width = like.shape
    return rows.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
