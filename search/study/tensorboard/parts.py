"""Under which heading TensorBoard shows a curve: it groups curves by what stands before the first `/` of their tag.

A tag is the part and the whole key of `metrics.jsonl`: `loss/train/task_loss`. Headings are sorted by name.
"""

from __future__ import annotations

from lssat.evaluation.units import FRAME
from lssat.train.result import BEST, BEST_GAP, CLOCKED, GAP

PARTS = {
    "train/lr": "rate",
    **dict.fromkeys(CLOCKED, "speed"),
    GAP: "subgroups",
    BEST_GAP: "subgroups",
    "val/worst_group": "subgroups",
}
TOTAL = "total"
"""The part of what is known at the end of a run alone."""
BEST_TAG, BEST_GAP_TAG = f"score/{BEST}", f"subgroups/{BEST_GAP}"


def tag(key: str) -> str:
    """The tag of a key of `EpochResult.scalars`."""
    if key.endswith("_loss"):
        part = "loss"
    elif key.startswith(f"val/{FRAME}"):
        part = "frames"
    else:
        part = PARTS.get(key, "score")
    return f"{part}/{key}"
