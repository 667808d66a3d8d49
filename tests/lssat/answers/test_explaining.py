"""Where a winner looked: what integrated gradients promise, and what the pictures show."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image

import lssat
from lssat.answers.explaining import attribution, explain, heat_of, overlaid
from lssat.bundle.winner import Winner
from lssat.model.lssat import Output
from tests.lssat.winners import SIZE


class Linear(torch.nn.Module):
    """A binary model whose score is a sum over pixels, so that the part of each is known."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(3, SIZE, SIZE, generator=generator))

    def forward(self, image):
        return Output((image * self.weight).sum((1, 2, 3))[:, None], None, image.mean((2, 3)))


@pytest.fixture
def linear(best):
    bundle = lssat.load(best, "cpu").bundle
    config = bundle.config.model_copy(update={"streams": "MRGB/RLDP/CRGB"})
    return Winner(
        dataclasses.replace(bundle, config=config, model=Linear(bundle.model.encoder)), torch.device("cpu"), 8
    )


def face_of(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


def test_of_a_linear_model_each_value_has_its_known_part_whatever_the_answer(linear):
    model, answers = linear.bundle.model, set()
    mean = model.encoder.mean.reshape(3, 1, 1).numpy()
    for seed in range(8):
        face = face_of(seed)
        logit = linear.see(face[None]).logits[0, 0]
        sign = 1 if logit > 0 else -1
        parts = sign * model.weight.detach().numpy() * (face.transpose(2, 0, 1) / 255 - mean)
        found = attribution(linear, face)
        np.testing.assert_allclose(found, parts, atol=1e-5)
        empty = float((model.weight.detach().numpy() * mean).sum())
        assert found.sum() == pytest.approx(sign * (logit - empty), abs=1e-2)
        answers.add(sign)
    assert answers == {1, -1}


def test_the_parts_sum_up_to_the_difference_of_the_scores_of_a_trained_winner(best):
    winner = lssat.load(best, "cpu")
    model, face = winner.bundle.model, face_of(0)
    logit = winner.see(face[None]).logits[0, 0]
    with torch.no_grad():
        empty = model(model.encoder.mean.reshape(1, 3, 1, 1).expand(1, 3, SIZE, SIZE)).logits[0, 0].item()
    difference = (1 if logit > 0 else -1) * (logit - empty)
    assert attribution(winner, face).sum() == pytest.approx(difference, rel=0.1, abs=1e-3)


def test_a_picture_is_orange_where_something_speaks_for_the_answer():
    attributed = np.zeros((3, SIZE, SIZE), np.float32)
    attributed[:, 4:8, 4:8], attributed[:, 20:28, 20:28] = 1, -1
    heat = heat_of(attributed)
    assert heat.max() == 1 and heat.min() >= 0 and heat[6, 6] > 0.9 and heat[24, 24] < 1e-6
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    shown = overlaid(grey, heat)
    assert shown[6, 6, 0] > 200 and (shown[24, 24] == 128).all()
    assert not heat_of(-np.ones((3, SIZE, SIZE), np.float32)).any()


def test_an_explanation_has_every_picture(best):
    winner, face = lssat.load(best, "cpu"), face_of(1)
    explained = explain(winner, face)
    np.testing.assert_array_equal(explained.face, face)
    assert explained.looked.shape == face.shape and explained.looked.dtype == np.uint8
    assert [part.shape for part in explained.rebuilt] == [(1, *face.shape)] * 3
    shown = np.asarray(Image.open(io.BytesIO(explained.png())))
    assert len(explained.pictures) == 5 and shown.shape[1] == 5 * 256  # a face of 32 pixels is shown 8 times as large
    np.testing.assert_array_equal(shown[-256::8, 0:256:8], face)
    np.testing.assert_array_equal(shown[-256::8, 1024::8], explained.rebuilt.rebuilt[0])
    without = explained._replace(rebuilt=None)
    assert list(without.pictures) == ["what it saw", "where it looked"]
    assert Image.open(io.BytesIO(without.png())).width == 2 * 256
