"""How fast each parameter learns, and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from timm.optim import auto_group_layers
from torch import nn

from lssat.model.lssat import LSSAT
from lssat.model.tuned import matched_layers
from lssat.settings.training import OptimConfig


def build_optimizer(model: LSSAT, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW (fused) at the peak learning rate; `set_lr` gives each step its own."""
    scales = layer_scales(model.encoder.model, config.layer_decay) if config.layer_decay < 1 else {}
    groups = param_groups(
        model, config.weight_decay, {f"encoder.model.{name}": scale for name, scale in scales.items()}
    )
    optimizer = torch.optim.AdamW(groups, lr=config.lr, fused=True)
    set_lr(optimizer, config.lr)
    return optimizer


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of the head; each group's own is this times its `lr_scale`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_scale"]


def param_groups(model: nn.Module, weight_decay: float, scales: Mapping[str, float]) -> list[dict[str, Any]]:
    """Groups of the trainable parameters: first weight matrices and kernels, which decay, then all else, which does
    not; each by `lr_scale`.

    All else is biases, norms, gains, tokens and positions. A parameter counts as a weight if torch or timm calls it one
    and it is no vector. `scales`: parameter name -> share of the learning rate; without an entry, 1.
    """
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((not _decays(name, parameter), scales.get(name, 1.0)), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": 0.0 if kept else weight_decay, "lr_scale": scale}
        for (kept, scale), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def layer_scales(backbone: Any, layer_decay: float) -> dict[str, float]:
    """Layer-wise learning rates (BEiT, arXiv 2106.08254): parameter name -> `layer_decay` to the number of layers up to
    the head.

    timm says what a layer is: the backbone's `group_matcher` or, where it has none, each run of twelve parameters. The
    head is a layer of its own also for a backbone without a classifier; parameters that timm counts to the head (a last
    norm, attention pooling) learn at its full rate.
    """
    if hasattr(backbone, "group_matcher"):
        layers, head = matched_layers(backbone, coarse=False)
    else:
        layers = auto_group_layers(backbone)
        head = max(layers.values()) + 1
    return {name: layer_decay ** (head - layer) for name, layer in layers.items()}


def scheduled_lr(config: OptimConfig, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step of the whole run, counted from 0."""
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    return schedule(step, config.epochs * steps_per_epoch, warmup_steps, config.lr, config.min_lr)


def schedule(step: int, total_steps: int, warmup_steps: int, lr: float, min_lr: float) -> float:
    """Learning rate of a step, counted from 0: a straight rise to `lr` at `warmup_steps`, half a cosine to `min_lr` at
    the last step.
    """
    if step < warmup_steps:
        return lr * (step + 1) / (warmup_steps + 1)
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))
    return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * progress)) / 2


def _decays(name: str, parameter: nn.Parameter) -> bool:
    leaf = name.rsplit(".", 1)[-1]
    return parameter.ndim > 1 and "weight" in leaf
