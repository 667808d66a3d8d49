from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lssat.train.losses import class_weights, joint_loss, task_loss

GENERATOR_SEED = 3


def logits(*shape: int) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(GENERATOR_SEED))


def test_multiclass_is_cross_entropy() -> None:
    label = torch.tensor([0, 4, 2, 1])
    loss = task_loss(logits(4, 5), label, "multiclass")
    assert loss.shape == (4,)
    assert torch.allclose(loss, F.cross_entropy(logits(4, 5), label, reduction="none"))
    weight = torch.rand(5)
    assert torch.allclose(
        task_loss(logits(4, 5), label, "multiclass", weight),
        F.cross_entropy(logits(4, 5), label, weight, reduction="none"),
    )


def test_binary_is_binary_cross_entropy() -> None:
    label = torch.tensor([0, 1, 1, 0])
    expected = F.binary_cross_entropy_with_logits(logits(4, 1)[:, 0], label.float(), reduction="none")
    assert torch.allclose(task_loss(logits(4, 1), label, "binary"), expected)
    weighted = task_loss(logits(4, 1), label, "binary", torch.tensor([0.5, 2.0]))
    assert torch.allclose(weighted, expected * torch.tensor([0.5, 2.0, 2.0, 0.5]))


def test_multilabel_is_the_mean_over_labels() -> None:
    label = torch.tensor([[0, 1, 1], [1, 0, 1]])
    each = F.binary_cross_entropy_with_logits(logits(2, 3), label.float(), reduction="none")
    assert torch.allclose(task_loss(logits(2, 3), label, "multilabel"), each.mean(1))
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    expected = (each * torch.tensor([[1.0, 4.0, 6.0], [2.0, 3.0, 6.0]])).mean(1)
    assert torch.allclose(task_loss(logits(2, 3), label, "multilabel", weight), expected)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothed_multiclass_is_cross_entropy_with_soft_targets(smoothing: float) -> None:
    label = torch.tensor([0, 4, 2, 1])
    soft = (1 - smoothing) * F.one_hot(label, 5) + smoothing / 5
    expected = -(soft * logits(4, 5).log_softmax(1)).sum(1)
    assert torch.allclose(task_loss(logits(4, 5), label, "multiclass", smoothing=smoothing), expected)
    weight = torch.rand(5)
    assert torch.allclose(task_loss(logits(4, 5), label, "multiclass", weight, smoothing), expected * weight[label])


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothed_binary_is_the_two_class_case_of_the_same_rule(smoothing: float) -> None:
    """A binary logit z is the pair of logits (0, z)."""
    label = torch.tensor([0, 1, 1, 0])
    pair = torch.cat([torch.zeros(4, 1), logits(4, 1)], 1)
    expected = task_loss(pair, label, "multiclass", smoothing=smoothing)
    assert torch.allclose(task_loss(logits(4, 1), label, "binary", smoothing=smoothing), expected)
    weighted = task_loss(logits(4, 1), label, "binary", torch.tensor([0.5, 2.0]), smoothing)
    assert torch.allclose(weighted, expected * torch.tensor([0.5, 2.0, 2.0, 0.5]))


def test_smoothed_multilabel_is_binary_per_label() -> None:
    label = torch.tensor([[0, 1, 1], [1, 0, 1]])
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    each = [task_loss(logits(2, 3)[:, k : k + 1], label[:, k], "binary", weight[k], 0.2) for k in range(3)]
    assert torch.allclose(task_loss(logits(2, 3), label, "multilabel", weight, 0.2), torch.stack(each).mean(0))


def test_half_precision_logits_and_small_labels_are_fine() -> None:
    loss = task_loss(logits(4, 5).bfloat16(), torch.tensor([0, 4, 2, 1], dtype=torch.int32), "multiclass")
    assert loss.dtype == torch.float32


def test_class_weights_by_hand() -> None:
    assert class_weights(torch.tensor([1, 4]), "binary").tolist() == [2.5, 0.625]
    assert class_weights(torch.tensor([10, 10, 10]), "multiclass").tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("counts", [[74874, 134415, 25459, 14090], [36, 1], [5, 0, 7]])
def test_class_weights_expect_one_and_equalise_classes(counts: list[int]) -> None:
    rows = torch.tensor(counts)
    weighted = class_weights(rows, "multiclass") * rows
    assert torch.allclose(weighted.sum() / rows.sum(), torch.tensor(1.0))
    assert torch.allclose(weighted[rows > 0], weighted.max())


def test_multilabel_class_weights_expect_one_per_label() -> None:
    rows = torch.tensor([[90, 10], [50, 50], [100, 0]])
    weights = class_weights(rows, "multilabel")
    assert weights.shape == (3, 2) and weights.isfinite().all()
    assert torch.allclose((weights * rows).sum(1) / 100, torch.ones(3))
    assert torch.allclose(weights[0], torch.tensor([100 / 180, 5.0]))


@pytest.mark.parametrize(("counts", "kind"), [([1, 2, 3], "binary"), ([1, 2], "multilabel"), ([[1, 2]], "multiclass")])
def test_counts_of_another_kind_are_refused(counts: list[int], kind: str) -> None:
    with pytest.raises(ValueError, match=rf"for {kind}"):
        class_weights(torch.tensor(counts), kind)  # type: ignore[arg-type]


def test_joint_loss() -> None:
    task, reconstruction = torch.tensor([2.0, 1.0]), torch.tensor([0.5, 3.0])
    assert torch.allclose(joint_loss(task, reconstruction, 0.9), torch.tensor([0.65, 2.8]))
    assert torch.equal(joint_loss(task, reconstruction, 0.0), task)
    assert torch.equal(joint_loss(task, None, 0.9), task)
