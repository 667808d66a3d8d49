"""What both passes and the target see, against the parts called by hand; and the two orders of erasing and texture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lssat.config import Config, build
from lssat.inputs.degrading import degrade
from lssat.inputs.erasing import Erasure, erase
from lssat.inputs.masking import Mask
from lssat.inputs.target import make_target
from lssat.inputs.texture import stream_image
from lssat.model.encoders.base import Encoder
from lssat.model.encoders.build import encoder_of
from lssat.train.views import Draws, Views, draw, make_views

STREAMS = ["MRGB/RLDP/CRGB", "MLDP/RRGB/CRGB", "MRGB/RRGB/CLBP"]
CAMERA = {"augment.blur": 1.0, "augment.resize": 0.5, "augment.noise": 0.1, "augment.jpeg": 70}
IMAGE = torch.randint(256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0)) / 255


def config(streams: str, **settings: object) -> Config:
    plain = {
        "augment.flip": False,
        "augment.crop_scale": 1.0,
        "augment.color": 0.0,
        "augment.erase": 1.0,
        "optim.batch_size": 4,
    }
    small = {"backbone.name": "test_vit", "backbone.patch_size": 8, "masking.unit": 8, "data.image_size": 32}
    return build({**small, **plain, "streams": streams} | settings)


def seen(settings: Config) -> tuple[Encoder, Erasure, Views]:
    encoder = encoder_of(settings)
    draws = draw(settings, encoder, torch.Generator().manual_seed(0))
    assert draws.augment.erasure is not None
    return encoder, draws.augment.erasure, make_views(settings, encoder, IMAGE, draws)


def target(image: Tensor, settings: Config, encoder: Encoder) -> Tensor:
    return make_target(image, settings, encoder.unit, encoder.normalise)


@pytest.mark.parametrize("streams", STREAMS)
def test_erasing_before_texture_makes_everything_of_the_erased_image(streams: str) -> None:
    settings = config(streams, **{"augment.erase_before_texture": True})
    encoder, erasure, views = seen(settings)
    image = erase(IMAGE, erasure)
    assert torch.equal(views.classified, stream_image(image, settings.classified_stream, settings.texture))
    assert views.masked is not None and torch.equal(
        views.masked, stream_image(image, settings.masked_stream, settings.texture)
    )
    assert views.target is not None and torch.equal(views.target, target(image, settings, encoder))


@pytest.mark.parametrize("streams", STREAMS)
def test_erasing_after_texture_leaves_the_target_whole(streams: str) -> None:
    settings = config(streams)
    encoder, erasure, views = seen(settings)
    assert torch.equal(
        views.classified, erase(stream_image(IMAGE, settings.classified_stream, settings.texture), erasure)
    )
    assert views.masked is not None and torch.equal(
        views.masked, erase(stream_image(IMAGE, settings.masked_stream, settings.texture), erasure)
    )
    assert views.target is not None and torch.equal(views.target, target(IMAGE, settings, encoder))


def test_the_classified_photo_is_erased_in_either_order() -> None:
    orders = [seen(config("MRGB/RLDP/CRGB", **{"augment.erase_before_texture": before}))[2] for before in (False, True)]
    assert torch.equal(orders[0].classified, orders[1].classified) and not torch.equal(orders[0].classified, IMAGE)
    assert (
        orders[0].target is not None
        and orders[1].target is not None
        and not torch.equal(orders[0].target, orders[1].target)
    )


def test_slices_of_the_global_batch_equal_the_whole() -> None:
    settings = config(
        "MLDP/RLDP/CRGB",
        **{"augment.randaugment": 9, "augment.mixup": 0.4, "augment.flip": True, "augment.crop_scale": 0.8} | CAMERA,
    )
    encoder = encoder_of(settings)
    draws = draw(settings, encoder, torch.Generator().manual_seed(0))
    whole = make_views(settings, encoder, IMAGE, draws)
    halves = [make_views(settings, encoder, IMAGE[rows], draws.of(rows)) for rows in (slice(0, 2), slice(2, 4))]
    for name in ("classified", "masked", "target"):
        assert torch.equal(torch.cat([getattr(half, name) for half in halves]), getattr(whole, name)), name
    for part in Mask._fields:
        assert torch.equal(torch.cat([getattr(half.mask, part) for half in halves]), getattr(whole.mask, part)), part


def test_both_passes_and_the_target_are_made_of_the_same_degraded_image() -> None:
    settings = config("MLDP/RLDP/CRGB", **{"augment.erase": 0} | CAMERA)
    encoder = encoder_of(settings)
    draws = draw(settings, encoder, torch.Generator().manual_seed(0))
    views = make_views(settings, encoder, IMAGE, draws)
    assert draws.augment.degradations is not None and draws.augment.degradations.is_applied.any(1).sum() >= 2
    degraded = degrade(IMAGE, draws.augment.degradations, settings.augment)
    assert not torch.equal(degraded, IMAGE) and torch.equal(views.classified, degraded)
    assert views.masked is not None and torch.equal(views.masked, stream_image(degraded, "LDP", settings.texture))
    assert views.target is not None and torch.equal(views.target, target(degraded, settings, encoder))


def test_the_target_is_made_of_the_mixed_image() -> None:
    settings = config("MRGB/RLDP/CRGB", **{"augment.mixup": 1, "augment.erase": 0})
    encoder = encoder_of(settings)
    views = make_views(settings, encoder, IMAGE, draw(settings, encoder, torch.Generator().manual_seed(0)))
    assert not torch.equal(views.classified, IMAGE)
    assert views.target is not None and torch.equal(views.target, target(views.classified, settings, encoder))


def test_without_the_auxiliary_task_there_is_one_view() -> None:
    settings = config("MRGB/RLDP/CRGB", auxiliary=False)
    encoder = encoder_of(settings)
    draws = draw(settings, encoder, torch.Generator().manual_seed(0))
    assert isinstance(draws, Draws) and draws.mask_noise is None
    assert make_views(settings, encoder, IMAGE, draws)[1:] == (None, None, None)
