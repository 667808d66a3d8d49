"""Records of trials as a study leaves them, made without training."""

from pathlib import Path

from lssat.config import build
from lssat.train.result import EpochResult
from search.record.trials import Outcome, Status, TrialRecord


def epoch(number, best, epochs=4, score=None, parameters=5, **more):
    """The result of an epoch; its score is the best so far where nothing else is said."""
    metrics = {"train/images_per_s": 100.0, "val/accuracy": 0.5}
    return EpochResult(number, epochs, best if score is None else score, best, parameters, 1, metrics, **more)


def record(folder: Path, sampled, results, status=None, reason=""):
    """The record of a trial with these results; without a status it may go on."""
    made = TrialRecord(folder).begin(sampled, build(sampled))
    for seconds, result in enumerate(results, start=1):
        made.append(result, float(seconds))
    if status:
        made.end(Outcome(Status(status), reason, float(len(results))))
    return made
