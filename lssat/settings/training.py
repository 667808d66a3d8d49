"""The sections `objective`, `augment`, `optim` and `resources`: how it is learnt, on what, and what counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from lssat.settings.section import Float, Int, Section

TUNE_PATTERN = re.compile(r"all|head|norms|norms\+bias|last_[1-9][0-9]*")


class ObjectiveConfig(Section):
    """What a configuration is judged by."""

    metric: Literal["auto", "accuracy", "balanced_accuracy", "macro_f1", "auc", "average_precision", "worst_group"] = (
        Field(
            "auto",
            description="what `val/score` is; auto: macro_f1 (multi-class), balanced_accuracy (binary, multi-label), "
            "auc (deepfake, by video where there are any)",
        )
    )
    subgroups: list[str] = Field([], description="columns of the data, such as Male: scores are also given by subgroup")
    over: Literal["mean", "worst"] | None = Field(
        None,
        description="with `search.rotate`, of a finalist's seed: the mean score over the held-out values, or that of "
        "the worst; None: mean",
    )

    @model_validator(mode="after")
    def _worst_group_of_some(self) -> ObjectiveConfig:
        if self.metric == "worst_group" and not self.subgroups:
            raise ValueError(
                "`objective.metric` worst_group needs `objective.subgroups`: the columns that tell groups apart"
            )
        return self


class AugmentConfig(Section):
    """How training images are varied."""

    flip: bool = Field(True, description="mirror half of the images")
    crop_scale: Float = Field(
        0.8, gt=0, le=1, description="smallest side of the random crop, as a share of the image side; 1: off"
    )
    color: Float = Field(0.2, ge=0, lt=1, description="largest relative change of brightness and contrast; 0: off")
    randaugment: Float = Field(
        0.0, ge=0, le=10, description="magnitude of RandAugment, two operations per image; SSAT: 9; 0: off"
    )
    mixup: Float = Field(
        0.0, ge=0, description="alpha of mixup: images and task losses of neighbours are mixed; 0: off"
    )
    erase: Float = Field(
        0.0, ge=0, le=1, description="share of images that lose a random rectangle to noise; SSAT: 0.25; 0: off"
    )
    erase_before_texture: bool = Field(
        False, description="on: the target is made of the erased image; off: of the whole one"
    )
    blur: Float = Field(
        0.0, ge=0, le=4, description="half of the images: largest standard deviation of a blur, in pixels; 0: off"
    )
    resize: Float = Field(
        0.0, ge=0, lt=1, description="half of the images: largest share of the side lost on the way down and up; 0: off"
    )
    noise: Float = Field(
        0.0, ge=0, le=0.5, description="half of the images: largest deviation of noise, white being 1; 0: off"
    )
    jpeg: Float = Field(
        0.0, ge=0, le=95, description="half of the images: JPEG at a quality of at least 100 less this; 0: off"
    )


class OptimConfig(Section):
    """How weights are learnt."""

    epochs: Int = Field(10, ge=1, description="passes over the training rows")
    batch_size: Int = Field(64, ge=1, description="global: shared by all workers of the trial")
    lr: Float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: Float = Field(0.05, ge=0, description="AdamW; not on biases, norms, tokens and positions")
    warmup_epochs: Float = Field(
        1.0,
        ge=0,
        description="linear warm-up, then a cosine to min_lr, both per step; where nobody sets it, at most half of the "
        "epochs",
    )
    min_lr: Float = Field(1e-6, ge=0, description="learning rate at the last step")
    layer_decay: Float = Field(
        1.0,
        gt=0,
        le=1,
        description="each layer of the backbone learns at this share of the rate of the one above it; 1: off",
    )
    label_smoothing: Float = Field(
        0.0, ge=0, lt=1, description="share of each target spread evenly over the classes; training loss only; 0: off"
    )
    accumulate: Int = Field(
        1,
        ge=1,
        description="least number of micro-batches of a batch; more are taken where memory is short; batch norm sees "
        "one at a time",
    )
    clip_norm: Float = Field(1.0, gt=0, description="largest global gradient norm")
    ema_decay: Float = Field(
        0.0,
        ge=0,
        lt=1,
        description="evaluate and keep a running mean of the weights that keeps this share per step; 0: off",
    )
    class_balanced: bool = Field(
        False, description="weight the task loss inversely to class frequency, where sampling has not evened it out"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 autocast where the hardware gains from it"
    )
    tune: str = Field(
        "all",
        description="what of the backbone learns beside head and decoder: all; head: nothing (linear probe); norms; "
        "norms+bias; last_1, last_2, ...: so many of its last blocks or stages",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_warmup_gives_way(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("epochs") == 1 and "warmup_epochs" not in values:
            return {**values, "warmup_epochs": 0.5}
        return values

    @field_validator("tune")
    @classmethod
    def _tune_is_a_mode(cls, value: str) -> str:
        if not TUNE_PATTERN.fullmatch(value):
            raise ValueError(
                "`optim.tune` must be all, head, norms, norms+bias, or last_1, last_2, ... for so many of the last "
                f"blocks or stages, but got {value!r}"
            )
        return value

    @model_validator(mode="after")
    def _warmup_fits(self) -> OptimConfig:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"`optim.warmup_epochs` must be less than `optim.epochs`, but got {self.warmup_epochs:g} and "
                f"{self.epochs}; lower it as well"
            )
        return self


class ResourcesConfig(Section):
    """What one trial takes of the machines."""

    num_workers: Int = Field(1, ge=1, description="data-parallel workers of one trial")
    cpus_per_worker: Int = Field(1, ge=1, description="CPU cores of one worker, also its number of torch threads")
    gpus_per_worker: Float = Field(0.0, ge=0, description="GPUs of one worker; a fraction lets trials share one")
    activation_checkpointing: bool = Field(
        False, description="computes blocks again in the backward pass: less memory, more time, the same result"
    )
