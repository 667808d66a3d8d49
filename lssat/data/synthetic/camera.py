"""What a camera and a file do to a rendered face: exposure, sampling, blur, grain, JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from lssat.data.synthetic.canvas import Map


def capture(rgb: Map, size: int, rng: np.random.Generator) -> Map:
    """Exposure, contrast and saturation, then sampling to `size` pixels. [S, S, 3] -> [size, size, 3] in [0, 1]."""
    grey = rgb.mean(axis=2, keepdims=True)
    picture = grey + (rgb - grey) * np.float32(rng.uniform(0.75, 1.15))
    picture = (picture - 0.45) * np.float32(rng.uniform(0.85, 1.2)) + 0.45 + np.float32(rng.normal(0.0, 0.04))
    picture = resize(picture, size)
    return np.clip(picture, 0.0, 1.0)


def add_blur_and_grain(picture: Map, rng: np.random.Generator) -> Map:
    """What optics and sensor do. [size, size, 3] in [0, 1]."""
    blur = rng.uniform(0.0, 0.5)
    if blur > 0.3:
        picture = gaussian_filter(picture, (blur, blur, 0.0))
    grain = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(0.004, 0.02))
    return np.clip(picture + grain, 0.0, 1.0)


def encode(picture: Map, quality: int) -> bytes:
    """JPEG bytes of a picture in [0, 1]."""
    file = io.BytesIO()
    Image.fromarray((picture * 255.0 + 0.5).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def resize(picture: Map, size: int) -> Map:
    """Resample [S, S, 3] to [size, size, 3] with antialiasing."""
    if picture.shape[0] == size:
        return picture
    planes = [
        Image.fromarray(np.ascontiguousarray(picture[..., c])).resize((size, size), Image.Resampling.BILINEAR)
        for c in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def resample(picture: Map, rng: np.random.Generator) -> Map:
    """A quarter of the pictures pass through fewer pixels, real or fake alike."""
    size = picture.shape[0]
    return resize(resize(picture, int(size * rng.uniform(0.8, 1.0))), size) if rng.random() < 0.25 else picture


def canvas_side(image_size: int) -> int:
    """Side at which a face is painted: twice the image's while that is cheap."""
    return max(image_size, min(max(2 * image_size, 64), 128))
