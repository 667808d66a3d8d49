"""The masked pass on a share of the rows: the reconstruction loss is the mean over those that were rebuilt.

The truth is plain torch in one process, which is told the rows of each micro-batch, and which of them are rebuilt.
"""

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from lssat.config import build
from lssat.data.prepared.rows import Batch
from lssat.inputs import texture
from lssat.inputs.masking import Mask
from lssat.inputs.target import target_loss
from lssat.model.lssat import build_model
from lssat.task import Task
from lssat.train.distributed import Distributed, to_device
from lssat.train.losses import joint_loss, task_loss
from lssat.train.microbatch import num_masked
from lssat.train.step import StepContext, train_step
from lssat.train.views import draw, make_views
from tests.lssat.one_of_two import one_of_two

TASK = Task("emotion", "multiclass", ("a", "b", "c"), (10, 10, 10), 30)
DEVICE = torch.device("cpu")
ALONE = Distributed(DEVICE)
SIZE = 8
SMALL = {
    "data.image_size": 64,
    "masking.unit": 16,
    "decoder.dim": 32,
    "optim.batch_size": SIZE,
    "optim.precision": "float32",
    "augment.erase": 0.5,
}
VIT = {"backbone.name": "test_vit", "backbone.patch_size": 8}
RESNET = {"backbone.name": "test_resnet"}
CASES = {"tokens": VIT, "batch norm": RESNET, "sparse": RESNET | {"masking.mode": "sparse"}}
# (micro-batches, rows of the batch, share) -> the rows of each micro-batch, and those of them that are rebuilt
ONE_WORKER = {
    (1, 8, 0.5): [([0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3])],
    (1, 8, 0.3): [([0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2])],
    (1, 5, 0.5): [([0, 1, 2, 3, 4], [0, 1, 2])],
    (2, 8, 0.5): [([0, 1, 2, 3], [0, 1]), ([4, 5, 6, 7], [4, 5])],
    (2, 5, 0.5): [([0, 1], [0]), ([2, 3, 4], [2, 3])],
    (2, 3, 0.5): [([0, 1, 2], [0, 1])],
}
TWO_WORKERS = {
    (1, 8, 0.5): [([0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 4, 5])],
    (1, 7, 0.5): [([0, 1, 2, 3, 4, 5, 6], [0, 1, 4, 5])],
    (1, 5, 0.25): [([0, 1, 2, 3, 4], [0, 4])],
    (1, 3, 0.5): [([0, 1, 2], [0, 1])],
    (2, 8, 0.5): [([0, 1, 4, 5], [0, 4]), ([2, 3, 6, 7], [2, 6])],
}


def settings_of(case, share, **more):
    return build({**SMALL, **CASES[case], "masking.share": share, **more})


def batch_of(num_rows):
    image = np.random.default_rng(0).integers(0, 255, (num_rows, 64, 64, 3)).astype(np.uint8)
    return Batch(image, np.arange(num_rows) % 3, np.arange(num_rows), SIZE)


def new_model(config):
    torch.manual_seed(0)
    return build_model(config, 3).train()


def learnt(model):
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def stepped(config, batch, distributed, num_micro_batches):
    model = new_model(config)
    trained = DistributedDataParallel(model) if distributed.world_size > 1 else model
    context, generator = StepContext.of(config, TASK, distributed), torch.Generator().manual_seed(5)
    losses = train_step(context, trained, batch, generator, num_micro_batches)
    return learnt(model), torch.stack([distributed.sum(loss) for loss in losses])


def expected_of(config, num_rows, groups):
    """Gradients, and mean losses."""
    model, batch = new_model(config), batch_of(num_rows)
    image, label = to_device(batch, DEVICE)
    draws = draw(config, model.encoder, torch.Generator().manual_seed(5)).of(slice(0, num_rows))
    everywhere = config.model_copy(update={"masking": config.masking.model_copy(update={"share": 1.0})})
    views = make_views(everywhere, model.encoder, image, draws)
    num_rebuilt = sum(len(rebuilt) for _, rebuilt in groups)
    means = torch.zeros(2)
    for rows, rebuilt in groups:
        mask = Mask(views.mask.hidden[rebuilt], views.mask.visible[rebuilt])
        output = model(views.classified[rows], views.masked[rebuilt], mask)
        task = task_loss(output.logits, label[rows], TASK.kind).sum() / num_rows
        target = views.target[rebuilt]
        reconstruction = target_loss(output.pred, target, mask.hidden, config, model.encoder.unit).sum() / num_rebuilt
        joint_loss(task, reconstruction, config.aux_weight).backward()
        means += torch.stack([task, reconstruction]).detach()
    return learnt(model), means


def assert_same(found, expected):
    (gradients, (task, reconstruction, rows)), (expected_gradients, means) = found, expected
    torch.testing.assert_close(torch.stack([task, reconstruction]) / rows, means, rtol=1e-4, atol=1e-6)
    assert gradients.keys() == expected_gradients.keys()
    for name, value in expected_gradients.items():
        near = 2e-6 + 1e-3 * float(value.abs().max())
        torch.testing.assert_close(
            gradients[name], value, rtol=1e-3, atol=near, msg=lambda text, name=name: name + text
        )


@pytest.mark.parametrize("key", ONE_WORKER, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_a_step_is_that_of_the_rows_that_are_rebuilt(case, key):
    number, num_rows, share = key
    config = settings_of(case, share)
    assert_same(stepped(config, batch_of(num_rows), ALONE, number), expected_of(config, num_rows, ONE_WORKER[key]))


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_with_all_rows_every_bit_is_what_it_was(case, number):
    """The formula before there were shares."""
    config, model = settings_of(case, 1.0), new_model(settings_of(case, 1.0))
    image, label = to_device(batch_of(SIZE), DEVICE)
    draws = draw(config, model.encoder, torch.Generator().manual_seed(5))
    scale = 1 / torch.tensor(float(SIZE))
    for rows in [slice(start, start + SIZE // number) for start in range(0, SIZE, SIZE // number)]:
        views = make_views(config, model.encoder, image[rows], draws.of(rows))
        output = model(views.classified, views.masked, views.mask)
        reconstruction = target_loss(output.pred, views.target, views.mask.hidden, config, model.encoder.unit)
        joint = joint_loss(task_loss(output.logits, label[rows], TASK.kind), reconstruction, config.aux_weight)
        (scale * joint.sum()).backward()
    found, _ = stepped(config, batch_of(SIZE), ALONE, number)
    assert found.keys() == learnt(model).keys()
    assert all(torch.equal(found[name], grad) for name, grad in learnt(model).items())


def test_random_numbers_do_not_depend_on_the_share():
    encoder = new_model(settings_of("tokens", 1.0)).encoder
    some, all_rows = (
        draw(settings_of("tokens", share), encoder, torch.Generator().manual_seed(5)) for share in (0.5, 1.0)
    )
    assert torch.equal(some.mask_noise, all_rows.mask_noise)


@pytest.mark.parametrize(("streams", "numbers"), [("MRGB/RLDP/CRGB", [4]), ("MLDP/RLDP/CLDP", [8])])
def test_textures_are_made_of_the_rows_that_need_them(monkeypatch, streams, numbers):
    seen = []
    of_ldp = texture.TEXTURES["LDP"]
    monkeypatch.setitem(
        texture.TEXTURES, "LDP", lambda image, config: (seen.append(len(image)), of_ldp(image, config))[1]
    )
    stepped(settings_of("tokens", 0.5, streams=streams), batch_of(SIZE), ALONE, 1)
    assert seen == numbers


def test_a_share_is_rounded_up_and_never_nothing():
    shares = [(0.1, 30), (0.5, 5), (1e-12, 4), (1.0, 7), (0.7, 10), (0.5, 0)]
    assert [num_masked(settings_of("tokens", share), rows) for share, rows in shares] == [3, 3, 1, 7, 7, 0]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    mp.spawn(_work, args=(folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def _work(rank, folder):
    with one_of_two(rank, folder) as distributed:
        done, own = {}, slice(rank * SIZE // 2, (rank + 1) * SIZE // 2)
        for case in CASES:
            for number, num_rows, share in TWO_WORKERS:
                config, whole = settings_of(case, share, **{"resources.num_workers": 2}), batch_of(num_rows)
                part = Batch(whole.image[own], whole.label[own], whole.row[own], SIZE // 2)
                key = (case, number, num_rows, share)
                done[key] = stepped(config, part, distributed, number)
        torch.save(done, folder / f"{rank}.pt")


@pytest.mark.parametrize("key", TWO_WORKERS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_two_workers_learn_what_one_does_of_the_same_rows(two_workers, case, key):
    """Also where their numbers of rows differ, or the second has none."""
    _, num_rows, share = key
    expected = expected_of(settings_of(case, share), num_rows, TWO_WORKERS[key])
    for worker in two_workers:
        assert_same(worker[case, *key], expected)
