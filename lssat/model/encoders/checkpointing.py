"""Activation checkpointing (arXiv 1604.06174): of a block, only what goes in is kept until the backward pass, which
computes the block once more.

Some passes change for a while how modules compute: a masked one leaves hidden positions out, one in a short batch
normalises otherwise. When the backward pass comes, that while is over. So the second computation begins by changing the
modules again in the same way, with the context variables and the kernels of attention that held in the first. Random
numbers and autocast are restored by torch. Running statistics move in the first computation only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.checkpoint import checkpoint

Changed = Callable[[], AbstractContextManager[Any]]
"""Makes a context within which modules compute as a pass wants them to; it is entered several times."""
LARGEST = 1 / 8
"""Share of a pass that a segment may be, where it consists of smaller ones."""
COVERED = 3 / 4
"""Share of a module that smaller segments must cover to stand in its place."""
KERNELS: dict[SDPBackend, Callable[[], bool]] = {
    SDPBackend.MATH: torch.backends.cuda.math_sdp_enabled,
    SDPBackend.FLASH_ATTENTION: torch.backends.cuda.flash_sdp_enabled,
    SDPBackend.EFFICIENT_ATTENTION: torch.backends.cuda.mem_efficient_sdp_enabled,
    SDPBackend.CUDNN_ATTENTION: torch.backends.cuda.cudnn_sdp_enabled,
}
"""Kernels of attention, and whether torch may use them: on a CPU too, whatever the module is called."""


@contextmanager
def checkpointed(segments: Sequence[nn.Module], changed: Changed = nullcontext) -> Iterator[None]:
    """Within, which is within `changed()` too, each of the segments keeps its inputs alone for the backward pass.

    Segments must not contain each other.
    """
    before = [module.__dict__.get("forward") for module in segments]
    for module in segments:
        module.forward = partial(_keeping_inputs, module, module.forward, changed)
    try:
        yield
    finally:
        for module, forward in zip(segments, before, strict=True):
            if forward is None:
                del module.forward  # the instance attribute; the method of the class shows again
            else:
                module.forward = forward


def find_segments(model: nn.Module, run: Callable[[], object]) -> list[str]:
    """Names of the modules of `model` that are computed again, in their order: from the top down, those that put out
    `LARGEST` of all numbers at most; where a module has no such parts, it is one itself.

    `run` passes an image through the model. What counts are the outputs of layers with weights.
    """
    sizes: dict[str, int] = {}
    called = set()

    def record(name: str, module: nn.Module, _inputs: object, output: object) -> None:
        called.add(name)
        if any(True for _ in module.parameters(recurse=False)):
            sizes[name] = sum(each.numel() for each in tree_flatten(output)[0] if isinstance(each, Tensor))

    handles = [module.register_forward_hook(partial(record, name)) for name, module in model.named_modules()]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return _segments(model, "", _Sizes(sizes, called))


@dataclass(frozen=True)
class _Sizes:
    """What the layers with weights have put out, and which modules were called."""

    layers: dict[str, int]
    called: set[str]

    def of(self, name: str) -> int:
        """What a module has put out, all layers in it together."""
        return sum(size for layer, size in self.layers.items() if _is_in(layer, name))

    def is_segment(self, name: str) -> bool:
        """Whether a module can be one: it is called, and has several layers, or else there is nothing to be saved."""
        return name in self.called and sum(_is_in(layer, name) for layer in self.layers) > 1


def _segments(module: nn.Module, name: str, sizes: _Sizes) -> list[str]:
    size = sizes.of(name)
    if sizes.is_segment(name) and size <= LARGEST * sizes.of(""):
        return [name]
    children = [(f"{name}.{child}" if name else child, each) for child, each in module.named_children()]
    smaller = [found for child, each in children for found in _segments(each, child, sizes)]
    covers = sum(map(sizes.of, smaller)) >= COVERED * size
    return [name] if name and not covers and sizes.is_segment(name) else smaller


def _is_in(layer: str, name: str) -> bool:
    return not name or layer == name or layer.startswith(f"{name}.")


def _keeping_inputs(
    module: nn.Module, forward: Callable[..., Any], changed: Changed, /, *args: Any, **kwargs: Any
) -> Any:
    """Tensors are given one by one, for so torch keeps them, and finds out where one is overwritten later; lists are
    made anew, since the model may go on to fill its own.
    """
    given, form = tree_flatten((args, kwargs))

    def compute(*given: Any) -> Any:
        args, kwargs = tree_unflatten(given, form)
        return forward(*args, **kwargs)

    return checkpoint(_Computation(module, compute, changed), *given, use_reentrant=False)


class _Computation:
    """Of one segment in one pass: the first time as it is called, every further time in the context of the first."""

    def __init__(self, module: nn.Module, compute: Callable[..., Any], changed: Changed) -> None:
        self.module = module
        self.compute = compute
        self.changed = changed
        self.variables = copy_context()
        self.kernels = _attention_kernels()
        self.is_done = False

    def __call__(self, *given: Any) -> Any:
        if self.is_done:
            return self.variables.run(self._again, *given)
        self.is_done = True
        return self.compute(*given)

    def _again(self, *given: Any) -> Any:
        with self.changed(), _statistics_kept(self.module), sdpa_kernel(self.kernels):
            return self.compute(*given)


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Within, running statistics move as copies of themselves, which are dropped."""
    norms = [each for each in module.modules() if any(name.startswith("running_") for name in each._buffers)]
    own = [dict(norm._buffers) for norm in norms]
    for norm, buffers in zip(norms, own, strict=True):
        norm._buffers.update({name: None if buffer is None else buffer.clone() for name, buffer in buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, own, strict=True):
            norm._buffers.update(buffers)


def _attention_kernels() -> list[SDPBackend]:
    """Those that torch may choose from now."""
    return [kernel for kernel, is_allowed in KERNELS.items() if is_allowed()]
