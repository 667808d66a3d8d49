"""What textures cost on one thread: beside scikit-image, beside what they were, and as a share of a joint step.
`make bench`; `rows` is for whoever writes the figures down.
"""

import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.feature import local_binary_pattern

from lssat.config import build
from lssat.data.prepared.rows import Batch
from lssat.inputs.texture import TEXTURES, grey
from lssat.model.lssat import build_model
from lssat.settings.texture import TextureConfig
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.step import StepContext, train_step
from tests.lssat.inputs.texture_before import grey_before, lbp_before, ldp_before

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 31
ROUNDS_OF_STEPS = 7
LAPTOP = {
    "backbone.family": "vit",
    "backbone.size": "atto",
    "backbone.patch_size": 8,
    "data.image_size": 64,
    "masking.unit": 16,
    "optim.batch_size": 32,
    "augment.crop_scale": 0.9,
}
VIT_S = {
    "backbone.name": "vit_small_patch16_224",
    "data.image_size": 224,
    "masking.unit": 16,
    "optim.batch_size": 4,
    "decoder.dim": 128,
    "decoder.depth": 2,
    "decoder.num_heads": 16,
}
pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1800)]


class Row(NamedTuple):
    """A ratio of medians, where it should be, and its quartiles from round to round."""

    name: str
    ratio: float
    aim: tuple[Literal["at least", "at most"], float]
    low: float
    high: float

    @property
    def holds(self):
        kind, value = self.aim
        return self.ratio >= value if kind == "at least" else self.ratio <= value


def test_textures_are_fast_and_a_small_share_of_a_step():
    """In a process of its own: in this one the package's shapes are checked at every call, which takes time."""
    program = (
        "import sys, pickle; from tests.benchmarks.test_texture import rows; pickle.dump(rows(), sys.stdout.buffer)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found = pickle.loads(done.stdout)
    print("\n\n| | ratio | quartiles | aim |\n|---|---|---|---|")
    for row in found:
        print(f"| {row.name} | {row.ratio:.3g} | {row.low:.3g} to {row.high:.3g} | {row.aim[0]} {row.aim[1]:g} |")
    assert [row.name for row in found if not row.holds] == []


def rows():
    """All of them; about a minute. A line of milliseconds is printed for each size; aims are for 224 px."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = _beside_others(16, 224)
        _beside_others(32, 64)
        return [
            _row("scikit-image / LBP", seconds["scikit-image"], seconds["LBP"], ("at least", 10)),
            _row("LBP before / LBP", seconds["LBP before"], seconds["LBP"], ("at least", 1)),
            _row("LDP before / LDP", seconds["LDP before"], seconds["LDP"], ("at least", 4)),
            *_shares("laptop", LAPTOP),
            *_shares("ViT-S", VIT_S),
        ]
    finally:
        torch.set_num_threads(threads)


def _beside_others(batch, side):
    """Seconds for the same pictures, half of them noise and half blurred. scikit-image is handed grey levels; ours,
    before and now, make them of RGB.
    """
    image, config = _pictures(batch, side), TextureConfig()
    levels = grey(image).numpy()
    assert (TEXTURES["LBP"](image, config)[:, 0].numpy() == _of_scikit_image(levels)).all()
    assert torch.equal(TEXTURES["LDP"](image, config)[:, 0], ldp_before(grey_before(image)))
    seconds = _interleaved(
        {
            "scikit-image": lambda: _of_scikit_image(levels),
            "LBP before": lambda: lbp_before(grey_before(image)),
            "LBP": lambda: TEXTURES["LBP"](image, config),
            "LDP before": lambda: ldp_before(grey_before(image)),
            "LDP": lambda: TEXTURES["LDP"](image, config),
        },
        ROUNDS,
    )
    each = ", ".join(f"{name} {1e3 * np.median(all_of_it) / batch:.3f}" for name, all_of_it in seconds.items())
    print(f"{batch} images of {side} px, ms an image: {each}", file=sys.stderr)
    return seconds


def _of_scikit_image(levels):
    return np.stack([local_binary_pattern(image, 8, 1.0) for image in levels])


def _shares(name, settings):
    found = []
    for texture in ("LBP", "LDP"):
        config = build({**settings, "streams": f"MRGB/R{texture}/CRGB"})
        image = _pictures(config.optim.batch_size, config.data.image_size)
        work = {"texture": lambda: TEXTURES[texture](image, config.texture), "step": _joint_step(config, image)}  # noqa: B023
        seconds = _interleaved(work, ROUNDS_OF_STEPS)
        found.append(_row(f"{texture} / joint step, {name}", seconds["texture"], seconds["step"], ("at most", 0.03)))
    return found


def _joint_step(config, image):
    """Of training, without the optimiser."""
    torch.manual_seed(0)
    model, size = build_model(config, 8), config.optim.batch_size
    pixels = (image * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    batch = Batch(pixels, np.arange(size) % 8, np.arange(size), size=size)
    context = StepContext.of(
        config, Task("emotion", "multiclass", tuple("abcdefgh"), (8,) * 8, 64), Distributed(torch.device("cpu"))
    )

    def step():
        model.zero_grad()
        train_step(context, model, batch, torch.Generator().manual_seed(0), num_micro_batches=1)

    return step


def _pictures(batch, side):
    noise = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side)).astype(np.float32)
    noise[::2] = np.rint(gaussian_filter(noise[::2], (0, 0, 2, 2)))
    return torch.from_numpy(noise) / 255


def _interleaved(work, rounds):
    """Seconds that the processor works on each, round by round: others who use the machine are not counted. Each is
    done twice, and the second counts, so that none pays for memory that the one before it gave back.
    """
    seconds = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            run()
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    return {name: np.array(each) for name, each in seconds.items()}


def _row(name, above, below, aim):
    low, high = np.quantile(above / below, (0.25, 0.75))
    return Row(name, float(np.median(above) / np.median(below)), aim, float(low), float(high))
