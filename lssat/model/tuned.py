"""Which parameters of the backbone learn (`optim.tune`); head and decoder always do.

- `norms`: what layers that normalise have of their own, such as gain and shift. GenD (arXiv 2508.06248) learns no more
  than that of a vision transformer.
- `norms+bias`: these, and the biases of all other layers (BitFit, arXiv 2106.10199).
- `last_K`: the last K blocks or stages, and whatever stands behind them: a last norm, a last convolution, a pooling by
  attention. timm says what they are (its coarse `group_matcher`).

The mask token learns with the norms. With `head` and `last_K` it stays at zero, where it begins: its gradient would
have to come all the way down through what is frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from timm.models._manipulate import group_with_matcher
from torch import nn

from lssat.errors import ConfigError
from lssat.model.encoders.base import Encoder
from lssat.model.lssat import LSSAT

LAST = "last_"
HEAD = "\0head"
"""A name for the head that no timm matcher knows: such parameters are put into the last layer."""


def freeze(model: LSSAT, tune: str) -> LSSAT:
    """The same model; what `tune` leaves out takes no gradients any more. So the backward pass ends at the lowest
    parameter that learns.

    Raises ConfigError where the backbone has nothing of what is asked for.
    """
    if tune != "all":
        learning = _learning(model.encoder, tune)
        for name, parameter in model.encoder.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and name in learning)
    return model


def training_mode(model: LSSAT, tune: str) -> None:
    """Training mode, but for what is frozen: it stays in evaluation mode, so that it drops nothing and its batch-norm
    statistics do not move either. Those of a norm move if, and only if, it learns.

    What has no parameters, such as stochastic depth, is in the mode of the block that it is a part of.
    """
    model.train()
    if tune == "all":
        return
    for module in model.encoder.modules():
        parameters = list(module.parameters())
        is_frozen = bool(parameters) or _keeps_statistics(module)
        if is_frozen and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def check_tune(backbone: Any, name: str, tune: str) -> None:
    """Refuse a way of tuning that timm's `backbone` of architecture `name` has not got; it may be on the meta device.
    Raises ConfigError.
    """
    if tune.startswith("norms") and not norm_names(backbone):
        raise ConfigError(
            f"`optim.tune` {tune}: {name} has no norm with weights that could learn; choose head, {LAST}1 or all "
            "there, or draw the key for other backbones alone (`when:`)"
        )
    if tune.startswith(LAST) and (asked := _num_last(tune)) > (there := num_blocks(backbone)):
        raise ConfigError(
            f"`optim.tune` {tune}: {name} has {there} blocks or stages, but got {asked}; choose at most {LAST}{there}, "
            "or all"
        )


def norm_names(backbone: Any) -> set[str]:
    """The names of the parameters that norms have of their own and that can learn."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in backbone.named_modules()
        if _is_norm(module)
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.requires_grad
    }


def num_blocks(backbone: Any) -> int:
    """Blocks or stages of a backbone: the largest K of `last_K`."""
    _, head = _coarse_layers(backbone)
    return head - 1


def matched_layers(backbone: Any, *, coarse: bool) -> tuple[dict[str, int], int]:
    """timm's number of the layer that each parameter is in, 0 for the stem, and that of the head. `coarse`: a stage is
    one layer.
    """
    named = [*backbone.named_parameters(), (HEAD, None)]
    layers: dict[str, int] = group_with_matcher(iter(named), backbone.group_matcher(coarse=coarse), reverse=True)
    head = layers.pop(HEAD)
    return layers, head


def _learning(encoder: Encoder, tune: str) -> set[str]:
    """The names of the encoder's parameters that learn."""
    backbone = encoder.model
    check_tune(backbone, type(backbone).__name__, tune)
    if tune == "head":
        return set()
    if tune.startswith(LAST):
        layers, head = _coarse_layers(backbone)
        learning = {name for name, layer in layers.items() if layer >= head - _num_last(tune)}
    else:
        learning = norm_names(backbone)
        if tune == "norms+bias":
            learning |= {name for name, parameter in backbone.named_parameters() if _is_bias(name, parameter)}
    own = {"mask_token"} if tune.startswith("norms") else set()
    return own | {f"model.{name}" for name in learning}


def _num_last(tune: str) -> int:
    return int(tune.removeprefix(LAST))


def _is_norm(module: nn.Module) -> bool:
    """Whether a module normalises: torch, timm and timm's models call all of theirs norms, in whatever form they come.
    Blocks that bear the name, since they have a norm or do without, hold other modules with weights.
    """
    is_called_so = any("norm" in kind.__name__.lower() for kind in type(module).__mro__)
    return is_called_so and not any(True for child in module.children() for _ in child.parameters())


def _is_bias(name: str, parameter: nn.Parameter) -> bool:
    """Whether it is added to the output of a layer; tables of biases by position are none."""
    leaf = name.rsplit(".", 1)[-1]
    is_called_so = leaf == "bias" or leaf.endswith("_bias") or leaf.startswith("bias_")  # the last in a recurrent layer
    return is_called_so and parameter.ndim == 1 and parameter.requires_grad


def _coarse_layers(backbone: Any) -> tuple[dict[str, int], int]:
    """As `matched_layers`. Where timm does not say what a stage is, the stages of its features are taken, and where it
    has blocks alone, those.
    """
    if not hasattr(backbone, "group_matcher"):
        return _layers_by_features(backbone)
    try:
        return matched_layers(backbone, coarse=True)
    except AssertionError:  # RDNet's way of saying that it knows blocks alone
        return matched_layers(backbone, coarse=False)


def _layers_by_features(backbone: Any) -> tuple[dict[str, int], int]:
    stages = [f"{entry['module']}." for entry in backbone.feature_info]
    return dict(_numbered(backbone, stages)), len(stages) + 1


def _numbered(backbone: Any, stages: list[str]) -> Iterator[tuple[str, int]]:
    """The stage of each parameter, counted from 1. They come in the order in which a model lists them: those before the
    first stage are the stem's, those after the last the head's.
    """
    number = 0
    for name, _ in backbone.named_parameters():
        own = next((place for place, stage in enumerate(stages, 1) if name.startswith(stage)), None)
        if own is not None:
            number = own
        elif number == len(stages):
            number += 1
        yield name, number


def _keeps_statistics(module: nn.Module) -> bool:
    return any(name.startswith("running_") for name, _ in module.named_buffers(recurse=False))
