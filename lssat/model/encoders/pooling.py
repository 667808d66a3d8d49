"""What of a backbone's output the head reads."""

from __future__ import annotations

from typing import Any, Literal

from lssat.errors import ConfigError

Pooling = Literal["native", "cls", "mean"]
TIMMS_NAMES = {"cls": "token", "mean": "avg"}


def set_pooling(model: Any, name: str, pooling: Pooling) -> None:
    """Make timm's `model` pool its class token or the mean of its patch features. Its norms stay where they are, so
    that pretrained weights fit.

    Raises ConfigError where architecture `name` has no class token, or cannot pool otherwise than it does.
    """
    if pooling == "native":
        return
    if pooling == "cls" and getattr(model, "cls_token", None) is None:
        raise ConfigError(f"`head.pooling` cls needs a class token, but timm's {name} has none; choose native or mean")
    try:
        model.reset_classifier(0, TIMMS_NAMES[pooling])
    except Exception as error:  # each class of timm refuses in its own way
        raise ConfigError(
            f"`head.pooling`: timm's {name} does not pool by {pooling} ({type(error).__name__}: {error}); choose native"
        ) from error
    if hasattr(model, "pool_include_prefix"):
        model.pool_include_prefix = False  # the mean is over patches, and registers are none
