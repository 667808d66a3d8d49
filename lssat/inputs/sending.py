"""How numbers that were drawn or read on the CPU reach the device."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device. A GPU copies it while the program goes on: from pinned memory, since for any other the
    program would wait until the GPU has done all that was asked of it before.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
