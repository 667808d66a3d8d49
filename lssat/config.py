"""The one config tree, which validates what comes from YAML, command line, trials and checkpoints.

Every setting has one dotted key (`optim.lr`), used in spaces, `--set`, Optuna, TensorBoard, leaderboards and
checkpoints. This file imports neither torch nor Ray, so that `--help` and error messages answer at once.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from lssat.errors import UserError
from lssat.text.did_you_mean import did_you_mean


class ConfigError(UserError, ValueError):
    """A setting that breaks a rule. The message states rule, value, location and how to repair it."""


def _integral(value: object) -> object:
    """Let `1e3`, which YAML reads as a float, be an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Int = Annotated[int, BeforeValidator(_integral)]
Float = Annotated[float, Field(allow_inf_nan=False)]
Location = str
"""Where a setting was written, for messages: `spaces/my.yaml:14`."""
HISTOGRAM_POINTS = {"default": 8, "ror": 11, "uniform": 24, "nri_uniform": 16}
"""Most LBP points whose codes fit into a histogram of 256 bins, per method.

There are 2**P codes, 2**P up to rotation, P + 2 and P (P - 1) + 3.
"""
NATURAL_TASKS = {
    "celeba": "attributes",
    "affectnet": "emotion",
    **dict.fromkeys(("faceforensics", "celebdf", "celebdfpp", "dfdc", "deepfakebench", "df40"), "deepfake"),
    "fairface": "race",
    **dict.fromkeys(("rafdb", "fer2013", "ferplus"), "emotion"),
    **dict.fromkeys(("table", "files", "huggingface"), "label"),  # or what their options say
}
"""What is learnt from each kind of data where no task is named."""
RENAMED_KEYS = {
    "target.lbp_method": "texture.lbp_method",
    "target.lbp_points": "texture.lbp_points",
    "target.lbp_radius": "texture.lbp_radius",
    "target.ldp_k": "texture.ldp_k",
    "target.ldp_signed": "texture.ldp_signed",
    "backbone.trainable": "optim.tune",
}
"""Old key -> the key of today. What an older version wrote is read through it; in a space it is an error."""
ADDED_KEYS = (
    "data.align",
    "data.class_names",
    "data.hold_out",
    "data.held_out",
    "data.validate_on",
    "data.weights",
    "objective.over",
    "augment.blur",
    "augment.resize",
    "augment.noise",
    "augment.jpeg",
)
"""Keys that came later, whose defaults are what was done before."""
MAPPINGS = ("data.weights",)
"""Keys whose values are mappings, not sections."""
DATASET = "dataset"
"""The column that tells data sets apart where several were joined."""
STREAMS_PATTERN = re.compile(r"M(RGB|LBP|LDP)/R(RGB|LBP|LDP)/C(RGB|LBP|LDP)")
TUNE_PATTERN = re.compile(r"all|head|norms|norms\+bias|last_[1-9][0-9]*")
WEIGHTS_ENDINGS = (".safetensors", ".pth")


class Section(BaseModel):
    """A frozen group of settings: unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataConfig(Section):
    """Which images are learnt from, and what of them."""

    source: str | list[str] = Field(
        "synthetic",
        description="`synthetic`, a CSV or Parquet table, a folder per class, or `kind:path?option=value`; a list of "
        "several is joined into one data set",
    )
    validate_on: str | None = Field(
        None,
        description="of several data sets: the one that validation and test are of, while training has all; None: all",
    )
    task: str = Field(
        "emotion",
        description="synthetic: emotion, attributes or deepfake; own data: label column(s), comma-separated; a kind: "
        "its own",
    )
    classes: list[str] | None = Field(None, description="keep only rows whose label is one of these; None keeps all")
    class_names: list[str] | None = Field(
        None,
        description="what the classes are called, numbers by size and words by their letters; None: as in the data",
    )
    hold_out: str | None = Field(
        None, description="column of the data, such as method: of `held_out` it names what training never sees"
    )
    held_out: list[str] | None = Field(
        None,
        description="values of that column: training leaves their rows out, and validation and test score them, beside "
        "the rows without a value",
    )
    image_size: Int = Field(64, ge=16, description="side of the square image in pixels")
    sampling: Literal["natural", "balanced", "paired"] = Field(
        "natural",
        description="rows are drawn with replacement: balanced: every class equally often (of several labels: as they "
        "come); paired: each fake beside a real one of its source, binary tasks only",
    )
    weights: Annotated[dict[str, Annotated[Float, Field(gt=0)]], Field(min_length=1)] | None = Field(
        None,
        description="of joined data sets, by name: rows are drawn with replacement in these proportions; None: as they "
        "come",
    )
    train_fraction: Float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the training rows that a run sees, drawn by `seed`, to learn from little data",
    )
    num_images: Int = Field(4000, ge=200, description="synthetic only: number of training images")
    max_rejects: Float = Field(
        0.01,
        ge=0,
        le=1,
        description="largest share of images or rows that may be unusable; they are listed in rejects.csv",
    )
    align: Literal["upright"] | None = Field(
        None,
        description="upright: faces that are found are turned until eyes and mouth are level; None: they stay as they "
        "are",
    )
    allow_leaks: bool = Field(False, description="record leaks across splits instead of refusing them")
    seed: Int = Field(
        0, ge=0, le=2**32 - 1, description="seed of the synthetic images and of splits that the data do not bring"
    )

    @model_validator(mode="before")
    @classmethod
    def _each_kind_has_its_task(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or "task" in values:
            return values
        kinds = {text.partition(":")[0]: _natural_task(text) for text in _sources(values.get("source"))}
        tasks = {kind: task for kind, task in kinds.items() if task}
        if len({*tasks.values()}) > 1:
            found = ", ".join(f"{task} ({kind})" for kind, task in tasks.items())
            raise ValueError(f"`data.source` names data sets of different tasks: {found}; name the one by `data.task`")
        return {**values, "task": next(iter(tasks.values()))} if tasks else values

    @model_validator(mode="after")
    def _data_sets_differ(self) -> DataConfig:
        names = self.sources
        if not names or len({*names}) < len(names):
            twice = [name for name in names if names.count(name) > 1]
            got = f"has `{twice[0]}` {names.count(twice[0])} times; remove" if twice else "is empty; name"
            raise ValueError(f"`data.source` must name every data set once, but {got} one")
        if self.validate_on is not None and len(names) == 1:
            raise ValueError(
                f"`data.validate_on` chooses one of several data sets, but `data.source` is `{names[0]}` alone; remove "
                "it, or give the others too"
            )
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The data sets: one, or several that are joined."""
        return tuple(_sources(self.source))

    @field_validator("source", mode="before")
    @classmethod
    def _one_is_no_list(cls, value: object) -> object:
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    @field_validator("weights", mode="before")
    @classmethod
    def _weights_are_of_names(cls, value: object) -> object:
        return {str(name): weight for name, weight in value.items()} if isinstance(value, Mapping) else value

    @field_validator("classes", "class_names", "held_out", mode="before")
    @classmethod
    def _classes_are_names(cls, value: object) -> object:
        return [str(item) for item in value] if isinstance(value, list) else value

    @field_validator("class_names")
    @classmethod
    def _names_differ(cls, value: list[str] | None) -> list[str] | None:
        if value and (len(set(value)) < len(value) or not all(map(str.strip, value))):
            raise ValueError(f"`data.class_names` must be names that differ, but got {', '.join(value)}")
        return value

    @model_validator(mode="after")
    def _held_out_names_values_of_a_column(self) -> DataConfig:
        if self.hold_out is None and self.held_out is not None:
            raise ValueError(
                f"`data.held_out` names values of a column, {', '.join(self.held_out)}; name the column by "
                "`data.hold_out`"
            )
        if self.hold_out is not None and not (self.held_out and all(self.held_out)):
            raise ValueError(
                f"`data.hold_out` {self.hold_out} needs `data.held_out`: the values that training never sees, such as "
                "`[x]`; empty cells cannot be held out"
            )
        return self


def _natural_task(source: str) -> str | None:
    """What is learnt from a source where no task is named; None: its kind does not say."""
    kind, colon, _ = source.partition(":")
    if not colon or kind not in NATURAL_TASKS:
        return None
    options = dict(re.findall(r"[?&](\w+)=([^&]*)", source)) if NATURAL_TASKS[kind] == "label" else {}
    return "deepfake" if "real" in options else unquote(options.get("label", NATURAL_TASKS[kind]))


def _sources(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(each) for each in value] if isinstance(value, list) else []


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


class MaskingConfig(Section):
    """How much is hidden, in which units, and how a backbone is kept from seeing it."""

    ratio: Float | None = Field(
        None, gt=0, lt=1, description="hidden share of patches; None: 0.75 where tokens are dropped, 0.6 elsewhere"
    )
    unit: Int = Field(
        16, ge=2, description="side in pixels of what is masked at once in backbones that cannot drop tokens"
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


class Config(Section):
    """One training run, whole."""

    data: DataConfig = DataConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    backbone: BackboneConfig = BackboneConfig()
    head: HeadConfig = HeadConfig()
    auxiliary: bool = Field(True, description="off: the supervised baseline, no masked pass")
    aux_weight: Float = Field(
        0.9, ge=0, lt=1, description="w in (1-w)*task + w*reconstruction; SSAT publishes 0.1 on the task, so 0.9 here"
    )
    streams: str = Field(
        "MRGB/RLDP/CRGB",
        description="image of the Masked pass / Reconstruction target / Classified pass, each RGB, LBP or LDP",
    )
    texture: TextureConfig = TextureConfig()
    target: TargetConfig = TargetConfig()
    masking: MaskingConfig = MaskingConfig()
    decoder: DecoderConfig = DecoderConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig()
    resources: ResourcesConfig = ResourcesConfig()
    seed: Int = Field(0, ge=0, le=2**32 - 1, description="seed of weights, masks, order and augmentation")

    @model_validator(mode="after")
    def _rules_between_sections(self) -> Config:
        size, unit = self.data.image_size, self.masking.unit
        if not STREAMS_PATTERN.fullmatch(self.streams):
            raise ValueError(
                f"`streams` must read M<x>/R<y>/C<z> with x, y, z of RGB, LBP, LDP, but got {self.streams!r}"
            )
        if size % unit or size < 4 * unit:
            raise ValueError(
                f"`data.image_size` must be a multiple of `masking.unit` and at least 4 of them, but got {size} and "
                f"{unit}"
            )
        if self.optim.batch_size % self.resources.num_workers:
            raise ValueError(
                f"`resources.num_workers` must divide `optim.batch_size`, but got {self.resources.num_workers} and "
                f"{self.optim.batch_size}"
            )
        if self.data.sampling == "paired" and self.optim.batch_size % 2:
            raise ValueError(
                f"`data.sampling` paired needs an even `optim.batch_size`, but got {self.optim.batch_size}"
            )
        rows, rest = divmod(self.optim.batch_size, self.resources.num_workers * self.optim.accumulate)
        if rest:
            raise ValueError(
                "`optim.accumulate` x `resources.num_workers` must divide `optim.batch_size`, but got "
                f"{self.optim.accumulate} x {self.resources.num_workers} and {self.optim.batch_size}"
            )
        if self.augment.mixup and rows % 2:
            raise ValueError(
                "`augment.mixup` needs an even number of rows at once (`optim.batch_size` / `resources.num_workers` "
                f"/ `optim.accumulate`), but got {rows}; change `optim.batch_size`"
            )
        if self.head.fusion != "none" and not self.trains_auxiliary:
            raise ValueError(
                "`head.fusion` concat reads the decoder, so it needs `auxiliary` on and `aux_weight` above 0; set it "
                "to none"
            )
        return self

    @model_validator(mode="after")
    def _target_fits_its_stream(self) -> Config:
        if self.trains_auxiliary and self.target_stream == "RGB":
            if self.target.encoding != "scaled":
                raise ValueError(f"an RGB target needs `target.encoding` scaled, but got {self.target.encoding!r}")
            if self.target.rgb_weight:
                raise ValueError(
                    f"`target.rgb_weight` rebuilds RGB beside a texture: it must be 0 in `streams` {self.streams}; "
                    "choose RLBP or RLDP there"
                )
        if self.trains_auxiliary and self.target_stream == "LBP" and self.target.encoding != "scaled":
            _check_lbp_codes(self.target, self.texture)
        return self

    @property
    def masked_stream(self) -> str:
        """What the masked pass sees: RGB, LBP or LDP."""
        return self.streams.split("/")[0][1:]

    @property
    def target_stream(self) -> str:
        """What is reconstructed: RGB, LBP or LDP."""
        return self.streams.split("/")[1][1:]

    @property
    def classified_stream(self) -> str:
        """What the classified pass sees: RGB, LBP or LDP."""
        return self.streams.split("/")[2][1:]

    @property
    def trains_auxiliary(self) -> bool:
        """Whether there is a masked pass at all."""
        return self.auxiliary and self.aux_weight > 0

    def flat(self) -> dict[str, Any]:
        """Dotted key -> value."""
        return flatten(self.model_dump())

    def hash(self) -> str:
        """Eight hex digits that name this configuration, its seed included.

        A renamed key is hashed under its old name, and a key of ADDED_KEYS only where it is set to something else than
        its default, so that a configuration keeps its hash.
        """
        old_names, defaults = {new: old for old, new in RENAMED_KEYS.items()}, Config().flat()
        known = {key: value for key, value in self.flat().items() if key not in ADDED_KEYS or value != defaults[key]}
        text = json.dumps({old_names.get(key, key): value for key, value in known.items()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def _check_lbp_codes(target: TargetConfig, texture: TextureConfig) -> None:
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


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections -> one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in MAPPINGS:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


@lru_cache(maxsize=1)
def keys() -> tuple[str, ...]:
    """All dotted keys, in the order of the tree."""
    return tuple(Config().flat())


def build(flat: Mapping[str, Any], locations: Mapping[str, Location] | None = None) -> Config:
    """Dotted keys -> a validated Config; `locations`: where keys were written. Raises ConfigError."""
    locations = locations or {}
    for key in flat:
        check_key(key, locations.get(key))
    try:
        return Config.model_validate(_nest(flat))
    except ValidationError as error:
        raise ConfigError(_explain(error, locations)) from None


def saved_config(tree: Mapping[str, Any]) -> Config:
    """A configuration as this or an older version wrote it into a checkpoint or JSON file, nested or with dotted keys.

    Raises ConfigError.
    """
    return build(current_keys(flatten(tree)))


def current_keys(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys of this or an older version -> the keys of today."""
    return {RENAMED_KEYS.get(key, key): value for key, value in flat.items()}


def check_key(key: str, location: Location | None = None) -> None:
    """Refuse a key that does not exist, naming the nearest that does, or its name of today. Raises ConfigError."""
    known = keys()
    if key in known:
        return
    if key in RENAMED_KEYS:
        raise ConfigError(f"`{key}` is called `{RENAMED_KEYS[key]}` now{_at(location)}")
    namesakes = [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    hint = did_you_mean(key, known) or did_you_mean(key, namesakes, cutoff=0) or "`--help` lists the keys"
    raise ConfigError(f"unknown key `{key}`; {hint}{_at(location)}")


def check_value(key: str, value: Any, location: Location | None = None) -> None:
    """Validate one setting against its own type and bounds, whatever the other settings are. Raises ConfigError."""
    check_key(key, location)
    try:
        Config.model_validate(_nest({key: value}))
    except ValidationError as error:
        if _key_of(error):
            raise ConfigError(_explain(error, {key: location} if location else {})) from None


def _nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, leaf = key.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
        node[leaf] = value
    return tree


def _key_of(error: ValidationError) -> str:
    """The dotted key that an error is about; empty where a rule between keys is broken."""
    parts = [str(part) for part in error.errors()[0]["loc"]]
    known = keys()
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in known), "")


def _explain(error: ValidationError, locations: Mapping[str, Location]) -> str:
    """Rule, value and location of the first error; of a rule between keys, the location of the first that has one."""
    item = error.errors()[0]
    key = _key_of(error)
    message = _rule(key, item) if key else str(item.get("ctx", {}).get("error", item["msg"]))
    named = [key, *re.findall(r"`([a-z_.]+)`", message)]
    return message + _at(next((locations[name] for name in named if name in locations), None))


def _rule(key: str, item: Mapping[str, Any]) -> str:
    if item["type"] == "value_error":  # a rule of our own, which says it all
        return str(item["ctx"]["error"])
    value = item["input"]
    shown = "nan" if isinstance(value, float) and math.isnan(value) else repr(value)
    rule = item["msg"].removeprefix("Input ").replace("should be", "must be")
    return f"`{key}` {rule}, but got {shown}"


def _at(location: Location | None) -> str:
    return f" ({location})" if location else ""


def describe(settings: Section | None = None, prefix: str = "") -> list[str]:
    """One line per key of some settings (the whole Config): its default and meaning, for `--help`."""
    tree = settings or Config()
    lines = []
    for key, default in flatten(tree.model_dump()).items():
        section: Any = type(tree)
        *sections, leaf = key.split(".")
        for name in sections:
            section = section.model_fields[name].annotation
        lines.append(f"{prefix + key:<28} [{default}] {section.model_fields[leaf].description}")
    return lines
