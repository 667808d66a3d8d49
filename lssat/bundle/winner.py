"""A winner that answers: labels and probabilities, features, and the texture that it rebuilds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lssat.bundle.images import ImageLike, Images, as_prepared, each_image, pixels_of_tensor
from lssat.bundle.opening import Bundle, open_bundle
from lssat.data.images import UnusableImage
from lssat.data.parallel import chunks, in_threads
from lssat.data.pictures import refuse_bombs
from lssat.data.prepare.asked import Asked, Faces, differences, open_asked
from lssat.errors import ConfigError
from lssat.evaluation.probability import probabilities
from lssat.inputs.sending import sent
from lssat.inputs.texture import stream_image
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.precision import autocast
from lssat.train.reconstruction_panel import rebuild

if TYPE_CHECKING:
    from lssat.evaluation.metrics import Array  # with scikit-learn behind it, which takes seconds to import


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
        pixels = np.require(pixels, requirements="W")  # a photo's may be read-only, which torch warns of
        return sent(torch.from_numpy(pixels), self.device).permute(0, 3, 1, 2).float() / 255

    def _batches(self, images: Images) -> Iterator[npt.NDArray[np.uint8]]:
        is_empty = True
        with refuse_bombs():
            for some in chunks(in_threads(self._prepared, each_image(images), self.batch_size), self.batch_size):
                yield np.stack(some)
                is_empty = False
        if is_empty:
            raise UnusableImage("no images were given")

    def _prepared(self, image: ImageLike) -> npt.NDArray[np.uint8]:
        if isinstance(image, str | Path):
            try:
                frames = self.open(Path(image)).images
            except UnusableImage as reason:
                raise UnusableImage(f"`{image}`: {reason}") from None
            if len(frames) != 1:
                raise UnusableImage(f"`{image}` is a video; `python -m lssat.predict` answers about videos")
            (only,) = frames
            return np.asarray(only)
        return as_prepared(image, self.bundle.config.data.image_size)

    @torch.inference_mode()
    def _reconstruct(self, pixels: npt.NDArray[np.uint8], generator: torch.Generator) -> Reconstruction:
        rebuilt = rebuild(self.bundle.config, self._model, self._image(pixels), generator)
        return Reconstruction(*map(pixels_of_tensor, rebuilt))


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
