"""The last batch of an epoch is short: its rows alone are counted, by one worker or two, whole or in micro-batches.

The truth is plain torch in one process, which is given these rows and no others.
"""

import itertools

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch import nn

from lssat.config import build
from lssat.data.prepared.rows import Batch, ResidentRows
from lssat.inputs.masking import Mask
from lssat.inputs.target import target_loss
from lssat.model.encoders.norms import norms_masked, norms_of_few, norms_synced, norms_uncounted, visibility
from lssat.model.lssat import build_model
from lssat.task import Task
from lssat.train.distributed import Distributed, to_device
from lssat.train.learner import new_learner
from lssat.train.loop import train_epoch
from lssat.train.losses import joint_loss, task_loss
from lssat.train.scoring import predict_rows
from lssat.train.step import StepContext, train_step
from lssat.train.views import draw, make_views
from tests.lssat.one_of_two import one_of_two

TASK = Task("emotion", "multiclass", ("a", "b", "c"), (10, 10, 10), 30)
DEVICE = torch.device("cpu")
ALONE = Distributed(DEVICE)
SIZE = 8  # of a whole batch
SMALL = {"decoder.dim": 32, "optim.batch_size": SIZE, "optim.precision": "float32"}
AT_64 = {"data.image_size": 64, "masking.unit": 16}
ONE_POSITION = {"data.image_size": 32, "masking.unit": 8, "auxiliary": False}  # the last maps of a ResNet
VIT = {"backbone.name": "test_vit", "backbone.patch_size": 8, **AT_64}
RESNET = {"backbone.name": "test_resnet", **AT_64}
RECIPE = {"augment.randaugment": 9, "augment.mixup": 0.4, "augment.erase": 0.5, "optim.label_smoothing": 0.1}
CASES = {
    "layer norm": VIT,
    "layer norm and channels last": {"backbone.name": "test_convnext", **AT_64},
    "batch norm": RESNET,
    "batch norm that activates": {"backbone.name": "test_efficientnet", **AT_64},
    "batch norm, sparse": RESNET | {"masking.mode": "sparse"},
    "batch norm of maps of one position": RESNET | ONE_POSITION,
    "the recipe": RESNET | RECIPE,
}
REAL = (8, 5, 3, 1)  # rows of a batch; with 4 or fewer, the second worker has none
# Rows that are normalised together: (micro-batches, rows of the batch) -> those of each micro-batch.
ONE_WORKER = {
    (2, 5): [[0, 1], [2, 3, 4]],
    (2, 4): [[0, 1, 2, 3]],
    (4, 5): [[0], [1, 2], [3, 4]],
    (4, 8): [[0, 1], [2, 3], [4, 5], [6, 7]],
    (4, 1): [[0]],
}
TWO_WORKERS = {
    (2, 8): [[0, 1, 4, 5], [2, 3, 6, 7]],
    (2, 5): [[0, 1, 4], [2, 3]],
    (2, 3): [[0], [1, 2]],
    (2, 1): [[0]],
    (4, 6): [[0, 4], [1, 5], [2], [3]],
}
PAIRS = (2, 5)  # of these, no part tears a pair of mixup apart
PARTS = ("batch norm", "batch norm of maps of one position", "layer norm")  # the cases that are cut into micro-batches


def settings_of(case, **more):
    return build(SMALL | CASES[case] | more)


def batch_of(config, real):
    side = config.data.image_size
    images = np.random.default_rng(0).integers(0, 255, (SIZE, side, side, 3)).astype(np.uint8)
    return Batch(images[:real], np.arange(real) % 3, np.arange(real), SIZE)


def new_model(config):
    torch.manual_seed(0)
    return build_model(config, 3).train()


def learnt(model):
    return {name: weight.grad for name, weight in model.named_parameters()} | dict(model.named_buffers())


def stepped(config, batch, distributed, num_micro_batches):
    """What a model has learnt in one step, on this worker."""
    model = new_model(config)
    trained = nn.parallel.DistributedDataParallel(model) if distributed.world_size > 1 else model
    context, generator = StepContext.of(config, TASK, distributed), torch.Generator().manual_seed(5)
    losses = train_step(context, trained, batch, generator, num_micro_batches)
    return learnt(model), torch.stack([distributed.sum(loss) for loss in losses])


def expected_of(config, batch, groups):
    """The same by plain torch: `groups` of rows pass the model one after the other, each as a batch of its own."""
    model, num_rows = new_model(config), len(batch.label)
    one_value_by_running_statistics(model)
    image, label = to_device(batch, DEVICE)
    draws = draw(config, model.encoder, torch.Generator().manual_seed(5)).of(slice(0, num_rows))
    views = make_views(config, model.encoder, image, draws)
    neighbour = label[[row ^ 1 if row ^ 1 < num_rows else row for row in range(num_rows)]]
    share = torch.ones(num_rows) if draws.augment.share is None else draws.augment.share
    smoothing, sums = config.optim.label_smoothing, torch.zeros(3)
    for rows in groups:
        logits, rebuilt = passed(config, model, views, rows)
        mixture = share[rows], label[rows], neighbour[rows]
        joint = joint_loss(mixed_task_loss(logits, *mixture, smoothing), rebuilt, config.aux_weight)
        (joint.sum() / num_rows).backward()
        raw = (
            mixed_task_loss(logits, *mixture, 0.0),
            torch.zeros(1) if rebuilt is None else rebuilt,
            torch.ones(len(rows)),
        )
        sums += torch.stack([loss.detach().sum() for loss in raw])
    return learnt(model), sums


def passed(config, model, views, rows):
    """Logits of some rows, and the loss of what was rebuilt of them."""
    if views.masked is None:
        return model(views.classified[rows]).logits, None
    mask = Mask(views.mask.hidden[rows], views.mask.visible[rows])
    output = model(views.classified[rows], views.masked[rows], mask)
    return output.logits, target_loss(output.pred, views.target[rows], mask.hidden, config, model.encoder.unit)


def mixed_task_loss(logits, share, label, neighbour, smoothing):
    own, other = (task_loss(logits, which, TASK.kind, None, smoothing) for which in (label, neighbour))
    return share * own + (1 - share) * other


def one_value_by_running_statistics(model):
    """torch refuses to take statistics of a single value."""

    def choose(norm, inputs):
        norm.train(inputs[0].numel() > inputs[0].shape[1])

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(choose)


def assert_same(found, expected):
    (found, found_losses), (expected, expected_losses) = found, expected
    torch.testing.assert_close(found_losses, expected_losses, rtol=1e-4, atol=1e-5)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # The statistics of two values make much of the last digits; in double precision all agree to 12 digits.
        near = 2e-6 + 1e-3 * float(value.abs().max())
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=near, msg=f"{name}: {found[name]} != {value}")


def two_worker_steps():
    """(case, micro-batches, rows): all that two workers are asked for."""
    yield from itertools.product(CASES, (1,), REAL)
    yield from ((case, *key) for case in PARTS for key in TWO_WORKERS)
    yield "the recipe", *PAIRS


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """What each of two workers came to."""
    folder = tmp_path_factory.mktemp("workers")
    mp.spawn(_work, args=(folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def _work(rank, folder):
    with one_of_two(rank, folder) as distributed:
        done = {}
        for case, number, real in two_worker_steps():
            config = settings_of(case, **{"resources.num_workers": 2})
            batch = batch_of(config, real)
            own = slice(rank * SIZE // 2, (rank + 1) * SIZE // 2)
            part = Batch(batch.image[own], batch.label[own], batch.row[own], SIZE // 2)
            done[case, number, real] = stepped(config, part, distributed, number)
        done["epoch"] = epoch_of(distributed)
        done["predicted"] = predicted(distributed)
        torch.save(done, folder / f"{rank}.pt")


@pytest.mark.parametrize("real", REAL)
@pytest.mark.parametrize("case", CASES)
def test_a_step_counts_its_rows_and_no_others(case, real):
    config = settings_of(case)
    batch = batch_of(config, real)
    assert_same(stepped(config, batch, ALONE, 1), expected_of(config, batch, [list(range(real))]))


@pytest.mark.parametrize(("key", "groups"), ONE_WORKER.items(), ids=str)
@pytest.mark.parametrize("case", PARTS)
def test_micro_batches_of_a_short_batch_are_as_few_as_keep_to_their_size(case, key, groups):
    number, real = key
    config = settings_of(case)
    batch = batch_of(config, real)
    assert_same(stepped(config, batch, ALONE, number), expected_of(config, batch, groups))


@pytest.mark.parametrize("real", REAL)
@pytest.mark.parametrize("case", CASES)
def test_two_workers_learn_what_one_does(two_workers, case, real):
    """Also where the second has no rows: it waits in every sum for the first, and adds nothing."""
    config = settings_of(case)
    expected = expected_of(config, batch_of(config, real), [list(range(real))])
    for worker in two_workers:
        assert_same(worker[case, 1, real], expected)


@pytest.mark.parametrize(("case", "key"), [*itertools.product(PARTS, TWO_WORKERS), ("the recipe", PAIRS)], ids=str)
def test_micro_batches_of_two_workers_meet_in_the_same_statistics(two_workers, case, key):
    config = settings_of(case)
    expected = expected_of(config, batch_of(config, key[1]), TWO_WORKERS[key])
    for worker in two_workers:
        assert_same(worker[case, *key], expected)


def unmoved(backbone, **more):
    """Training that leaves the weights where they are, so that running statistics can be had by passes alone."""
    still = {"optim.lr": 1e-12, "optim.min_lr": 0, "optim.weight_decay": 0, "augment.flip": True}
    return build(SMALL | AT_64 | still | {"backbone.name": backbone} | more)


def rows_of(config, num_rows, seed=0):
    side = config.data.image_size
    images = np.random.default_rng(seed).integers(0, 255, (num_rows, side, side, 3)).astype(np.uint8)
    return ResidentRows([{"image": images, "label": np.arange(num_rows) % 3, "row": np.arange(num_rows)}])


def trained_epoch(config, rows, distributed):
    """The running statistics after one epoch, and what was measured."""
    torch.manual_seed(0)
    learner = new_learner(config, TASK, DEVICE)
    context = StepContext.of(config, TASK, distributed)
    measured = train_epoch(context, learner.in_parallel(distributed), rows, 0, 1)
    return dict(learner.model.named_buffers()), measured


def passed_epoch(config, shares):
    """The running statistics of plain torch after the rows of all workers, step by step; `shares`: by rank."""
    torch.manual_seed(0)
    model = new_learner(config, TASK, DEVICE).model.train()
    one_value_by_running_statistics(model)
    seed, size = config.seed * 1_000_003, SIZE // len(shares)
    generator = torch.Generator().manual_seed(seed)
    steps = max(-(-share.num_rows // size) for share in shares)
    for batches in zip(*(share.batches(size, steps, seed) for share in shares), strict=True):
        draws = draw(config, model.encoder, generator)
        own = [draws.of(slice(rank * size, rank * size + len(batch.label))) for rank, batch in enumerate(batches)]
        pictures = [
            make_views(config, model.encoder, to_device(batch, DEVICE)[0], part).classified
            for batch, part in zip(batches, own, strict=True)
            if len(batch.label)
        ]
        model(torch.cat(pictures))
    return dict(model.named_buffers())


def assert_same_statistics(found, expected):
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("num_rows", [16, 17, 18, 23, 5])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet"])
def test_running_statistics_after_an_epoch_are_those_of_its_rows(backbone, num_rows):
    config = unmoved(backbone)
    rows = rows_of(config, num_rows)
    assert_same_statistics(trained_epoch(config, rows, ALONE)[0], passed_epoch(config, [rows]))


UNEVEN = (9, 4)  # rows of two workers: in steps of 4 each, the second has none in two steps of three
ONE_LEFT = {**ONE_POSITION, "resources.num_workers": 2}


def epoch_of(distributed):
    config = unmoved("test_resnet", **ONE_LEFT)
    return trained_epoch(config, rows_of(config, UNEVEN[distributed.rank], distributed.rank), distributed)


def test_an_epoch_of_uneven_shares_ends_with_the_same_statistics_on_both_workers(two_workers):
    config = unmoved("test_resnet", **ONE_LEFT)
    expected = passed_epoch(config, [rows_of(config, number, rank) for rank, number in enumerate(UNEVEN)])
    for worker in two_workers:
        assert_same_statistics(worker["epoch"][0], expected)
    losses = [worker["epoch"][1]["train/task_loss"] for worker in two_workers]
    assert losses[0] == losses[1] and np.isfinite(losses[0])


def predicted(distributed):
    config = build(SMALL | VIT | {"resources.num_workers": 2})
    rows = rows_of(config, UNEVEN[distributed.rank], distributed.rank)
    return predict_rows(config, new_model(config), rows, distributed)


def test_predictions_are_of_every_row_once(two_workers):
    config = build(SMALL | VIT)
    alone = [predict_rows(config, new_model(config), rows_of(config, n, rank), ALONE) for rank, n in enumerate(UNEVEN)]
    logits, labels = (np.concatenate([getattr(part, name) for part, _ in alone]) for name in ("logits", "labels"))
    for worker in two_workers:
        predictions, positions = worker["predicted"]
        assert positions.tolist() == [*range(UNEVEN[0]), *range(UNEVEN[1])]
        assert np.array_equal(predictions.labels, labels)
        np.testing.assert_allclose(predictions.logits, logits, rtol=1e-4, atol=1e-5)


def moved_norm():
    """A norm that has seen something, so that its running statistics are neither 0 nor 1."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3)
    norm(torch.randn(4, 3, 2, 2) * 2 + 1)
    return norm


def test_a_single_value_is_normalised_by_the_running_statistics():
    norm, value = moved_norm(), torch.randn(1, 3, 1, 1)
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    expected = moved_norm().eval()(value)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm(value)
    norm.load_state_dict(before, strict=False)
    with norms_of_few():
        with norms_synced(norm):
            torch.testing.assert_close(norm(value), expected)
        with norms_masked(norm, visibility(torch.zeros(1, 1, dtype=torch.bool), (1, 1))):
            torch.testing.assert_close(norm(value), expected)
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


def test_values_that_do_not_count_are_normalised_though_none_does():
    norm, maps = moved_norm(), torch.randn(2, 3, 4, 4)
    expected = moved_norm().eval()(maps)
    with norms_of_few(), norms_uncounted(), norms_synced(norm):
        torch.testing.assert_close(norm(maps), expected)
    assert int(norm.num_batches_tracked) == 1
