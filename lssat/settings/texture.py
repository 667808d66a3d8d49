"""The sections `texture` and `target`: what is rebuilt."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lssat.settings.section import Float, Int, Section

HISTOGRAM_POINTS = {"default": 8, "ror": 11, "uniform": 24, "nri_uniform": 16}
"""Most LBP points whose codes fit into a histogram of 256 bins, per method.

There are 2**P codes, 2**P up to rotation, P + 2 and P (P - 1) + 3.
"""


class TextureConfig(Section):
    """How LBP and LDP are computed, in every stream that shows one."""

    lbp_method: Literal["default", "ror", "uniform", "nri_uniform", "var"] = Field(
        "default", description="LBP: the code, named as in scikit-image"
    )
    lbp_points: Int = Field(8, ge=1, le=24, description="LBP: number of neighbours P")
    lbp_radius: Float = Field(1.0, gt=0, description="LBP: radius R in pixels")
    ldp_k: Int = Field(3, ge=1, le=7, description="LDP: number of strongest directions")
    ldp_signed: bool = Field(False, description="LDP: strongest by signed response, not by absolute one")


class TargetConfig(Section):
    """How the reconstruction stream becomes numbers to predict."""

    encoding: Literal["scaled", "bits", "histogram"] = Field(
        "scaled", description="texture codes as scaled numbers, a map per bit, or frequencies per patch"
    )
    norm_pix: bool = Field(
        False, description="standardise each target patch (MAE); `scaled` only, and then of the RGB image beside it too"
    )
    rgb_weight: Float = Field(
        0.0, ge=0, lt=1, description="v in (1-v)*texture + v*RGB: the image is rebuilt beside the texture; 0: off"
    )

    @model_validator(mode="after")
    def _norm_pix_needs_scaled(self) -> TargetConfig:
        if self.norm_pix and self.encoding != "scaled":
            raise ValueError("`target.norm_pix` needs `target.encoding` scaled")
        return self


def check_lbp_codes(target: TargetConfig, texture: TextureConfig) -> None:
    """That the codes of a texture fit the encoding of the target. Raises ValueError."""
    method, points = texture.lbp_method, texture.lbp_points
    got = f"but got {method} with {points} points"
    if method == "var":
        raise ValueError("`texture.lbp_method` var has no codes: it needs `target.encoding` scaled")
    if target.encoding == "bits" and (method != "default" or points > 8):
        raise ValueError(
            f"`target.encoding` bits needs `texture.lbp_method` default and `texture.lbp_points` <= 8, {got}"
        )
    if points > HISTOGRAM_POINTS[method]:
        raise ValueError(
            f"`target.encoding` histogram has at most 256 bins: `texture.lbp_points` <= {HISTOGRAM_POINTS[method]} for "
            f"`texture.lbp_method` {method}, {got}"
        )
