"""Weights that somebody else trained, into a backbone of timm: from timm's hub or from a file.

`python -m lssat.tools.rename_weights` gives a foreign checkpoint timm's names.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from timm.models import _builder, load_state_dict, load_state_dict_from_hf
from torch import Tensor

from lssat.errors import ConfigError

LEAST_SHARE = 0.9
"""Of the backbone's tensors, and of the file's, that must match: below it the weights are another architecture's."""
NAMES_SHOWN = 4


class WeightMatch(NamedTuple):
    """How the tensors of a backbone and of a file fit each other, by name."""

    matched: list[str]
    missing: list[str]
    """In the backbone only: they keep their random values."""
    unexpected: list[str]
    """In the file only."""
    other_shape: list[str]
    """In both, of different shapes: they keep their random values."""
    classifier: list[str]
    """The file's classifier, which is not wanted."""

    @property
    def fits(self) -> bool:
        """Whether the weights are this architecture's."""
        unmatched = len(self.other_shape) + max(len(self.missing), len(self.unexpected))
        return len(self.matched) >= LEAST_SHARE * (len(self.matched) + unmatched)

    def __str__(self) -> str:
        parts = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.other_shape,
            "of the classifier dropped": self.classifier,
        }
        others = (f"{len(names)} {what}{_some(names)}" for what, names in parts.items())
        return ", ".join([f"{len(self.matched)} tensors matched", *others])


def load_pretrained(model: Any, name: str, source: bool | str) -> WeightMatch:
    """Load weights from `source`, True (timm's hub) or a file, into timm's `model` of architecture `name`, and say how
    they match.

    timm adapts them where it can: names of old checkpoints, position embeddings and patches of another size. Raises
    ConfigError for weights that cannot be had or read, and for those of another architecture.
    """
    state = _from_hub(name) if source is True else read_weights(Path(str(source)))
    try:
        adapted = checkpoint_filter(name)(dict(state), model)
    except Exception as error:  # it expects the architecture's own weights, and fails in many ways on others
        raise _other_architecture(name, source, compare(model, state)) from error
    match = compare(model, adapted)
    if not match.fits:
        raise _other_architecture(name, source, match)
    model.load_state_dict({key: adapted[key] for key in match.matched}, strict=False)
    logging.getLogger(__name__).info("pretrained %s: %s", name, match)
    return match


def compare(model: Any, state: Mapping[str, Tensor]) -> WeightMatch:
    """How `state` fits `model`. Counters of batches are left out: many files lack them, and nothing reads them."""
    own = {key: tensor.shape for key, tensor in model.state_dict().items() if not _is_counter(key)}
    given = {key: tensor.shape for key, tensor in state.items() if not _is_counter(key)}
    named = model.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{head}." for head in ((named,) if isinstance(named, str) else named))
    foreign = [key for key in given if key not in own]
    return WeightMatch(
        matched=[key for key in own if given.get(key) == own[key]],
        missing=[key for key in own if key not in given],
        unexpected=[key for key in foreign if not key.startswith(heads)],
        other_shape=[key for key in own if key in given and given[key] != own[key]],
        classifier=[key for key in foreign if key.startswith(heads)],
    )


def checkpoint_filter(name: str) -> Callable[[dict[str, Tensor], Any], dict[str, Tensor]]:
    """timm's own adaptation of a checkpoint to a model of architecture `name`.

    timm hands it to nothing but its loader. So the model is built once more, on the meta device, while a function that
    records the adaptation replaces the loader.
    """
    found: list[Any] = []

    def record(model: Any, *, filter_fn: Any = None, **_: Any) -> None:
        found.append(filter_fn)

    loader = _builder.load_pretrained
    _builder.load_pretrained = record
    try:
        with torch.device("meta"):
            timm.create_model(name, pretrained=True)
    finally:
        _builder.load_pretrained = loader
    (adapt,) = found
    return adapt or (lambda state, _model: state)


def _from_hub(name: str) -> Mapping[str, Tensor]:
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        elsewhere = (
            f"download {config.url} and give the file" if config and config.url else "give a file, or set it to false"
        )
        raise ConfigError(f"`backbone.pretrained` true: timm's hub has no weights of {name}; {elsewhere}")
    names = (config.hf_hub_filename,) if config.hf_hub_filename else ()
    try:
        state: Mapping[str, Tensor] = load_state_dict_from_hf(config.hf_hub_id, *names, weights_only=True)
    except Exception as error:  # the hub's client fails in as many ways as networks do
        raise ConfigError(
            f"`backbone.pretrained` true: the weights {config.hf_hub_id} are not in the cache and cannot be "
            f"downloaded ({type(error).__name__}); on a machine with a network run `hf download {config.hf_hub_id}`, "
            "copy model.safetensors here and give its path"
        ) from error
    return state


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file, also in a training checkpoint that holds it under one of the names that timm knows.

    Nothing in the file is executed. Raises ConfigError for a file that is missing, damaged or more than weights.
    """
    if not path.is_file():
        raise ConfigError(
            f"`backbone.pretrained`: there is no file {path} on {platform.node()}; every worker must see it"
        )
    try:
        state = load_state_dict(str(path), weights_only=True)
        tensors = {key: tensor for key, tensor in state.items() if isinstance(tensor, Tensor)}
    except Exception as error:  # torch, zip and safetensors each have their own
        raise ConfigError(
            f"`backbone.pretrained`: {path} is damaged, or holds more than weights ({type(error).__name__}), which is "
            "not executed; save `model.state_dict()` alone, best as .safetensors"
        ) from error
    return tensors


def _other_architecture(name: str, source: bool | str, match: WeightMatch) -> ConfigError:
    place = " true: what is on the hub" if source is True else f": {source}"
    return ConfigError(
        f"`backbone.pretrained`{place} must be weights of {name}: at least {LEAST_SHARE:.0%} of its tensors and of the "
        f"file's must match, but there are {match}; give weights of this architecture, or name theirs in "
        "`backbone.name`"
    )


def _is_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _some(names: list[str]) -> str:
    return f" ({', '.join(names[:NAMES_SHOWN])}{', ...' if len(names) > NAMES_SHOWN else ''})" if names else ""
