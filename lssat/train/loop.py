"""Train one configuration: begin or resume, then train, evaluate, save and report epoch by epoch.

Plain torch: Ray never enters here, and who wants the results hands in `report`.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lssat.config import Config
from lssat.data.prepared.awaited import Awaited
from lssat.data.prepared.drawing import Drawing
from lssat.data.prepared.row_keys import RowKeys
from lssat.data.prepared.rows import Rows
from lssat.errors import ConfigError
from lssat.evaluation.units import RowTexts
from lssat.model.flops import flops
from lssat.model.lssat import LSSAT
from lssat.model.tuned import training_mode
from lssat.storage.mark import StorageMark
from lssat.storage.place import Place
from lssat.storage.whole import fetch_whole, send_whole
from lssat.task import Task
from lssat.train import checkpoint, microbatch
from lssat.train.checkpoint import CheckpointError, DamagedCheckpoint
from lssat.train.distributed import Distributed, fed, num_steps
from lssat.train.learner import Learner, RowPredictions, RunState, new_learner
from lssat.train.losses import NonFiniteLoss
from lssat.train.optim import scheduled_lr, set_lr
from lssat.train.probe import fewest_micro_batches, has_own_memory
from lssat.train.reconstruction_panel import draw_panel
from lssat.train.result import (
    BEST_CHECKPOINT,
    EVALUATION_SECONDS,
    GAP,
    IMAGES_PER_S,
    IN_DOMAIN,
    LAST_CHECKPOINT,
    TRAINING_SECONDS,
    WAITING_SECONDS,
    EpochResult,
)
from lssat.train.scoring import predict_rows, score_predictions
from lssat.train.step import Losses, StepContext, train_step

Report = Callable[[EpochResult], None]
CHECK_EVERY = 50  # steps between two looks for a loss that is not finite: a look waits for the device


@dataclass(frozen=True)
class TrainingRun:
    """What `fit` is asked for: one configuration, on one worker's share of the rows.

    `folder`: of checkpoints, shared by all workers; None: none are kept. `texts`: what scores need to know of the whole
    validation split, in the order of its rows; None: nothing, each row is scored alone. `keys`: what drawing needs to
    know of the whole training split, which then is every worker's share. `storage`: what tells whether
    the storage that the folder is on is there; None: nobody looks. `kept`: where the checkpoints are kept, if not in
    the folder, which then is this process's own.
    """

    config: Config
    task: Task
    train: Rows
    val: Rows
    distributed: Distributed
    folder: Path | None = None
    texts: RowTexts | None = None
    storage: StorageMark | None = None
    keys: RowKeys | None = None
    kept: Place | None = None

    @functools.cached_property
    def context(self) -> StepContext:
        """What every training step reads."""
        return StepContext.of(self.config, self.task, self.distributed)

    @property
    def written_folder(self) -> Path | None:
        """The folder, for the one worker that writes there for all; None for the others."""
        return self.folder if self.distributed.rank == 0 else None

    def check_storage(self) -> None:
        """Raises StorageLost."""
        if self.storage:
            self.storage.check()


def fit(run: TrainingRun, report: Report) -> None:
    """Train to the last epoch and report each epoch.

    With a folder, `last` and `best` checkpoints are kept there, and a `last` that exists is gone on from: its epoch is
    reported again, and among several workers the one before, since a kill may have come between saving and recording.
    Where memory runs out, a worker that is alone goes on from there with micro-batches of half the rows; among several
    the error is raised, since the others wait for this one. Raises NonFiniteLoss, ConfigError, CheckpointError,
    DoesNotFit, StorageLost.
    """
    run = replace(run, train=_training_rows(run))
    kills_of_workers = run.distributed.gather(microbatch.memory_kills())
    kills: microbatch.Kills = functools.reduce(lambda a, b: {**a, **b}, kills_of_workers)
    num_micro_batches = microbatch.agreed(run.distributed, lambda: _first_num_micro_batches(run, kills))
    record = microbatch.AttemptRecord(run.written_folder, kills, run.kept)
    # `_attempt` gives the number that was too small and not the error: its traceback would hold the tensors of the
    # step that failed, and `release` could free nothing.
    while too_few := _attempt(run, num_micro_batches, record, report):
        microbatch.release(run.distributed.device)
        num_micro_batches = microbatch.doubled(run.config, too_few)


def train_epoch(
    context: StepContext, learner: Learner, rows: Rows, epoch: int, num_micro_batches: int
) -> dict[str, float]:
    """One pass over the training rows; what was measured, as `train/<name>`.

    All randomness follows from the seed and the epoch (from 0), so a resumed run repeats it. Raises NonFiniteLoss.
    """
    config, distributed = context.config, context.distributed
    started = time.perf_counter()
    seed = config.seed * 1_000_003 + epoch
    torch.manual_seed(seed * 1009 + distributed.rank)  # dropout, drop path
    generator = torch.Generator().manual_seed(seed)  # augmentation and masks of the global batch, equal on every worker
    size = config.optim.batch_size // distributed.world_size
    steps = num_steps(rows, size, distributed)
    total = Losses.zero(distributed.device)
    training_mode(learner.model, config.optim.tune)
    batches = Awaited(fed(rows.batches(size, steps, seed), distributed.device))
    for step, batch in enumerate(batches):
        lr = scheduled_lr(config.optim, epoch * steps + step, steps)
        set_lr(learner.optimizer, lr)
        losses = train_step(context, learner.trained, batch, generator, num_micro_batches)
        learner.update(config.optim.clip_norm)
        total = total.plus(losses)
        if step % CHECK_EVERY == 0 or step == steps - 1:
            _require_finite(distributed.sum(total.task + total.reconstruction), epoch, step)
    task_sum, reconstruction_sum, num_rows = (distributed.sum(value).item() for value in total)
    measured = {"train/task_loss": task_sum / num_rows, "train/lr": lr}
    if config.trains_auxiliary:
        measured["train/reconstruction_loss"] = reconstruction_sum / num_rows
    seconds = time.perf_counter() - started
    measured |= {IMAGES_PER_S: num_rows / seconds, TRAINING_SECONDS: seconds, WAITING_SECONDS: batches.seconds}
    return measured


def _first_num_micro_batches(run: TrainingRun, kills: microbatch.Kills) -> int:
    """Raises StorageLost before anything is read from the folder or written to it, DoesNotFit."""
    run.check_storage()
    if run.folder and run.kept:
        microbatch.fetch(run.kept, run.folder)
    return microbatch.begin(run.folder, run.config, kills)


def _training_rows(run: TrainingRun) -> Rows:
    """The rows that the configuration trains on: a share of them, or drawn as it asks for."""
    rows, config = run.train, run.config
    if config.data.train_fraction < 1:
        rows = rows.subset(config.data.train_fraction, config.seed)
        if 0 in run.distributed.gather(rows.num_rows):
            raise ConfigError(
                f"`data.train_fraction` {config.data.train_fraction:g} must leave every worker a row, but leaves one "
                f"of {run.distributed.world_size} without; raise it, or lower `resources.num_workers`"
            )
    drawing = Drawing.of(config.data, run.task.kind != "multilabel", run.keys)
    return rows.drawn(drawing, run.distributed.rank, run.distributed.world_size) if drawing else rows


def _attempt(run: TrainingRun, num_micro_batches: int, record: microbatch.AttemptRecord, report: Report) -> int | None:
    """Train from the last checkpoint, if any, to the end. The number of micro-batches with which memory ran out; None
    where it did not.
    """
    record.keep(num_micro_batches)
    try:
        learner, state = _begin(run)
        if has_own_memory(run.distributed.device):
            find = functools.partial(fewest_micro_batches, run.context, learner, num_micro_batches)
            num_micro_batches = microbatch.agreed(run.distributed, find)
            record.keep(num_micro_batches)
        _train_epochs(run, learner.in_parallel(run.distributed), state, num_micro_batches, report)
    except (RuntimeError, ValueError) as error:
        if microbatch.lacks_rows(error) and num_micro_batches > run.config.optim.accumulate:
            raise microbatch.too_large(run.config, microbatch.TWO_ROWS) from error
        if run.distributed.world_size > 1 or not microbatch.is_out_of_memory(error):
            raise
        return num_micro_batches
    finally:
        record.end()
    return None


def _begin(run: TrainingRun) -> tuple[Learner, RunState | None]:
    """The learner as the last epoch left it, and what was saved with it; a new learner and nothing at the start."""
    torch.manual_seed(run.config.seed)
    last = _last_checkpoint(run)
    if run.folder is None or last is None:
        return new_learner(run.config, run.task, run.distributed.device), None
    folder, (tensors, state_json) = run.folder / LAST_CHECKPOINT, last
    state = RunState.from_json(state_json, folder)
    if state.config.of_training != run.config.of_training:
        raise CheckpointError(f"the checkpoint in {folder} was written by another config; delete it to start again")
    learner = new_learner(run.config, run.task, run.distributed.device, resumed=True)
    learner.restore(tensors, folder)
    return learner, state


def _last_checkpoint(run: TrainingRun) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What the run goes on from; None where it begins at its seed, the same on all workers.

    It begins there, too, where `last` is damaged, and comes to the same end as if nothing had happened. So it does
    where `best` is: `last` does not hold the weights of an earlier best epoch. Raises StorageLost, OSError.
    """
    if run.folder is None:
        return None
    last, best = run.folder / LAST_CHECKPOINT, run.folder / BEST_CHECKPOINT
    loaded = []

    def look() -> int:
        """1 where this worker finds nothing to go on from."""
        if run.kept and fetch_whole(run.kept / LAST_CHECKPOINT, last):
            fetch_whole(run.kept / BEST_CHECKPOINT, best)
        if last.exists():
            try:
                checkpoint.load(best)
                loaded.append(checkpoint.load(last))
            except DamagedCheckpoint as error:
                logging.getLogger(__name__).warning("the run begins anew from its seed: %s", error)
        run.check_storage()  # without it, what was saved only seems not to be there
        return 0 if loaded else 1

    return None if microbatch.agreed(run.distributed, look) else loaded[0]


def _train_epochs(
    run: TrainingRun, learner: Learner, begun: RunState | None, num_micro_batches: int, report: Report
) -> None:
    """The epochs that are left, each with its evaluation, checkpoint and report. Of those that had `begun` the last is
    reported again, and among several workers the one before: they may not be on record.
    """
    for result in begun.latest[-2 if run.distributed.world_size > 1 else -1 :] if begun else ():
        report(result)
    last, history = (begun.result, begun.history) if begun else (None, ())
    num_flops = flops(learner.model, run.config.data.image_size)
    for epoch in range(last.epoch if last else 0, run.config.optim.epochs):
        metrics = train_epoch(run.context, learner, run.train, epoch, num_micro_batches)
        run.distributed.share_buffers(learner.evaluated)
        measured, predicted = _evaluate(run, learner.evaluated, num_micro_batches)
        metrics |= measured
        score = _selecting_score(run, metrics)
        is_best = last is None or score > last.best
        if last is None or is_best:
            best, best_gap, best_in_domain = score, metrics.get(GAP), metrics.get(IN_DOMAIN)
        else:
            best, best_gap, best_in_domain = last.best, last.best_gap, last.best_in_domain
        last = EpochResult(
            epoch=epoch + 1,
            epochs=run.config.optim.epochs,
            score=score,
            best=best,
            parameters=learner.num_parameters,
            micro_batches=num_micro_batches,
            metrics=metrics,
            best_gap=best_gap,
            best_in_domain=best_in_domain,
            flops=num_flops,
            learning=learner.num_learning,
        )
        if run.written_folder:
            run.check_storage()
            history = (*history, last.to_json() | {"time": round(time.time(), 3)})
            state = RunState(run.config, run.task, last, history)
            _save(run, state, learner, predicted if is_best else None)
            run.check_storage()  # it may have gone meanwhile, and nothing is reported that is not there
        report(replace(last, panel=_panel(run, learner)))


def _evaluate(run: TrainingRun, model: LSSAT, num_micro_batches: int) -> tuple[dict[str, float], RowPredictions]:
    """All that is measured on the validation rows of all workers, as `val/<name>`, and what it was measured from."""
    started = time.perf_counter()
    predictions, positions = predict_rows(run.config, model, run.val, run.distributed, num_micro_batches)
    texts = None
    if run.texts:
        assert (positions >= 0).all(), "rows of a data set know where in their split they are"
        texts = run.texts.of(positions)
    scores = score_predictions(run.config, run.task, predictions, texts)
    measured = {f"val/{name}": value for name, value in scores.items()}
    measured[EVALUATION_SECONDS] = time.perf_counter() - started
    return measured, RowPredictions(predictions, positions)


def _selecting_score(run: TrainingRun, metrics: Mapping[str, float]) -> float:
    """The metric that the study selects by. Raises ConfigError where it is not defined."""
    metric = run.config.objective.metric
    score = metrics[f"val/{run.task.score_metric(metric)}"]
    if not np.isfinite(score):
        raise ConfigError(
            f"`objective.metric` {metric} is not defined on the validation rows: a class or a group has too few of them"
        )
    return score


def _panel(run: TrainingRun, learner: Learner) -> bytes | None:
    """A picture of what was rebuilt, drawn by one worker; None without the auxiliary task."""
    if run.distributed.rank > 0 or not run.config.trains_auxiliary:
        return None
    return draw_panel(run.config, learner.evaluated, run.val, run.distributed.device)


def _save(run: TrainingRun, state: RunState, learner: Learner, best: RowPredictions | None) -> None:
    """First `best`, then `last`: a kill in between repeats the epoch, which then writes the same `best` again.

    `best`: the predictions of an epoch that is the best so far.
    """
    assert run.folder, "whoever keeps checkpoints has a folder"
    saved = {LAST_CHECKPOINT: learner.tensors()}
    if best:
        saved = {BEST_CHECKPOINT: learner.evaluated_tensors() | best.tensors(), **saved}
    for name, tensors in saved.items():
        checkpoint.save(run.folder / name, tensors=tensors, state=state.to_json())
        if run.kept:
            send_whole(run.folder / name, run.kept / name)


def _require_finite(total: Tensor, epoch: int, step: int) -> None:
    """`total` of all workers, so that all of them end together."""
    if not torch.isfinite(total):
        raise NonFiniteLoss(
            f"loss is not finite (epoch {epoch + 1}, step {step + 1}); lower `optim.lr` or set "
            "`optim.precision: float32`"
        )
