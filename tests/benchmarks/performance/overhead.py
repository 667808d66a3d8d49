"""What the auxiliary task costs: a joint step beside a supervised one, family by family, and where the time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from lssat.inputs.target import make_target, target_loss
from lssat.train.precision import autocast
from lssat.train.step import DeviceRows
from lssat.train.views import Views, make_views
from tests.benchmarks.performance.joint_step import HEAVY, LIGHT
from tests.benchmarks.performance.machine import device, one_thread
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import Times, interleaved
from tests.benchmarks.performance.trained import Trained

LAPTOP: dict[str, Any] = {
    "data.image_size": 64,
    "masking.unit": 16,
    "augment.crop_scale": 0.9,
    "optim.batch_size": 32,
    "optim.ema_decay": 0.99,
}
PAPER: dict[str, Any] = {"data.image_size": 224, "masking.unit": 32}
BATCH_ON_GPU = 64
PARTS = ("clean pass", "masked pass", "decoder", "texture")
HEADER = ("family", "joint/supervised", "FLOPs", *PARTS, "rest", "masking")
PROSE = (
    "Joint step over supervised step (`auxiliary: false`), the same batch and weights, in float32. `FLOPs`: the same "
    "ratio of counted operations, decoder and texture included. The split is in supervised steps, each part timed by "
    "itself with its backward pass; the rest is optimiser, running mean, augmentation and what overlaps. `masking`: by "
    "how much the masked pass of a backbone that cannot drop tokens exceeds its clean one, norms and tokens."
)


class Family(NamedTuple):
    """A backbone at a setting; `batch` for a CPU."""

    label: str
    name: str
    settings: dict[str, Any]
    batch: int = 0

    def trained(self, auxiliary: bool) -> Trained:
        own = {"backbone.name": self.name, "auxiliary": auxiliary, "optim.precision": "float32"}
        if self.batch:
            own["optim.batch_size"] = BATCH_ON_GPU if device().type == "cuda" else self.batch
        return Trained.of({**self.settings, **own})


AT_224 = (
    Family("ViT-S", "vit_small_patch16_224", {**PAPER, **LIGHT}, 4),
    Family("ViT-B", "vit_base_patch16_224", {**PAPER, **HEAVY}, 2),
    Family("ResNet-50", "resnet50", {**PAPER, **LIGHT}, 4),
    Family("ConvNeXt-T", "convnext_tiny", {**PAPER, **LIGHT}, 4),
    Family("Swin-T", "swin_tiny_patch4_window7_224", {**PAPER, **LIGHT}, 4),
    Family("EfficientNet-B0", "efficientnet_b0", {**PAPER, **LIGHT}, 4),
)
AT_64 = (
    Family("ViT", "test_vit", {**LAPTOP, "backbone.patch_size": 8}),
    Family("ResNet", "test_resnet", LAPTOP),
    Family("ConvNeXt", "test_convnext", LAPTOP),
    Family("EfficientNet", "test_efficientnet", LAPTOP),
    Family("MobileNetV3", "mobilenetv3_small_050", LAPTOP),
    Family("StarNet", "starnet_s050", LAPTOP),
)


def sections(effort: Effort) -> Iterator[Section]:
    """At 224 px with all threads, and at the laptop's setting with one."""
    small, large = AT_64[:2] if effort.quick else AT_64, () if effort.quick else AT_224
    with one_thread():
        laptop = measured("Auxiliary task at 64 px, one thread", small, 1.3, effort)
    yield laptop
    if large:
        yield measured("Auxiliary task at 224 px", large, 1.15, effort)


def measured(title: str, families: Sequence[Family], over_flops: float, effort: Effort) -> Section:
    """`over_flops`: how far the ratio of times may lie above that of operations."""
    rows: list[Row] = []
    table: list[Sequence[str]] = [HEADER]
    side = families[0].settings["data.image_size"]
    for family in families:
        name = f"{family.label}, {side} px"
        joint, supervised = family.trained(True), family.trained(False)
        drops = joint.learner.model.encoder.masking == "tokens"
        flops = joint.flops() / supervised.flops()
        work = {"joint": joint.step, "supervised": supervised.step, **_parts(joint)}
        times = interleaved(work, effort.seconds)
        rows.append(
            Row(
                f"{name}: joint / supervised",
                times.ratio("joint", "supervised"),
                Aim("at most", 1.5 if drops else 2.15),
            )
        )
        rows.append(
            Row(
                f"{name}: the same, of the ratio of FLOPs",
                times.ratio("joint", "supervised", 1 / flops),
                Aim("at most", over_flops),
            )
        )
        table.append(_line(name, times, flops, drops))
    return Section(title, PROSE, rows, table)


def _line(name: str, times: Times, flops: float, drops: bool) -> Sequence[str]:
    unit = times.median("supervised")
    joint = times.median("joint") / unit
    parts = [times.median(part) / unit for part in PARTS]
    masking = "" if drops else f"{parts[1] - parts[0]:.2f}"
    return (
        name,
        f"{joint:.2f}",
        f"{flops:.2f}",
        *(f"{part:.2f}" for part in parts),
        f"{joint - sum(parts):.2f}",
        masking,
    )


def _parts(trained: Trained) -> dict[str, Callable[[], object]]:
    """The parts of the step, each with its backward pass."""
    config, model, place = trained.config, trained.learner.model, device()
    encoder, decoder = model.encoder, model.decoder
    rows = DeviceRows.sent(trained.batch, trained.draws(), place)
    views: Views = make_views(config, encoder, rows.image, rows.draws)
    with torch.no_grad(), autocast(config, encoder.masking, place):
        latent = encoder.encode(views.masked, views.mask)
    given = latent._replace(features=latent.features.detach().requires_grad_())

    def clean() -> None:
        encoder.encode(views.classified).pooled.sum().backward()

    def masked() -> None:
        encoder.encode(views.masked, views.mask).features.sum().backward()

    def decoded() -> None:
        pred = decoder(given, views.mask)
        target_loss(pred, views.target, views.mask.hidden, config, encoder.unit).sum().backward()

    def texture() -> None:
        make_target(rows.image, config, encoder.unit, encoder.normalise)

    def alone(part: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            part()
            trained.learner.optimizer.zero_grad(set_to_none=True)
            given.features.grad = None

        return run

    return dict(zip(PARTS, map(alone, (clean, masked, decoded, texture)), strict=True))
