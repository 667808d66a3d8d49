"""Train one config and evaluate: plain torch. Ray never enters here; who wants the results hands in `report`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lssat import checkpoint, microbatch
from lssat.config import Config, ConfigError
from lssat.data.rows import Batch, Rows
from lssat.fairness import Groups, worst_group
from lssat.losses import class_weights, joint_loss, task_loss
from lssat.metrics import Array, evaluate_scores
from lssat.mixup import mixed_loss
from lssat.model import LSSAT, Output, build_model
from lssat.optim import build_optimizer, freeze, schedule, set_rate, training_mode
from lssat.panel import draw_panel
from lssat.target import target_loss
from lssat.task import Task
from lssat.texture import stream_image
from lssat.views import Chance, Views, draw_chance, make_views

Report = Callable[[dict[str, Any]], None]
CHECK_EVERY = 50  # steps between two looks for a loss that is not finite: a look waits for the device


class NonFiniteLoss(RuntimeError):
    """The loss became infinite or NaN; the run cannot go on."""


@dataclass(frozen=True)
class Place:
    """Where this worker stands."""

    device: torch.device
    rank: int = 0
    world: int = 1

    def sum(self, value: Tensor) -> Tensor:
        """Sum over all workers, the same on each."""
        if self.world > 1:
            dist.all_reduce(value)
        return value

    def share_buffers(self, model: nn.Module) -> None:
        """Give every worker the running statistics of the first, which are the ones that are saved."""
        if self.world > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def gather(self, value: Any) -> list[Any]:
        """The objects of all workers, in rank order, on each."""
        if self.world == 1:
            return [value]
        parts: list[Any] = [None] * self.world
        dist.all_gather_object(parts, value)
        return parts


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
    """Raw losses summed over the real rows of a batch, and their number. Raw: before class weights, label smoothing and `aux_weight`."""

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
    place: Place
    report: Report
    folder: Path | None
    groups: Groups | None


def fit(config: Config, task: Task, train: Rows, val: Rows, place: Place, report: Report, folder: Path | None = None, groups: Groups | None = None) -> None:
    """Train to the last epoch and report once per epoch; `groups` tells subgroups of the validation rows apart.

    With a `folder`, `last` and `best` checkpoints are kept there, and a `last` that exists is gone on from. Where memory runs out, a worker that is
    alone goes on from there with micro-batches of half the rows; among several the error is raised, since the others wait for this one.
    Raises NonFiniteLoss, ConfigError, DoesNotFit.
    """
    if config.data.train_fraction < 1:
        train = train.subset(config.data.train_fraction, config.seed)
    if config.data.sampling == "balanced":
        if task.kind == "multilabel":
            raise ConfigError("`data.sampling` balanced needs one label per row, but the task has several; take `optim.class_balanced` instead")
        train = train.balanced(np.array(task.counts))
    job = Job(config, task, train, val, place, _each_epoch_once(report), folder, groups)
    kills = functools.reduce(lambda a, b: {**a, **b}, place.gather(microbatch.memory_kills()))
    number = _agreed(place, lambda: microbatch.begin(folder, config, kills))
    while failed := _attempt(job, number, kills):
        microbatch.release(place.device)
        number = microbatch.doubled(config, failed)


def _attempt(job: Job, number: int, kills: microbatch.Kills) -> int | None:
    """Train from the last checkpoint, if any, to the end. The number of micro-batches with which memory ran out; None where it did not."""
    kept = job.folder if job.place.rank == 0 else None
    if kept:
        microbatch.keep(kept, number, kills)
    try:
        learner, state = _begin(job)
        if has_own_memory(job.place.device):
            number = _agreed(job.place, lambda: _probe(job, learner, number))
            if kept:
                microbatch.keep(kept, number, kills)
        _train(job, learner, state, number)
    except (RuntimeError, ValueError) as error:
        if microbatch.is_starved(error) and number > job.config.optim.accumulate:
            raise microbatch.too_large(job.config, microbatch.TWO_ROWS) from error
        if job.place.world > 1 or not microbatch.is_out_of_memory(error):
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
    model = freeze(build_model(config, job.task.num_outputs, trained=begun).to(job.place.device), config.backbone.trainable)
    learner = Learner(model, weight_average(model, config.optim.ema_decay), build_optimizer(model, config.optim))
    return learner, _resume(job.folder, config, learner) if job.folder else None


def _train(job: Job, learner: Learner, state: dict[str, Any] | None, micro_batches: int) -> None:
    """The epochs that are left, each with its evaluation, checkpoint and report."""
    config, task, place, folder = job.config, job.task, job.place, job.folder
    done, best = (state["epoch"], state["best"]) if state else (0, -np.inf)
    gap = state["result"].get("val/best_gap", np.nan) if state else np.nan  # of the epoch that is kept
    if state:  # a kill may have come between saving an epoch and recording it
        job.report({**state["result"], "panel": None})
    trained: nn.Module = DistributedDataParallel(learner.model) if place.world > 1 else learner.model
    for epoch in range(done, config.optim.epochs):
        measured = train_epoch(config, task, trained, learner, job.train, place, epoch, micro_batches)
        place.share_buffers(learner.evaluated)
        measured |= evaluate(config, task, learner.evaluated, job.val, place, prefix="val", groups=job.groups, micro_batches=micro_batches)
        score = measured[f"val/{task.score_metric(config.objective.metric)}"]
        is_best, best = score > best, max(score, best)
        result = {**measured, "val/score": score, "val/best": best, "epoch": epoch + 1, "epochs": config.optim.epochs}
        if job.groups:
            gap = result["val/best_gap"] = measured["val/gap"] if is_best else gap
        result["parameters"] = sum(p.numel() for p in learner.model.encoder.parameters())
        result["micro_batches"] = micro_batches
        if folder and place.rank == 0:
            _save(folder, config, task, learner, result, is_best)
        panel = draw_panel(config, learner.evaluated, job.val, place.device) if place.rank == 0 and config.trains_auxiliary else None
        job.report({**result, "panel": panel})


def has_own_memory(device: torch.device) -> bool:
    """Whether running out of memory is an error there that can be caught: then it is cheaper to find out before the first epoch."""
    return device.type != "cpu"


def _probe(job: Job, learner: Learner, number: int) -> int:
    config, task, alone = job.config, job.task, Place(job.place.device)
    size = config.optim.batch_size // job.place.world
    side, labels = config.data.image_size, (size, task.num_outputs) if task.kind == "multilabel" else (size,)
    batch = Batch(np.zeros((size, side, side, 3), np.uint8), np.zeros(labels, np.int64), np.ones(size, np.float32), np.zeros(size, np.int64))

    def step(micro_batches: int) -> None:
        train_step(config, task, learner.model, batch, alone, torch.Generator(), None, micro_batches)

    training_mode(learner.model, config.backbone.trainable)
    return microbatch.probe(step, learner.model, learner.optimizer, config, job.place.device, number)


def _agreed(place: Place, find: Callable[[], int]) -> int:
    """The largest number that any worker finds, the same on each. Raises DoesNotFit on all where it is raised on one."""
    found: int | microbatch.DoesNotFit
    try:
        found = find()
    except microbatch.DoesNotFit as error:
        found = error
    numbers: list[int] = []
    for answer in place.gather(found):
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


def train_epoch(config: Config, task: Task, model: nn.Module, learner: Learner, rows: Rows, place: Place, epoch: int, micro_batches: int) -> dict[str, float]:
    """One pass over the training rows. All randomness follows from (seed, epoch), so a resumed run repeats it."""
    started = time.perf_counter()
    seed = config.seed * 1_000_003 + epoch
    torch.manual_seed(seed * 1009 + place.rank)  # dropout, drop path
    generator = torch.Generator().manual_seed(seed)  # augmentation and masks of the global batch, equal on every worker
    size = config.optim.batch_size // place.world
    steps = num_steps(rows, size, place)
    weights = class_weights(_label_counts(task), task.kind).to(place.device) if config.optim.class_balanced else None
    total = Losses(*(torch.zeros((), device=place.device) for _ in Losses._fields))
    training_mode(learner.model, config.backbone.trainable)
    for step, batch in enumerate(rows.batches(size, steps, seed)):
        lr = schedule(epoch * steps + step, config.optim.epochs * steps, round(config.optim.warmup_epochs * steps), config.optim.lr, config.optim.min_lr)
        set_rate(learner.optimizer, lr)
        losses = train_step(config, task, model, batch, place, generator, weights, micro_batches)
        nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        learner.optimizer.step()
        learner.optimizer.zero_grad(set_to_none=True)
        if learner.average:
            learner.average.update_parameters(learner.model)
        total = _added(total, losses)
        if step % CHECK_EVERY == 0 or step == steps - 1:
            _require_finite(place.sum(total.task + total.reconstruction), epoch, step)
    task_sum, rec_sum, num_rows = (place.sum(value).item() for value in total)
    measured = {"train/task_loss": task_sum / num_rows, "train/lr": lr}
    if config.trains_auxiliary:
        measured["train/reconstruction_loss"] = rec_sum / num_rows
    measured["train/images_per_s"] = num_rows / (time.perf_counter() - started)
    return measured


def train_step(
    config: Config, task: Task, model: nn.Module, batch: Batch, place: Place, generator: torch.Generator, weights: Tensor | None, micro_batches: int
) -> Losses:
    """Gradients of the joint loss over the global batch: each worker adds its rows' part, micro-batch by micro-batch, DDP averages."""
    image, label, weight = to_device(batch, place.device)
    chance = draw_chance(config, unwrap(model).encoder, generator).of(slice(place.rank * len(image), (place.rank + 1) * len(image)))
    scale = place.world / place.sum(weight.sum()).clamp(min=1)
    parts, cuts = [], microbatch.cut(config, len(image), micro_batches)
    for rows in cuts:
        with _unsynced(model) if rows is not cuts[-1] else nullcontext():
            parts.append(_accumulate(config, task, model, image[rows], label[rows], weight[rows], chance.of(rows), weights, scale))
    return functools.reduce(_added, parts)


def _accumulate(
    config: Config, task: Task, model: nn.Module, image: Tensor, label: Tensor, weight: Tensor, chance: Chance, weights: Tensor | None, scale: Tensor
) -> Losses:
    """Add `scale` times the gradients of some rows' joint losses."""
    encoder = unwrap(model).encoder
    views = make_views(config, encoder, image, chance)
    with autocast(config, encoder.masking, image.device):
        output: Output = model(views.classified, views.masked, views.mask)

    def mixed_task_loss(class_weight: Tensor | None, smoothing: float) -> Tensor:
        return mixed_loss(lambda of: task_loss(output.logits.float(), of, task.kind, class_weight, smoothing), label, chance.draws.share)

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
    return target_loss(output.pred.float(), views.target, views.mask, config, unit)


def _unsynced(model: nn.Module) -> AbstractContextManager[Any]:
    """Within, gradients stay with each worker: those of the last micro-batch take all along."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


def _added(a: Losses, b: Losses) -> Losses:
    return Losses(*(x + y for x, y in zip(a, b, strict=True)))


@torch.no_grad()
def predict_rows(config: Config, model: LSSAT, rows: Rows, place: Place, micro_batches: int = 1) -> tuple[Array, Array, Array]:
    """Logits [N,K], labels and places in the split [N] of all real rows of all workers, the same on each; a batch in as many parts as `micro_batches`."""
    model.eval()
    size = max(1, config.optim.batch_size // place.world // micro_batches)
    logits, labels, places = [], [], []
    for batch in rows.batches(size, num_steps(rows, size, place), None):
        image, _, _ = to_device(batch, place.device)
        with autocast(config, model.encoder.masking, place.device):
            output = model(stream_image(image, config.classified_stream, config.target))
        real = batch.weight > 0
        logits.append(output.logits.float().cpu().numpy()[real])
        labels.append(batch.label[real])
        places.append(batch.row[real])
    parts = place.gather((np.concatenate(logits), np.concatenate(labels), np.concatenate(places)))
    together = [np.concatenate(of_workers) for of_workers in zip(*parts, strict=True)]
    return together[0], together[1], together[2]


def evaluate(
    config: Config, task: Task, model: LSSAT, rows: Rows, place: Place, prefix: str, groups: Groups | None = None, micro_batches: int = 1
) -> dict[str, float]:
    """All metrics of the task on a split, and its task loss, as `<prefix>/<metric>`; with groups also `worst_group` and `gap`."""
    logits, labels, places = predict_rows(config, model, rows, place, micro_batches)
    scores = score_predictions(task, logits, labels, prefix)
    if groups:
        if (places < 0).any():
            raise ConfigError("`objective.subgroups` needs data that fit into memory; leave it out, or give a smaller table")
        found = worst_group(task.kind, task.score_metric("auto"), logits, labels, {name: texts[places] for name, texts in groups.items()})
        scores |= {f"{prefix}/{name}": value for name, value in found.items()}
    return scores


def score_predictions(task: Task, logits: Array, labels: Array, prefix: str) -> dict[str, float]:
    """All metrics and the task loss of logits [N,K], as `<prefix>/<metric>`. Raises NonFiniteLoss."""
    if not np.isfinite(logits).all():
        raise NonFiniteLoss(f"logits on {prefix} are not finite; lower `optim.lr` or set `optim.precision: float32`")
    loss = task_loss(torch.from_numpy(logits), torch.from_numpy(labels), task.kind, None).mean().item()
    return {f"{prefix}/{name}": value for name, value in evaluate_scores(task.kind, logits, labels).items()} | {f"{prefix}/task_loss": loss}


def num_steps(rows: Rows, size: int, place: Place) -> int:
    """Batches per epoch: as many as the worker with most rows needs."""
    steps: list[int] = place.gather(-(-rows.num_rows // size))
    return max(steps)


def to_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """`image` float [B,3,H,W] in [0,1] (stored channels-last), `label`, `weight`, on the device."""
    image = torch.from_numpy(batch.image).to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
    return image, torch.from_numpy(batch.label).to(device), torch.from_numpy(batch.weight).to(device)


def autocast(config: Config, masking: str, device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where asked for, or where the hardware gains from it: GPUs, CPUs with matrix tiles, flat-token models on AVX-512 BF16.

    Depthwise convolutions run slower in bfloat16 without tiles (measured 0.5x), hence the distinction.
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        capability = torch.cpu.get_capabilities()
        fast = bool(capability.get("amx_bf16")) or (masking == "tokens" and bool(capability.get("avx512_bf16")))
    if config.optim.precision == "float32" or (config.optim.precision == "auto" and not fast):
        return nullcontext()
    stack = ExitStack()
    stack.enter_context(torch.autocast(device.type, torch.bfloat16))
    if device.type == "cpu":  # plain matrix products: with short sequences the fused kernel's backward costs half of the step (measured)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
    return stack


def weight_average(model: LSSAT, decay: float) -> AveragedModel | None:
    """The average that an epoch's end evaluates instead of the model; None where it is off."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None  # type: ignore[no-untyped-call]


def unwrap(model: nn.Module) -> LSSAT:
    inner = model.module if isinstance(model, DistributedDataParallel | AveragedModel) else model
    assert isinstance(inner, LSSAT)
    return inner


def _label_counts(task: Task) -> Tensor:
    """Training rows per class [K]; multi-label: per label those without and with it [K,2]."""
    counts = torch.tensor(task.counts)
    return torch.stack([task.num_train - counts, counts], dim=1) if task.kind == "multilabel" else counts


def _require_finite(total: Tensor, epoch: int, step: int) -> None:
    """`total` of all workers, so that all of them end together."""
    if not torch.isfinite(total):
        raise NonFiniteLoss(f"loss is not finite (epoch {epoch + 1}, step {step + 1}); lower `optim.lr` or set `optim.precision: float32`")


def _save(folder: Path, config: Config, task: Task, learner: Learner, result: dict[str, Any], is_best: bool) -> None:
    state = {"epoch": result["epoch"], "best": result["val/best"], "result": result, "config": config.model_dump(), "task": task.to_json()}
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
        raise checkpoint.CheckpointError(f"the checkpoint in {folder / 'last'} was written by another config; delete it to start again")
    learner.model.load_state_dict(_of("model.", tensors))
    checkpoint.restore_optimizer(learner.optimizer, tensors)
    if learner.average:
        learner.average.load_state_dict(_of("average.", tensors))
    return state


def _named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in module.state_dict().items()}


def _of(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
