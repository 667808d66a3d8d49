"""How predictable a texture is from its place in the face and from what is visible around it, on the user's images.

An auxiliary task can teach an encoder no more than there is to be found out. A linear predictor finds out a lower bound
of it in seconds: the mean of the place, plus a ridge regression from the visible ones of the nearest patches. A network
finds more where there is more than lines; where even the place is no better than a constant guess, it seldom does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from lssat.config import Config
from lssat.errors import ConfigError
from lssat.inputs.mask_rule import mask_ratio
from lssat.inputs.masking import patchify, random_mask
from lssat.inputs.target import make_target
from lssat.inputs.texture import stream_image
from lssat.model.lssat import build_model
from search.space import drawable
from search.space.definition import Space

Images = npt.NDArray[np.uint8]
"""[N, H, W, 3]"""
TARGET_KEYS = (
    "streams",
    "auxiliary",
    "target.encoding",
    "target.norm_pix",
    "texture.lbp_method",
    "texture.lbp_points",
    "texture.lbp_radius",
    "texture.ldp_k",
    "texture.ldp_signed",
)
MOST_PATCHES = 12_000
MOST_NUMBERS = 8_000_000
"""Of the sample that is looked at: patches, and numbers of their targets."""
FEWEST_IMAGES = 32
PARTS = 8
"""Principal components of a patch, of what is seen and of the target, that the predictor reads."""
REACH = 2
"""Patches in each direction that it sees."""
RIDGES = (1.0, 30.0, 1000.0, 30_000.0)
CERTAIN = 0.01
"""Distance that a predicted probability keeps from 0 and 1; a frequency keeps a hundredth of it."""
LITTLE, SOME = 0.05, 0.2
"""Shares of the way from a constant guess to the target itself."""
NOTHING = 1e-9


@dataclass(frozen=True)
class Target:
    """What a space can have rebuilt: a name in words, a configuration, and the side of its patches in pixels."""

    name: str
    config: Config
    unit: int
    ratio: float


@dataclass(frozen=True)
class Payoff:
    """Losses of a target on hidden patches of some of so many images, which were not fitted: of a constant guess, of
    the place's mean, of the best linear prediction, and of the target itself (0 but for histograms).
    """

    target: Target
    images: int
    constant: float
    place: float
    predicted: float
    perfect: float

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to be told: the target is the same everywhere."""
        return self.constant - self.perfect <= NOTHING

    @property
    def of_constant(self) -> float:
        """The reconstruction loss in the units of docs/results.md."""
        return 1.0 if self.is_constant else self.predicted / self.constant

    @property
    def share(self) -> float:
        """Of the way from a constant guess to the target itself."""
        return 0.0 if self.is_constant else (self.constant - self.predicted) / (self.constant - self.perfect)

    @property
    def word(self) -> str:
        """What that is called."""
        if self.is_constant:
            return "the same everywhere: nothing to rebuild"
        if self.share < LITTLE:
            return "hardly predictable"
        return "a little predictable" if self.share < SOME else "predictable"


def targets(space: Space) -> list[Target]:
    """Each texture, encoding and size of patch that the space can draw, once; RGB beside a texture is that of RGB."""
    variants: dict[str, Config] = {}
    for sampled in drawable.combinations(space, TARGET_KEYS):
        try:
            config = space.config(sampled)
        except ConfigError:  # a combination that no trial can have
            continue
        if config.auxiliary:
            variants.setdefault(_name(config), config)
    found = []
    for unit, ratio in _units(space) if variants else []:
        found += [Target(name, config, unit, ratio) for name, config in variants.items()]
    return found


def measured(wanted: Sequence[Target], images: Images, seconds: float) -> list[Payoff]:
    """As many as there is time for, in order, the first at least."""
    until = time.monotonic() + seconds
    found: list[Payoff] = []
    for target in wanted:
        if not found or time.monotonic() < until:
            found.append(payoff(target, images))
    return found


@torch.no_grad()
def payoff(target: Target, images: Images) -> Payoff:
    """Measured on three fifths, chosen on a fifth, told of the last fifth of the images."""
    config, unit = target.config, target.unit
    pictures = _pictures(images[: _num_images(images, target)])
    goal = make_target(pictures, config, unit, lambda image: image).float()
    seen = patchify(stream_image(pictures, config.masked_stream, config.texture), unit).float()
    generator = torch.Generator().manual_seed(0)
    hidden = random_mask(torch.rand(goal.shape[:2], generator=generator), target.ratio).hidden
    ends = [len(goal) * 3 // 5, len(goal) * 4 // 5]
    fitted, chosen, told = (slice(0, ends[0]), slice(*ends), slice(ends[1], None))
    constant, place = goal[fitted].mean((0, 1)), goal[fitted].mean(0)
    clues = _clues(seen, goal, hidden, fitted)
    weights = _ridges(clues[fitted][hidden[fitted]], (goal - place)[fitted][hidden[fitted]])

    def loss(prediction: Tensor, part: slice) -> float:
        return _loss(prediction.expand_as(goal)[part][hidden[part]], goal[part][hidden[part]], config)

    def predicted(weight: Tensor, part: slice) -> float:
        guess = place.expand_as(goal)[part][hidden[part]] + clues[part][hidden[part]] @ weight
        return _loss(guess, goal[part][hidden[part]], config)

    best = min(weights, key=lambda weight: predicted(weight, chosen))
    is_better = predicted(best, chosen) < loss(place, chosen)
    of_place = loss(place, told)
    linear = predicted(best, told) if is_better else of_place
    return Payoff(target, len(goal), loss(constant, told), of_place, linear, loss(goal, told))


def _num_images(images: Images, target: Target) -> int:
    one = make_target(_pictures(images[:1]), target.config, target.unit, lambda image: image)
    return max(FEWEST_IMAGES, min(MOST_PATCHES // one.shape[1], MOST_NUMBERS // one.numel()))


def _pictures(images: Images) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def _loss(prediction: Tensor, goal: Tensor, config: Config) -> float:
    """That of `reconstruction_loss`, of numbers, probabilities or frequencies."""
    encoding = "scaled" if config.target_stream == "RGB" else config.target.encoding
    if encoding == "scaled":
        return float((prediction - goal).square().mean())
    if encoding == "bits":
        if torch.equal(prediction, goal):
            return 0.0
        return float(F.binary_cross_entropy(prediction.clamp(CERTAIN, 1 - CERTAIN), goal))
    frequency = prediction.clamp(min=CERTAIN / 100)
    frequency = frequency / frequency.sum(-1, keepdim=True)
    if torch.equal(prediction, goal):
        frequency = goal.clamp(min=1e-12)
    return float(-(goal * frequency.log()).sum(-1).mean())


def _clues(seen: Tensor, goal: Tensor, hidden: Tensor, fitted: slice) -> Tensor:
    """What is visible around each patch [N, L, D]: components of the patches near it, less what is usual there, 0 where
    hidden; which are visible; and the mean over all visible ones.
    """
    parts = torch.cat([_components(seen, fitted), _components(goal, fitted)], dim=-1)
    parts = parts - parts[fitted].mean(0)
    visible = (~hidden).float()[..., None]
    known = torch.cat([parts * visible, visible], dim=-1)
    count, side = len(known), int(known.shape[1] ** 0.5)
    grid = known.view(count, side, side, -1).permute(0, 3, 1, 2)
    around = F.unfold(F.pad(grid, [REACH] * 4), 2 * REACH + 1)  # zeros beyond the border
    mean = (parts * visible).sum(1) / visible.sum(1)
    whole = mean[:, None].expand(-1, known.shape[1], -1)
    ones = torch.ones(*known.shape[:2], 1)
    return torch.cat([around.transpose(1, 2), whole, ones], dim=-1)


def _components(patches: Tensor, fitted: slice) -> Tensor:
    """The first principal components of patches, of equal variance at most 1."""
    flat = patches[fitted].flatten(0, 1)
    centre, count = flat.mean(0), min(PARTS, flat.shape[1])
    spread: Tensor
    _, spread, axes = torch.svd_lowrank(flat - centre, q=count)
    largest = spread.max().clamp(min=NOTHING**0.5) / len(flat) ** 0.5
    components: Tensor = (patches - centre) @ (axes / largest)
    return components


def _ridges(clues: Tensor, rest: Tensor) -> list[Tensor]:
    """The weights of each strength of the ridge."""
    gram, cross = clues.T @ clues, clues.T @ rest
    return [torch.linalg.solve(gram + ridge * torch.eye(len(gram)), cross) for ridge in RIDGES]


def _units(space: Space) -> list[tuple[int, float]]:
    """Each size of patch with the share that is hidden, small ones first."""
    found: dict[int, float] = {}
    for config, ratios in drawable.backbones(space):
        if ratios:
            with torch.device("meta"):
                encoder = build_model(config, 2, trained=True).encoder
            asked = None if None in ratios else sum(map(float, ratios)) / len(ratios)  # type: ignore[arg-type]
            found.setdefault(encoder.unit, mask_ratio(asked, encoder.masking))
    return sorted(found.items())


def _name(config: Config) -> str:
    """A target in words: `LDP bits`, `LBP uniform histogram`, `RGB norm_pix`."""
    stream, texture = config.target_stream, config.texture
    details = {
        "LBP": [
            *([texture.lbp_method] if texture.lbp_method != "default" else []),
            *([f"{texture.lbp_points} points"] if texture.lbp_points != 8 else []),
            *([f"radius {texture.lbp_radius:g}"] if texture.lbp_radius != 1 else []),
        ],
        "LDP": [
            *([f"k {texture.ldp_k}"] if texture.ldp_k != 3 else []),
            *(["signed"] if texture.ldp_signed else []),
        ],
    }.get(stream, [])
    encoding = [] if stream == "RGB" else [config.target.encoding]
    seen = [] if config.masked_stream == "RGB" else [f"from {config.masked_stream}"]
    return " ".join([stream, *details, *encoding, *(["norm_pix"] if config.target.norm_pix else []), *seen])
