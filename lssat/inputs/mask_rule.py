"""How many cells a mask has, and how many of them it shows: rules that are known before torch is loaded."""

from __future__ import annotations

from typing import Literal

from lssat.errors import ConfigError

Masking = Literal["tokens", "pyramid"]
"""How a backbone is masked: hidden tokens are dropped, or hidden units are overwritten in all its feature maps."""

DEFAULT_RATIOS: dict[Masking, float] = {"tokens": 0.75, "pyramid": 0.6}
"""Hidden share where `masking.ratio` names none: MAE's (arXiv 2111.06377); that of SimMIM (2111.09886) and SparK."""
FEWEST_CELLS = 16
"""A mask over fewer cells is too coarse to learn from."""


def mask_ratio(asked: float | None, masking: Masking) -> float:
    """The share of cells to hide: what `masking.ratio` asks for, or else the default of this way of masking."""
    return DEFAULT_RATIOS[masking] if asked is None else asked


def num_visible(num_cells: int, ratio: float) -> int:
    """How many of `num_cells` stay visible. Raises ConfigError where that is none or all of them."""
    visible = int(num_cells * (1 - ratio))
    if not 0 < visible < num_cells:
        left = "no patch visible" if visible == 0 else "no patch hidden"
        raise ConfigError(
            f"`masking.ratio` must hide some of the {num_cells} patches and leave some visible, but {ratio} leaves "
            f"{left}; move the ratio towards 0.5, or make patches smaller (`backbone.patch_size`, `masking.unit`)"
        )
    return visible


def check_grid(image_size: int, unit: int, unit_key: str | None = None) -> tuple[int, int]:
    """The cells (down, across) of a square image, each `unit` pixels wide.

    `unit_key`: the setting that the unit comes from; None: it is the backbone's own. Raises ConfigError where units do
    not tile the image or are too few.
    """
    if image_size % unit:
        raise ConfigError(
            f"`data.image_size` must be a multiple of the mask unit, but got {image_size} and units of {unit} pixels; "
            f"change `{unit_key or 'data.image_size'}`"
        )
    side = image_size // unit
    if side * side < FEWEST_CELLS:
        raise ConfigError(
            f"an image needs at least {FEWEST_CELLS} mask units, but `data.image_size` {image_size} holds "
            f"{side * side} of {unit} pixels; {f'lower `{unit_key}` or ' if unit_key else ''}raise `data.image_size`"
        )
    return side, side
