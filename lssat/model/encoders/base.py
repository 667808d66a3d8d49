"""What every encoder promises: one clean pass, one masked pass, and no trace of the second in the first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lssat.inputs.masking import Mask
from lssat.inputs.visible import Masking, mask_ratio


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
    mean: Float[Tensor, " 3"]
    std: Float[Tensor, " 3"]

    def __init__(
        self, grid: tuple[int, int], unit: int, dims: tuple[int, int], colours: tuple[Sequence[float], Sequence[float]]
    ) -> None:
        """`grid`: cells (down, across); `unit`: their side in pixels; `dims`: widths of features and pooled; `colours`:
        mean, deviation.
        """
        super().__init__()
        self.grid = grid
        self.unit = unit
        self.features_dim, self.pooled_dim = dims
        mean, std = colours
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    @abstractmethod
    def encode(self, image: Float[Tensor, "B 3 H W"], mask: Mask | None = None) -> Encoded:
        """Encode images with values in [0, 1]; what the mask hides has no influence."""

    @property
    def num_cells(self) -> int:
        """Cells of the mask grid."""
        return self.grid[0] * self.grid[1]

    def ratio(self, asked: float | None) -> float:
        """The share of cells to hide: what is asked for (`masking.ratio`), or this way of masking's own."""
        return mask_ratio(asked, self.masking)

    def normalise(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """[0, 1] -> the backbone's own mean and deviation per channel."""
        return (image - self.mean[:, None, None]) / self.std[:, None, None]
