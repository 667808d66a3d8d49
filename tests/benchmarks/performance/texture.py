"""What textures cost on one thread: beside scikit-image, beside what they were, and as a share of a joint step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import gaussian_filter
from skimage.feature import local_binary_pattern
from torch import Tensor

from lssat.inputs.texture import TEXTURES, grey
from lssat.settings.texture import TextureConfig
from tests.benchmarks.performance.joint_step import LIGHT
from tests.benchmarks.performance.machine import one_thread
from tests.benchmarks.performance.rows import Aim, Effort, Row, Section
from tests.benchmarks.performance.timing import Times, interleaved
from tests.benchmarks.performance.trained import Trained
from tests.lssat.inputs.texture_before import grey_before, lbp_before, ldp_before

LAPTOP: dict[str, Any] = {
    "backbone.family": "vit",
    "backbone.size": "atto",
    "backbone.patch_size": 8,
    "data.image_size": 64,
    "masking.unit": 16,
    "optim.batch_size": 32,
    "augment.crop_scale": 0.9,
}
VIT_S: dict[str, Any] = {
    "backbone.name": "vit_small_patch16_224",
    "data.image_size": 224,
    "masking.unit": 16,
    "optim.batch_size": 4,
    **LIGHT,
}
SETTINGS = (("laptop", LAPTOP), ("ViT-S", VIT_S))
SIZES = ((16, 224), (32, 64))
"""Pictures and their side; the aims are for the first."""
AIMS = (("scikit-image", "LBP", 10), ("LBP before", "LBP", 1), ("LDP before", "LDP", 4))
NAMES = ("scikit-image", "LBP before", "LBP", "LDP before", "LDP")
PROSE = (
    "On one thread, of the same pictures, half of them noise and half blurred; each map must equal that of the slower "
    "code, or the bench fails. scikit-image is handed grey levels, the others make them of RGB. `before`: the same "
    "texture as it was first written, `tests/lssat/inputs/texture_before.py`. Each is done twice and the second time "
    "counts. The table: milliseconds an image."
)


class UnequalMaps(RuntimeError):
    """Ours is another texture than what it is compared with."""


def sections(effort: Effort) -> Iterator[Section]:
    """One; a quick look leaves out the size that no aim is for, and the larger network."""
    some = slice(0, 1) if effort.quick else slice(None)
    with one_thread():
        section = _section(SIZES[some], SETTINGS[some], effort.seconds)
    yield section


def _section(
    sizes: Sequence[tuple[int, int]], settings: Sequence[tuple[str, dict[str, Any]]], seconds: float
) -> Section:
    rows: list[Row] = []
    table: list[Sequence[str]] = [("pictures", *NAMES)]
    for batch, side in sizes:
        times = beside_others(batch, side, seconds)
        each = (f"{1e3 * times.median(name) / batch:.3f}" for name in NAMES)
        table.append((f"{batch} of {side} px", *each))
        if (batch, side) == sizes[0]:
            rows += [
                Row(f"{above} / {below}", times.ratio(above, below), Aim("at least", aim)) for above, below, aim in AIMS
            ]
    for name, own in settings:
        rows += [shares(texture, name, own, seconds) for texture in ("LBP", "LDP")]
    return Section("Texture", PROSE, rows, table)


def beside_others(batch: int, side: int, seconds: float) -> Times:
    """Seconds for one batch. Raises UnequalMaps."""
    image, config = _pictures(batch, side), TextureConfig()
    levels = grey(image).numpy()
    work: dict[str, Callable[[], Any]] = {
        "scikit-image": lambda: np.stack([local_binary_pattern(each, 8, 1.0) for each in levels]),
        "LBP before": lambda: lbp_before(grey_before(image)),
        "LBP": lambda: TEXTURES["LBP"](image, config),
        "LDP before": lambda: ldp_before(grey_before(image)),
        "LDP": lambda: TEXTURES["LDP"](image, config),
    }
    _check(work["LBP"](), work["scikit-image"]())
    _check(work["LDP"](), work["LDP before"]().numpy())
    return interleaved(work, seconds, twice=True)


def shares(texture: str, name: str, settings: dict[str, Any], seconds: float) -> Row:
    """Of a texture in the joint step, without the optimiser."""
    trained = Trained.of({**settings, "streams": f"MRGB/R{texture}/CRGB"})
    config = trained.config
    image = _pictures(config.optim.batch_size, config.data.image_size)
    work = {"texture": lambda: TEXTURES[texture](image, config.texture), "step": trained.gradients}
    times = interleaved(work, seconds, twice=True)
    return Row(f"{texture} / joint step, {name}", times.ratio("texture", "step"), Aim("at most", 0.03))


def _check(ours: Tensor, other: npt.NDArray[Any]) -> None:
    if not (ours[:, 0].numpy() == other).all():
        raise UnequalMaps("a texture map differs from that of the slower code")


def _pictures(batch: int, side: int) -> Tensor:
    noise = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side)).astype(np.float32)
    noise[::2] = np.rint(gaussian_filter(noise[::2], (0, 0, 2, 2)))
    return torch.from_numpy(noise) / 255
