"""A model's predictions for a split that every worker holds a share of, and their scores."""

from __future__ import annotations

import numpy as np
import torch

from lssat.config import Config
from lssat.data.prepared.rows import Rows
from lssat.evaluation.fairness import worst_group
from lssat.evaluation.metrics import Array, evaluate_scores
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import FRAME, RowTexts, score_units, scores_videos
from lssat.inputs.texture import stream_image
from lssat.model.lssat import LSSAT
from lssat.task import Task
from lssat.train.distributed import Distributed, fed, num_steps, to_device
from lssat.train.losses import NonFiniteLoss, task_loss
from lssat.train.precision import autocast

IN_DOMAIN = "in_domain"
"""What the selecting metric is called by, on rows without a held-out value."""


@torch.no_grad()
def predict_rows(
    config: Config, model: LSSAT, rows: Rows, distributed: Distributed, num_micro_batches: int = 1
) -> tuple[Predictions, Array]:
    """Predictions for all rows of all workers, and where in the split each row stands [N]; the same on each.

    A batch is processed in as many parts as training needs, so that what fits there fits here.
    """
    model.eval()
    size = max(1, config.optim.batch_size // distributed.world_size // num_micro_batches)
    logits, labels, positions = [], [], []
    for batch in fed(rows.batches(size, num_steps(rows, size, distributed), None), distributed.device):
        if not len(batch.label):
            continue  # other workers have more rows
        image, _ = to_device(batch, distributed.device)
        with autocast(config, model.encoder.masking, distributed.device):
            output = model(stream_image(image, config.classified_stream, config.texture))
        logits.append(output.logits.float().cpu().numpy())
        labels.append(batch.label)
        positions.append(batch.row)
    own = np.concatenate(logits), np.concatenate(labels), np.concatenate(positions)
    all_logits, all_labels, all_positions = zip(*distributed.gather(own), strict=True)
    predictions = Predictions(np.concatenate(all_logits), np.concatenate(all_labels))
    return predictions, np.concatenate(all_positions)


def score_predictions(
    config: Config, task: Task, predictions: Predictions, texts: RowTexts | None = None
) -> dict[str, float]:
    """All metrics of the task, and its task loss.

    `texts`, in the order of the predictions: where the task is scored by video, so are the metrics, and those of frames
    are `frame_<name>`; with subgroups there are `worst_group` and `gap` too, of the metric that the study selects by.
    Where values are held out, these are scores of the held-out rows; `in_domain` is the selecting metric of the others.
    Raises NonFiniteLoss.
    """
    if not np.isfinite(predictions.logits).all():
        raise NonFiniteLoss("the model's logits are not finite; lower `optim.lr` or set `optim.precision: float32`")
    domains = texts.domains(config.data.held_out, predictions.labels) if texts else None
    if texts is None or domains is None:
        return _scores(config, task, predictions, texts)
    scores, inside = (_scores(config, task, predictions.of(rows), texts.of(rows)) for rows in domains)
    return scores | {IN_DOMAIN: inside[task.score_metric(config.objective.metric)]}


def _scores(config: Config, task: Task, predictions: Predictions, texts: RowTexts | None) -> dict[str, float]:
    """Of these rows."""
    logits, labels = predictions
    scores = evaluate_scores(task.kind, logits, labels)
    if texts and scores_videos(task, texts):
        videos, _ = score_units(task, predictions, texts)
        scores = evaluate_scores(task.kind, *videos) | {f"{FRAME}{name}": value for name, value in scores.items()}
    scores["task_loss"] = task_loss(torch.from_numpy(logits), torch.from_numpy(labels), task.kind).mean().item()
    if texts and texts.groups:
        units, known = score_units(task, predictions, texts, by_group=True)
        scores |= worst_group(task.kind, task.group_metric(config.objective.metric), units, known.groups)
    return scores
