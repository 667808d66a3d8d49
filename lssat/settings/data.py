"""The section `data`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import Field, field_validator, model_validator

from lssat.settings.section import Float, Int, Section

NATURAL_TASKS = {
    "celeba": "attributes",
    "affectnet": "emotion",
    **dict.fromkeys(("faceforensics", "celebdf", "celebdfpp", "dfdc", "deepfakebench", "df40"), "deepfake"),
    "fairface": "race",
    **dict.fromkeys(("rafdb", "fer2013", "ferplus"), "emotion"),
    **dict.fromkeys(("table", "files", "huggingface"), "label"),  # or what their options say
}
"""What is learnt from each kind of data where no task is named."""
DATASET = "dataset"
"""The column that tells data sets apart where several were joined."""


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
