"""Train one config: plain torch. Ray never enters here; who wants the results hands in `report`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lssat.config import Config, ConfigError
from lssat.data.prepared.rows import Batch, Rows
from lssat.evaluation.fairness import Groups
from lssat.inputs.mixup import mixed_loss
from lssat.inputs.target import target_loss
from lssat.model.lssat import LSSAT, Output, build_model
from lssat.task import Task
from lssat.train import checkpoint, microbatch
from lssat.train.distributed import Distributed, num_steps, to_device
from lssat.train.losses import class_weights, joint_loss, task_loss
from lssat.train.optim import build_optimizer, freeze, schedule, set_rate, training_mode
from lssat.train.panel import draw_panel
from lssat.train.precision import autocast
from lssat.train.scoring import NonFiniteLoss, evaluate
from lssat.train.views import Chance, Views, draw_chance, make_views

Report = Callable[[dict[str, Any]], None]
CHECK_EVERY = 50  # steps between two looks for a loss that is not finite: a look waits for the device


class Learner(NamedTuple):
    """What a run changes as it trains."""

    model: LSSAT
    average: AveragedModel | None
    """An exponential moving average of the model, its running statistics included."""
    optimizer: torch.optim.Optimizer

    @property
    def evaluated(self) -> LSSAT:
        """The model that is scored and kept."""
        return unwrap(self.average) if self.average else self.model


class Losses(NamedTuple):
    """Raw losses summed over the real rows of a batch, and their number. Raw: before class weights, label smoothing and
    `aux_weight`.
    """

    task: Tensor
    reconstruction: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Job:
    """What `fit` was asked for."""

    config: Config
    task: Task
    train: Rows
    val: Rows
    distributed: Distributed
    report: Report
    folder: Path | None
    groups: Groups | None


def fit(
    config: Config,
    task: Task,
    train: Rows,
    val: Rows,
    distributed: Distributed,
    report: Report,
    folder: Path | None = None,
    groups: Groups | None = None,
) -> None:
    """Train to the last epoch and report once per epoch; `groups` tells subgroups of the validation rows apart.

    With a `folder`, `last` and `best` checkpoints are kept there, and a `last` that exists is gone on from. Where
    memory runs out, a worker that is alone goes on from there with micro-batches of half the rows; among several the
    error is raised, since the others wait for this one. Raises NonFiniteLoss, ConfigError, DoesNotFit.
    """
    if config.data.train_fraction < 1:
        train = train.subset(config.data.train_fraction, config.seed)
    if _draws_evenly(config, task):
        train = train.balanced(np.array(task.counts))
    job = Job(config, task, train, val, distributed, _each_epoch_once(report), folder, groups)
    kills = functools.reduce(lambda a, b: {**a, **b}, distributed.gather(microbatch.memory_kills()))
    number = _agreed(distributed, lambda: microbatch.begin(folder, config, kills))
    while failed := _attempt(job, number, kills):
        microbatch.release(distributed.device)
        number = microbatch.doubled(config, failed)


def _attempt(job: Job, number: int, kills: microbatch.Kills) -> int | None:
    """Train from the last checkpoint, if any, to the end. The number of micro-batches with which memory ran out; None
    where it did not.
    """
    kept = job.folder if job.distributed.rank == 0 else None
    if kept:
        microbatch.keep(kept, number, kills)
    try:
        learner, state = _begin(job)
        if has_own_memory(job.distributed.device):
            number = _agreed(job.distributed, lambda: _probe(job, learner, number))
            if kept:
                microbatch.keep(kept, number, kills)
        _train(job, learner, state, number)
    except (RuntimeError, ValueError) as error:
        if microbatch.is_starved(error) and number > job.config.optim.accumulate:
            raise microbatch.too_large(job.config, microbatch.TWO_ROWS) from error
        if job.distributed.world_size > 1 or not microbatch.is_out_of_memory(error):
            raise
        return number
    finally:
        if kept:
            microbatch.end(kept)
    return None


def _begin(job: Job) -> tuple[Learner, dict[str, Any] | None]:
    """The learner as it was left, and the state kept beside it; a new one and None at the start."""
    config = job.config
    torch.manual_seed(config.seed)
    begun = job.folder is not None and (job.folder / "last").exists()
    model = freeze(
        build_model(config, job.task.num_outputs, trained=begun).to(job.distributed.device), config.backbone.trainable
    )
    learner = Learner(model, weight_average(model, config.optim.ema_decay), build_optimizer(model, config.optim))
    return learner, _resume(job.folder, config, learner) if job.folder else None


def _train(job: Job, learner: Learner, state: dict[str, Any] | None, micro_batches: int) -> None:
    """The epochs that are left, each with its evaluation, checkpoint and report."""
    config, task, distributed, folder = job.config, job.task, job.distributed, job.folder
    done, best = (state["epoch"], state["best"]) if state else (0, -np.inf)
    gap = state["result"].get("val/best_gap", np.nan) if state else np.nan  # of the epoch that is kept
    if state:  # a kill may have come between saving an epoch and recording it
        job.report({**state["result"], "panel": None})
    trained: nn.Module = DistributedDataParallel(learner.model) if distributed.world_size > 1 else learner.model
    for epoch in range(done, config.optim.epochs):
        measured = train_epoch(config, task, trained, learner, job.train, distributed, epoch, micro_batches)
        distributed.share_buffers(learner.evaluated)
        measured |= evaluate(
            config,
            task,
            learner.evaluated,
            job.val,
            distributed,
            prefix="val",
            groups=job.groups,
            micro_batches=micro_batches,
        )
        score = measured[f"val/{task.score_metric(config.objective.metric)}"]
        if not np.isfinite(score):
            raise ConfigError(
                f"`objective.metric` {config.objective.metric} is not defined on the validation rows: a class or a "
                "group has too few of them"
            )
        is_best, best = score > best, max(score, best)
        result = {**measured, "val/score": score, "val/best": best, "epoch": epoch + 1, "epochs": config.optim.epochs}
        if job.groups:
            gap = result["val/best_gap"] = measured["val/gap"] if is_best else gap
        result["parameters"] = sum(p.numel() for p in learner.model.encoder.parameters())
        result["micro_batches"] = micro_batches
        if folder and distributed.rank == 0:
            _save(folder, config, task, learner, result, is_best)
        panel = (
            draw_panel(config, learner.evaluated, job.val, distributed.device)
            if distributed.rank == 0 and config.trains_auxiliary
            else None
        )
        job.report({**result, "panel": panel})


def has_own_memory(device: torch.device) -> bool:
    """Whether running out of memory is an error there that can be caught: then it is cheaper to find out before the
    first epoch.
    """
    return device.type != "cpu"


def _probe(job: Job, learner: Learner, number: int) -> int:
    config, task, alone = job.config, job.task, Distributed(job.distributed.device)
    size = config.optim.batch_size // job.distributed.world_size
    side, labels = config.data.image_size, (size, task.num_outputs) if task.kind == "multilabel" else (size,)
    batch = Batch(
        np.zeros((size, side, side, 3), np.uint8),
        np.zeros(labels, np.int64),
        np.ones(size, np.float32),
        np.zeros(size, np.int64),
    )

    def step(micro_batches: int) -> None:
        train_step(config, task, learner.model, batch, alone, torch.Generator(), None, micro_batches)

    training_mode(learner.model, config.backbone.trainable)
    return microbatch.probe(step, learner.model, learner.optimizer, config, job.distributed.device, number)


def _agreed(distributed: Distributed, find: Callable[[], int]) -> int:
    """The largest number that any worker finds, the same on each. Raises DoesNotFit on all where it is raised on one."""
    found: int | microbatch.DoesNotFit
    try:
        found = find()
    except microbatch.DoesNotFit as error:
        found = error
    numbers: list[int] = []
    for answer in distributed.gather(found):
        if isinstance(answer, microbatch.DoesNotFit):
            raise answer
        numbers.append(answer)
    return max(numbers)


def _each_epoch_once(report: Report) -> Report:
    """`report`, but for what an attempt repeats of an earlier one in this process."""
    reported = 0

    def report_new(result: dict[str, Any]) -> None:
        nonlocal reported
        if result["epoch"] > reported:
            reported = result["epoch"]
            report(result)

    return report_new


def train_epoch(
    config: Config,
    task: Task,
    model: nn.Module,
    learner: Learner,
    rows: Rows,
    distributed: Distributed,
    epoch: int,
    micro_batches: int,
) -> dict[str, float]:
    """One pass over the training rows. All randomness follows from (seed, epoch), so a resumed run repeats it."""
    started = time.perf_counter()
    seed = config.seed * 1_000_003 + epoch
    torch.manual_seed(seed * 1009 + distributed.rank)  # dropout, drop path
    generator = torch.Generator().manual_seed(seed)  # augmentation and masks of the global batch, equal on every worker
    size = config.optim.batch_size // distributed.world_size
    steps = num_steps(rows, size, distributed)
    weights = (
        class_weights(_label_counts(task), task.kind).to(distributed.device)
        if config.optim.class_balanced and not _draws_evenly(config, task)
        else None
    )
    total = Losses(*(torch.zeros((), device=distributed.device) for _ in Losses._fields))
    training_mode(learner.model, config.backbone.trainable)
    for step, batch in enumerate(rows.batches(size, steps, seed)):
        lr = schedule(
            epoch * steps + step,
            config.optim.epochs * steps,
            round(config.optim.warmup_epochs * steps),
            config.optim.lr,
            config.optim.min_lr,
        )
        set_rate(learner.optimizer, lr)
        losses = train_step(config, task, model, batch, distributed, generator, weights, micro_batches)
        nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        learner.optimizer.step()
        learner.optimizer.zero_grad(set_to_none=True)
        if learner.average:
            learner.average.update_parameters(learner.model)
        total = _added(total, losses)
        if step % CHECK_EVERY == 0 or step == steps - 1:
            _require_finite(distributed.sum(total.task + total.reconstruction), epoch, step)
    task_sum, rec_sum, num_rows = (distributed.sum(value).item() for value in total)
    measured = {"train/task_loss": task_sum / num_rows, "train/lr": lr}
    if config.trains_auxiliary:
        measured["train/reconstruction_loss"] = rec_sum / num_rows
    measured["train/images_per_s"] = num_rows / (time.perf_counter() - started)
    return measured


def train_step(
    config: Config,
    task: Task,
    model: nn.Module,
    batch: Batch,
    distributed: Distributed,
    generator: torch.Generator,
    weights: Tensor | None,
    micro_batches: int,
) -> Losses:
    """Gradients of the joint loss over the global batch: each worker adds its rows' part, micro-batch by micro-batch,
    DDP averages.
    """
    image, label, weight = to_device(batch, distributed.device)
    chance = draw_chance(config, unwrap(model).encoder, generator).of(
        slice(distributed.rank * len(image), (distributed.rank + 1) * len(image))
    )
    scale = distributed.world_size / distributed.sum(weight.sum()).clamp(min=1)
    parts, cuts = [], microbatch.cut(config, len(image), micro_batches)
    for rows in cuts:
        with _unsynced(model) if rows is not cuts[-1] else nullcontext():
            parts.append(
                _accumulate(
                    config, task, model, image[rows], label[rows], weight[rows], chance.of(rows), weights, scale
                )
            )
    return functools.reduce(_added, parts)


def _accumulate(
    config: Config,
    task: Task,
    model: nn.Module,
    image: Tensor,
    label: Tensor,
    weight: Tensor,
    chance: Chance,
    weights: Tensor | None,
    scale: Tensor,
) -> Losses:
    """Add `scale` times the gradients of some rows' joint losses."""
    encoder = unwrap(model).encoder
    views = make_views(config, encoder, image, chance)
    with autocast(config, encoder.masking, image.device):
        output: Output = model(views.classified, views.masked, views.mask)

    def mixed_task_loss(class_weight: Tensor | None, smoothing: float) -> Tensor:
        return mixed_loss(
            lambda of: task_loss(output.logits.float(), of, task.kind, class_weight, smoothing),
            label,
            chance.draws.share,
        )

    raw_task = mixed_task_loss(None, 0.0)
    trained_task = mixed_task_loss(weights, config.optim.label_smoothing)
    reconstruction = _reconstruction(config, output, views, encoder.unit)
    loss = joint_loss(trained_task, reconstruction, config.aux_weight)
    torch.autograd.backward(scale * (loss * weight).sum())
    rec_sum = (reconstruction.detach() * weight).sum() if reconstruction is not None else torch.zeros_like(weight.sum())
    return Losses((raw_task.detach() * weight).sum(), rec_sum, weight.sum())


def _reconstruction(config: Config, output: Output, views: Views, unit: int) -> Tensor | None:
    if output.pred is None or views.target is None or views.mask is None:
        return None
    return target_loss(output.pred.float(), views.target, views.mask.hidden, config, unit)


def _unsynced(model: nn.Module) -> AbstractContextManager[Any]:
    """Within, gradients stay with each worker: those of the last micro-batch take all along."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


def _added(a: Losses, b: Losses) -> Losses:
    return Losses(*(x + y for x, y in zip(a, b, strict=True)))


def weight_average(model: LSSAT, decay: float) -> AveragedModel | None:
    """The average that an epoch's end evaluates instead of the model; None where it is off."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None  # type: ignore[no-untyped-call]


def unwrap(model: nn.Module) -> LSSAT:
    inner = model.module if isinstance(model, DistributedDataParallel | AveragedModel) else model
    assert isinstance(inner, LSSAT)
    return inner


def _draws_evenly(config: Config, task: Task) -> bool:
    """Whether every class is drawn equally often; several labels of a row cannot be evened out by drawing rows."""
    return config.data.sampling == "balanced" and task.kind != "multilabel"


def _label_counts(task: Task) -> Tensor:
    """Training rows per class [K]; multi-label: per label those without and with it [K,2]."""
    counts = torch.tensor(task.counts)
    return torch.stack([task.num_train - counts, counts], dim=1) if task.kind == "multilabel" else counts


def _require_finite(total: Tensor, epoch: int, step: int) -> None:
    """`total` of all workers, so that all of them end together."""
    if not torch.isfinite(total):
        raise NonFiniteLoss(
            f"loss is not finite (epoch {epoch + 1}, step {step + 1}); lower `optim.lr` or set `optim.precision: "
            "float32`"
        )


def _save(folder: Path, config: Config, task: Task, learner: Learner, result: dict[str, Any], is_best: bool) -> None:
    state = {
        "epoch": result["epoch"],
        "best": result["val/best"],
        "result": result,
        "config": config.model_dump(),
        "task": task.to_json(),
    }
    if is_best:
        checkpoint.save(folder / "best", tensors=_named("model.", learner.evaluated), state=state)
    tensors = _named("model.", learner.model) | checkpoint.flatten_optimizer(learner.optimizer)
    if learner.average:
        tensors |= _named("average.", learner.average)
    checkpoint.save(folder / "last", tensors=tensors, state=state)


def _resume(folder: Path, config: Config, learner: Learner) -> dict[str, Any] | None:
    if not (folder / "last").exists():
        return None
    tensors, state = checkpoint.load(folder / "last")
    if state["config"] != config.model_dump():
        raise checkpoint.CheckpointError(
            f"the checkpoint in {folder / 'last'} was written by another config; delete it to start again"
        )
    learner.model.load_state_dict(_of("model.", tensors))
    checkpoint.restore_optimizer(learner.optimizer, tensors)
    if learner.average:
        learner.average.load_state_dict(_of("average.", tensors))
    return state


def _named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in module.state_dict().items()}


def _of(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
