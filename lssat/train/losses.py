"""Task losses per row, class weights, and the joint loss. All in float32, whatever the precision of the model."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lssat.task import Kind


class NonFiniteLoss(RuntimeError):
    """The loss became infinite or NaN; the run cannot go on."""


def task_loss(
    logits: Float[Tensor, "B K"],
    label: Int[Tensor, "B ..."],
    kind: Kind,
    class_weight: Tensor | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, " B"]:
    """Loss of the primary task of each row, so that mixup can weigh rows.

    binary: K = 1, label [B] of 0/1, weight [2] (negative, positive). multiclass: label [B] of 0..K-1, weight [K].
    multilabel: label [B, K] of 0/1, weight [K, 2], mean over the K labels. `smoothing` (arXiv 1512.00567) spreads this
    share of each target evenly over the K classes, or over the two of a binary label; a row is weighted by its true
    class.
    """
    logits = logits.float()
    if kind == "multiclass":
        loss = F.cross_entropy(logits, label.long(), reduction="none", label_smoothing=smoothing)
        return loss if class_weight is None else loss * class_weight[label.long()]
    if kind == "binary":
        weight = None if class_weight is None else class_weight[None]
        return _binary(logits, label[:, None], weight, smoothing).squeeze(1)
    return _binary(logits, label, class_weight, smoothing).mean(1)


def class_weights(counts: Int[Tensor, "*K C"], kind: Kind) -> Float[Tensor, "*K C"]:
    """Weights inverse to class frequency whose expectation over the training rows is 1.

    `counts` of training rows: binary [2], multiclass [K], multilabel [K, 2]; the weights have the same shape. A class
    without rows weighs 1: nothing is known of it. Raises ValueError for a shape that does not belong to the kind.
    """
    shapes = {
        "binary": counts.shape == (2,),
        "multiclass": counts.ndim == 1,
        "multilabel": counts.ndim == 2 and counts.shape[1] == 2,
    }
    if not shapes[kind]:
        raise ValueError(
            f"counts must be [2] (binary), [K] (multiclass) or [K, 2] (multilabel), but got {tuple(counts.shape)} for "
            f"{kind}"
        )
    num_classes = (counts > 0).sum(-1, keepdim=True)
    weights = counts.sum(-1, keepdim=True).double() / (num_classes * counts)
    return torch.where(counts > 0, weights, torch.ones_like(weights)).float()


def joint_loss(
    task: Float[Tensor, "*B"], reconstruction: Float[Tensor, "*B"] | None, aux_weight: float
) -> Float[Tensor, "*B"]:
    """`(1 - w) * task + w * reconstruction`, w = `aux_weight`; the task loss alone, unscaled, without a masked pass."""
    if reconstruction is None:
        return task
    return (1 - aux_weight) * task + aux_weight * reconstruction


def _binary(
    logits: Float[Tensor, "B K"], label: Int[Tensor, "B K"], weight: Float[Tensor, "K 2"] | None, smoothing: float
) -> Float[Tensor, "B K"]:
    """Cross-entropy of each label on its own; `weight` by label, of those that are 0 and those that are 1."""
    target = (1 - smoothing) * label.float() + smoothing / 2
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return loss if weight is None else loss * torch.where(label > 0, weight[:, 1], weight[:, 0])
