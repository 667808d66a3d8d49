"""A winner in use: it answers what evaluation scores, and its encoder is timm's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import lssat
from lssat.bundle.exporting import export
from lssat.bundle.opening import open_bundle
from lssat.data.images import UnusableImage
from lssat.data.prepared.decoding import read_resident
from lssat.data.prepared.table import shard_paths
from lssat.errors import ConfigError
from lssat.train.scoring import predict_rows
from tests.lssat.winners import ALONE, SIZE, TASK, train

ROOT = Path(__file__).resolve().parents[2]


def expected(best, data):
    bundle = open_bundle(best)
    rows = read_resident(shard_paths(data, "test"), SIZE)
    found, order = predict_rows(bundle.config, bundle.model, rows, ALONE)
    return found.logits[np.argsort(order)], found.labels[np.argsort(order)]


def test_it_predicts_what_evaluation_scores_whatever_holds_the_images(best, data, photos):
    logits, labels = expected(best, data)
    images = sorted(photos.iterdir())
    by_row = pq.read_table(shard_paths(data, "test")[0])["identity"].to_pylist()
    files = [images[int(name.removeprefix("test"))] for name in by_row]
    assert [int(name.removeprefix("test")) % 2 for name in by_row] == labels.tolist()
    winner = lssat.load(best, "cpu")
    found = winner.predict(files)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    np.testing.assert_allclose(found.probability.sum(1), 1)
    assert found.labels == [TASK.classes[int(logit > 0)] for logit in logits[:, 0]]
    pictures = [Image.open(path) for path in files]
    arrays = [np.asarray(picture) for picture in pictures]
    tensors = [torch.from_numpy(array.copy()).movedim(-1, 0) for array in arrays]
    for same in (pictures, arrays, tensors, [tensor.float() / 255 for tensor in tensors]):
        np.testing.assert_array_equal(winner.predict(same).logits, found.logits)
    np.testing.assert_allclose(winner.predict(files[0]).logits, logits[:1], atol=1e-5)
    np.testing.assert_allclose(winner.predict(np.stack(arrays[:1])).logits, logits[:1], atol=1e-5)
    for part in winner.reconstruct(files[:3]):
        assert part.shape == (3, 32, 32, 3) and part.dtype == np.uint8


@pytest.mark.parametrize("backbone", ["test_vit", "test_convnext", "test_efficientnet"])
def test_timm_takes_the_encoder_as_the_page_says_and_gives_the_same_features(
    tmp_path, monkeypatch, data, photos, backbone
):
    patch = {"backbone.patch_size": 8} if backbone == "test_vit" else {}
    trained = train(tmp_path / "run", data, **patch, **{"backbone.name": backbone, "optim.precision": "float32"})
    export(trained, tmp_path / "best")
    winner, files = lssat.load(tmp_path / "best", "cpu"), sorted(photos.iterdir())[:4]
    pixels = np.concatenate([winner.open(path).images for path in files])
    snippet = (ROOT / "docs" / "winner.md").read_text().partition("## Without this package")[2].split("```")[1]
    known = {"pixels": torch.from_numpy(pixels).permute(0, 3, 1, 2)}
    monkeypatch.chdir(tmp_path)
    exec(snippet.removeprefix("python"), known)
    np.testing.assert_allclose(winner.embed(files), known["features"].numpy(), atol=1e-5)


def test_what_is_no_image_is_refused_with_its_reason(tmp_path, best, photos):
    winner = lssat.load(best, "cpu")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes((photos / "00.png").read_bytes()[:200])
    for images, reason in (
        (np.zeros((4, 4, 1), np.uint8), r"must be \[H, W, 3\]"),
        (np.zeros((4, 4), np.uint8), r"must be \[H, W, 3\] and tensors \[3, H, W\], but got \[4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"but got \[0, 4, 3\]"),
        (torch.zeros(3, 0, 4), r"but got \[3, 0, 4\]"),
        (torch.zeros(4, requires_grad=True), r"but got \[4\]"),
        (np.zeros((0, 4, 4, 3), np.uint8), "no images were given"),
        (np.full((4, 4, 3), None), "pixels must be uint8, or floats"),
        (torch.full((3, 4, 4), float("nan"), dtype=torch.bfloat16), r"but got torch.bfloat16 beyond"),
        ([1, 2, 3], "must be paths, pictures, arrays or tensors, but got int"),
        ([[[1, 2, 3]]], "arrays or tensors, but got list"),
        (None, "arrays or tensors, but got NoneType"),
        (np.full((4, 4, 3), 7.0), "floats from 0 to 1"),
        (np.full((4, 4, 3), 7, np.int32), "pixels must be uint8"),
        ([], "no images were given"),
        (Image.open(damaged), "damaged image"),
        (damaged, f"`{damaged}`: damaged image"),
        (tmp_path, f"`{tmp_path}`: not a regular file"),
    ):
        for ask in (winner.predict, winner.embed, winner.reconstruct):
            with pytest.raises(UnusableImage, match=reason):
                ask(images)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_floats_of_every_width_are_taken(best, kind):
    """Exactly, where a width holds the pixels' values, as all of them hold multiples of 1/4."""
    image = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=kind, requires_grad=True).repeat(3, 4, 1)
    winner = lssat.load(best, "cpu")
    wanted = winner.predict((image.detach().double().movedim(0, -1).numpy() * 255).round().astype(np.uint8)).logits
    np.testing.assert_array_equal(winner.predict(image).logits, wanted)


def test_a_device_or_batch_that_cannot_be_is_one_sentence(best):
    with pytest.raises(ConfigError, match=r"`device` 'nonsense' cannot be used here .*leave it out, or give `cpu`"):
        lssat.load(best, "nonsense")
    with pytest.raises(ConfigError, match="`batch_size >= 1` must hold, but got 0"):
        lssat.load(best, batch_size=0)


def test_batches_and_pictures_that_are_given_twice_change_no_answer(best, photos):
    pictures = [Image.open(path) for path in sorted(photos.iterdir())] * 3
    few, many = (lssat.load(best, "cpu", size).predict([*pictures, *pictures]).logits for size in (7, 64))
    np.testing.assert_allclose(few, many, atol=1e-5)
    np.testing.assert_allclose(few[:20], few[-20:], atol=1e-5)


def test_a_winner_without_the_auxiliary_task_rebuilds_nothing(tmp_path, data, photos):
    export(train(tmp_path / "run", data, auxiliary=False), tmp_path / "best", data)
    with pytest.raises(ConfigError, match="trained without the auxiliary task"):
        lssat.load(tmp_path / "best", "cpu").reconstruct(photos / "00.png")


def test_the_project_is_imported_without_torch_and_help_comes_at_once():
    code = "import sys, lssat, lssat.predict; sys.exit(', '.join({'torch', 'ray', 'timm'} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


def test_a_bundle_is_opened_without_ray_and_what_takes_seconds_to_import(best):
    code = (
        f"import sys, lssat; lssat.load({str(best)!r}); "
        "sys.exit(', '.join({'ray', 'sklearn', 'skimage', 'scipy.stats'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
