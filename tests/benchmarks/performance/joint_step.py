"""The joint step of ViTs at 224 px: against the published step, and against this machine's matrix products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from tests.benchmarks.performance.machine import device, has_bfloat16, peak
from tests.benchmarks.performance.reference import Reference
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import Times, interleaved
from tests.benchmarks.performance.trained import Trained

LIGHT = {"decoder.dim": 128, "decoder.depth": 2, "decoder.num_heads": 16}
HEAVY = {"decoder.dim": 512, "decoder.depth": 8, "decoder.num_heads": 16}
PLAIN: dict[str, Any] = {
    "data.image_size": 224,
    "masking.ratio": 0.75,
    "augment.flip": False,
    "augment.crop_scale": 1.0,
    "augment.color": 0.0,
    "optim.clip_norm": 1e6,  # gradients are measured and stay as they are: the reference clips nothing
    "optim.lr": 1e-4,
}
STEPS_CHECKED = 3
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.02}
BATCH_ON_GPU = 64


class Vit(NamedTuple):
    """A transformer with its published decoder. `batch`: rows on a CPU, so that a round takes some seconds."""

    label: str
    name: str
    decoder: dict[str, int]
    batch: int
    aim: float
    """Share of the float32 peak."""

    def settings(self, precision: str) -> dict[str, Any]:
        rows = BATCH_ON_GPU if device().type == "cuda" else self.batch
        own = {"backbone.name": self.name, "optim.batch_size": rows, "optim.precision": precision}
        return {**PLAIN, **self.decoder, **own}


VITS = (
    Vit("ViT-T", "vit_tiny_patch16_224", LIGHT, 16, 0.75),
    Vit("ViT-S", "vit_small_patch16_224", LIGHT, 8, 0.8),
    Vit("ViT-B", "vit_base_patch16_224", HEAVY, 4, 0.9),
)
HEADER = ("step", "images/s", "reference", "without optimiser", "GFLOP an image", "TFLOP/s", "peak", "losses differ by")
PROSE = (
    "Our whole step (views, texture, both passes, clipping, AdamW) against the published one in eager float32 with "
    "naive attention, whose texture is made beforehand: `tests/benchmarks/performance/reference.py`. The first three "
    "losses of both, from the same weights, masks and pictures, must agree, or the bench fails. The peak is this "
    "machine's own, the fastest of some matrix products, timed between the steps."
)


class UnequalLosses(RuntimeError):
    """Our step computes something else than the reference."""


def sections(effort: Effort) -> Iterator[Section]:
    """In float32, and in bfloat16 where the hardware has it."""
    vits = VITS[:1] if effort.quick else VITS
    title = "Joint step in {}"
    yield _section(title.format("float32"), vits, "float32", effort)
    if has_bfloat16():
        yield _section(title.format("bfloat16"), vits, "bfloat16", effort)
    else:
        yield Section(title.format("bfloat16"), "", not_measured="this processor has no bfloat16")


def check_losses(settings: dict[str, Any], tolerance: float) -> float:
    """The largest relative difference of the first losses. Raises UnequalLosses beyond the tolerance."""
    ours = Trained.of(settings)
    reference, worst = Reference(ours), 0.0
    for _ in range(STEPS_CHECKED):
        task, reconstruction, rows = (value.item() for value in ours.step())
        pairs = zip((task / rows, reconstruction / rows), reference.step(), strict=True)
        worst = max(worst, *(abs(our / their.item() - 1) for our, their in pairs))
    if worst > tolerance:
        raise UnequalLosses(f"{settings['backbone.name']}: losses differ by {worst:.2g}, more than {tolerance:g}")
    return worst


def _section(title: str, vits: Sequence[Vit], precision: str, effort: Effort) -> Section:
    rows: list[Row] = []
    table: list[Sequence[str]] = [HEADER]
    for vit in vits:
        own, line = measured(vit, precision, effort.seconds)
        rows += own
        table.append(line)
    return Section(title, PROSE, rows, table)


def measured(vit: Vit, precision: str, seconds: float) -> tuple[list[Row], Sequence[str]]:
    """The rows of one transformer, and its line of the table. Raises UnequalLosses."""
    settings = vit.settings(precision)
    difference = check_losses(settings, TOLERANCE[precision])
    ours = Trained.of(settings)
    reference, product = Reference(ours), peak(getattr(torch, precision))
    flops = ours.flops()
    work = {
        "step": ours.step,
        "reference": reference.step,
        "without optimiser": ours.gradients,
        "product": product.run,
    }
    times = interleaved(work, seconds)
    aim = Aim("at least", vit.aim if precision == "float32" else 0.4)
    faster = Aim("at least", 1.0 if precision == "float32" else 4.0)
    share = flops / product.flops
    name = f"{vit.label}, {precision}"
    rows = [
        Row(f"{name}: images/s, of the reference's", times.ratio("reference", "step"), faster),
        Row(f"{name}: share of the peak", times.ratio("product", "step", share), aim),
        Row(f"{name}: share of the peak, no optimiser", times.ratio("product", "without optimiser", share), aim),
    ]
    return rows, _line(name, times, settings["optim.batch_size"], (flops, product.flops, difference))


def _line(name: str, times: Times, batch: int, counted: tuple[float, float, float]) -> Sequence[str]:
    flops, product_flops, difference = counted
    speeds = [batch / times.median(each) for each in ("step", "reference", "without optimiser")]
    tera = [flops / times.median("step") / 1e12, product_flops / times.median("product") / 1e12]
    return (
        name,
        *(f"{speed:.3g}" for speed in speeds),
        f"{flops / batch / 1e9:.3g}",
        *(f"{speed:.3f}" for speed in tera),
        f"{difference:.1g}",
    )
