"""The sparse pass equals one that computes nothing but visible positions, site by site; where it cannot, the backbone
is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

import pytest
import torch
from timm.layers import BatchNormAct2d, EcaModule, EffectiveSEModule, SEModule
from timm.layers.create_act import _ACT_LAYER_DEFAULT
from timm.layers.grn import GlobalResponseNorm
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import Tensor, nn

from lssat.config import build
from lssat.errors import ConfigError
from lssat.inputs.masking import Mask, random_mask
from lssat.model.encoders.base import Encoder
from lssat.model.encoders.build import build_encoder
from lssat.model.encoders.norms import visibility
from lssat.model.encoders.sparse import positions_masked
from lssat.model.lssat import build_model
from lssat.settings.model import BackboneConfig, MaskingConfig
from tests.lssat.inputs.masks import mask_hiding
from tests.lssat.model.test_encoders import PIXELS, EncoderContract, count_hooks, draw, pytest_generate_tests  # noqa: F401 - a hook of pytest

GATES = (SEModule, SqueezeExcite, EffectiveSEModule, EcaModule)


@lru_cache
def built(name: str, image_size: int, unit: int) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(BackboneConfig(name=name), MaskingConfig(mode="sparse", unit=unit), image_size)


class TestSparseEncoder(EncoderContract):
    backbones = (
        "test_resnet",
        "test_convnext",
        "test_convnext2",
        "test_convnext3",
        "convnextv2_atto",
        "test_efficientnet",
        "tf_efficientnet_lite0",
        "regnetx_002",
        "regnety_002",
        "mobilenetv3_small_050",
    )

    def encoder(self, backbone: str, image_size: int = PIXELS) -> Encoder:
        return copy.deepcopy(built(backbone, image_size, self.unit))

    def test_features_are_those_of_visible_sites_alone(self, backbone: str) -> None:
        encoder = shaken(self.encoder(backbone)).double().train()
        image = draw(encoder, batch=2)[0].double()
        mask = mask_with_a_corner(2)
        found = encoder.encode(image, mask)
        with torch.no_grad(), slow_sites(encoder.model, mask.hidden, encoder.grid):
            maps, pooled = encoder.run(encoder.normalise(image))
        tokens = encoder.mask_token.split([stage.shape[1] for stage in maps])
        expected = torch.cat(
            [slow_grid(stage, mask.hidden, encoder.grid, token) for stage, token in zip(maps, tokens, strict=True)],
            dim=2,
        )
        assert expected.isfinite().all()
        torch.testing.assert_close(found.features, expected, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(found.pooled, pooled, rtol=1e-8, atol=1e-8)

    def test_where_nothing_is_hidden_the_pass_is_that_of_timm(self, backbone: str) -> None:
        encoder = shaken(self.encoder(backbone)).double().train()
        image, mask = draw(encoder)
        normalised = encoder.normalise(image.double())
        with positions_masked(encoder.model, visibility(torch.zeros_like(mask.hidden), encoder.grid)):
            found = encoder.model(normalised)
        torch.testing.assert_close(found, encoder.model(normalised), rtol=1e-8, atol=1e-8)

    def test_gradients_are_finite(self, backbone: str) -> None:
        encoder = self.encoder(backbone).train()
        image, mask = draw(encoder)
        encoder.encode(image, mask).features.square().mean().backward()
        assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters() if parameter.grad is not None)

    def test_the_probe_leaves_no_trace(self, backbone: str) -> None:
        assert count_hooks(built(backbone, PIXELS, self.unit)) == 0


@pytest.mark.parametrize("kind", GATES)
def test_gates_see_the_mean_of_the_visible(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    gate = kind(16).double()
    maps, mask = torch.randn(2, 16, 8, 8, dtype=torch.double), torch.rand(2, 16) < 0.6
    with positions_masked(gate, visibility(mask, (4, 4))):
        found = gate(maps)
    for sample in range(2):
        for site, value in zip(
            sites(mask[sample], (4, 4), (8, 8)), gathered(gate, maps, mask, (4, 4))[sample], strict=True
        ):
            torch.testing.assert_close(found[sample, :, *site], value)


def test_hidden_sites_of_the_features_are_the_mask_token() -> None:
    encoder = build_encoder(BackboneConfig(name="test_resnet"), MaskingConfig(mode="sparse"), PIXELS)
    nn.init.normal_(encoder.mask_token)
    mask = mask_with_a_corner(3)
    features = encoder.encode(draw(encoder)[0], mask).features
    fine = 192  # the width at stride 16; at 32 a position with one visible unit is visible
    assert (features[mask.hidden][:, :fine] == encoder.mask_token[:fine]).all()
    assert (features[~mask.hidden][:, :fine] != encoder.mask_token[:fine]).any(1).all()
    coarse = features[0, :, fine:].unflatten(0, (4, 4))
    assert (coarse[:2] == encoder.mask_token[fine:]).all() and (coarse[2:, 2:] == encoder.mask_token[fine:]).all()
    assert (coarse[2:, :2] != encoder.mask_token[fine:]).any(-1).all()


@pytest.mark.parametrize(
    ("name", "pixels", "unit", "message"),
    [
        ("test_coatnet", 64, 16, r"test_coatnet `stages.2.blocks.0.attn` \(Attention2d\) mixes positions"),
        ("test_maxvit", 64, 16, "AttentionCl"),
        ("swin_tiny_patch4_window7_224", 64, 16, "swin_tiny_patch4_window7_224 .* mixes positions"),
        ("poolformer_s12", 64, 16, "GroupNorm1"),
        ("test_efficientnet_gn", 64, 16, "GroupNormAct"),
        ("test_mambaout", 64, 16, "head"),  # pools by a function
        ("skresnet18", 64, 16, "SelectiveKernelAttn"),
        ("resnest14d", 64, 16, "SplitAttn"),
        ("focalnet_tiny_srf", 64, 16, "FocalModulation"),
        ("edgenext_xx_small", 64, 16, "CrossCovarianceAttn"),
        ("resnetblur18", 64, 16, "BlurPool2d"),
        ("test_resnet", 112, 16, r"`data.image_size`"),  # the map at stride 32 is 4 x 4, the mask grid 7 x 7
        ("test_resnet", 96, 12, "multiples or divisors"),
        ("test_vit", 64, 16, "drops hidden tokens"),
    ],
)
def test_what_would_not_be_exact_is_refused(name: str, pixels: int, unit: int, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"masking\.mode.*{message}"):
        build_encoder(BackboneConfig(name=name), MaskingConfig(mode="sparse", unit=unit), pixels)


def test_the_supervised_baseline_has_nothing_to_refuse() -> None:
    """Nor to add: the same weights, whatever the mode."""
    states = []
    for mode in ("token", "sparse"):
        config = build({"backbone.name": "test_coatnet", "masking.mode": mode, "auxiliary": False})
        torch.manual_seed(0)
        states.append(build_model(config, 2).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("activation", sorted(_ACT_LAYER_DEFAULT))
def test_activations_let_the_poison_of_the_probe_pass(activation: str) -> None:
    assert _ACT_LAYER_DEFAULT[activation]()(torch.full((1, 1, 8, 8), torch.nan)).isnan().all()


def shaken(encoder: Encoder) -> Encoder:
    """Every weight moved, so that no branch, gate or norm is switched off by its initial value."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return encoder


def mask_with_a_corner(batch: int) -> Mask:
    """Over 4 x 4 units; the first row hides a corner deep enough for positions of stride 32 to be hidden too."""
    hidden = random_mask(torch.rand(batch, 16, generator=torch.Generator().manual_seed(0)), 13 / 16).hidden
    hidden[0] = torch.ones(4, 4).triu(-1).flatten()
    return mask_hiding(hidden)


def sites(mask: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int]]:
    """The positions of a map that touch a visible unit of one sample's mask [L], row by row."""
    units = [(cell // grid[1], cell % grid[1]) for cell in range(len(mask)) if not mask[cell]]

    def touches(site: int, side: int, unit: int, count: int) -> bool:
        return site * count < (unit + 1) * side and unit * side < (site + 1) * count

    return [
        (row, column)
        for row in range(size[0])
        for column in range(size[1])
        if any(touches(row, size[0], unit[0], grid[0]) and touches(column, size[1], unit[1], grid[1]) for unit in units)
    ]


@contextmanager
def slow_sites(model: nn.Module, mask: Tensor, grid: tuple[int, int]) -> Iterator[None]:
    """Within, layers compute their visible sites one by one; hidden sites are NaN, which shows whatever reads them."""
    slow = {
        nn.Conv2d: slow_convolution,
        nn.BatchNorm2d: slow_norm,
        nn.MaxPool2d: slow_window,
        nn.AvgPool2d: slow_window,
    }
    slow |= dict.fromkeys((*GATES, GlobalResponseNorm), slow_gate) | {nn.AdaptiveAvgPool2d: slow_mean}
    replaced = [
        (module, layer) for module in model.modules() for kind, layer in slow.items() if isinstance(module, kind)
    ]
    for module, layer in replaced:
        module.forward = partial(layer, module, mask=mask, grid=grid)
    try:
        yield
    finally:
        for module, _ in replaced:
            del module.forward


def slow_convolution(conv: nn.Conv2d, maps: Tensor, *, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """A dictionary of visible sites; each output site adds up the neighbours that are in it."""
    size = tuple(-(-side // step) for side, step in zip(maps.shape[2:], conv.stride, strict=True))
    out = torch.full((len(maps), conv.out_channels, *size), torch.nan, dtype=maps.dtype)
    weight = conv.weight.unflatten(0, (conv.groups, -1))  # [groups, out, in, kernel, kernel]
    taps = [(i, j) for i in range(conv.kernel_size[0]) for j in range(conv.kernel_size[1])]
    before = padding_before(conv, tuple(maps.shape[2:]), size)
    # Inside of a gate, maps are one vector of one sample, which is visible whatever the mask.
    for sample, hidden in enumerate(mask[: len(maps)]):
        known = {
            site: maps[sample, :, *site].unflatten(0, (conv.groups, -1))
            for site in sites(hidden, grid, tuple(maps.shape[2:]))
        }
        for row, column in sites(hidden, grid, size):
            total = torch.zeros(weight.shape[:2], dtype=maps.dtype)
            near = {
                (i, j): (row * conv.stride[0] + i - before[0], column * conv.stride[1] + j - before[1]) for i, j in taps
            }
            present = [tap for tap in taps if near[tap] in known]
            if present:
                values = torch.stack([known[near[tap]] for tap in present])
                total = torch.einsum(
                    "goit,tgi->go", torch.stack([weight[..., i, j] for i, j in present], dim=-1), values
                )
            out[sample, :, row, column] = total.flatten() + (0 if conv.bias is None else conv.bias)
    return out


def padding_before(conv: nn.Conv2d, given: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, ...]:
    """Rows and columns of padding above and left; TensorFlow's "same" puts the odd one below and right."""
    if type(conv).__name__ != "Conv2dSame":
        return tuple(conv.padding)
    return tuple(
        max((n - 1) * s + k - g, 0) // 2 for n, s, k, g in zip(size, conv.stride, conv.kernel_size, given, strict=True)
    )


def slow_norm(norm: nn.BatchNorm2d, maps: Tensor, *, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    size = tuple(maps.shape[2:])
    visible = [(sample, *site) for sample in range(len(maps)) for site in sites(mask[sample], grid, size)]
    values = torch.stack([maps[sample, :, row, column] for sample, row, column in visible])
    values = (values - values.mean(0)) / torch.sqrt(values.var(0, correction=0) + norm.eps) * norm.weight + norm.bias
    out = torch.full_like(maps, torch.nan)
    for (sample, row, column), value in zip(visible, values, strict=True):
        out[sample, :, row, column] = value
    return norm.act(out) if isinstance(norm, BatchNormAct2d) else out


def slow_window(pool: nn.MaxPool2d | nn.AvgPool2d, maps: Tensor, *, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """The largest, or the mean, of the visible sites in each window."""
    combine = torch.amax if isinstance(pool, nn.MaxPool2d) else torch.mean
    kernel, step, before = (
        (value, value) if isinstance(value, int) else value for value in (pool.kernel_size, pool.stride, pool.padding)
    )
    size = tuple(-(-side // s) for side, s in zip(maps.shape[2:], step, strict=True))
    out = torch.full((*maps.shape[:2], *size), torch.nan, dtype=maps.dtype)
    for sample, hidden in enumerate(mask):
        known = {site: maps[sample, :, *site] for site in sites(hidden, grid, tuple(maps.shape[2:]))}
        for row, column in sites(hidden, grid, size):
            window = [
                (row * step[0] + i - before[0], column * step[1] + j - before[1])
                for i in range(kernel[0])
                for j in range(kernel[1])
            ]
            out[sample, :, row, column] = combine(torch.stack([known[site] for site in window if site in known]), 0)
    return out


def gathered(
    module: nn.Module, maps: Tensor, mask: Tensor, grid: tuple[int, int], *, channels_last: bool = False
) -> list[Tensor]:
    """What the module makes of each sample's visible vectors, as a map that holds nothing else: [sites, C]."""
    results = []
    for sample, hidden in enumerate(mask):
        size = tuple(maps.shape[1:3] if channels_last else maps.shape[2:])
        values = torch.stack(
            [maps[sample, *site] if channels_last else maps[sample, :, *site] for site in sites(hidden, grid, size)]
        )
        row = values[None, None] if channels_last else values.t()[None, :, :, None]
        made = type(module).forward(module, row)
        results.append(made[0, 0] if channels_last else made[0, :, :, 0].t())
    return results


def slow_gate(gate: nn.Module, maps: Tensor, *, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    channels_last = isinstance(gate, GlobalResponseNorm) and gate.channel_dim == -1
    out = torch.full_like(maps, torch.nan)
    for sample, values in enumerate(gathered(gate, maps, mask, grid, channels_last=channels_last)):
        size = tuple(maps.shape[1:3] if channels_last else maps.shape[2:])
        for site, value in zip(sites(mask[sample], grid, size), values, strict=True):
            out[(sample, *site) if channels_last else (sample, slice(None), *site)] = value
    return out


def slow_mean(_pool: nn.Module, maps: Tensor, *, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    size = tuple(maps.shape[2:])
    means = [
        torch.stack([maps[sample, :, *site] for site in sites(hidden, grid, size)]).mean(0)
        for sample, hidden in enumerate(mask)
    ]
    return torch.stack(means)[:, :, None, None]


def slow_grid(maps: Tensor, mask: Tensor, grid: tuple[int, int], token: Tensor) -> Tensor:
    """Maps not finer than the unit -> [B, L, C]; the token where hidden."""
    size = tuple(maps.shape[2:])
    out = token.detach().expand(len(maps), mask.shape[1], -1).clone()
    for sample, hidden in enumerate(mask):
        shown = set(sites(hidden, grid, size))
        for cell in range(mask.shape[1]):
            site = (cell // grid[1] * size[0] // grid[0], cell % grid[1] * size[1] // grid[1])
            if site in shown:
                out[sample, cell] = maps[sample, :, *site]
    return out
