"""A winner as an ONNX model, for programs without torch: uint8 images in; logits, probabilities and features out.

torch's exporter has written models that are wrong without a word (a batch dimension fixed at 1, a ResNet that was right
in 0% of cases). So a model counts only once it has answered real rows as torch does, in batches of several sizes.
"""

from __future__ import annotations

import contextlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lssat.bundle.opening import Bundle
from lssat.config import ConfigError
from lssat.evaluation.metrics import Array, one_score
from lssat.inputs.texture import stream_image

IMAGES = "images"
OUTPUTS = ("logits", "probability", "embedding")
BATCHES = (1, 7, 32)
"""Rows at a time in which a model is asked: one, an odd number, many."""
FEWEST_ROWS = 256
TOLERANCE = 1e-4
"""The largest difference of a logit that passes."""


class Proof(NamedTuple):
    """How a model was compared with torch's. largest_difference: of a logit. score: of both, by `metric`."""

    rows: int
    batches: tuple[int, ...]
    largest_difference: float
    metric: str
    score: float


class Answer(nn.Module):
    """uint8 [N, S, S, 3] -> logits [N, K], calibrated probabilities [N, classes], features [N, D].

    All that lies between prepared pixels and answers is inside: scaling, the stream, the temperature.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.model = bundle.model
        self._config, self._kind, self._temperature = bundle.config, bundle.task.kind, bundle.temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        image = images.permute(0, 3, 1, 2).float() / 255
        output = self.model(stream_image(image, self._config.classified_stream, self._config.texture))
        scaled = output.logits / self._temperature
        if self._kind == "multiclass":
            return output.logits, scaled.softmax(1), output.pooled
        positive = scaled.sigmoid()
        both = torch.cat([1 - positive, positive], 1) if self._kind == "binary" else positive
        return output.logits, both, output.pooled


def write_onnx(bundle: Bundle, path: Path) -> None:
    """The model of a bundle, any number of images at a time. Raises ConfigError where torch cannot export it."""
    size = bundle.config.data.image_size
    answer = Answer(bundle).cpu().eval()
    example = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    shapes = ({0: torch.export.Dim("batch")},)
    try:
        with _quiet():
            program = torch.onnx.export(
                answer, (example,), dynamo=True, dynamic_shapes=shapes, input_names=[IMAGES], output_names=OUTPUTS
            )
            assert program is not None
            program.model.metadata_props["classes"] = "\n".join(bundle.task.classes)
            program.save(path)
    except ImportError as error:
        raise ConfigError(f"{error}; ONNX comes with the extra: pip install '.[export]'") from error
    except Exception as error:  # the exporter fails in many ways, with exceptions of its own
        reason = _innermost(error)
        raise ConfigError(f"torch cannot export this model to ONNX ({reason}); use it through `lssat.load`") from error


def prove(bundle: Bundle, path: Path, images: npt.NDArray[np.uint8], labels: Array, fewest: int = FEWEST_ROWS) -> Proof:
    """That a model answers these rows as torch does. images [N, S, S, 3], labels [N] or [N, K].

    Raises ConfigError with the reason where it does not, or the rows are too few.
    """
    if len(images) < fewest:
        raise ConfigError(
            f"an ONNX model is proved on at least {fewest} rows, but there are {len(images)}; name data with more"
        )
    wanted = _torch_logits(bundle, images)
    metric = bundle.task.group_metric(bundle.config.objective.metric)
    kind, largest = bundle.task.kind, 0.0
    for size in BATCHES:
        found = _onnx_logits(path, images, size)
        if found.shape != wanted.shape or not np.isfinite(found).all():
            raise ConfigError(f"the ONNX model gives no logits of shape {wanted.shape} in batches of {size}")
        largest = max(largest, float(np.abs(found - wanted).max()))
        scores = [one_score(kind, metric, logits, labels) for logits in (wanted, found)]
        same = np.array_equal(_decided(kind, found), _decided(kind, wanted))
        if largest > TOLERANCE or not same or abs(scores[0] - scores[1]) > TOLERANCE:
            raise ConfigError(
                f"the ONNX model is not the trained one: in batches of {size} its logits differ by up to {largest:.2g} "
                f"(at most {TOLERANCE:g}), its labels are {'the same' if same else 'others'}, and its {metric} is "
                f"{scores[1]:.4f} instead of {scores[0]:.4f}; use the model through `lssat.load`"
            )
    return Proof(len(images), BATCHES, largest, metric, float(scores[0]))


@torch.inference_mode()
def _torch_logits(bundle: Bundle, images: npt.NDArray[np.uint8]) -> Array:
    answer = Answer(bundle).cpu().eval()
    parts = [answer(torch.from_numpy(images[start : start + 32]))[0] for start in range(0, len(images), 32)]
    return np.asarray(torch.cat(parts).numpy())


def _onnx_logits(path: Path, images: npt.NDArray[np.uint8], size: int) -> Array:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    starts = range(0, len(images), size)
    try:
        parts = [session.run([OUTPUTS[0]], {IMAGES: images[start : start + size]})[0] for start in starts]
    except Exception as error:  # of its own, without a common base
        reason = textwrap.shorten(str(error), 300)
        raise ConfigError(f"the ONNX model takes no batches of {size} ({reason})") from error
    return np.concatenate(parts)


def _decided(kind: str, logits: Array) -> Array:
    """What is answered: the class, or each label."""
    return np.asarray(logits.argmax(1) if kind == "multiclass" else logits > 0)


def _innermost(error: BaseException) -> str:
    """What an error came from, on a line, without the colours that the exporter writes for terminals."""
    while error.__cause__:
        error = error.__cause__
    return textwrap.shorten(re.sub(r"\x1b\[[0-9;]*m", "", f"{type(error).__name__}: {error}"), 200)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress and warns of its own internals."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
