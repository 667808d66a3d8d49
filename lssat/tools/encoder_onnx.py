"""Whether a model that the survey found trainable can be written as ONNX, tried in a process of its own.

`python -m lssat.tools.encoder_onnx ARCHITECTURE IMAGE UNIT` is that process.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from lssat.bundle.folder import ONNX
from lssat.bundle.onnx_model import BATCHES, Answer, prove, write_onnx
from lssat.bundle.opening import Bundle
from lssat.errors import ConfigError
from lssat.model.lssat import build_model
from lssat.tools.encoder_child import run_child
from lssat.tools.encoder_steps import TASK
from lssat.tools.encoder_survey import Row

ROWS = sum(BATCHES)
LIMIT_S = 600


def onnx_in_child(row: Row) -> str:
    """ "yes", or why not."""
    command = (sys.executable, "-m", "lssat.tools.encoder_onnx", row.architecture, str(row.image_size), str(row.unit))
    printed, reason = run_child(command, LIMIT_S)
    return f"no: {reason}" if reason else printed.decode().strip()


def main(architecture: str, image_size: int, unit: int) -> None:
    """Print whether it can. Whatever else is printed goes to standard error."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        try:
            _try(architecture, image_size, unit)
            answer = "yes"
        except ConfigError as error:
            answer = f"no: {error}"
    print(answer, file=answers)


def _try(architecture: str, image_size: int, unit: int) -> None:
    """Raises ConfigError where it cannot be written, or answers otherwise."""
    config = Row("", architecture, 0, image_size=image_size, unit=unit).config()
    torch.manual_seed(0)
    bundle = Bundle(config, TASK, 1, build_model(config, TASK.num_outputs).eval(), 1.0, {}, (), "")
    images = np.random.default_rng(0).integers(0, 256, (ROWS, image_size, image_size, 3)).astype(np.uint8)
    with torch.no_grad():  # random weights may give logits of any size, and a difference is told from theirs
        bundle.model.head.weight /= Answer(bundle)(torch.from_numpy(images))[0].abs().max()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / ONNX
        write_onnx(bundle, model)
        prove(bundle, model, images, np.arange(ROWS) % 2, fewest=ROWS)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
