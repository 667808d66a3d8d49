from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from lssat.config import Config, build
from lssat.data.prepared.rows import Batch, ResidentRows
from lssat.inputs.lbp import lbp
from lssat.inputs.masking import patchify, unpatchify
from lssat.inputs.target import make_target, reconstruction_loss, target_loss, target_picture, target_width
from lssat.inputs.texture import grey, ldp
from lssat.model.lssat import build_model
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.reconstruction_panel import COLUMNS, draw_panel
from lssat.train.step import Losses, StepContext, train_step

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.3, 0.4])
METHODS = ("ror", "uniform", "nri_uniform")
STREAMS = ("RGB", "LBP", "LDP")
CASES = [
    ("RGB", {}),
    ("RGB", {"target.norm_pix": True}),
    ("LDP", {}),
    ("LDP", {"target.norm_pix": True}),
    ("LDP", {"target.encoding": "bits"}),
    ("LDP", {"target.encoding": "histogram"}),
    ("LDP", {"target.encoding": "histogram", "texture.ldp_k": 5}),
    ("LBP", {}),
    ("LBP", {"texture.lbp_points": 16, "texture.lbp_radius": 2.0}),
    ("LBP", {"target.encoding": "bits"}),
    ("LBP", {"target.encoding": "bits", "texture.lbp_points": 6}),
    ("LBP", {"target.encoding": "histogram"}),
    ("LBP", {"target.encoding": "histogram", "texture.lbp_points": 4}),
    ("LBP", {"texture.lbp_method": "var"}),
    ("LBP", {"texture.lbp_method": "var", "target.norm_pix": True}),
    *[
        ("LBP", {"texture.lbp_method": method, "target.encoding": encoding})
        for method in METHODS
        for encoding in ("scaled", "histogram")
    ],
    ("LDP", {"target.rgb_weight": 0.3}),
    ("LDP", {"target.rgb_weight": 0.3, "target.norm_pix": True}),
    ("LBP", {"target.rgb_weight": 0.3, "target.encoding": "bits"}),
    ("LBP", {"target.rgb_weight": 0.3, "target.encoding": "histogram", "texture.lbp_method": "uniform"}),
]


def config_of(stream: str, **settings: object) -> Config:
    return build({"streams": f"MRGB/R{stream}/CRGB", **settings})


def images() -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def normalise(image: Tensor) -> Tensor:
    return (image - MEAN[:, None, None]) / STD[:, None, None]


def denormalise(image: Tensor) -> Tensor:
    return image * STD[:, None, None] + MEAN[:, None, None]


def target_of(config: Config, image: Tensor, patch: int = 8) -> Tensor:
    return make_target(image, config, patch, normalise)


@pytest.mark.parametrize(("stream", "settings"), CASES)
def test_width_is_what_the_target_has(stream: str, settings: dict[str, object]) -> None:
    config = config_of(stream, **settings)
    target = target_of(config, images())
    assert target.shape == (2, 16, target_width(config, 8))
    assert target.dtype == torch.float32 and target.isfinite().all()


@pytest.mark.parametrize(
    ("stream", "encoding", "width"),
    [
        ("RGB", "scaled", 192),
        ("LDP", "scaled", 64),
        ("LDP", "bits", 512),
        ("LDP", "histogram", 56),
        ("LBP", "histogram", 256),
    ],
)
def test_stated_widths(stream: str, encoding: str, width: int) -> None:
    assert target_width(config_of(stream, **{"target.encoding": encoding}), 8) == width


def test_rgb_is_normalised() -> None:
    image = images()
    expected = patchify((image - MEAN[:, None, None]) / STD[:, None, None], 8)
    assert torch.equal(target_of(config_of("RGB"), image), expected)


def test_scaled_codes() -> None:
    image = images()
    assert torch.equal(target_of(config_of("LDP"), image), patchify(ldp(grey(image))[:, None] / 255, 8))
    wide = config_of("LBP", **{"texture.lbp_points": 12, "texture.lbp_radius": 2.0})
    assert torch.equal(target_of(wide, image), patchify(lbp(grey(image), 12, 2.0)[:, None] / 4095, 8))


@pytest.mark.parametrize("stream", ["RGB", "LDP"])
def test_norm_pix_standardises_each_patch(stream: str) -> None:
    target = target_of(config_of(stream, **{"target.norm_pix": True}), images())
    assert target.mean(-1).abs().max() < 1e-4
    assert (target.var(-1) - 1).abs().max() < 1e-2


def test_norm_pix_of_a_flat_patch_is_finite() -> None:
    target = target_of(config_of("LDP", **{"target.norm_pix": True}), torch.full((1, 3, 32, 32), 0.5))
    assert target.abs().max() < 1e-3


@pytest.mark.parametrize("stream", ["LDP", "LBP"])
def test_bits_round_trip(stream: str) -> None:
    image = images()
    bits = unpatchify(target_of(config_of(stream, **{"target.encoding": "bits"}), image), 8, (4, 4))
    codes = (bits.int() << torch.arange(8, dtype=torch.int32).view(1, 8, 1, 1)).sum(1)
    assert ((bits == 0) | (bits == 1)).all()
    assert torch.equal(codes, (ldp if stream == "LDP" else lbp)(grey(image)).long())


@pytest.mark.parametrize(("stream", "k"), [("LDP", 3), ("LDP", 1), ("LBP", 3)])
def test_histogram_holds_the_frequencies(stream: str, k: int) -> None:
    image = images()
    target = target_of(config_of(stream, **{"target.encoding": "histogram", "texture.ldp_k": k}), image)
    assert torch.allclose(target.sum(-1), torch.ones(2, 16))
    codes = ldp(grey(image), k) if stream == "LDP" else lbp(grey(image))
    existing = [code for code in range(256) if stream == "LBP" or code.bit_count() == k]
    patch = codes[1, 8:16, 16:24]  # number 6
    expected = torch.tensor([(patch == code).sum().item() / 64 for code in existing])
    assert torch.equal(target[1, 6], expected)


@pytest.mark.parametrize(("method", "width"), [("default", 256), ("ror", 36), ("uniform", 10), ("nri_uniform", 59)])
def test_histogram_of_every_method_holds_the_frequencies(method: str, width: int) -> None:
    image = images()
    config = config_of("LBP", **{"target.encoding": "histogram", "texture.lbp_method": method})
    target = target_of(config, image)
    assert target.shape[2] == target_width(config, 8) == width
    assert torch.allclose(target.sum(-1), torch.ones(2, 16))
    codes = lbp(grey(image), method=method)[0, 8:16, 8:16]  # patch 5
    for code, count in zip(*codes.unique(return_counts=True), strict=True):
        index = [value for value in range(256) if method != "ror" or is_smallest_rotation(value)].index(int(code))
        assert target[0, 5, index] == count / 64


def is_smallest_rotation(code: int) -> bool:
    text = f"{code:08b}"
    return text == min(text[i:] + text[:i] for i in range(8))


def test_signed_directions_reach_the_target() -> None:
    image = images()
    target = target_of(config_of("LDP", **{"texture.ldp_signed": True}), image)
    assert torch.equal(target, patchify(ldp(grey(image), signed=True)[:, None] / 255, 8))
    assert not torch.equal(target, target_of(config_of("LDP"), image))


@pytest.mark.parametrize(
    ("encoding", "norm_pix"), [("scaled", False), ("scaled", True), ("bits", False), ("histogram", False)]
)
def test_rgb_beside_a_texture_is_both_targets_and_the_weighted_loss(encoding: str, norm_pix: bool) -> None:
    settings = {"target.norm_pix": norm_pix}
    texture, rgb = config_of("LDP", **settings, **{"target.encoding": encoding}), config_of("RGB", **settings)
    both = config_of("LDP", **settings, **{"target.encoding": encoding, "target.rgb_weight": 0.3})
    targets = [target_of(config, images()) for config in (texture, rgb)]
    target = target_of(both, images())
    assert torch.equal(target, torch.cat(targets, -1))
    assert target_width(both, 8) == target_width(texture, 8) + 192
    generator = torch.Generator().manual_seed(0)
    pred, mask = torch.randn(target.shape, generator=generator), torch.rand(2, 16, generator=generator) < 0.5
    preds = pred.split([target_width(texture, 8), 192], -1)
    alone = [
        target_loss(*parts, mask, config, 8) for *parts, config in zip(preds, targets, (texture, rgb), strict=True)
    ]
    assert torch.allclose(target_loss(pred, target, mask, both, 8), 0.7 * alone[0] + 0.3 * alone[1])
    assert torch.equal(alone[0], reconstruction_loss(preds[0], targets[0], mask, encoding))
    assert torch.equal(
        target_picture(pred, both, 8, denormalise, is_pred=True),
        target_picture(preds[0], texture, 8, denormalise, is_pred=True),
    )


@pytest.mark.parametrize("triple", list(itertools.product(STREAMS, repeat=3)), ids="M{0[0]}/R{0[1]}/C{0[2]}".format)
def test_every_triple_trains_one_joint_step(triple: tuple[str, str, str]) -> None:
    losses, gradients = joint_step({"streams": "M{}/R{}/C{}".format(*triple)})
    assert all(value.isfinite() and value > 0 for value in losses)
    assert all(gradient is not None and gradient.isfinite().all() and gradient.any() for gradient in gradients)


@pytest.mark.parametrize(("stream", "settings"), CASES)
def test_every_target_trains_one_joint_step(stream: str, settings: dict[str, object]) -> None:
    losses, gradients = joint_step({"streams": f"M{stream}/R{stream}/C{stream}", **settings})
    assert all(value.isfinite() and value > 0 for value in losses)
    assert all(gradient is not None and gradient.isfinite().all() and gradient.any() for gradient in gradients)


def joint_step(settings: dict[str, object]) -> tuple[Losses, list[Tensor | None]]:
    config = build(
        {
            "backbone.name": "test_vit",
            "backbone.patch_size": 8,
            "data.image_size": 32,
            "masking.unit": 8,
            "optim.batch_size": 4,
            **settings,
        }
    )
    torch.manual_seed(0)
    model = build_model(config, 3)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    batch = Batch(image, np.array([0, 1, 2, 0]), np.arange(4), size=4)
    task = Task("emotion", "multiclass", ("a", "b", "c"), (2, 1, 1), 4)
    context = StepContext.of(config, task, Distributed(torch.device("cpu")))
    losses = train_step(context, model, batch, torch.Generator().manual_seed(0), num_micro_batches=1)
    return losses, [parameter.grad for parameter in model.parameters()]


def test_panel_shows_the_texture_where_rgb_is_rebuilt_beside_it() -> None:
    random = np.random.default_rng(0)
    rows = ResidentRows(
        [{"image": random.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8), "label": np.zeros(4, dtype=np.int64)}]
    )
    settings = {"backbone.name": "test_vit", "backbone.patch_size": 8, "data.image_size": 32, "masking.unit": 8}
    sheets = []
    for weight in (0.0, 0.5):
        config = build({**settings, "target.rgb_weight": weight})
        torch.manual_seed(0)
        sheets.append(Image.open(io.BytesIO(draw_panel(config, build_model(config, 3), rows, torch.device("cpu")))))
    width, height = sheets[0].size
    wanted = (0, 0, width - width // len(COLUMNS), height)  # all but the prediction
    assert sheets[0].size == sheets[1].size
    assert sheets[0].crop(wanted).tobytes() == sheets[1].crop(wanted).tobytes()


@pytest.mark.parametrize("encoding", ["scaled", "bits", "histogram"])
def test_loss_sees_hidden_patches_only(encoding: str) -> None:
    generator = torch.Generator().manual_seed(1)
    pred, target = torch.randn(3, 16, 10, generator=generator), torch.rand(3, 16, 10, generator=generator)
    mask = torch.rand(3, 16, generator=generator) < 0.5
    pred.requires_grad_()
    loss = reconstruction_loss(pred, target, mask, encoding)
    (gradient,) = torch.autograd.grad(loss.sum(), pred)
    assert gradient[~mask].abs().max() == 0
    assert (gradient[mask].abs().amax(-1) > 0).all()
    noisy = torch.where(mask[..., None], pred, 1e3 * torch.randn(pred.shape, generator=generator))
    assert torch.equal(reconstruction_loss(noisy, target, mask, encoding), loss)


def test_losses_are_the_stated_ones_per_sample() -> None:
    generator = torch.Generator().manual_seed(2)
    pred, target = torch.randn(2, 16, 6, generator=generator), torch.rand(2, 16, 6, generator=generator).softmax(-1)
    mask = torch.zeros(2, 16, dtype=torch.bool)
    mask[0, [1, 5]] = mask[1, [0, 2, 3]] = True
    for i in range(2):
        hidden, truth = pred[i][mask[i]], target[i][mask[i]]
        expected = {
            "scaled": F.mse_loss(hidden, truth),
            "bits": F.binary_cross_entropy_with_logits(hidden, truth),
            "histogram": F.cross_entropy(hidden, truth),
        }
        for encoding, value in expected.items():
            assert torch.allclose(reconstruction_loss(pred, target, mask, encoding)[i], value)


def test_loss_of_half_precision_predictions_is_float32() -> None:
    pred, target, mask = torch.randn(1, 4, 6).bfloat16(), torch.rand(1, 4, 6), torch.ones(1, 4, dtype=torch.bool)
    for encoding in ("scaled", "bits", "histogram"):
        loss = reconstruction_loss(pred, target, mask, encoding)
        assert loss.dtype == torch.float32
        assert torch.equal(loss, reconstruction_loss(pred.float(), target, mask, encoding))


def test_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValueError, match="scaled, bits or histogram"):
        reconstruction_loss(torch.zeros(1, 4, 6), torch.zeros(1, 4, 6), torch.ones(1, 4, dtype=torch.bool), "ordinal")


@pytest.mark.parametrize(("stream", "settings"), CASES)
def test_pictures_are_pictures(stream: str, settings: dict[str, object]) -> None:
    config = config_of(stream, **settings)
    for is_pred in (False, True):
        values = 5 * torch.randn(2, 16, target_width(config, 8)) if is_pred else target_of(config, images())
        picture = target_picture(values, config, 8, denormalise, is_pred=is_pred)
        assert picture.shape == (2, 3, 32, 32)
        assert picture.min() >= 0 and picture.max() <= 1 + 1e-6


def test_picture_of_an_rgb_target_is_the_image() -> None:
    image = images()
    config = config_of("RGB")
    assert torch.allclose(target_picture(target_of(config, image), config, 8, denormalise), image, atol=1e-6)


@pytest.mark.parametrize("encoding", ["scaled", "bits"])
def test_picture_of_a_code_target_is_the_codes(encoding: str) -> None:
    image = images()
    config = config_of("LDP", **{"target.encoding": encoding})
    picture = target_picture(target_of(config, image), config, 8, denormalise)
    assert torch.allclose(picture, (ldp(grey(image))[:, None] / 255).expand(-1, 3, -1, -1), atol=1e-6)


def test_picture_of_a_histogram_is_the_mean_code_of_each_patch() -> None:
    image = images()
    config = config_of("LDP", **{"target.encoding": "histogram"})
    picture = target_picture(target_of(config, image), config, 8, denormalise)
    expected = F.avg_pool2d(ldp(grey(image))[:, None] / 255, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    assert torch.allclose(picture, expected.expand(-1, 3, -1, -1), atol=1e-5)


@pytest.mark.parametrize(("encoding", "inverse"), [("bits", torch.logit), ("histogram", torch.log)])
def test_a_perfect_prediction_shows_the_target(encoding: str, inverse: object) -> None:
    assert callable(inverse)
    config = config_of("LDP", **{"target.encoding": encoding})
    target = target_of(config, images())
    pred = inverse(target.clamp(1e-7, 1 - 1e-7))
    shown = target_picture(pred, config, 8, denormalise, is_pred=True)
    assert torch.allclose(shown, target_picture(target, config, 8, denormalise), atol=1e-4)
