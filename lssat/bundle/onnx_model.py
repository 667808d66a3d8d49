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
from lssat.errors import ConfigError
from lssat.evaluation.metrics import Array, one_score
from lssat.inputs.texture import stream_image

IMAGES = "images"
OUTPUTS = ("logits", "probability", "embedding")
BATCHES = (1, 7, 32)
"""Rows at a time in which a model is asked: one, an odd number, many."""
FEWEST_ROWS = 256
TOLERANCE = 1e-4
"""The largest difference of a logit that passes, and of a score."""
OF_PROBABILITY = 1e-5
OF_EMBEDDING = 1e-4
"""Of its largest value."""


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
    """The model of a bundle, any number of images at a time; of a large one, its weights come to lie in a file beside
    it. Raises ConfigError where torch cannot export it.
    """
    size = bundle.config.data.image_size
    answer = Answer(bundle).cpu().eval()
    example = torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    shapes = ({0: torch.export.Dim("batch")},)
    try:
        with _quiet(), _plain_attention(answer):
            program = torch.onnx.export(
                answer, (example,), dynamo=True, dynamic_shapes=shapes, input_names=[IMAGES], output_names=OUTPUTS
            )
            assert program is not None
            program.model.metadata_props["classes"] = "\n".join(bundle.task.classes)
            program.save(path)
    except Exception as error:  # the exporter fails in many ways, with exceptions of its own
        reason = _innermost(error)
        raise ConfigError(f"torch cannot export this model to ONNX ({reason}); use it through `lssat.load`") from error


def check_enough(rows: int, fewest: int = FEWEST_ROWS) -> None:
    """Raises ConfigError where these are too few to prove a model."""
    if rows < fewest:
        raise ConfigError(f"an ONNX model is proved on at least {fewest} rows, but there are {rows}; name more data")


def prove(bundle: Bundle, path: Path, images: npt.NDArray[np.uint8], labels: Array, fewest: int = FEWEST_ROWS) -> Proof:
    """That a model answers these rows as torch does. images [N, S, S, 3], labels [N] or [N, K].

    Raises ConfigError with the reason where it does not, or the rows are too few.
    """
    check_enough(len(images), fewest)
    wanted = _torch_answers(bundle, images)
    allowed = (TOLERANCE, OF_PROBABILITY, OF_EMBEDDING * float(np.abs(wanted[2]).max()))
    metric = bundle.task.group_metric(bundle.config.objective.metric)
    kind, largest = bundle.task.kind, 0.0
    score = _score(kind, metric, wanted[0], labels)
    for size in BATCHES:
        found = _onnx_answers(path, images, size)
        for name, ours, theirs in zip(OUTPUTS, wanted, found, strict=True):
            if theirs.shape != ours.shape or not np.isfinite(theirs).all():
                raise ConfigError(f"the ONNX model gives no {name} of shape {ours.shape} in batches of {size}")
        apart = [float(np.abs(theirs - ours).max()) for ours, theirs in zip(wanted, found, strict=True)]
        largest = max(largest, apart[0])
        same = np.array_equal(_decided(kind, found[0]), _decided(kind, wanted[0]))
        other = _score(kind, metric, found[0], labels)
        far = [difference > most for difference, most in zip(apart, allowed, strict=True)]
        if any(far) or not same or abs(other - score) > TOLERANCE:
            differences = "; ".join(
                f"{name} by up to {difference:.2g} (at most {most:.2g})"
                for name, difference, most in zip(OUTPUTS, apart, allowed, strict=True)
            )
            raise ConfigError(
                f"the ONNX model is not the trained one: in batches of {size} its answers differ ({differences}), its "
                f"labels are {'the same' if same else 'others'}, and its {metric} is {other:.4f} instead of "
                f"{score:.4f}; use the model through `lssat.load`"
            )
    return Proof(len(images), BATCHES, largest, metric, score)


def _score(kind: str, metric: str, logits: Array, labels: Array) -> float:
    try:
        return float(one_score(kind, metric, logits, labels))
    except ValueError as error:
        raise ConfigError(f"these rows give no {metric} ({error}); name data with rows of every class") from None


@torch.inference_mode()
def _torch_answers(bundle: Bundle, images: npt.NDArray[np.uint8]) -> list[Array]:
    """An array for each of OUTPUTS."""
    answer = Answer(bundle).cpu().eval()
    parts = [answer(torch.from_numpy(images[start : start + 32])) for start in range(0, len(images), 32)]
    return [np.asarray(torch.cat(part).numpy()) for part in zip(*parts, strict=True)]


def _onnx_answers(path: Path, images: npt.NDArray[np.uint8], size: int) -> list[Array]:
    """As `_torch_answers`, `size` rows at a time."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    starts = range(0, len(images), size)
    try:
        parts = [session.run(list(OUTPUTS), {IMAGES: images[start : start + size]}) for start in starts]
    except Exception as error:  # of its own, without a common base
        reason = textwrap.shorten(str(error), 300)
        raise ConfigError(f"the ONNX model takes no batches of {size} ({reason})") from error
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _decided(kind: str, logits: Array) -> Array:
    """What is answered: the class, or each label."""
    return np.asarray(logits.argmax(1) if kind == "multiclass" else logits > 0)


def _innermost(error: BaseException) -> str:
    """What an error came from, on a line, without the colours that the exporter writes for terminals."""
    while error.__cause__:
        error = error.__cause__
    return textwrap.shorten(re.sub(r"\x1b\[[0-9;]*m", "", f"{type(error).__name__}: {error}"), 200)


@contextlib.contextmanager
def _plain_attention(model: nn.Module) -> Iterator[None]:
    """Attention as matrix products: the exporter takes torch's own function only where it has four dimensions, and
    fails where what it gives is viewed otherwise, both of which timm's windows and relative positions do.
    """
    fused = [module for module in model.modules() if getattr(module, "fused_attn", False)]
    for module in fused:
        setattr(module, "fused_attn", False)  # noqa: B010
    try:
        yield
    finally:
        for module in fused:
            setattr(module, "fused_attn", True)  # noqa: B010


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress and warns of its own internals."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
