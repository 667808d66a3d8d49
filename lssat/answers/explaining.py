"""Why a winner answers as it does, as pictures: what it saw, what it rebuilt of the texture, and where it looked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from captum.attr import IntegratedGradients
from skimage.filters import gaussian
from torch import Tensor

from lssat.bundle.winner import Reconstruction, Winner
from lssat.evaluation.metrics import Array
from lssat.inputs.texture import stream_image
from lssat.train.reconstruction_panel import sheet

STEPS = 32
"""Between an empty picture and the face, at which the gradient is read."""
BLUR = 0.02
"""Of a picture's width: single pixels say little, and the eye follows them."""
HOT = np.array([255, 96, 0], dtype=np.float64)


class Explained(NamedTuple):
    """Pictures uint8 [S, S, 3]. `looked`: the face with what spoke for the answer in orange. `rebuilt`: None of a model
    without the auxiliary task.
    """

    face: npt.NDArray[np.uint8]
    looked: npt.NDArray[np.uint8]
    rebuilt: Reconstruction | None

    @property
    def pictures(self) -> dict[str, npt.NDArray[np.uint8]]:
        """By what is said above each."""
        shown = {"what it saw": self.face, "where it looked": self.looked}
        if self.rebuilt is None:
            return shown
        masked, target, rebuilt = (part[0] for part in self.rebuilt)
        return shown | {"partly hidden": masked, "its texture": target, "rebuilt from the rest": rebuilt}

    def png(self) -> bytes:
        """The pictures side by side."""
        tiles = torch.from_numpy(np.stack(list(self.pictures.values()))).permute(0, 3, 1, 2) / 255
        return sheet(tiles[None], list(self.pictures))


def explain(winner: Winner, face: npt.NDArray[np.uint8]) -> Explained:
    """face: uint8 [S, S, 3], as it was prepared."""
    face = face.copy()  # a photo's pixels may be read-only, which torch warns of
    rebuilt = winner.reconstruct(face) if winner.bundle.config.trains_auxiliary else None
    return Explained(face, overlaid(face, heat_of(attribution(winner, face))), rebuilt)


def attribution(winner: Winner, face: npt.NDArray[np.uint8]) -> Array:
    """[3, S, S]: how much each value of the classified stream speaks for the answer, by integrated gradients
    (Sundararajan et al., arXiv 1703.01365) from the backbone's mean pixel: their sum is by how much the answer's score
    is above that of an empty picture. Of a texture it is the texture's pixel: a code has no gradient with respect to
    the photo.
    """
    config, encoder = winner.bundle.config, winner.bundle.model.encoder
    image = torch.from_numpy(face)[None].permute(0, 3, 1, 2).float().to(winner.device) / 255
    stream = stream_image(image, config.classified_stream, config.texture)
    score = _score_of_answer(winner, winner.see(face[None]).logits[0])
    empty = encoder.mean[:, None, None].expand_as(stream[0])[None]
    found = IntegratedGradients(score).attribute(stream, empty, n_steps=STEPS, internal_batch_size=STEPS)
    return np.asarray(found[0].detach().cpu().numpy())


def heat_of(attributed: Array) -> Array:
    """[3, S, S] -> [S, S] in [0, 1]: where what speaks for the answer lies."""
    heat = gaussian(attributed.sum(0).clip(min=0), sigma=BLUR * attributed.shape[1])
    return np.asarray(heat / heat.max()) if heat.max() > 0 else np.zeros(heat.shape)


def overlaid(face: npt.NDArray[np.uint8], heat: Array) -> npt.NDArray[np.uint8]:
    """The face with heat [S, S] in [0, 1] in orange."""
    part = heat[..., None] * 0.75
    return np.asarray((face * (1 - part) + HOT * part).round().astype(np.uint8))


def _score_of_answer(winner: Winner, logits: Array) -> Callable[[Tensor], Tensor]:
    """What is high where a stream speaks for the answer that these logits [K] give: of a multi-label task, for the
    label that is the most certain.
    """
    column = int(logits.argmax())
    sign = -1 if winner.task.kind == "binary" and logits[0] <= 0 else 1

    def score(stream: Tensor) -> Tensor:
        logits: Tensor = winner.bundle.model(stream).logits
        return sign * logits[:, column]

    return score
