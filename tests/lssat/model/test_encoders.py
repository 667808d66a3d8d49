"""One contract, every kind of backbone: the clean pass is timm's, hidden pixels say nothing, the masked pass leaves no
trace.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from timm.models.beit import Beit
from timm.models.hiera import Hiera
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lssat.errors import ConfigError
from lssat.inputs.masking import Mask, patchify, pixel_mask, random_mask
from lssat.model.encoders.base import Encoded, Encoder
from lssat.model.encoders.build import build_encoder
from lssat.model.encoders.norms import norms_masked, visibility
from lssat.model.encoders.pyramid import PyramidEncoder
from lssat.model.encoders.token_position import token_inserted
from lssat.model.encoders.tokens import TokenEncoder
from lssat.settings.model import BackboneConfig, MaskingConfig
from lssat.tools.encoder_contract import broken_promises

PIXELS = 64


@lru_cache
def built(name: str, image_size: int, patch: int | None, unit: int) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(BackboneConfig(name=name, patch_size=patch), MaskingConfig(unit=unit), image_size)


def draw(encoder: Encoder, batch: int = 3, image_size: int = PIXELS, seed: int = 0) -> tuple[Tensor, Mask]:
    """Images in [0, 1] and a mask for them."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, image_size, image_size, generator=generator)
    noise = torch.rand(batch, encoder.num_cells, generator=generator)
    return image, random_mask(noise, encoder.ratio(None))


def state(encoder: Encoder) -> dict[str, Tensor]:
    """All parameters and buffers, those that are not saved included."""
    return {name: tensor.clone() for name, tensor in [*encoder.named_parameters(), *encoder.named_buffers()]}


def encode(encoder: Encoder, image: Tensor, mask: Mask | None = None) -> Encoded:
    """A pass from a fixed state of the generator: some of timm's blocks drop at random."""
    torch.manual_seed(0)
    return encoder.encode(image, mask)


class EncoderContract:
    backbones: tuple[str, ...]
    patch: int | None = None
    unit = 16
    other_pixels = 96
    learning_pixels = PIXELS

    def encoder(self, backbone: str, image_size: int = PIXELS) -> Encoder:
        return copy.deepcopy(built(backbone, image_size, self.patch, self.unit))

    @pytest.mark.parametrize("training", [False, True])
    def test_clean_pass_is_the_plain_timm_model(self, backbone: str, training: bool) -> None:
        encoder = self.encoder(backbone).train(training)
        image, _ = draw(encoder)
        plain = copy.deepcopy(encoder.model)
        torch.manual_seed(0)
        expected = plain((image - encoder.mean[:, None, None]) / encoder.std[:, None, None])
        encoded = encode(encoder, image)
        torch.testing.assert_close(encoded.pooled, expected)
        for name, buffer in plain.named_buffers():  # running statistics move exactly as timm's do
            torch.testing.assert_close(encoder.model.get_buffer(name), buffer)

    @pytest.mark.parametrize("training", [False, True])
    def test_hidden_pixels_influence_nothing(self, backbone: str, training: bool) -> None:
        encoder = self.encoder(backbone).train(training)
        image, mask = draw(encoder)
        other, _ = draw(encoder, seed=1)
        hidden = pixel_mask(mask.hidden, encoder.grid, (PIXELS, PIXELS))
        first = encode(encoder, image, mask)
        second = encode(encoder, torch.where(hidden, other, image), mask)
        assert torch.equal(first.features, second.features)
        assert torch.equal(first.pooled, second.pooled)
        changed = encode(encoder, torch.where(hidden, image, other), mask)
        assert not torch.allclose(first.features, changed.features)

    def test_every_parameter_learns_from_a_joint_step(self, backbone: str) -> None:
        encoder = self.encoder(backbone, self.learning_pixels).train()
        image, mask = draw(encoder, image_size=self.learning_pixels)
        generator = torch.Generator().manual_seed(2)
        # timm starts the last norms of residual branches at zero, behind which nothing learns in the very first step
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
        clean, masked = encoder.encode(image), encoder.encode(image, mask)
        loss = sum(
            (part * torch.randn(part.shape, generator=generator)).sum() for part in (clean.pooled, masked.features)
        )
        loss.backward()
        without = [
            name for name, parameter in encoder.named_parameters() if parameter.grad is None or not parameter.grad.any()
        ]
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
        assert torch.equal(encode(encoder, image).pooled, encode(untouched, image).pooled)

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
    backbones = ("test_vit", "test_vit2", "test_vit3", "deit3_small_patch16_224", "vit_tiny_patch16_dinov3_qkvb")
    patch = 8

    def test_dropping_equals_attention_that_ignores_hidden_tokens(self, backbone: str) -> None:
        encoder = self.encoder(backbone).eval()
        image, mask = draw(encoder)
        masked = encoder.encode(image, mask)
        prefix = encoder.model.num_prefix_tokens
        keys = torch.cat([torch.zeros(len(image), prefix, dtype=torch.bool), mask.hidden], dim=1)
        ignore = (
            torch.zeros(keys.shape).masked_fill(keys, float("-inf"))[:, None, None, :].expand(-1, 1, keys.shape[1], -1)
        )
        slow = encoder.model.forward_features(encoder.normalise(image), attn_mask=ignore)[:, prefix:]
        for row in range(len(image)):
            torch.testing.assert_close(masked.features[row], slow[row, ~mask.hidden[row]])

    def test_masked_pass_is_really_shorter(self, backbone: str) -> None:
        encoder = self.encoder(backbone).eval()
        image, mask = draw(encoder)
        flops = []
        for given in (None, mask):
            with FlopCounterMode(display=False) as counter:
                encoder.encode(image, given)
            flops.append(counter.get_total_flops())
        assert flops[1] < 0.4 * flops[0]


class TestFlatEncoder(EncoderContract):
    """All blocks at one resolution, and no token may go: mixers, class attention, biases of relative position."""

    backbones = ("gmlp_ti16_224", "xcit_nano_12_p8_224", "test_vit_relpos", "convit_tiny")

    def test_mask_token_stands_at_the_hidden_patches(self, backbone: str) -> None:
        encoder = self.encoder(backbone).eval()
        image, mask = draw(encoder)
        nn.init.normal_(encoder.mask_token)
        seen = []
        model, position = encoder.model, encoder.token_position

        def look(_module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            seen.append(output if isinstance(output, Tensor) else output[0])

        with token_inserted(model, position, visibility(mask.hidden, encoder.grid), encoder.mask_token):
            model.get_submodule(position.module).register_forward_hook(look)
            model(encoder.normalise(image))
        per_unit = encoder.unit // model.feature_info[0]["reduction"]
        hidden = (
            mask.hidden.reshape(-1, *encoder.grid)
            .repeat_interleave(per_unit, 1)
            .repeat_interleave(per_unit, 2)
            .flatten(1)
        )
        assert (seen[0][hidden] == encoder.mask_token).all()
        assert (seen[0][~hidden] != encoder.mask_token).any(1).all()


class TestOtherLayouts(EncoderContract):
    """Tuples, token sequences, modules that timm names but does not run, batch-norm of vectors."""

    backbones = ("levit_128s", "coat_tiny", "pit_ti_224", "mobilevit_xxs", "test_coatnet")
    learning_pixels = 128  # at 64 the last stage of LeViT is one position, where attention has nothing to weigh


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
            norm.register_forward_hook(
                lambda _, given, out, name=name: seen.__setitem__(name, (given[0].clone(), out.clone()))
            )
        encoder.encode(image, mask)
        assert seen.keys() == norms.keys()
        for name, (given, out) in seen.items():
            torch.testing.assert_close(
                out, slow_norm(norms[name], given, mask.hidden, encoder.grid), rtol=1e-4, atol=1e-4
            )

    def test_where_nothing_is_hidden_masked_norms_are_those_of_timm(self, backbone: str) -> None:
        """Activations inside of norms included."""
        encoder = self.encoder(backbone).train()
        image, mask = draw(encoder)
        normalised = encoder.normalise(image)
        with norms_masked(encoder.model, visibility(torch.zeros_like(mask.hidden), encoder.grid)):
            found = encoder.model(normalised)
        torch.testing.assert_close(found, encoder.model(normalised), rtol=1e-3, atol=1e-4)

    def test_mask_token_stands_at_the_hidden_positions_of_the_first_stage(self, backbone: str) -> None:
        encoder = build_encoder(BackboneConfig(name=backbone), MaskingConfig(unit=4), PIXELS).eval()
        image, mask = draw(encoder, batch=2)
        nn.init.normal_(encoder.mask_token)
        width = len(encoder.mask_token)
        # At this unit the first stage is part of the features as it is.
        features = encoder.encode(image, mask).features[:, :, :width]
        assert (features[mask.hidden] == encoder.mask_token).all()
        assert (features[~mask.hidden] != encoder.mask_token).any(1).all()


class TestSwin(TestPyramidEncoder):
    backbones = ("swin_tiny_patch4_window7_224",)

    @pytest.mark.parametrize(("pixels", "window"), [(64, 4), (96, 6), (112, 7), (224, 7)])
    def test_window_tiles_the_image(self, backbone: str, pixels: int, window: int) -> None:
        with torch.device("meta"):
            model = build_encoder(BackboneConfig(name=backbone), MaskingConfig(unit=16), pixels).model
        assert model.layers[0].blocks[0].window_size == (window, window)


class TestBeit:
    """Biases of relative position, of each block or shared, follow the patches that stay."""

    def encoder(self, own: bool) -> TokenEncoder:
        torch.manual_seed(0)
        model = Beit(
            64,
            8,
            num_classes=0,
            embed_dim=32,
            depth=2,
            num_heads=2,
            init_values=0.1,
            use_rel_pos_bias=own,
            use_shared_rel_pos_bias=not own,
        )
        for name, parameter in model.named_parameters():
            if "bias_table" in name:
                nn.init.normal_(parameter)
        model.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
        return TokenEncoder(model, 64).eval()

    @pytest.mark.parametrize("own", [True, False])
    def test_dropping_equals_attention_that_ignores_hidden_tokens(self, own: bool) -> None:
        encoder = self.encoder(own)
        image, mask = draw(encoder)
        masked = encoder.encode(image, mask)
        slow = copy.deepcopy(encoder)
        ignore = torch.zeros(len(image), 1, 1, 65).masked_fill(
            torch.cat([torch.zeros(len(image), 1, dtype=torch.bool), mask.hidden], 1)[:, None, None], -1e9
        )
        for block in slow.model.blocks:
            block.register_forward_pre_hook(with_bias_added(ignore), with_kwargs=True)
        tokens = slow.model.forward_features(slow.normalise(image))[:, 1:]
        for row in range(len(image)):
            torch.testing.assert_close(masked.features[row], tokens[row, ~mask.hidden[row]])

    @pytest.mark.parametrize("own", [True, False])
    def test_contract(self, own: bool) -> None:
        encoder = self.encoder(own)
        image, mask = draw(encoder)
        own_methods = [vars(block.attn).keys() for block in encoder.model.blocks]
        assert broken_promises(encoder, image, mask) == []
        assert count_hooks(encoder) == 0
        assert [vars(block.attn).keys() for block in encoder.model.blocks] == own_methods


def with_bias_added(ignore: Tensor) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Attention of BEiT adds a shared bias to its own: there the hidden keys are ruled out."""

    def hook(_module: nn.Module, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        shared = named["shared_rel_pos_bias"]
        return given, {"shared_rel_pos_bias": ignore if shared is None else shared + ignore}

    return hook


class TestHiera:
    def encoder(self) -> TokenEncoder:
        torch.manual_seed(0)
        model = Hiera(
            (128, 128),
            embed_dim=16,
            num_heads=1,
            stages=(1, 1, 1, 1),
            mask_unit_attn=(True, True, True, True),
            num_classes=0,
        )
        model.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
        return TokenEncoder(model, 128).eval()

    def test_contract(self) -> None:
        encoder = self.encoder()
        image, mask = draw(encoder, image_size=128)
        assert (encoder.unit, encoder.grid) == (32, (4, 4))
        assert broken_promises(encoder, image, mask) == []

    def test_the_masked_pass_is_hieras_own(self) -> None:
        encoder = self.encoder()
        image, mask = draw(encoder, image_size=128)
        own = encoder.model.forward_features(encoder.normalise(image), mask=~mask.hidden)
        assert torch.equal(encoder.encode(image, mask).features, own)

    def test_each_feature_is_of_the_unit_it_says(self) -> None:
        """With attention inside of units alone, what changes in the middle of one changes one feature."""
        encoder = self.encoder()
        image, mask = draw(encoder, batch=1, image_size=128)
        before = encoder.encode(image, mask)
        for feature, unit in enumerate(mask.visible[0].tolist()):
            row, column = divmod(unit, 4)
            changed = image.clone()
            changed[:, :, row * 32 + 8 : row * 32 + 24, column * 32 + 8 : column * 32 + 24] = 0
            differs = (encoder.encode(changed, mask).features != before.features).any(-1)[0]
            assert differs.nonzero().flatten().tolist() == [feature]


class Leaky(PyramidEncoder):
    """Encodes the whole image, whatever the mask."""

    def encode(self, image: Tensor, mask: Mask | None = None) -> Encoded:
        return super().encode(image)


class Forgetful(PyramidEncoder):
    """Does what is asked, and leaves what it saw in a buffer and in a parameter."""

    def encode(self, image: Tensor, mask: Mask | None = None) -> Encoded:
        encoded = super().encode(image, mask)
        if mask is not None:
            self.mean += 0.01
            with torch.no_grad():
                self.mask_token += 1
        return encoded


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (PyramidEncoder, set()),
        (
            Leaky,
            {
                "the masked pass changes buffers (training)",
                *(f"hidden pixels influence the masked pass ({mode})" for mode in ("training", "evaluating")),
            },
        ),
        (
            Forgetful,
            {
                f"the masked pass changes {what} ({mode})"
                for what in ("buffers", "parameters")
                for mode in ("training", "evaluating")
            },
        ),
    ],
)
def test_broken_promises_are_named(kind: type[PyramidEncoder], broken: set[str]) -> None:
    model = copy.deepcopy(built("test_resnet", PIXELS, None, 16).model)
    encoder = kind(model, PIXELS, 16, masked=True)
    assert set(broken_promises(encoder, *draw(encoder))) >= broken
    assert bool(broken) == bool(broken_promises(encoder, *draw(encoder)))


def test_windows_as_a_share_of_the_image_are_left_to_timm() -> None:
    with torch.device("meta"):
        model = build_encoder(BackboneConfig(name="gcvit_xxtiny"), MaskingConfig(), PIXELS).model
    assert model.stages[0].blocks[0].attn.window_size == (2, 2)


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
    hidden = random_mask(torch.rand(2, 4), 0.5).hidden
    maps = torch.randn(2, 3, 4, 4, dtype=torch.double, requires_grad=True)

    def apply(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        with norms_masked(norm, visibility(hidden, (2, 2))):
            return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (maps,))

    assert torch.autograd.gradcheck(apply, (maps, norm.weight, norm.bias))


def test_masked_norm_is_float32_under_autocast() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8)
    hidden = random_mask(torch.rand(2, 4), 0.5).hidden
    maps = (torch.randn(2, 8, 4, 4) + 100).bfloat16()  # in bfloat16 the deviation would drown in the mean
    with torch.autocast("cpu", torch.bfloat16), norms_masked(norm, visibility(hidden, (2, 2))):
        out = norm(maps)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), slow_norm(norm, maps.float(), hidden, (2, 2)), rtol=0.01, atol=0.01)


def test_visibility_at_any_size() -> None:
    visible = visibility(torch.tensor([[False, True, True, True]]), (2, 2))
    assert visible((4, 4))[0, 0].tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2
    assert visible((2, 2))[0, 0].tolist() == [[True, False], [False, False]]
    assert visible((1, 1)).all()  # a position that touches a visible unit is visible


def test_token_unit_is_the_patch_of_the_target() -> None:
    """The positions of the encoder are those of `patchify`."""
    encoder = built("test_vit", PIXELS, 8, 16)
    image, _ = draw(encoder)
    patches = patchify(image, encoder.unit)
    assert patches.shape[1] == encoder.num_cells


@pytest.mark.parametrize(
    ("backbone", "masking", "pixels", "message"),
    [
        (BackboneConfig(name="resnet81"), MaskingConfig(), 64, "did you mean `resnet"),
        (BackboneConfig(name="hf-hub:timm/resnet18"), MaskingConfig(), 64, "must be an architecture of timm"),
        (BackboneConfig(family="vti"), MaskingConfig(), 64, "did you mean `vit"),
        (BackboneConfig(name="vit_tiny_patch16_224", patch_size=9), MaskingConfig(), 64, "`backbone.patch_size`"),
        (BackboneConfig(name="vit_tiny_patch16_224", patch_size=32), MaskingConfig(), 64, "at least 16 mask units"),
        (BackboneConfig(name="test_resnet", patch_size=8), MaskingConfig(), 64, "plain vision transformers"),
        (BackboneConfig(name="test_resnet"), MaskingConfig(unit=2), 64, "must be a multiple of 4"),
        (BackboneConfig(name="vit_tiny_r_s16_p8_224"), MaskingConfig(), 64, "must be a multiple of 32"),
        (
            BackboneConfig(name="crossvit_tiny_240"),
            MaskingConfig(unit=12),
            96,
            "does not encode masked images of 96 pixels",
        ),
        (
            BackboneConfig(name="hiera_tiny_224"),
            MaskingConfig(),
            96,
            "at least 16 mask units.*pixels; raise `data.image_size`",
        ),
        (BackboneConfig(name="hiera_tiny_224"), MaskingConfig(), 144, "units of 32 pixels; change `data.image_size`"),
        (BackboneConfig(name="hiera_tiny_224", patch_size=8), MaskingConfig(), 128, "leave it out"),
    ],
)
def test_what_cannot_be_masked_is_refused(
    backbone: BackboneConfig, masking: MaskingConfig, pixels: int, message: str
) -> None:
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
