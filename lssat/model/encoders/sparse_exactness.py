"""Whether a backbone's sparse pass is exact, found by a probe and not by a list of names: hidden positions are NaN, and
NaN must not spread to visible ones.

NaN survives every operation that works on each position alone, a branch whose weight is zero included, and the rules of
sparse.py read visible positions only. So visible values stay finite unless another operation (attention, a functional
pool, a token-mixing layer, a norm over positions) reads hidden ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from lssat.errors import ConfigError
from lssat.inputs.masking import is_aligned
from lssat.model.encoders.norms import VisibleAt, visibility
from lssat.model.encoders.sparse import SparseEncoder, map_size, positions_masked, rule_of, shown_to


def check_exact(encoder: SparseEncoder, name: str, image_size: int) -> None:
    """Raises ConfigError where the sparse pass of the backbone `name` does not equal one that computes visible
    positions only.
    """
    was_training = encoder.training
    visible_at = visibility(one_visible(encoder.grid).to(encoder.mean.device), encoder.grid)
    pixels = torch.zeros(1, 3, image_size, image_size, device=encoder.mean.device)
    pixels = pixels.masked_fill(~visible_at((image_size, image_size)), torch.nan)
    with (
        torch.inference_mode(),
        _poisoned(encoder.eval().model, encoder.grid, visible_at) as spreading,
        positions_masked(encoder.model, visible_at),
    ):
        maps, pooled = encoder.run(pixels)
    encoder.train(was_training)
    shown = [stage.masked_select(visible_at((stage.shape[2], stage.shape[3]))) for stage in maps]
    if not all(values.isfinite().all() for values in [*shown, pooled]):
        culprit = next(iter(spreading), f"the forward pass of {type(encoder.model).__name__}")
        raise ConfigError(
            f"`masking.mode` sparse must equal a pass over visible positions only, but in {name} {culprit} mixes "
            "positions in a way that has no rule in lssat/model/encoders/sparse.py; set `masking.mode: token`"
        )


def one_visible(grid: tuple[int, int]) -> Bool[Tensor, "1 L"]:
    """All units hidden but one inside, so that any operation that mixes positions mixes hidden ones into it."""
    mask = torch.ones(1, *grid, dtype=torch.bool)
    mask[0, grid[0] // 2, grid[1] // 2] = False
    return mask.flatten(1)


@contextmanager
def _poisoned(model: nn.Module, grid: tuple[int, int], visible_at: VisibleAt) -> Iterator[list[str]]:
    """Within, modules that have a rule see zeros and leave NaN at hidden positions.

    Yields a list that fills with the modules that put NaN where there was none.
    """
    spreading: list[str] = []

    def clear(module: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        _check_aligned(map_size(module, inputs[0]), grid)
        return inputs[0].masked_fill(~shown_to(module, inputs[0], visible_at), 0)

    def poison(module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        return out.masked_fill(~shown_to(module, out, visible_at), torch.nan) if out.ndim == 4 else out

    def watch(name: str, module: nn.Module, inputs: tuple[object, ...], out: object) -> None:
        given = inputs[0] if inputs else None
        if not isinstance(given, Tensor) or not isinstance(out, Tensor):
            return
        if _share_of_nan(out) > _share_of_nan(given):
            spreading.append(f"`{name}` ({type(module).__name__})")

    handles = []
    for name, module in model.named_modules():
        if rule_of(module) or isinstance(module, nn.BatchNorm2d):
            handles += [module.register_forward_pre_hook(clear), module.register_forward_hook(poison)]
        else:
            handles.append(module.register_forward_hook(partial(watch, name)))
    try:
        yield spreading
    finally:
        for handle in handles:
            handle.remove()


def _check_aligned(size: tuple[int, int], grid: tuple[int, int]) -> None:
    """A position astride of units is neither visible nor hidden. Raises ConfigError."""
    if not is_aligned(size, grid):
        raise ConfigError(
            "`masking.mode` sparse needs feature maps whose sides are multiples or divisors of the mask grid, but "
            f"got {size} and {grid}; change `data.image_size` or `masking.unit`, or set `masking.mode: token`"
        )


def _share_of_nan(maps: Tensor) -> float:
    return maps.isnan().float().mean().item()
