"""A winner, or another trained run, scored on a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lssat.bundle.opening import Bundle
from lssat.data.prepared.rows import Rows
from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import scorecard
from lssat.evaluation.units import RowTexts
from lssat.train.distributed import Distributed
from lssat.train.learner import load_trained
from lssat.train.scoring import predict_rows, score_predictions


class Scored(NamedTuple):
    """What a model got on a split, and what it said of each row."""

    result: dict[str, Any]
    predictions: Predictions


def score_bundle(bundle: Bundle, rows: Rows, texts: Mapping[str, Array], subgroups: Sequence[str] = ()) -> Scored:
    """The scorecard of a split (`lssat.evaluation.scorecard`).

    `texts`: as of `table.read_texts`, in the order of the rows; `subgroups` names the columns that tell groups apart.
    """
    config, task, alone = bundle.config, bundle.task, Distributed.alone()
    model = bundle.model.to(alone.device)
    predictions, _ = predict_rows(config, model, rows, alone, bundle.num_micro_batches)
    scores = score_predictions(config, task, predictions, RowTexts.of_columns(texts))
    metric = task.score_metric(config.objective.metric)
    return Scored(scorecard(task, metric, predictions, scores, RowTexts.of_columns(texts, subgroups)), predictions)


def score_trained(trained: Path, rows: Rows, texts: Mapping[str, Array]) -> Scored:
    """The scores of a `best` checkpoint on a split, without intervals; `score` is the metric that its study selects by.

    `texts`: as of `score_bundle`. Raises CheckpointError.
    """
    state, model = load_trained(trained)
    config, alone = state.config, Distributed.alone()
    predictions, _ = predict_rows(config, model.to(alone.device), rows, alone, state.result.micro_batches)
    known = RowTexts.of_columns(texts, config.objective.subgroups)
    scores = score_predictions(config, state.task, predictions, known)
    metric = state.task.score_metric(config.objective.metric)
    return Scored({"metric": metric, "score": scores[metric], **scores}, predictions)
