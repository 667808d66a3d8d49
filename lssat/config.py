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
from typing import Any

from pydantic import Field, ValidationError, model_validator

from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from lssat.settings.model import BackboneConfig, DecoderConfig, HeadConfig, MaskingConfig
from lssat.settings.section import Float, Int, Section
from lssat.settings.texture import TargetConfig, TextureConfig, check_lbp_codes
from lssat.settings.training import AugmentConfig, ObjectiveConfig, OptimConfig, ResourcesConfig
from lssat.text.did_you_mean import did_you_mean

Location = str
"""Where a setting was written, for messages: `spaces/my.yaml:14`."""
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
    "resources.activation_checkpointing",
    "masking.share",
)
"""Keys that came later, whose defaults are what was done before."""
MAPPINGS = ("data.weights",)
"""Keys whose values are mappings, not sections."""
STREAMS_PATTERN = re.compile(r"M(RGB|LBP|LDP)/R(RGB|LBP|LDP)/C(RGB|LBP|LDP)")


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
            check_lbp_codes(self.target, self.texture)
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

    @property
    def of_training(self) -> Config:
        """Without what only the choice among trained runs reads, and what trades memory for time: equal where runs are
        trained alike.
        """
        objective = self.objective.model_copy(update={"over": None})
        resources = self.resources.model_copy(update={"activation_checkpointing": False})
        return self.model_copy(update={"objective": objective, "resources": resources})

    def flat(self) -> dict[str, Any]:
        """Dotted key -> value."""
        return flatten(self.model_dump())

    def hash(self) -> str:
        """Eight hex digits that name this configuration, its seed included.

        A renamed key is hashed under its old name, and a key of ADDED_KEYS only where it is set to something else than
        its default, so that a configuration keeps its hash.
        """
        old_names, defaults = {new: old for old, new in RENAMED_KEYS.items()}, _defaults()
        known = {key: value for key, value in self.flat().items() if key not in ADDED_KEYS or value != defaults[key]}
        text = json.dumps({old_names.get(key, key): value for key, value in known.items()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


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
    return tuple(_defaults())


@lru_cache(maxsize=1)
def _defaults() -> Mapping[str, Any]:
    return Config().flat()


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
