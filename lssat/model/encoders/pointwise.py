"""Strided 1x1 convolutions of few channels, computed in a way that leaves memory whole.

On the CPU, torch's backward pass of such a convolution writes past the end of its buffer where maps lie channels-last
in memory, and the process dies sooner or later (uxlfoundation/oneDNN issue 6035; torch 2.14). It happens below
FEWEST_CHANNELS input channels, in float32, without groups: RepVGG, FastViT and MobileOne have one in their stem.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

FEWEST_CHANNELS = 16
"""Input channels from which on the backward pass is sound on every processor: the width of an AVX-512 register in
float32 (that of AVX2 is 8).
"""


class StridedPointwise(nn.Conv2d):
    """A strided 1x1 convolution that first takes the pixels its stride lets it see: the same sums, at stride 1.

    It costs a copy of those pixels, on a GPU too, and every layer around it keeps its memory layout.
    """

    def _conv_forward(
        self, input: Float[Tensor, "B C H W"], weight: Tensor, bias: Tensor | None
    ) -> Float[Tensor, "B D h w"]:
        down, across = self.stride
        return F.conv2d(input[:, :, ::down, ::across], weight, bias)


def spare_memory(model: nn.Module) -> None:
    """Replace the convolutions of `model` that would corrupt memory; parameters and their names stay."""
    for name, module in list(model.named_modules()):
        if corrupts_memory(module):
            assert isinstance(module, nn.Conv2d)
            model.set_submodule(name, _spared(module))


def corrupts_memory(module: nn.Module) -> bool:
    """Whether the CPU's backward pass of this convolution may write where it must not."""
    return (
        type(module) is nn.Conv2d  # others compute by themselves, and none of timm's is strided with so few channels
        and module.kernel_size == (1, 1) != module.stride
        and module.padding == (0, 0)
        and module.groups == 1
        and module.in_channels < FEWEST_CHANNELS
    )


def _spared(convolution: nn.Conv2d) -> StridedPointwise:
    spared = StridedPointwise(
        convolution.in_channels,
        convolution.out_channels,
        1,
        convolution.stride,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
        device="meta",  # its weights are those of the other
    )
    spared.weight, spared.bias = convolution.weight, convolution.bias
    return spared.train(convolution.training)
