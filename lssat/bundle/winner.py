"""A winner that answers: labels and probabilities, features, and the texture that it rebuilds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from lssat.bundle.opening import Bundle, open_bundle
from lssat.config import ConfigError
from lssat.data.images import UnusableImage
from lssat.data.parallel import chunks, in_threads
from lssat.data.pictures import convert_picture, refuse_bombs
from lssat.data.prepare.asked import Asked, Faces, differences, open_asked
from lssat.data.prepared.decoding import resized
from lssat.evaluation.probability import probabilities
from lssat.inputs.masking import pixel_mask, random_mask
from lssat.inputs.sending import sent
from lssat.inputs.target import make_target, target_picture
from lssat.inputs.texture import stream_image
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.precision import autocast

if TYPE_CHECKING:
    from lssat.evaluation.metrics import Array  # with scikit-learn behind it, which takes seconds to import

ImageLike: TypeAlias = "str | Path | Image.Image | npt.NDArray[np.generic] | Tensor"
"""A path (faces are found as in training), a picture, an array [H, W, 3] or a tensor [3, H, W]; bytes, or floats from 0
to 1. All but paths are taken as they are, faces cut out already.
"""
Images: TypeAlias = "ImageLike | Iterable[ImageLike]"
"""One, several, or arrays [N, H, W, 3] and tensors [N, 3, H, W]."""


class Prediction(NamedTuple):
    """`labels`: a class of each image, or of a multi-label task the tuple of labels that hold. `probability`: [N, K],
    calibrated, a column for each of `classes`. `logits`: as the head gives them.
    """

    labels: list[str] | list[tuple[str, ...]]
    probability: Array
    classes: tuple[str, ...]
    logits: Array


class Reconstruction(NamedTuple):
    """uint8 [N, S, S, 3] each: what the encoder saw, what was to be rebuilt, and what it rebuilt where it saw
    nothing.
    """

    masked: npt.NDArray[np.uint8]
    target: npt.NDArray[np.uint8]
    rebuilt: npt.NDArray[np.uint8]


class Seen(NamedTuple):
    """What one pass over images gives: logits [N, K], features [N, D]."""

    logits: Array
    features: Array


def load(bundle: str | Path, device: str | torch.device | None = None, batch_size: int = 64) -> Winner:
    """The winner in a folder `best/`. `device`: a GPU where there is one, else the CPU. Raises ConfigError."""
    if batch_size < 1:
        raise ConfigError(f"`batch_size >= 1` must hold, but got {batch_size}")
    return Winner(open_bundle(Path(bundle)), _usable(device), batch_size)


class Winner:
    """A trained model, on a device. Images go through it `batch_size` at a time; the next ones are opened meanwhile."""

    def __init__(self, bundle: Bundle, device: torch.device, batch_size: int) -> None:
        self.bundle = bundle
        self.device = device
        self.batch_size = batch_size
        self.faces = Faces(**{name: bundle.faces[name] for name in Faces._fields if name in bundle.faces})
        self._model = bundle.model.to(device).eval()

    @property
    def task(self) -> Task:
        """What it tells apart."""
        return self.bundle.task

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the bundle's versions, and of how pictures are opened."""
        return (*self.bundle.notes, *differences(self.bundle.faces))

    def predict(self, images: Images) -> Prediction:
        """Label and calibrated probability of each image. Raises UnusableImage."""
        return self.answer(np.concatenate([self.see(batch).logits for batch in self._batches(images)]))

    def embed(self, images: Images) -> Array:
        """[N, D]: what timm's encoder gives, before the head. Raises UnusableImage."""
        return np.concatenate([self.see(batch).features for batch in self._batches(images)])

    def reconstruct(self, images: Images, seed: int = 0) -> Reconstruction:
        """The texture behind a random mask that `seed` draws. Raises UnusableImage, and ConfigError of a model that
        was trained without the auxiliary task.
        """
        if not self.bundle.config.trains_auxiliary:
            raise ConfigError("this winner was trained without the auxiliary task, so it rebuilds nothing")
        generator = torch.Generator().manual_seed(seed)
        parts = [self._reconstruct(batch, generator) for batch in self._batches(images)]
        return Reconstruction(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    @torch.inference_mode()
    def see(self, pixels: npt.NDArray[np.uint8]) -> Seen:
        """Of images as they were prepared, uint8 [N, S, S, 3], in one batch."""
        config, model = self.bundle.config, self._model
        image = stream_image(self._image(pixels), config.classified_stream, config.texture)
        with autocast(config, model.encoder.masking, self.device):
            output = model(image)
        return Seen(output.logits.float().cpu().numpy(), output.pooled.float().cpu().numpy())

    def answer(self, logits: Array) -> Prediction:
        """What logits say."""
        task = self.task
        probability = probabilities(task.kind, logits, self.bundle.temperature)
        return Prediction(labels_of(task, probability), probability, task.classes, logits)

    def open(self, path: Path) -> Asked:
        """The images of a file as they were prepared for training: of a video, its frames. To be called inside
        `refuse_bombs`. Raises UnusableImage.
        """
        return open_asked(path, self.faces, self.bundle.config.data.image_size)

    def _image(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        return sent(torch.from_numpy(pixels), self.device).permute(0, 3, 1, 2).float() / 255

    def _batches(self, images: Images) -> Iterator[npt.NDArray[np.uint8]]:
        is_empty = True
        with refuse_bombs():
            for some in chunks(in_threads(self._prepared, _each(images), self.batch_size), self.batch_size):
                yield np.stack(some)
                is_empty = False
        if is_empty:
            raise UnusableImage("no images were given")

    def _prepared(self, image: ImageLike) -> npt.NDArray[np.uint8]:
        size = self.bundle.config.data.image_size
        if isinstance(image, str | Path):
            try:
                frames = self.open(Path(image)).images
            except UnusableImage as reason:
                raise UnusableImage(f"`{image}`: {reason}") from None
            if len(frames) != 1:
                raise UnusableImage(f"`{image}` is a video; `python -m lssat.predict` answers about videos")
            (only,) = frames
            return np.asarray(only)
        if isinstance(image, Image.Image):
            return resized(image, size)
        return resized(Image.fromarray(_bytes(image)), size)

    @torch.inference_mode()
    def _reconstruct(self, pixels: npt.NDArray[np.uint8], generator: torch.Generator) -> tuple[Array, Array, Array]:
        config, encoder = self.bundle.config, self._model.encoder
        image = self._image(pixels)
        noise = torch.rand(len(image), encoder.num_cells, generator=generator)
        mask = random_mask(sent(noise, self.device), encoder.ratio(config.masking.ratio))
        masked = stream_image(image, config.masked_stream, config.texture)
        pred = self._model(stream_image(image, config.classified_stream, config.texture), masked, mask).pred
        hidden = pixel_mask(mask.hidden, encoder.grid, (image.shape[2], image.shape[3]))
        target = make_target(image, config, encoder.unit, encoder.normalise)
        wanted = target_picture(target, config, encoder.unit, encoder.denormalise)
        guessed = target_picture(pred.float(), config, encoder.unit, encoder.denormalise, is_pred=True)
        seen = torch.where(hidden, torch.full_like(masked, 0.5), masked)
        rebuilt = torch.where(hidden, guessed, wanted)
        return _pixels(seen), _pixels(wanted), _pixels(rebuilt)


def labels_of(task: Task, probability: Array) -> list[str] | list[tuple[str, ...]]:
    """The likeliest class of each row, or all labels that are likelier than not."""
    if task.kind == "multilabel":
        return [tuple(name for name, p in zip(task.classes, row, strict=True) if p > 0.5) for row in probability]
    return [task.classes[index] for index in probability.argmax(1)]


def _usable(device: str | torch.device | None) -> torch.device:
    """Raises ConfigError where this machine has no such device."""
    if device is None:
        return Distributed.alone().device
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:  # of torch without CUDA
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"`device` {str(device)!r} cannot be used here ({reason}); leave it out, or give `cpu`"
        ) from None


def _each(images: Images) -> Iterator[ImageLike]:
    """One by one. Pictures are converted here: the caller's may not be opened by several threads. Raises
    UnusableImage.
    """
    for image in _several(images):
        yield convert_picture(image).picture if isinstance(image, Image.Image) else image


def _several(images: Images) -> Iterable[ImageLike]:
    if isinstance(images, str | Path | Image.Image):
        return [images]
    if isinstance(images, np.ndarray | Tensor) and images.ndim == 3:
        return [images]
    return images


def _bytes(image: npt.NDArray[np.generic] | Tensor) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3]. Raises UnusableImage."""
    shape = tuple(image.shape)
    if isinstance(image, Tensor):
        image = image.detach().cpu().movedim(0, -1).numpy() if image.ndim == 3 else image.numpy()
    if image.ndim != 3 or image.shape[2] != 3:
        raise UnusableImage(f"arrays must be [H, W, 3] and tensors [3, H, W], but got {list(shape)}")
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    values = image.astype(np.float64)
    if image.dtype.kind != "f" or not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise UnusableImage(f"pixels must be uint8, or floats from 0 to 1, but got {image.dtype} beyond that")
    return (values * 255).round().astype(np.uint8)


def _pixels(images: Tensor) -> npt.NDArray[np.uint8]:
    """[N, C, S, S] in [0, 1] -> uint8 [N, S, S, 3]."""
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    return pixels.expand(*pixels.shape[:3], 3).cpu().numpy()
