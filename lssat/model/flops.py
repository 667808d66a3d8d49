"""How many operations a network classifies an image with."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@torch.no_grad()
def flops(model: nn.Module, image_size: int) -> int:
    """Floating-point operations with which a model classifies one image, in matrix products, convolutions and
    attention; a multiplication and an addition are two.

    They are the same on every machine, whatever else it does: attention is counted as plain matrix products.
    """
    trains = model.training
    image = torch.zeros(1, 3, image_size, image_size, device=next(model.parameters()).device)
    # Detached: the counter fails where a parameter that learns is itself what a module is given (attention pooling).
    state = {name: tensor.detach() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        functional_call(model.eval(), state, (image,))
    model.train(trains)
    return int(counter.get_total_flops())
