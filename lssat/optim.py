"""Parameter groups, the optimizer and the learning-rate schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from lssat.config import OptimConfig


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW at the peak learning rate; `schedule` says the rate of each step."""
    return torch.optim.AdamW(param_groups(model, config.weight_decay), lr=config.lr, fused=True)


def param_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups of the trainable parameters: weight matrices and kernels, which decay, and all else, which does not.

    All else is biases, norms, gains, tokens and positions. Whatever torch and timm call a weight is one, unless it is a vector.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    decayed = [parameter for name, parameter in trained if _decays(name, parameter)]
    kept = [parameter for name, parameter in trained if not _decays(name, parameter)]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def schedule(step: int, total_steps: int, warmup_steps: int, lr: float, min_lr: float) -> float:
    """Learning rate of a step, counted from 0: a straight rise to `lr` at `warmup_steps`, half a cosine to `min_lr` at the last step."""
    if step < warmup_steps:
        return lr * (step + 1) / (warmup_steps + 1)
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))
    return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * progress)) / 2


def _decays(name: str, parameter: nn.Parameter) -> bool:
    leaf = name.rsplit(".", 1)[-1]
    return parameter.ndim > 1 and "weight" in leaf
