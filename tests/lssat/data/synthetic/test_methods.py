"""Each method of forging changes what it promises and nothing else; two leave a trace that a simple detector finds."""

from __future__ import annotations

import io
from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from lssat.data.synthetic.generate import MADE, PER_FACE, Order, draw, plan
from lssat.data.synthetic.methods import BORROWING, BROWS, METHODS, MOUTH, TRACES, Face, forge, traced
from lssat.data.synthetic.traces import EDGE_SHADE, GRID_PERIOD
from lssat.data.synthetic.untouched import untouched_face

SIZE = 64
GREY = np.array([0.299, 0.587, 0.114], np.float32)
Picture = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def faces() -> list[Face]:
    return [untouched_face((9, number), SIZE) for number in range(8)]


@pytest.fixture(scope="module")
def grey() -> dict[str, Picture]:
    """Files of the same people, real and by each method, as grey pictures [n, s, s]."""
    orders = [order for order in plan("deepfake", 1000, SIZE, 5) if order.split == "train"]
    pictures = defaultdict(list)
    for order in orders:
        row = draw(order)
        pictures[row.method].append(np.asarray(Image.open(io.BytesIO(row.image)), np.float32) / 255 @ GREY)
    return {method: np.stack(of_method) for method, of_method in pictures.items()}


def difference(face: Face, fake: Picture) -> Picture:
    return np.asarray(np.abs(fake - face.picture).max(axis=2), np.float32)


def half_of(points: Picture) -> tuple[int, int]:
    """The rows of a picture between which some landmarks lie, with what a bent and softened cover may add."""
    return int(points[:, 1].min() * SIZE) - 7, int(points[:, 1].max() * SIZE) + 8


@pytest.mark.parametrize("method", list(METHODS))
def test_a_method_changes_what_its_cover_says_and_nothing_else(faces: list[Face], method: str) -> None:
    for number, face in enumerate(faces):
        picture, cover = METHODS[method](face, faces[number - 1], np.random.default_rng(number))
        changed = difference(face, picture)
        assert changed[cover == 0].max() == 0
        assert changed[cover > 0.5].mean() > 0.005
        assert 0.02 < (cover > 0.5).mean() < 0.6
        first, last = half_of(face.points)
        assert changed[: max(first, 0)].max(initial=0) == changed[last:].max(initial=0) == 0, "beyond the face"


def test_the_fake_of_a_swap_has_the_features_of_the_donor_and_the_others_have_not(faces: list[Face]) -> None:
    face, donor = faces[0], faces[1]
    other = donor._replace(picture=np.ascontiguousarray(donor.picture[:, ::-1]) * np.float32(0.5))
    for method in METHODS:
        with_donor, with_other = (
            forge(method, face, lent, np.random.default_rng(3)).picture for lent in (donor, other)
        )
        assert np.array_equal(with_donor, with_other) == (method not in BORROWING), method


def test_a_warp_keeps_one_half_of_the_face(faces: list[Face]) -> None:
    """Either the brows and eyes move, or what lies below them."""
    halves = set()
    for number in range(12):
        face = faces[number % len(faces)]
        changed = difference(face, forge("warp", face, face, np.random.default_rng(number)).picture)
        brows, mouth = (
            changed[tuple((face.points[rows].mean(axis=0)[::-1] * SIZE).astype(int))] > 0 for rows in (BROWS, MOUTH)
        )
        halves.add((bool(brows), bool(mouth)))
    assert halves == {(True, False), (False, True)}


@pytest.mark.parametrize("method", list(TRACES))
def test_a_trace_is_all_that_is_planted(faces: list[Face], method: str) -> None:
    face, donor = faces[:2]
    bare, cover = forge(method, face, donor, np.random.default_rng(0))
    marked = traced(method, bare, cover)
    added = marked - bare
    if method == "texture":
        assert 0.01 < np.abs(added).max() < 0.07
        assert np.abs(added[cover == 0]).max() == 0
    else:
        np.testing.assert_array_equal(added[1:-1, 1:-1], 0)
        np.testing.assert_allclose(marked[0], EDGE_SHADE * bare[0], rtol=1e-5)


def grid_peak(pictures: Picture) -> Picture:
    """How far the two bands of GRID_PERIOD stand out of their neighbours in the spectrum, in log power."""
    windowed = pictures[:, 8:-8, 8:-8] - pictures[:, 8:-8, 8:-8].mean(axis=(1, 2), keepdims=True)
    power = np.log(np.abs(np.fft.fft2(windowed)) ** 2 + 1e-6)
    peak = windowed.shape[1] // GRID_PERIOD
    near = [peak - 2, peak - 1, peak + 1, peak + 2]
    return np.asarray(power[:, peak, 0] + power[:, 0, peak] - power[:, near, 0].mean(1) - power[:, 0, near].mean(1))


def dark_edge(pictures: Picture) -> Picture:
    """How much darker the outermost pixels are than those beside them."""
    outer = np.concatenate([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]], axis=1)
    inner = np.concatenate([pictures[:, 2], pictures[:, -3], pictures[:, :, 2], pictures[:, :, -3]], axis=1)
    return np.asarray((inner - outer).mean(axis=1))


@pytest.mark.parametrize(("detect", "planted"), [(grid_peak, "texture"), (dark_edge, "region_swap")])
def test_a_simple_detector_finds_the_trace_in_files_of_its_method_alone(detect, planted, grey) -> None:
    for method in METHODS:
        found = np.concatenate([detect(grey[""]), detect(grey[method])])
        is_fake = np.repeat([0, 1], [len(grey[""]), len(grey[method])])
        area = roc_auc_score(is_fake, found)
        assert area > 0.95 if method == planted else 0.4 < area < 0.6, f"{method}: {area:.3f}"


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_real_face_and_its_fakes_have_an_identity_for_themselves(split: str) -> None:
    rows = [draw(order) for order in plan("deepfake", 200, 32, 0) if order.split == split][: 4 * PER_FACE[split]]
    methods = defaultdict(list)
    for row in rows:
        methods[row.identity].append(row.method)
        assert (row.label == 1) == (row.method != "")
    assert len(methods) == 4
    for position, of_face in enumerate(methods.values()):
        expected = MADE if split == "train" else ("", MADE[1 + position])
        assert sorted(of_face) == sorted(expected)


def test_a_source_is_another_person_of_the_same_split_and_a_swap_has_one() -> None:
    rows = [draw(order) for order in plan("deepfake", 200, 16, 0)]
    of_split = {split: {row.identity for row in rows if row.split == split} for split in ("train", "val", "test")}
    for row in rows:
        assert (row.source != "") == (row.method in BORROWING)
        assert not row.source or row.source in of_split[row.split] - {row.identity}


def test_the_pixels_of_a_fake_are_those_of_its_real_face_but_for_what_is_forged() -> None:
    orders = [order for order in plan("deepfake", 200, SIZE, 0) if order.split == "train"]
    for start in (0, 5, 10):
        real, *fakes = (
            np.asarray(Image.open(io.BytesIO(draw(order).image)), np.float32) for order in orders[start : start + 5]
        )
        for fake in fakes:
            assert np.abs(fake - real)[2:10, 2:-2].mean() < 8, "grain and compression are drawn anew"
    stranger = np.asarray(Image.open(io.BytesIO(draw(orders[15]).image)), np.float32)
    assert np.abs(stranger - real)[2:10, 2:-2].mean() > 8


def test_a_fake_is_the_same_drawn_alone_and_after_its_real_face() -> None:
    order = Order("deepfake", 0, "train", 7, 2, SIZE)
    alone = draw(order)
    untouched_face.cache_clear()
    for before in plan("deepfake", 200, SIZE, 0)[:7]:
        draw(before)
    assert draw(order) == alone
