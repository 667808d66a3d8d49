"""A model's scores on a split that every worker holds a share of."""

from __future__ import annotations

import numpy as np
import torch

from lssat.config import Config
from lssat.data.prepared.rows import Rows
from lssat.evaluation.fairness import Groups, worst_group
from lssat.evaluation.metrics import Array, evaluate_scores
from lssat.inputs.texture import stream_image
from lssat.model.lssat import LSSAT
from lssat.task import Task
from lssat.train.distributed import Distributed, num_steps, to_device
from lssat.train.losses import task_loss
from lssat.train.precision import autocast


class NonFiniteLoss(RuntimeError):
    """The loss became infinite or NaN; the run cannot go on."""


@torch.no_grad()
def predict_rows(
    config: Config, model: LSSAT, rows: Rows, distributed: Distributed, micro_batches: int = 1
) -> tuple[Array, Array, Array]:
    """Logits [N,K], labels and numbers in the split [N] of all real rows of all workers, the same on each; a batch in
    as many parts as `micro_batches`.
    """
    model.eval()
    size = max(1, config.optim.batch_size // distributed.world_size // micro_batches)
    logits, labels, numbers = [], [], []
    for batch in rows.batches(size, num_steps(rows, size, distributed), None):
        image, _, _ = to_device(batch, distributed.device)
        with autocast(config, model.encoder.masking, distributed.device):
            output = model(stream_image(image, config.classified_stream, config.texture))
        real = batch.weight > 0
        logits.append(output.logits.float().cpu().numpy()[real])
        labels.append(batch.label[real])
        numbers.append(batch.row[real])
    parts = distributed.gather((np.concatenate(logits), np.concatenate(labels), np.concatenate(numbers)))
    together = [np.concatenate(of_workers) for of_workers in zip(*parts, strict=True)]
    return together[0], together[1], together[2]


def evaluate(
    config: Config,
    task: Task,
    model: LSSAT,
    rows: Rows,
    distributed: Distributed,
    prefix: str,
    groups: Groups | None = None,
    micro_batches: int = 1,
) -> dict[str, float]:
    """All metrics of the task on a split, and its task loss, as `<prefix>/<metric>`; with groups also `worst_group` and
    `gap`.
    """
    logits, labels, numbers = predict_rows(config, model, rows, distributed, micro_batches)
    scores = score_predictions(task, logits, labels, prefix)
    if groups:
        assert (numbers >= 0).all(), "rows of a data set know where in their split they are"
        found = worst_group(
            task.kind,
            task.score_metric("auto"),
            logits,
            labels,
            {name: texts[numbers] for name, texts in groups.items()},
        )
        scores |= {f"{prefix}/{name}": value for name, value in found.items()}
    return scores


def score_predictions(task: Task, logits: Array, labels: Array, prefix: str) -> dict[str, float]:
    """All metrics and the task loss of logits [N,K], as `<prefix>/<metric>`. Raises NonFiniteLoss."""
    if not np.isfinite(logits).all():
        raise NonFiniteLoss(f"logits on {prefix} are not finite; lower `optim.lr` or set `optim.precision: float32`")
    loss = task_loss(torch.from_numpy(logits), torch.from_numpy(labels), task.kind, None).mean().item()
    return {f"{prefix}/{name}": value for name, value in evaluate_scores(task.kind, logits, labels).items()} | {
        f"{prefix}/task_loss": loss
    }
