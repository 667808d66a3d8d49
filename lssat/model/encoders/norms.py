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


class VisibleAt:
    """Which positions of maps of a given size (H, W) are visible, for the mask of this batch."""

    def __init__(self, cells: Bool[Tensor, "B 1 h w"], num_visible: int | None) -> None:
        """`cells`: which cells of the mask's grid are visible; `num_visible`: how many, in all of the batch, where that
        is known.
        """
        self._cells = cells
        self._num_visible = num_visible
        self._known: dict[tuple[int, int], Bool[Tensor, "B 1 H W"]] = {}
        self._counted: dict[tuple[int, int], Tensor] = {}

    def __call__(self, size: tuple[int, int]) -> Bool[Tensor, "B 1 H W"]:
        """A position is visible where it touches a visible cell."""
        if size not in self._known:
            self._known[size] = _touched(self._cells, size)
        return self._known[size]

    def counted(self, size: tuple[int, int]) -> Tensor:
        """The same for norms, as `_moments` takes it: on the CPU the numbers of the positions, where it is known
        without looking how many they are; else weights.
        """
        if size not in self._counted:
            visible, times = self(size).flatten(), _repeats(self._cells, size)
            if self._num_visible is None or not times or visible.device.type != "cpu":
                self._counted[size] = visible[:, None].to(torch.float32)
            else:
                num = self._num_visible * times[0] * times[1]
                self._counted[size] = torch.nonzero_static(visible, size=num)[:, 0]
        return self._counted[size]


def visibility(hidden: Bool[Tensor, "B L"], grid: tuple[int, int], num_visible: int | None = None) -> VisibleAt:
    """A mask at any map size, so that at every size each sample shows something. `num_visible`: cells that each sample
    shows, where it is known: norms are faster for it.
    """
    return VisibleAt((~hidden).reshape(-1, 1, *grid), None if num_visible is None else len(hidden) * num_visible)


def _touched(cells: Bool[Tensor, "B 1 h w"], size: tuple[int, int]) -> Bool[Tensor, "B 1 H W"]:
    """Which positions touch a cell that is set: repeated where each lies in one cell, which is faster than to pool."""
    times = _repeats(cells, size)
    if not times:
        return F.adaptive_max_pool2d(cells.to(torch.float32), size) > 0
    repeats = (-1, -1, -1, times[0], -1, times[1])
    return cells[:, :, :, None, :, None].expand(repeats).reshape(-1, 1, *size)


def _repeats(cells: Bool[Tensor, "B 1 h w"], size: tuple[int, int]) -> tuple[int, int] | None:
    """How many positions (down, across) lie in a cell; None where some touch several."""
    (height, width), (down, across) = size, cells.shape[2:]
    return None if height % down or width % across else (height // down, width // across)


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
    normalised, *_ = _VisibleNorm.apply(_as_maps(given), _counted(visible_at, given), norm.weight, norm.bias, norm)
    return _activated(norm, normalised if given.ndim == 4 else normalised.reshape(given.shape))


def _synced(norm: BatchNorm, given: Float[Tensor, "N C ..."]) -> Float[Tensor, "N C ..."]:
    normalised, mean, variance, count = _VisibleNorm.apply(_as_maps(given), None, norm.weight, norm.bias, norm)
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


def _counted(visible_at: VisibleAt, given: Float[Tensor, "N C ..."]) -> Tensor | None:
    """Which positions of maps, vectors or sequences are visible; None: all.

    Vectors [N,C] are those of a batch of square maps, row by row (LeViT). Sequences [N,C,L] are pools of many tokens
    (NextViT), all of which count as visible.
    """
    if given.ndim == 4:
        return visible_at.counted((given.shape[2], given.shape[3]))
    if given.ndim == 2:
        side = math.isqrt(given.shape[0] // visible_at((1, 1)).shape[0])
        return visible_at.counted((side, side))
    return None


def _activated(norm: BatchNorm, normalised: Tensor) -> Tensor:
    if isinstance(norm, BatchNormAct2d):  # timm's batch-norm that also drops and activates
        normalised = norm.act(norm.drop(normalised))
    return normalised


def _workers() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _VisibleNorm(torch.autograd.Function):
    """Batch-norm whose mean and variance weigh visible positions 1/n and hidden ones 0; n counts those of all workers
    where several train together.

    It is made of torch's own batch-norm with given statistics, which reads maps once, and of what flows through the
    statistics, which takes but the visible positions.
    """

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, visible: Tensor | None, weight: Tensor, bias: Tensor, norm: BatchNorm
    ) -> tuple[Tensor, ...]:
        """Maps [B,C,H,W], `visible` as in `_moments`, weight and bias [C] -> normalised maps, mean [C], variance [C],
        n.
        """
        together = norm.training and _workers() > 1 and not _ALONE.get()
        maps = maps.contiguous(memory_format=torch.channels_last)
        count, mean, variance = _moments(maps, visible)
        if _UNCOUNTED.get():
            count = torch.zeros_like(count)
        if together:
            count, mean, variance = _joined(count, mean, variance)
        share = 1 / count
        if together or _FEW.get():
            lacks = count < 2
            share = torch.where(lacks, 0, share)
            mean, variance = _unless(lacks, mean, norm.running_mean), _unless(lacks, variance, norm.running_var)
        ctx.save_for_backward(maps, visible, share, mean, variance, weight)
        ctx.together, ctx.counts, ctx.eps = together, not _UNCOUNTED.get(), norm.eps
        ctx.mark_non_differentiable(mean, variance, count)
        return F.batch_norm(maps, mean, variance, weight, bias, eps=norm.eps), mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of maps, weight and bias; the statistics are no outputs that anything learns from."""
        maps, visible, share, mean, variance, weight = ctx.saved_tensors
        # In another layout, torch would round the sums of bfloat16 gradients to bfloat16.
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        to_maps, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, maps, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        through = _total(torch.stack([to_bias, to_weight]), ctx.together)
        if ctx.counts:
            through *= torch.rsqrt(variance + ctx.eps) * weight * -share
            chosen = _chosen(maps, visible)
            through_statistics = F.batch_norm(chosen, mean, variance, through[1], through[0], eps=ctx.eps)
            _add(to_maps, _rows(through_statistics), visible)
        return to_maps, None, to_weight, to_bias, None


def _moments(maps: Float[Tensor, "B C H W"], visible: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """How many positions are visible, and their mean and variance [C], in float32 at least.

    `visible`: the numbers [n] of those that are, of all B*H*W, or a weight of 0 or 1 for each, [B*H*W,1]; None: all.
    """
    exact = torch.promote_types(maps.dtype, torch.float32)
    if maps.device.type == "cpu" and not _are_weights(visible):
        chosen = _chosen(maps, visible).to(exact)
        mean, variance = torch.batch_norm_update_stats(chosen, None, None, 0.0)
        return torch.full((), chosen.numel() // chosen.shape[1], dtype=exact), mean, variance
    rows = _rows(maps).to(exact)
    weights = rows.new_ones(len(rows)) if visible is None else visible[:, 0].to(exact)
    count = weights.sum()
    share = weights / count
    with _full_precision(maps.device.type):
        mean = share @ rows
        return count, mean, share @ (rows - mean).square_()


def _joined(count: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Those of all workers, from each one's own (Chan, Golub and LeVeque, 1983)."""
    sums = _total(torch.cat([count[None], count * mean]), True)
    common = sums[1:] / sums[0]
    return sums[0], common, _total(count * (variance + (mean - common).square()), True) / sums[0]


def _chosen(maps: Float[Tensor, "B C H W"], visible: Tensor | None) -> Float[Tensor, "b C h w"]:
    """The visible positions alone, as a single map of one column; all where they have weights."""
    if visible is None or _are_weights(visible):
        return maps
    return _rows(maps).index_select(0, visible).t()[None, :, :, None]


def _add(maps: Float[Tensor, "B C H W"], what: Float[Tensor, "n C"], visible: Tensor | None) -> None:
    """Add rows made of what is `_chosen` to the maps, in place."""
    rows = _rows(maps)
    if visible is None:
        rows.add_(what)
    elif _are_weights(visible):
        rows.addcmul_(what, visible.to(rows.dtype))
    else:
        rows.index_add_(0, visible, what)


def _are_weights(visible: Tensor | None) -> bool:
    return visible is not None and visible.is_floating_point()


def _total(value: Tensor, together: bool) -> Tensor:
    """The sum over all workers, the same on each."""
    if together:
        value = value.clone()  # new memory: the sum is made in place
        dist.all_reduce(value)
    return value


def _unless(lacks: Tensor, value: Tensor, otherwise: Tensor | None) -> Tensor:
    """`otherwise` in place of the value where it `lacks` what it is made of."""
    return value if otherwise is None else torch.where(lacks, otherwise, value)


def _full_precision(device: str) -> AbstractContextManager[object]:
    """No autocast within. The meta device, on which the catalogue is made, has none to switch off."""
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def _rows(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "N C"]:
    """A view: maps must have their channels last in memory."""
    return maps.permute(0, 2, 3, 1).view(-1, maps.shape[1])
