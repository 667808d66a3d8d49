"""Images as a program holds them -> the pixels that a winner takes, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from lssat.data.images import UnusableImage
from lssat.data.pictures import convert_picture
from lssat.data.prepared.decoding import resized

ImageLike: TypeAlias = "str | Path | Image.Image | npt.NDArray[np.generic] | Tensor"
"""A path (faces are found as in training), a picture, an array [H, W, 3] or a tensor [3, H, W]; bytes, or floats from 0
to 1. All but paths are taken as they are, faces cut out already.
"""
Images: TypeAlias = "ImageLike | Iterable[ImageLike]"
"""One, several, or arrays [N, H, W, 3] and tensors [N, 3, H, W]."""


def each_image(images: Images) -> Iterator[ImageLike]:
    """One by one. Pictures are converted here: the caller's may not be opened by several threads. Raises
    UnusableImage.
    """
    for image in _several(images):
        yield convert_picture(image).picture if isinstance(image, Image.Image) else image


def _several(images: Images) -> Iterable[ImageLike]:
    if isinstance(images, str | Path | Image.Image) or not isinstance(images, Iterable):
        return [images]
    if isinstance(images, np.ndarray | Tensor) and images.ndim < 4:
        return [images]
    return images


def as_prepared(image: Image.Image | npt.NDArray[np.generic] | Tensor, size: int) -> npt.NDArray[np.uint8]:
    """uint8 [size, size, 3]. Raises UnusableImage."""
    return resized(image if isinstance(image, Image.Image) else Image.fromarray(_bytes(image)), size)


def _bytes(image: npt.NDArray[np.generic] | Tensor) -> npt.NDArray[np.uint8]:
    """uint8 [H, W, 3]. Raises UnusableImage."""
    if not isinstance(image, np.ndarray | Tensor):
        raise UnusableImage(f"images must be paths, pictures, arrays or tensors, but got {type(image).__name__}")
    shape = list(image.shape)
    if len(shape) != 3 or shape[0 if isinstance(image, Tensor) else 2] != 3 or 0 in shape:
        raise UnusableImage(f"arrays must be [H, W, 3] and tensors [3, H, W], but got {shape}")
    kind = image.dtype
    if isinstance(image, Tensor):
        image = image.detach().cpu().movedim(0, -1)
        image = (image.float() if image.is_floating_point() else image).numpy()  # NumPy has no bfloat16
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if image.dtype.kind != "f" or not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
        raise UnusableImage(f"pixels must be uint8, or floats from 0 to 1, but got {kind} beyond that")
    return (image.astype(np.float64) * 255).round().astype(np.uint8)


def pixels_of_tensor(images: Tensor) -> npt.NDArray[np.uint8]:
    """[N, C, S, S] in [0, 1] -> uint8 [N, S, S, 3]."""
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    return pixels.expand(*pixels.shape[:3], 3).cpu().numpy()
