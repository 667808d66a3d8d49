"""One contract, every kind of backbone: the clean pass is timm's, hidden pixels say nothing, the masked pass leaves no trace."""

from __future__ import annotations

import copy
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lssat.config import BackboneConfig, ConfigError, MaskingConfig
from lssat.encoders import Encoder, build_encoder
from lssat.encoders.norms import norms_masked, visibility
from lssat.encoders.tokens import visible_positions
from lssat.masking import patchify, pixel_mask, random_mask

PIXELS = 64


@lru_cache
def built(name: str, image_size: int, patch: int | None, unit: int) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(BackboneConfig(name=name, patch_size=patch), MaskingConfig(unit=unit), image_size)


def draw(encoder: Encoder, batch: int = 3, image_size: int = PIXELS, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] and a mask for them."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, image_size, image_size, generator=generator)
    noise = torch.rand(batch, encoder.grid[0] * encoder.grid[1], generator=generator)
    return image, random_mask(noise, encoder.default_ratio)


def state(encoder: Encoder) -> dict[str, Tensor]:
    """All parameters and buffers, those that are not saved included."""
    return {name: tensor.clone() for name, tensor in [*encoder.named_parameters(), *encoder.named_buffers()]}


class EncoderContract:
    backbones: tuple[str, ...]
    patch: int | None = None
    unit = 16
    other_pixels = 96

    def encoder(self, backbone: str, image_size: int = PIXELS) -> Encoder:
        return copy.deepcopy(built(backbone, image_size, self.patch, self.unit))

    @pytest.mark.parametrize("training", [False, True])
    def test_clean_pass_is_the_plain_timm_model(self, backbone: str, training: bool) -> None:
        encoder = self.encoder(backbone).train(training)
        image, _ = draw(encoder)
        plain = copy.deepcopy(encoder.model)
        expected = plain((image - encoder.mean[:, None, None]) / encoder.std[:, None, None])
        encoded = encoder.encode(image)
        torch.testing.assert_close(encoded.pooled, expected)
        for name, buffer in plain.named_buffers():  # running statistics move exactly as timm's do
            torch.testing.assert_close(encoder.model.get_buffer(name), buffer)

    @pytest.mark.parametrize("training", [False, True])
    def test_hidden_pixels_influence_nothing(self, backbone: str, training: bool) -> None:
        encoder = self.encoder(backbone).train(training)
        image, mask = draw(encoder)
        other, _ = draw(encoder, seed=1)
        hidden = pixel_mask(mask, encoder.grid, (PIXELS, PIXELS))
        first = encoder.encode(image, mask)
        second = encoder.encode(torch.where(hidden, other, image), mask)
        assert torch.equal(first.features, second.features)
        assert torch.equal(first.pooled, second.pooled)
        changed = encoder.encode(torch.where(hidden, image, other), mask)
        assert not torch.allclose(first.features, changed.features)

    def test_every_parameter_learns_from_a_joint_step(self, backbone: str) -> None:
        encoder = self.encoder(backbone).train()
        image, mask = draw(encoder)
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():  # timm starts the last norms of residual branches at zero, behind which nothing learns in the very first step
            for parameter in encoder.parameters():
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
        clean, masked = encoder.encode(image), encoder.encode(image, mask)
        loss = sum((part * torch.randn(part.shape, generator=generator)).sum() for part in (clean.pooled, masked.features))
        loss.backward()
        without = [name for name, parameter in encoder.named_parameters() if parameter.grad is None or not parameter.grad.any()]
        assert without == []

    @pytest.mark.parametrize("training", [False, True])
    def test_masked_pass_leaves_no_trace(self, backbone: str, training: bool) -> None:
        encoder = self.encoder(backbone).train(training)
        image, mask = draw(encoder)
        before, hooks = state(encoder), count_hooks(encoder)
        untouched = copy.deepcopy(encoder)
        encoder.encode(image, mask)
        for name, tensor in state(encoder).items():
            assert torch.equal(tensor, before[name]), name
        assert count_hooks(encoder) == hooks
        assert torch.equal(encoder.encode(image).pooled, untouched.encode(image).pooled)

    def test_masked_pass_that_fails_leaves_no_trace(self, backbone: str) -> None:
        encoder = self.encoder(backbone).train()
        image, mask = draw(encoder)
        hooks = count_hooks(encoder)
        with pytest.raises(Exception):  # noqa: B017 - whatever timm raises
            encoder.encode(image[:, :2], mask)
        assert count_hooks(encoder) == hooks

    def test_other_sizes_work(self, backbone: str) -> None:
        encoder = self.encoder(backbone, self.other_pixels).eval()
        image, mask = draw(encoder, batch=2, image_size=self.other_pixels)
        side = self.other_pixels // encoder.unit
        assert encoder.grid == (side, side)
        clean, masked = encoder.encode(image), encoder.encode(image, mask)
        torch.testing.assert_close(clean.pooled, encoder.model(encoder.normalise(image)))
        assert clean.features.shape == (2, side * side, encoder.features_dim)
        assert clean.pooled.shape == masked.pooled.shape == (2, encoder.pooled_dim)
        assert masked.features.isfinite().all()


def count_hooks(encoder: nn.Module) -> int:
    """Forward hooks and overridden forwards, in all modules."""
    return sum(len(module._forward_hooks) + ("forward" in vars(module)) for module in encoder.modules())


class TestTokenEncoder(EncoderContract):
    backbones = ("test_vit", "test_vit2", "test_vit3", "deit3_small_patch16_224")
    patch = 8

    def test_dropping_equals_attention_that_ignores_hidden_tokens(self, backbone: str) -> None:
        encoder = self.encoder(backbone).eval()
        image, mask = draw(encoder)
        masked = encoder.encode(image, mask)
        prefix = encoder.model.num_prefix_tokens
        keys = torch.cat([torch.zeros(len(mask), prefix, dtype=torch.bool), mask], dim=1)
        ignore = torch.zeros(keys.shape).masked_fill(keys, float("-inf"))[:, None, None, :].expand(-1, 1, keys.shape[1], -1)
        slow = encoder.model.forward_features(encoder.normalise(image), attn_mask=ignore)[:, prefix:]
        for row in range(len(mask)):
            visible = [cell for cell in range(mask.shape[1]) if not mask[row, cell]]
            assert masked.visible is not None
            assert masked.visible[row].tolist() == visible
            torch.testing.assert_close(masked.features[row], slow[row, visible])

    def test_masked_pass_is_really_shorter(self, backbone: str) -> None:
        encoder = self.encoder(backbone).eval()
        image, mask = draw(encoder)
        flops = []
        for given in (None, mask):
            with FlopCounterMode(display=False) as counter:
                encoder.encode(image, given)
            flops.append(counter.get_total_flops())
        assert flops[1] < 0.4 * flops[0]

    def test_unequal_numbers_are_refused(self, backbone: str) -> None:
        encoder = self.encoder(backbone)
        image, mask = draw(encoder)
        mask[0] = ~mask[0]
        with pytest.raises(ValueError, match="equally many"):
            encoder.encode(image, mask)


class TestPyramidEncoder(EncoderContract):
    backbones = (
        "test_resnet",
        "test_convnext",
        "test_efficientnet",
        "mobilenetv3_small_050",
        "regnetx_002",
        "starnet_s050",
        "test_mambaout",
    )

    def test_batch_norm_equals_slow_visible_only_reference(self, backbone: str) -> None:
        encoder = self.encoder(backbone).train()
        norms = {name: module for name, module in encoder.named_modules() if isinstance(module, nn.BatchNorm2d)}
        image, mask = draw(encoder)
        seen: dict[str, tuple[Tensor, Tensor]] = {}
        for name, norm in norms.items():
            norm.drop, norm.act = nn.Identity(), nn.Identity()  # what a norm that also activates does afterwards
            norm.register_forward_hook(lambda _, given, out, name=name: seen.__setitem__(name, (given[0].clone(), out.clone())))
        encoder.encode(image, mask)
        assert seen.keys() == norms.keys()
        for name, (given, out) in seen.items():
            torch.testing.assert_close(out, slow_norm(norms[name], given, mask, encoder.grid), rtol=1e-4, atol=1e-4)

    def test_where_nothing_is_hidden_masked_norms_are_those_of_timm(self, backbone: str) -> None:
        """Activations inside of norms included."""
        encoder = self.encoder(backbone).train()
        image, mask = draw(encoder)
        normalised = encoder.normalise(image)
        with norms_masked(encoder.model, visibility(torch.zeros_like(mask), encoder.grid)):
            found = encoder.model(normalised)
        torch.testing.assert_close(found, encoder.model(normalised), rtol=1e-3, atol=1e-4)

    def test_mask_token_stands_at_the_hidden_positions_of_the_first_stage(self, backbone: str) -> None:
        encoder = build_encoder(BackboneConfig(name=backbone), MaskingConfig(unit=4), PIXELS).eval()
        image, mask = draw(encoder, batch=2)
        nn.init.normal_(encoder.mask_token)
        width = len(encoder.mask_token)
        features = encoder.encode(image, mask).features[:, :, :width]  # at this unit the first stage is part of the features as it is
        assert (features[mask] == encoder.mask_token).all()
        assert (features[~mask] != encoder.mask_token).any(1).all()


class TestSwin(TestPyramidEncoder):
    backbones = ("swin_tiny_patch4_window7_224",)

    @pytest.mark.parametrize(("pixels", "window"), [(64, 4), (96, 6), (112, 7), (224, 7)])
    def test_window_tiles_the_image(self, backbone: str, pixels: int, window: int) -> None:
        with torch.device("meta"):
            model = build_encoder(BackboneConfig(name=backbone), MaskingConfig(unit=16), pixels).model
        assert model.layers[0].blocks[0].window_size == (window, window)


def slow_norm(norm: nn.BatchNorm2d, maps: Tensor, mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """Visible positions gathered one by one, in float64; a position is visible where any pixel under it is."""
    height, width = maps.shape[2:]
    scale = (height * grid[0], width * grid[1])  # a resolution that both the maps and the mask divide
    shown = ~pixel_mask(mask, grid, scale)
    columns = []
    for sample in range(len(maps)):
        for row in range(height):
            for column in range(width):
                cell = shown[sample, 0, row * grid[0] : (row + 1) * grid[0], column * grid[1] : (column + 1) * grid[1]]
                if cell.any():
                    columns.append(maps[sample, :, row, column].double())
    visible = torch.stack(columns)
    mean, variance = visible.mean(0), visible.var(0, correction=0)
    scaled = (maps.double() - mean[:, None, None]) / torch.sqrt(variance + norm.eps)[:, None, None]
    return (scaled * norm.weight[:, None, None] + norm.bias[:, None, None]).to(maps.dtype)


def test_masked_norm_has_the_right_derivative() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3).double()
    nn.init.normal_(norm.weight)
    mask = random_mask(torch.rand(2, 4), 0.5)
    maps = torch.randn(2, 3, 4, 4, dtype=torch.double, requires_grad=True)

    def apply(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with norms_masked(norm, visibility(mask, (2, 2))):
            return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (maps,))

    assert torch.autograd.gradcheck(apply, (maps, norm.weight, norm.bias))


def test_masked_norm_is_float32_under_autocast() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    mask = random_mask(torch.rand(2, 4), 0.5)
    maps = (torch.randn(2, 8, 4, 4) + 100).bfloat16()  # in bfloat16 the deviation would drown in the mean
    with torch.autocast("cpu", torch.bfloat16), norms_masked(norm, visibility(mask, (2, 2))):
        out = norm(maps)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), slow_norm(norm, maps.float(), mask, (2, 2)), rtol=0.01, atol=0.01)


def test_visibility_at_any_size() -> None:
    visible = visibility(torch.tensor([[False, True, True, True]]), (2, 2))
    assert visible((4, 4))[0, 0].tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2
    assert visible((2, 2))[0, 0].tolist() == [[True, False], [False, False]]
    assert visible((1, 1)).all()  # a position that touches a visible unit is visible


def test_visible_positions_are_ascending() -> None:
    mask = torch.tensor([[True, False, True, False], [False, False, True, True]])
    assert visible_positions(mask).tolist() == [[1, 3], [0, 1]]


def test_token_unit_is_the_patch_of_the_target() -> None:
    """The positions of the encoder are those of `patchify`."""
    encoder = built("test_vit", PIXELS, 8, 16)
    image, _ = draw(encoder)
    patches = patchify(image, encoder.unit)
    assert patches.shape[1] == encoder.grid[0] * encoder.grid[1]


@pytest.mark.parametrize(
    ("backbone", "masking", "pixels", "message"),
    [
        (BackboneConfig(name="resnet81"), MaskingConfig(), 64, "did you mean resnet"),
        (BackboneConfig(name="hf-hub:timm/resnet18"), MaskingConfig(), 64, "must be an architecture of timm"),
        (BackboneConfig(family="vti"), MaskingConfig(), 64, "did you mean vit"),
        (BackboneConfig(name="vit_tiny_patch16_224", patch_size=9), MaskingConfig(), 64, "`backbone.patch_size`"),
        (BackboneConfig(name="vit_tiny_patch16_224", patch_size=32), MaskingConfig(), 64, "at least 16 mask units"),
        (BackboneConfig(name="test_resnet", patch_size=8), MaskingConfig(), 64, "plain vision transformers"),
        (BackboneConfig(name="test_resnet"), MaskingConfig(unit=2), 64, "must be a multiple of 4"),
        (BackboneConfig(name="vit_tiny_r_s16_p8_224"), MaskingConfig(), 64, "neither a plain vision transformer"),
        (BackboneConfig(name="levit_128s"), MaskingConfig(), 224, "must be a multiple of 16|running statistics"),
        (BackboneConfig(name="hrnet_w18_small"), MaskingConfig(), 64, "does not encode masked images"),
    ],
)
def test_what_cannot_be_masked_is_refused(backbone: BackboneConfig, masking: MaskingConfig, pixels: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_encoder(backbone, masking, pixels)


def test_without_masked_pass_there_is_no_mask_token() -> None:
    encoder = build_encoder(BackboneConfig(name="test_resnet"), MaskingConfig(), PIXELS, masked=False)
    assert encoder.mask_token is None


def test_stochastic_depth_reaches_the_backbone() -> None:
    backbone = BackboneConfig(name="test_vit", patch_size=8, drop_path_rate=0.5)
    model = build_encoder(backbone, MaskingConfig(), PIXELS).model
    assert model.blocks[-1].drop_path1.drop_prob == 0.5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backbone" in metafunc.fixturenames and metafunc.cls is not None:
        metafunc.parametrize("backbone", metafunc.cls.backbones)
