"""Whoever asks about a file gets the very pixels that training had of it: whole, its centre, or the face cut out."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lssat.data.images import UnusableImage
from lssat.data.parallel import in_threads
from lssat.data.pictures import refuse_bombs
from lssat.data.prepare.asked import Faces, describe, detector_of, differences, open_asked
from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepare.look import look
from lssat.data.prepare.opening import open_entry, open_options
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.decoding import pixels_of
from lssat.data.prepared.table import DatasetInfo, read_info
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.registry import open_listing
from lssat.data.sources.source import located
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from tests.lssat.data import trees

SIZE = 48
FACES = os.environ.get("LSSAT_FACES", "")


def own(root: Path) -> Path:
    """A folder per class, of pictures that are no squares."""
    for label in ("no", "yes"):
        for number in range(20):
            path = root / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 255, (60, 90, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


TREES: dict[str, tuple[Callable[[Path], Path], str, Faces]] = {
    "own": (own, "", Faces(keep=True, crop=False)),
    "celeba": (lambda root: trees.celeba(root, 20, 10), "celeba:", Faces(keep=False, crop=False)),
    "extracted frames": (
        lambda root: trees.celebdf(root, frames=True, length=2),
        "celebdf:",
        Faces(keep=False, crop=False),
    ),
    "videos": (lambda root: trees.celebdf(root, length=2), "celebdf:", Faces(keep=False, crop=True)),
    "videos, upright": (
        lambda root: trees.celebdf(root, length=2),
        "celebdf:",
        Faces(keep=False, crop=True, align=True),
    ),
}


@pytest.fixture(scope="module", params=TREES)
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Listing, Faces, Faces]:
    """A data set, listed; how its prepared folder says that pictures were opened, and how they were."""
    make, kind, expected = TREES[request.param]
    folder = tmp_path_factory.mktemp("tree")
    data = DataConfig(source=f"{kind}{make(folder / 'data')}", task="Smiling" if kind == "celeba:" else "deepfake")
    data = data if kind else DataConfig(source=str(folder / "data"))
    data = data.model_copy(update={"align": "upright" if expected.align else None})
    prepared = prepare(
        data.model_copy(update={"allow_leaks": True, "max_rejects": 0.2}), folder / "cache", lambda _: None
    )
    return open_listing(located(data.source), data), Faces.of(read_info(prepared)), expected


def test_prepared_data_say_how_their_pictures_were_opened(tree: tuple[Listing, Faces, Faces]) -> None:
    _, found, expected = tree
    assert found == expected


def test_pixels_are_those_of_training(tree: tuple[Listing, Faces, Faces]) -> None:
    listing, faces, _ = tree
    options = open_options(listing)
    compared = 0
    with refuse_bombs():
        for entry in listing.entries[:12]:
            assert isinstance(entry, Record)
            trained = open_entry(options, entry)
            if trained.reject:
                with pytest.raises(UnusableImage, match=trained.reject.reason):
                    open_asked(options.root / str(entry.name), faces, SIZE)
                continue
            asked = open_asked(options.root / str(entry.name), faces, SIZE)
            np.testing.assert_array_equal(asked.images, [pixels_of(row.image, SIZE) for row in trained.rows])
            assert asked.without_face == trained.without_face
            compared += 1
    assert compared >= 6


def test_a_video_is_opened_as_the_images_of_the_data_were(tmp_path: Path) -> None:
    """Whole or its centre: none of these has a face, so that without cropping it is answered, and with it not."""
    import av

    wide = np.tile(np.linspace(0, 255, 160, dtype=np.uint8)[None, :, None], (80, 1, 3))
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 80, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(wide, format="rgb24")))
        container.mux(stream.encode())
    whole = open_asked(path, Faces(keep=True, frames=3), SIZE).images
    central = open_asked(path, Faces(keep=False, frames=3), SIZE).images
    assert whole.shape == central.shape == (3, SIZE, SIZE, 3)
    assert np.ptp(whole[0, :, :, 0].mean(0)) > 240 > 140 > np.ptp(central[0, :, :, 0].mean(0)), "the ends are cut off"
    with refuse_bombs(), pytest.raises(UnusableImage, match="no face in any of 3 frames"):
        open_asked(path, Faces(keep=False, crop=True, frames=3), SIZE)


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("name", ["dot.png", "deep.png", "turned.jpg"])
def test_odd_pictures_are_opened_or_have_no_face(tmp_path: Path, crop: bool, name: str) -> None:
    pixels = np.zeros((40, 60), np.uint8)
    pixels[:, :30] = 200
    if name == "dot.png":
        Image.new("RGB", (1, 1)).save(tmp_path / name)
    elif name == "deep.png":
        Image.fromarray(pixels.astype(np.uint16) << 8).save(tmp_path / name)
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(pixels).save(tmp_path / name, exif=exif, quality=95)
    with refuse_bombs():
        if crop:
            with pytest.raises(UnusableImage, match="no face found"):
                open_asked(tmp_path / name, Faces(keep=False, crop=True), SIZE)
            return
        image = open_asked(tmp_path / name, Faces(), SIZE).images[0, :, :, 0].astype(int)
    if name == "deep.png":
        assert image[:, :20].min() > 190 and image[:, -20:].max() < 10
    if name == "turned.jpg":
        assert image[:20].min() > 190 and image[-20:].max() < 10, "left is up now"


@pytest.mark.parametrize("form", ["csv", "npy", "folders"])
def test_boxes_of_a_data_set_which_no_photo_of_ones_own_has_are_on_record_and_said(tmp_path: Path, form: str) -> None:
    getattr(trees, f"affectnet_{form}")(tmp_path)
    data = DataConfig(source=f"affectnet:{tmp_path}", task="emotion")
    listing = open_listing(located(data.source), data)
    faces = Faces.of(listing.info)
    boxed = [isinstance(entry, Record) and entry.box is not None for entry in listing.entries]
    assert set(boxed) == {form == "csv"} == {faces.boxes} == {faces.crop}
    notes = differences(describe(faces))
    assert len(notes) == faces.boxes and all("cut out by the boxes of the data set" in note for note in notes)


def test_another_detector_than_in_training_is_said() -> None:
    known = describe(Faces(keep=False, crop=True))
    assert differences(known) == differences(describe(Faces())) == ()
    (said,) = differences(known | {"detector_sha256": "0" * 64})
    assert "another detector" in said
    old = DatasetInfo("x", "deepfake", "binary", ("real", "fake"), synthetic=False, options={"kind": "dfdc"})
    (said,) = differences(describe(Faces.of(old), detector_of(old)))
    assert "in training (scikit-image lbpcascade" in said and "as wide but less steadily" in said
    new = replace(old, options=old.options | DETECTOR)
    assert differences(describe(Faces.of(new), detector_of(new))) == ()
    (said,) = differences({})
    assert "not on record" in said


@pytest.mark.parametrize("source", ["synthetic", "own", "celebdf:", "affectnet:"])
def test_faces_that_nobody_seeks_cannot_be_turned_which_is_said_before_anything_is_opened(
    tmp_path: Path, source: str
) -> None:
    make = {
        "synthetic": lambda: None,
        "own": lambda: own(tmp_path),
        "celebdf:": lambda: trees.celebdf(tmp_path, frames=True, length=2),
        "affectnet:": lambda: trees.affectnet_csv(tmp_path),
    }
    make[source]()
    task = {"synthetic": "emotion", "celebdf:": "deepfake", "affectnet:": "emotion"}.get(source, "classes")
    where = source if source == "synthetic" else f"{source if source.endswith(':') else ''}{tmp_path}"
    with pytest.raises(ConfigError, match=r"`data.align: upright` turns faces that are found in videos, but in"):
        look(DataConfig(source=where, task=task, align="upright"))


def test_older_prepared_data_are_taken_for_videos_where_their_kind_has_some() -> None:
    info = DatasetInfo("x", "deepfake", "binary", ("real", "fake"), synthetic=False)
    assert Faces.of(replace(info, options={"kind": "faceforensics", "frames": 7})) == Faces(False, True, 7)
    assert Faces.of(replace(info, options={"kind": "affectnet", "form": "csv"})) == Faces(False, True, boxes=True)
    assert Faces.of(replace(info, options={"kind": "celeba"})) == Faces(False, False)
    assert Faces.of(info) == Faces(True, False)


@pytest.mark.skipif(not Path(FACES).is_file(), reason="real faces are not at hand: set LSSAT_FACES to their table")
def test_threads_cut_out_the_real_faces_that_one_thread_does(tmp_path: Path) -> None:
    for number, image in enumerate(
        pq.ParquetFile(FACES).read_row_group(0, columns=["image"])["image"][:14].to_pylist()
    ):
        picture = Image.new("RGB", (200 + number, 180), (90, 110, 130))
        picture.paste(Image.open(io.BytesIO(image)), (30 + number, 20))
        picture.save(tmp_path / f"{number:02}.png")

    def opened(path: Path) -> bytes:
        try:
            return open_asked(path, Faces(keep=False, crop=True), SIZE).images.tobytes()
        except UnusableImage as reason:
            return str(reason).encode()

    paths = sorted(tmp_path.iterdir())
    with refuse_bombs():
        one = [opened(path) for path in paths]
        assert list(in_threads(opened, paths * 3, 16)) == one * 3
    assert sum(len(found) == SIZE * SIZE * 3 for found in one) > 7
    assert set(one) - {found for found in one if len(found) == SIZE * SIZE * 3} <= {b"no face found"}
