"""The sections `backbone`, `head`, `masking` and `decoder`: the network and what is hidden from it."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

from pydantic import Field, model_validator

from lssat.settings.section import Float, Int, Section

WEIGHTS_ENDINGS = (".safetensors", ".pth")


class BackboneConfig(Section):
    """The network of timm that sees the images, and the weights that it starts from."""

    family: str = Field("vit", description="backbone family, see lssat/model/catalog.json")
    size: str = Field(
        "atto", description="step of the global ordinal from shallow to deep, see lssat/model/catalog.json"
    )
    name: str | None = Field(None, description="any timm architecture, instead of family and size")
    patch_size: Int | None = Field(
        None, ge=2, description="flat-token backbones only: patch side in pixels; None: the native one"
    )
    drop_path_rate: Float = Field(0.0, ge=0, lt=1, description="stochastic depth, where the architecture has it")
    pretrained: bool | str = Field(
        False,
        description="start from weights: true: timm's from the hub; absolute path of a .safetensors or .pth: its own; "
        "of a folder, with / at its end: the file in it that is named after the backbone",
    )

    @model_validator(mode="after")
    def _weights_are_where_all_workers_read(self) -> BackboneConfig:
        if isinstance(self.pretrained, str) and not (
            PurePath(self.pretrained).is_absolute() and self.pretrained.endswith((*WEIGHTS_ENDINGS, "/"))
        ):
            raise ValueError(
                "`backbone.pretrained` must be true, false or the absolute path of a .safetensors or .pth file, or of "
                f"a folder of such with / at its end, which every worker reads, but got {self.pretrained!r}"
            )
        return self


class HeadConfig(Section):
    """What the classifier reads."""

    pooling: Literal["native", "cls", "mean"] = Field(
        "native", description="what the head reads: native: timm's choice; class token; mean over patches"
    )
    fusion: Literal["none", "concat"] = Field(
        "none", description="concat: beside it the mean of what the decoder makes of the unmasked image (Fusion-SSAT)"
    )


class MaskingConfig(Section):
    """How much is hidden, in which units, and how a backbone is kept from seeing it."""

    ratio: Float | None = Field(
        None, gt=0, lt=1, description="hidden share of patches; None: 0.75 where tokens are dropped, 0.6 elsewhere"
    )
    unit: Int = Field(
        16, ge=2, description="side in pixels of what is masked at once in backbones that cannot drop tokens"
    )
    share: Float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the rows that the masked pass sees, the first of each micro-batch; 1: all",
    )
    mode: Literal["token", "sparse"] = Field(
        "token",
        description="backbones that cannot drop tokens: a mask token after the first stage (SimMIM), or hidden "
        "positions left out of every layer (SparK)",
    )


class DecoderConfig(Section):
    """The transformer that predicts the target."""

    dim: Int = Field(64, ge=16, description="width")
    depth: Int = Field(1, ge=1, description="number of transformer blocks")
    num_heads: Int = Field(4, ge=1, description="attention heads; divides dim")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> DecoderConfig:
        if self.dim % self.num_heads or self.dim % 4:
            raise ValueError("`decoder.dim` must be a multiple of `decoder.num_heads` and of 4")
        return self
