"""What is drawn is what `DRAWINGS` stand for: else prepared data and studies would mix two kinds of faces.

After a change that is wanted, `python tests/lssat/data/synthetic/test_drawing.py` stores the new faces.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from lssat.data.synthetic import DRAWINGS
from lssat.data.synthetic import generate as synthetic

STORED = Path(__file__).with_name("drawing.json")
# One grey level of noise on every pixel changes a mean by at most 0.7, the JPEG encoder included; half as much grain
# again, or a skin whose green is 0.01 brighter, by more than 1.
TOLERANCE = 0.9
POSITIONS = {
    "emotion": (0, 1234),
    "attributes": (1000, 1030),
    "deepfake": (*range(100, 105), 1248, 1249),
}  # in `plan`: train and test


def faces() -> dict[str, dict[str, object]]:
    """Label, identity and grey means of some faces of each task."""
    found: dict[str, dict[str, object]] = {}
    for task, positions in POSITIONS.items():
        orders = synthetic.plan(task, 200, 64, 0)
        for position in positions:
            row = synthetic.draw(orders[position])
            label = list(row.label) if isinstance(row.label, tuple) else row.label
            means = grey_means(row.image).round(1).tolist()
            found[f"{task} {position}"] = {"label": label, "identity": row.identity, "grey": means}
    return found


def grey_means(image: bytes) -> npt.NDArray[np.float64]:
    """[8, 8] of an image of 64 pixels: small enough to store, and blind to the rounding of a processor."""
    grey = np.asarray(Image.open(io.BytesIO(image)).convert("L"), np.float64)
    means: npt.NDArray[np.float64] = grey.reshape(8, 8, 8, 8).mean(axis=(1, 3))
    return means


def check(drawn: dict[str, dict[str, object]]) -> None:
    stored = json.loads(STORED.read_text())
    advice = "other faces than before: give its task another value in DRAWINGS, and store them (see the file's top)"
    assert stored["drawings"] == DRAWINGS, "DRAWINGS have other values: store the faces (see the top of this file)"
    assert drawn.keys() == stored["faces"].keys()
    for name, face in drawn.items():
        before = stored["faces"][name]
        assert (face["label"], face["identity"]) == (before["label"], before["identity"]), advice
        assert np.abs(np.array(face["grey"]) - np.array(before["grey"])).max() < TOLERANCE, f"{name}: {advice}"


def test_faces_are_those_that_are_stored() -> None:
    check(faces())


def test_a_small_change_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        synthetic, "add_blur_and_grain", lambda picture, rng, add=synthetic.add_blur_and_grain: add(picture, rng) * 0.99
    )
    with pytest.raises(AssertionError, match="give its task another value"):
        check(faces())


if __name__ == "__main__":
    STORED.write_text(json.dumps({"drawings": DRAWINGS, "faces": faces()}) + "\n")
    sys.exit(0)
