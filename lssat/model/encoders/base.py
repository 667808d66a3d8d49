"""What every encoder promises: one clean pass, one masked pass, and no trace of the second in the first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lssat.inputs.mask_rule import Masking, mask_ratio
from lssat.inputs.masking import Mask
from lssat.model.encoders.checkpointing import Changed, checkpointed


class Encoded(NamedTuple):
    """What an encoder makes of a batch."""

    features: Float[Tensor, "B N D"]
    """One vector per grid position, row by row; only those of `mask.visible` where hidden tokens were dropped."""
    pooled: Float[Tensor, "B P"]
    """What the classification head reads."""


class Encoder(nn.Module, ABC):
    """A timm backbone that can also look at a partly hidden image.

    Without a mask, `pooled` is the backbone's own pre-logits output. With one, hidden pixels influence nothing that is
    visible, and the pass leaves no trace: buffers and every later pass are the same as without it.
    """

    masking: ClassVar[Masking]
    model: Any
    """The backbone, as timm makes it."""
    segments: tuple[str, ...]
    """Modules of the backbone that the backward pass computes again (activation checkpointing)."""
    mean: Float[Tensor, " 3"]
    std: Float[Tensor, " 3"]

    def __init__(self, model: Any, grid: tuple[int, int], unit: int, features_dim: int) -> None:
        """`grid`: cells of a mask (down, across); `unit`: their side in pixels; `features_dim`: width of `features`.

        Of timm's `model` the width that the head reads, and the mean and std of its pixels, are taken here. Subclasses
        set `self.model` last: checkpoints of optimizers number parameters in order of registration.
        """
        super().__init__()
        self.grid = grid
        self.unit = unit
        self.features_dim = features_dim
        self.pooled_dim: int = model.head_hidden_size
        self.segments = ()
        for name in ("mean", "std"):
            channels = torch.tensor(model.pretrained_cfg[name], dtype=torch.float32)
            self.register_buffer(name, channels, persistent=False)

    @abstractmethod
    def encode(self, image: Float[Tensor, "B 3 H W"], mask: Mask | None = None) -> Encoded:
        """Encode images with values in [0, 1]. With a mask, what it hides has no influence on what it shows."""

    @contextmanager
    def passing(self, changed: Changed = nullcontext) -> Iterator[None]:
        """Within, the backbone computes as `changed()` makes it do; in training, its segments keep nothing but their
        inputs for the backward pass.
        """
        segments = self.segments if self.training and torch.is_grad_enabled() else ()
        with changed(), checkpointed([self.model.get_submodule(name) for name in segments], changed):
            yield

    @property
    def num_cells(self) -> int:
        """Cells of the mask grid."""
        return self.grid[0] * self.grid[1]

    def ratio(self, asked: float | None) -> float:
        """The share of cells to hide: what is asked for (`masking.ratio`), or this way of masking's own."""
        return mask_ratio(asked, self.masking)

    def normalise(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """Images in [0, 1] -> what the backbone reads: minus its mean, divided by its std, per channel."""
        return (image - self.mean[:, None, None]) / self.std[:, None, None]

    def denormalise(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """The inverse of `normalise`."""
        return image * self.std[:, None, None] + self.mean[:, None, None]
