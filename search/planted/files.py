"""A planted study as files: the records and kept predictions of its runs, which are read as those of a real one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lssat.evaluation.metrics import one_score
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from lssat.train.result import EpochResult
from search.planted.studies import Answers
from search.record.folder import RunFolder, Stage
from search.record.predictions import About, KeptPredictions, write
from search.record.trials import Outcome, Status
from search.strategy.suggestion import Suggestion

METRIC = "balanced_accuracy"
ABOUT = About("planted", "binary", ("no", "yes"), METRIC, "val", "planted")


def write_study(folder: RunFolder, answers: Answers) -> Mapping[str, tuple[str, int]]:
    """Finals whose best epoch was scored by balanced accuracy; each run's arm and seed by its name."""
    nothing = np.full(len(answers.labels), "")
    units = np.array([f"row {row}" for row in range(len(answers.labels))])
    runs = {}
    for arm, seed, logits in zip(answers.arms.tolist(), answers.seeds.tolist(), answers.logits, strict=True):
        name = f"{arm:04d}-seed{seed}"
        runs[name] = (f"arm {arm:02d}", seed)
        predictions = Predictions(logits[:, None].astype(np.float32), answers.labels)
        score = one_score(ABOUT.kind, METRIC, *predictions)
        run = Suggestion(name, {"seed": seed, "optim.epochs": 1, "optim.warmup_epochs": 0})
        record = folder.record(Stage.FINAL, name).begin(run.sampled, run.config)
        record.append(EpochResult(1, 1, score, score, 1, 1), 1.0)
        write(record.predictions(ABOUT.split), KeptPredictions(ABOUT, predictions, RowTexts(units, nothing, {})))
        record.end(Outcome(Status.COMPLETE))
    return runs
