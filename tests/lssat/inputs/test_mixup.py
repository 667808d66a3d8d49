"""Mixtures against a loop over rows, the joint loss against soft targets, shares against the Beta distribution."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lssat.config import build
from lssat.errors import ConfigError
from lssat.inputs.mixup import draw_shares, mix, mixed_loss
from lssat.train.losses import task_loss

GENERATOR = torch.Generator().manual_seed(0)
IMAGE = torch.rand(6, 3, 5, 5, generator=GENERATOR)
SHARE = torch.rand(6, generator=GENERATOR)
LOGITS = torch.randn(6, 4, generator=GENERATOR)
PARTNER = [1, 0, 3, 2, 5, 4]


def test_each_image_is_mixed_with_its_neighbour() -> None:
    expected = torch.stack([SHARE[i] * IMAGE[i] + (1 - SHARE[i]) * IMAGE[PARTNER[i]] for i in range(6)])
    assert torch.allclose(mix(IMAGE, SHARE), expected)


def test_even_slices_equal_the_whole() -> None:
    halves = torch.cat([mix(IMAGE[rows], SHARE[rows]) for rows in (slice(0, 2), slice(2, 6))])
    assert torch.equal(halves, mix(IMAGE, SHARE))


def test_a_last_row_without_a_neighbour_stays_as_it_is() -> None:
    label = torch.arange(5)
    mixed, loss = mix(IMAGE[:5], SHARE[:5]), mixed_loss(lambda of: of.float(), label, SHARE[:5])
    torch.testing.assert_close(mixed[:4], mix(IMAGE[:4], SHARE[:4]), rtol=0, atol=0)
    torch.testing.assert_close(mixed[4], IMAGE[4])
    assert loss[4] == pytest.approx(4)
    torch.testing.assert_close(mix(IMAGE[:1], SHARE[:1]), IMAGE[:1])


def test_mixed_cross_entropy_is_that_of_the_mixed_target() -> None:
    label = torch.tensor([0, 3, 2, 2, 1, 0])
    target = SHARE[:, None] * F.one_hot(label, 4) + (1 - SHARE[:, None]) * F.one_hot(label[PARTNER], 4)
    loss = mixed_loss(lambda of: task_loss(LOGITS, of, "multiclass"), label, SHARE)
    assert torch.allclose(loss, F.cross_entropy(LOGITS, target, reduction="none"))


def test_mixed_multilabel_loss_is_that_of_the_mixed_target() -> None:
    label = (torch.arange(24).reshape(6, 4) % 3 == 0).long()
    target = SHARE[:, None] * label + (1 - SHARE[:, None]) * label[PARTNER]
    loss = mixed_loss(lambda of: task_loss(LOGITS, of, "multilabel"), label, SHARE)
    assert torch.allclose(loss, F.binary_cross_entropy_with_logits(LOGITS, target, reduction="none").mean(1))


def test_without_shares_nothing_is_mixed() -> None:
    label = torch.arange(6)
    assert mix(IMAGE, None) is IMAGE
    assert torch.equal(mixed_loss(lambda of: of.float(), label, None), label.float())


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    shares = draw_shares(20_000, alpha, torch.Generator().manual_seed(0))
    assert shares.min() >= 0 and shares.max() <= 1
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)
    assert torch.equal(shares, draw_shares(20_000, alpha, torch.Generator().manual_seed(0)))


def test_pairs_that_a_slice_would_tear_apart_are_refused() -> None:
    build({"augment.mixup": 0.2, "optim.batch_size": 24, "resources.num_workers": 2, "optim.accumulate": 2})
    with pytest.raises(ConfigError, match=r"even number of rows .* but got 3"):
        build({"augment.mixup": 0.2, "optim.batch_size": 12, "resources.num_workers": 2, "optim.accumulate": 2})
