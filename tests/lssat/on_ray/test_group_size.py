"""With how many workers a group goes on that lost some, and which losses count."""

import pytest
from ray.exceptions import RayActorError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from lssat.config import build
from lssat.on_ray.groups import group_size
from lssat.on_ray.lost import Leaves, is_drained


@pytest.mark.parametrize(
    ("own", "batch", "more", "places", "number"),
    [
        (4, 64, {}, 4, 4),
        (4, 64, {}, 9, 4),
        (4, 64, {}, 3, 2),
        (4, 64, {}, 0, 1),
        (6, 48, {}, 5, 4),
        (6, 18, {}, 5, 3),
        (4, 16, {"optim.accumulate": 4}, 3, 2),
        (6, 12, {"augment.mixup": 0.2}, 5, 3),
    ],
)
def test_the_largest_number_that_divides_the_batch_and_has_a_place(own, batch, more, places, number):
    config = build({"resources.num_workers": own, "optim.batch_size": batch, **more})
    assert group_size(config, places) == number


def lost(preempted):
    """As Ray tells of a worker that does not answer."""
    return WorkerHealthCheckFailedError("it does not answer", RayActorError(preempted=preempted))


@pytest.mark.parametrize(
    ("error", "drained"),
    [
        (WorkerGroupError("left", {0: Leaves(), 1: Leaves()}), True),
        (WorkerGroupError("gone", {0: RuntimeError("connection reset"), 1: lost(preempted=True)}), True),
        (WorkerGroupError("lost", {0: RuntimeError("connection reset"), 1: lost(preempted=False)}), False),
        (RayActorError(preempted=True), True),
        (RayActorError(), False),
    ],
)
def test_a_machine_that_is_drained_is_no_death(error, drained):
    assert is_drained(error) == drained
