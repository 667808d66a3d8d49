"""In which precision a step runs."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from lssat.config import Config


def autocast(config: Config, masking: str, device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where asked for or, by default, where the hardware gains from it: GPUs, CPUs with matrix tiles (AMX),
    and with AVX-512 BF16 for `masking` tokens, that is for flat-token models.

    Without matrix tiles, depthwise convolutions run at half of the speed in bfloat16 (measured), so backbones that have
    them stay in float32 there.
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        capability = torch.cpu.get_capabilities()
        fast = bool(capability.get("amx_bf16")) or (masking == "tokens" and bool(capability.get("avx512_bf16")))
    if config.optim.precision == "float32" or (config.optim.precision == "auto" and not fast):
        return nullcontext()
    stack = ExitStack()
    stack.enter_context(torch.autocast(device.type, torch.bfloat16))
    if device.type == "cpu":
        # Attention as plain matrix products: with short sequences the backward pass of the fused kernel costs half of
        # the step (measured).
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
    return stack
