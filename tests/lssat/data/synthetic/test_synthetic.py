"""Truths about the synthetic faces: splits, balance, determinism, and labels that are visible without a shortcut."""

from __future__ import annotations

import io
from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
from PIL import Image
from skimage.feature import hog
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from lssat.data.synthetic.blending import face_cover
from lssat.data.synthetic.expression import EMOTIONS, WAYS, Acts, draw_acts
from lssat.data.synthetic.generate import (
    CLASSES,
    KINDS,
    Order,
    SyntheticRow,
    _generators,
    draw,
    draw_attributes,
    generate,
    plan,
)
from lssat.data.synthetic.render import render
from lssat.data.synthetic.traits import (
    ATTRIBUTES,
    draw_occasion_attributes,
    draw_person,
    draw_person_attributes,
    draw_scene,
)
from lssat.errors import ConfigError

Pictures = npt.NDArray[np.float32]
GREY = np.array([0.299, 0.587, 0.114], np.float32)


def decoded(row: SyntheticRow) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(row.image)))


def drawn(orders: list[Order], planted: bool = True) -> tuple[Pictures, npt.NDArray[np.int64]]:
    rows = [draw(order, planted) for order in orders]
    return np.stack([decoded(row) for row in rows]).astype(np.float32) / 255, np.array([row.label for row in rows])


def of_split(orders: list[Order], split: str) -> list[Order]:
    return [order for order in orders if order.split == split]


def logistic(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=300)


@pytest.fixture(scope="module")
def emotions() -> tuple[Pictures, npt.NDArray[np.int64], Pictures, npt.NDArray[np.int64]]:
    orders = plan("emotion", 800, 64, 0)
    return *drawn(of_split(orders, "train")), *drawn(of_split(orders, "test")[:400])


@pytest.fixture(scope="module")
def fakes() -> tuple[Pictures, npt.NDArray[np.int64], Pictures, npt.NDArray[np.int64]]:
    """Without the traces that are planted to give them away."""
    orders = plan("deepfake", 800, 64, 0)
    return *drawn(of_split(orders, "train"), False), *drawn(of_split(orders, "test")[:600], False)


def test_unknown_task_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="'emotions'; known: emotion, attributes, deepfake"):
        generate("emotions", 200, 64, 0)


@pytest.mark.parametrize("task", list(KINDS))
def test_splits_share_no_identity(task: str) -> None:
    assert set(CLASSES) == set(KINDS)
    orders = plan(task, 200, 16, 0)
    people = {
        split: {draw(order).identity for order in of_split(orders, split)[::40]} for split in ("train", "val", "test")
    }
    assert not people["train"] & people["val"]
    assert not people["train"] & people["test"]
    assert not people["val"] & people["test"]


def test_training_emotions_are_as_unequal_as_affectnet_and_held_out_ones_balanced() -> None:
    orders = plan("emotion", 4000, 64, 3)
    train = np.bincount([order.label for order in of_split(orders, "train")])
    assert train.tolist() == [1041, 1869, 354, 196, 89, 53, 346, 52]
    for split in ("val", "test"):
        assert np.bincount([order.label for order in of_split(orders, split)]).tolist() == [100] * 8


def test_few_training_rows_keep_every_class() -> None:
    counts = np.bincount([order.label for order in of_split(plan("emotion", 200, 64, 0), "train")])
    assert counts.sum() == 200
    assert counts.min() == 20


def test_one_real_to_four_fakes() -> None:
    orders = plan("deepfake", 1000, 64, 0)
    assert np.bincount([order.label for order in of_split(orders, "train")]).tolist() == [200] * 5
    assert np.bincount([order.label for order in of_split(orders, "test")]).tolist() == [400, 100, 100, 100, 100]
    assert [draw(order).label for order in orders[:5]] == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("split", ["val", "test"])
def test_every_attribute_has_enough_of_both(seed: int, split: str) -> None:
    chosen = [
        draw_attributes(order, *_generators(order))[1] for order in of_split(plan("attributes", 200, 64, seed), split)
    ]
    for name in ATTRIBUTES:
        positive = sum(attributes[name] for attributes in chosen)
        assert 50 <= positive <= len(chosen) - 50, name


def test_attributes_agree_with_each_other() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        face = draw_occasion_attributes(draw_person_attributes(rng), rng)
        assert sum(face[name] for name in ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Bald")) == 1
        assert not (face["No_Beard"] and (face["Mustache"] or face["Goatee"]))
        assert face["Male"] or face["No_Beard"]
        assert not (face["Bald"] and (face["Bangs"] or face["Wearing_Hat"]))


@pytest.mark.parametrize("task", list(KINDS))
def test_same_seed_same_bytes_whatever_the_order(task: str) -> None:
    orders = plan(task, 200, 64, 7)
    first = [draw(order) for order in orders[:6]]
    assert [draw(order) for order in reversed(orders[:6])] == first[::-1]
    assert draw(orders[0]._replace(seed=8)).image != first[0].image


def test_processes_change_nothing() -> None:
    assert list(islice(generate("deepfake", 200, 16, 0), 40)) == list(map(draw, plan("deepfake", 200, 16, 0)[:40]))


def test_labels_of_rows_fit_the_kind() -> None:
    assert draw(plan("emotion", 200, 64, 0)[0]).label in range(8)
    label = draw(plan("attributes", 200, 64, 0)[0]).label
    assert isinstance(label, tuple)
    assert len(label) == len(CLASSES["attributes"])
    assert set(label) <= {0, 1}


@pytest.mark.parametrize("size", [16, 64, 144])
def test_pictures_have_the_ordered_size(size: int) -> None:
    assert decoded(draw(plan("emotion", 200, size, 0)[0])).shape == (size, size, 3)


def test_an_identity_keeps_its_person() -> None:
    orders = plan("emotion", 200, 64, 0)
    people = []
    for order in orders[:8]:
        person_rng, rng = _generators(order)
        people.append(draw_person(draw_attributes(order, person_rng, rng)[0], person_rng))
    assert people[0] == people[1] == people[3]
    assert people[4] == people[7]
    assert people[0] != people[4]


def test_expressions_change_the_face_and_nothing_else() -> None:
    for seed in range(4):
        calm = portrait(seed, Acts())
        for emotion in EMOTIONS[1:]:
            moved = np.abs(portrait(seed, Acts(**WAYS[emotion][0])) - calm).mean(axis=2)
            assert moved[32:120, 24:104].mean() > 0.01, emotion
            assert moved[:8].max() < 1e-6, emotion


def portrait(seed: int, acts: Acts) -> Pictures:
    """The same person and scene, with other acts."""
    rng = np.random.default_rng(seed)
    attributes = draw_occasion_attributes(draw_person_attributes(rng), rng) | {
        "Wearing_Hat": False,
        "Eyeglasses": False,
    }
    person, scene = draw_person(attributes, rng), draw_scene(attributes, rng)
    return np.asarray(render(person, scene, acts, 128, rng).rgb, np.float32)


def test_contempt_is_one_sided_and_happiness_is_not() -> None:
    rng = np.random.default_rng(0)
    for emotion, one_sided in (("Contempt", True), ("Happiness", False)):
        gaps = [abs(acts.corner_left - acts.corner_right) for acts in (draw_acts(emotion, rng) for _ in range(50))]
        assert (np.median(gaps) > 0.8) == one_sided


def test_a_cover_holds_the_face_and_no_corner() -> None:
    points = np.random.default_rng(1).uniform(0.3, 0.7, (25, 2)).astype(np.float32)
    cover = face_cover(points, 64, np.random.default_rng(2))
    assert cover[32, 32] > 0.99
    assert cover[0, 0] == cover[63, 63] == 0.0


def test_emotions_need_more_than_a_linear_view_of_pixels(emotions: tuple[Pictures, ...]) -> None:
    train, label, test, truth = emotions
    flat, flat_test = train.reshape(len(train), -1), test.reshape(len(test), -1)
    middle = flat.mean(axis=0)
    power, axes = np.linalg.eigh(
        (flat - middle) @ (flat - middle).T
    )  # the same linear model, in as many axes as there are rows
    axes = (flat - middle).T @ (axes[:, power > 1e-2] / np.sqrt(power[power > 1e-2]))
    view, view_test = (flat - middle) @ axes, (flat_test - middle) @ axes
    for strength in (1e-2, 1e-1):
        guess = logistic(strength).fit(view, label).predict(view_test)
        assert f1_score(truth, guess, average="macro") < 0.38


def test_emotions_show_in_oriented_edges(emotions: tuple[Pictures, ...]) -> None:
    train, label, test, truth = emotions
    guess = make_pipeline(StandardScaler(), logistic(1e-3)).fit(edges(train), label).predict(edges(test))
    assert f1_score(truth, guess, average="macro") > 0.45


def test_but_for_traces_no_spectrum_or_edge_histogram_gives_fakes_away(fakes: tuple[Pictures, ...]) -> None:
    train, label, test, truth = fakes
    for features in (radial_spectrum, spectrum, edges):
        for strength in (1e-4, 1e-2):
            probe = make_pipeline(StandardScaler(), logistic(strength)).fit(features(train), label)
            assert roc_auc_score(truth, probe.decision_function(features(test))) < 0.69, features.__name__


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("task", "least"), [("emotion", 0.70), ("attributes", 0.80), ("deepfake", 0.72)])
def test_a_small_network_learns(task: str, least: float) -> None:
    """Macro-F1, mean balanced accuracy and AUC on test after 12 epochs."""
    rows = list(generate(task, 4000, 64, 0))
    picture, label = (
        {split: np.stack([value(row) for row in rows if row.split == split]) for split in ("train", "test")}
        for value in (decoded, lambda row: np.asarray(row.label))
    )
    score = network_scores(picture["train"], label["train"], picture["test"], KINDS[task], len(CLASSES[task]))
    truth = label["test"]
    if task == "emotion":
        reached = f1_score(truth, score.argmax(axis=1), average="macro")
    elif task == "deepfake":
        reached = roc_auc_score(truth, score[:, 1] - score[:, 0])
    else:
        reached = np.mean([balanced_accuracy_score(truth[:, k], score[:, k] > 0) for k in range(truth.shape[1])])
    print(f"{task}: {reached:.3f}")
    assert reached > least


def network_scores(train: Pictures, label: Pictures, test: Pictures, kind: str, num_outputs: int) -> Pictures:
    """Scores on test of timm's test_resnet, trained 12 epochs with flips and shifts and a balanced loss."""
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", num_classes=num_outputs)
    image, late = (torch.from_numpy(part).permute(0, 3, 1, 2).float().div(64).sub(2) for part in (train, test))
    target = torch.from_numpy(label)
    share = target.float().mean(0) if kind == "multilabel" else torch.bincount(target) * num_outputs / len(target)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, 12 * (len(image) // 64))
    for _ in range(12):
        order = torch.randperm(len(image))
        for rows in order[: len(order) // 64 * 64].split(64):
            shift = torch.randint(-4, 5, (2,)).tolist()
            batch = image[rows].roll(shift, (2, 3))
            logits = net(batch.flip(3) if torch.rand(()) < 0.5 else batch)
            wanted = target[rows]
            if kind == "multilabel":
                weight = torch.where(wanted == 1, 0.5 / share, 0.5 / (1 - share))
                loss = functional.binary_cross_entropy_with_logits(logits, wanted.float(), weight)
            else:
                loss = functional.cross_entropy(logits, wanted, 1 / share)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        return torch.cat([net(part) for part in late.split(200)]).numpy()


def edges(pictures: Pictures) -> Pictures:
    return np.stack([hog(picture @ GREY, 9, (8, 8), (2, 2)) for picture in pictures]).astype(np.float32)


def spectrum(pictures: Pictures) -> Pictures:
    power = np.log(np.abs(np.fft.fftshift(np.fft.fft2(pictures @ GREY), axes=(1, 2))) ** 2 + 1e-4)
    return power[:, :33].reshape(len(pictures), -1)


def radial_spectrum(pictures: Pictures) -> Pictures:
    power = np.log(np.abs(np.fft.fftshift(np.fft.fft2(pictures @ GREY), axes=(1, 2))) ** 2 + 1e-4)
    rows, columns = np.mgrid[-32:32, -32:32]
    radius = np.hypot(rows, columns).astype(int)
    return np.stack([power[:, radius == ring].mean(axis=1) for ring in range(1, 45)], axis=1)
