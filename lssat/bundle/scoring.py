"""A winner, or another trained run, scored on a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lssat.bundle.opening import Bundle
from lssat.config import Config
from lssat.data.prepared.rows import Rows
from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.scorecard import by_value, scorecard
from lssat.evaluation.units import RowTexts
from lssat.settings.data import DataConfig
from lssat.train.distributed import Distributed
from lssat.train.learner import load_trained
from lssat.train.scoring import IN_DOMAIN, predict_rows, score_predictions


class Scored(NamedTuple):
    """What a model of these settings got on a split, and what it said of each row."""

    config: Config
    result: dict[str, Any]
    predictions: Predictions


def score_bundle(bundle: Bundle, rows: Rows, texts: Mapping[str, Array], subgroups: Sequence[str] = ()) -> Scored:
    """The scorecard of a split (`lssat.evaluation.scorecard`). Where the model was trained without values of a column,
    it is of the rows with these, and `hold_out` says what the others get; or `hold_out_why`, why it is of all rows.

    `texts`: as of `table.read_texts`, in the order of the rows; `subgroups` names the columns that tell groups apart.
    """
    config, task, alone = bundle.config, bundle.task, Distributed.alone()
    model = bundle.model.to(alone.device)
    predictions, _ = predict_rows(config, model, rows, alone, bundle.num_micro_batches)
    column = _hold_out(config, texts, predictions)
    metric, known = task.score_metric(config.objective.metric), RowTexts.of_columns(texts, subgroups, column)
    domains = known.domains(config.data.held_out, predictions.labels)
    scored = np.ones(len(predictions.labels), bool) if domains is None else domains.held_out
    scores = score_predictions(config, task, predictions.of(scored), RowTexts.of_columns(texts).of(scored))
    card = scorecard(task, metric, predictions.of(scored), scores, known.of(scored))
    if domains is not None:
        held_out = config.data.held_out or []
        of_values = by_value(task, metric, predictions, known, held_out)
        card[IN_DOMAIN] = of_values[IN_DOMAIN]["score"]
        card["hold_out"] = {"column": column, "held_out": held_out, **of_values}
    elif config.data.hold_out is not None:
        card["hold_out_why"] = _why_whole(config.data, texts)
    return Scored(config, card, predictions)


def score_trained(trained: Path, rows: Rows, texts: Mapping[str, Array]) -> Scored:
    """The scores of a `best` checkpoint on a split, without intervals; `score` is the metric that its study selects by.

    `texts`: as of `score_bundle`. Raises CheckpointError.
    """
    state, model = load_trained(trained)
    config, alone = state.config, Distributed.alone()
    predictions, _ = predict_rows(config, model.to(alone.device), rows, alone, state.result.micro_batches)
    column = _hold_out(config, texts, predictions)
    known = RowTexts.of_columns(texts, config.objective.subgroups, column)
    scores = score_predictions(config, state.task, predictions, known)
    metric = state.task.score_metric(config.objective.metric)
    return Scored(config, {"metric": metric, "score": scores[metric], **scores}, predictions)


def _hold_out(config: Config, texts: Mapping[str, Array], predictions: Predictions) -> str | None:
    """The column of which values were held out, where these rows have it and can be scored with and without them: data
    of another origin need not.
    """
    column, labels = config.data.hold_out, predictions.labels
    if column is None or column not in texts:
        return None
    parts = RowTexts.of_columns(texts, (), column).domains(config.data.held_out, labels) or ()
    return column if all(_has_every_class(labels[rows], labels) for rows in parts) else None


def _why_whole(data: DataConfig, texts: Mapping[str, Array]) -> str:
    """Why `_hold_out` does not tell rows of what was held out from others."""
    lack = "lack a class with or without these values" if data.hold_out in texts else "have no such column"
    values = ", ".join(data.held_out or ())
    return f"trained without {data.hold_out} {values}, but these rows {lack}, so all of them are scored"


def _has_every_class(some: Array, labels: Array) -> bool:
    """Whether some rows have whatever all have; of several labels, of each."""
    columns = zip(some.reshape(len(some), -1).T, labels.reshape(len(labels), -1).T, strict=True)
    return len(some) > 0 and all(np.array_equal(np.unique(part), np.unique(whole)) for part, whole in columns)
