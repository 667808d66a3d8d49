"""A leak of each kind is found and named; clean data pass."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from lssat.data.pictures import open_picture
from lssat.data.prepare.audit import Leak, audit, check_leaks, shared_values
from lssat.data.prepared.hashing import hashes_of, thumbnail_of
from lssat.data.prepared.table import DatasetInfo, Row, read_info
from lssat.data.prepared.writing import Acceptance, write_dataset
from lssat.data.synthetic import generate as synthetic
from lssat.errors import ConfigError

INFO = DatasetInfo("faces", "deepfake", "binary", ("real", "fake"), synthetic=True)


@pytest.fixture(scope="module")
def clean() -> list[Row]:
    orders = synthetic.plan("deepfake", 200, 64, 0)
    chosen = [*orders[:60], *orders[200:240], *orders[1000:1040]]
    rows = [synthetic.draw(order) for order in chosen]
    return [
        pictured(Row(row.image, int(row.label), row.identity, row.split, f"video-{number}"), row.image)
        for number, row in enumerate(rows)
    ]  # type: ignore[arg-type]


def pictured(row: Row, image: bytes) -> Row:
    return row._replace(image=image, thumbnail=thumbnail_of(open_picture(image).picture))


def write(tmp_path: Path, rows: list[Row]) -> Path:
    write_dataset(tmp_path / "set", rows, INFO)
    return tmp_path / "set"


def changed(image: bytes, change: str) -> bytes:
    picture = Image.open(io.BytesIO(image))
    if change == "smaller":
        picture = picture.resize((40, 40))
    if change == "larger":
        picture = picture.resize((150, 150))
    if change == "brighter":
        picture = picture.point(lambda value: min(255, int(value * 1.1)))
    if change == "mirrored":
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=60)
    return file.getvalue()


def test_clean_faces_pass(tmp_path: Path, clean: list[Row]) -> None:
    assert audit(write(tmp_path, clean)) == []


@pytest.mark.parametrize("change", ["encoded anew", "smaller", "larger", "brighter"])
def test_a_changed_copy_is_found(tmp_path: Path, clean: list[Row], change: str) -> None:
    copy = pictured(clean[100], changed(clean[7].image, change))
    (leak,) = audit(write(tmp_path, [*clean, copy]))
    assert leak[:3] == ("image", ("train", "7"), ("test", "40"))


def test_a_mirrored_copy_is_not_found(tmp_path: Path, clean: list[Row]) -> None:
    assert audit(write(tmp_path, [*clean, pictured(clean[100], changed(clean[7].image, "mirrored"))])) == []


def test_flat_pictures_are_no_duplicates(tmp_path: Path, clean: list[Row]) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(file, "JPEG")
    assert audit(write(tmp_path, [pictured(row, file.getvalue()) for row in clean])) == []


@pytest.mark.parametrize("kind", ["identity", "video"])
def test_a_shared_name_is_found(tmp_path: Path, clean: list[Row], kind: str) -> None:
    rows = [*clean]
    rows[60] = rows[60]._replace(**{kind: getattr(rows[3], kind)})
    leaks = audit(write(tmp_path, rows))
    assert [(leak.kind, leak.first[0], leak.second, leak.detail) for leak in leaks] == [
        (kind, "train", ("val", "0"), getattr(rows[3], kind))
    ]


def test_a_fake_counts_for_its_target_and_its_source() -> None:
    assert shared_values(
        "identity", {"train": [["000"], ["001", "003"]], "val": [["004", "003"]], "test": [["005"]]}
    ) == [Leak("identity", ("train", "1"), ("val", "0"), "003")]


def test_the_source_of_a_fake_may_not_be_in_another_split(tmp_path: Path, clean: list[Row]) -> None:
    rows = [*clean]
    rows[60] = rows[60]._replace(source=rows[3].identity)
    assert [(leak.kind, leak.first[0], leak.second, leak.detail) for leak in audit(write(tmp_path, rows))] == [
        ("identity", "train", ("val", "0"), rows[3].identity)
    ]


def test_hashes_are_those_of_imagehash(clean: list[Row]) -> None:
    thumbnails = np.stack([np.frombuffer(row.thumbnail or b"", np.uint8) for row in clean])
    expected = [int(str(imagehash.phash(Image.fromarray(thumbnail.reshape(32, 32)))), 16) for thumbnail in thumbnails]
    assert hashes_of(thumbnails).tolist() == expected


def test_leaks_are_refused_by_name_or_recorded(tmp_path: Path, clean: list[Row]) -> None:
    rows = [*clean, pictured(clean[100], clean[7].image)._replace(identity=clean[3].identity)]
    identity = rf"1 of kind identity \({clean[3].identity}: train row \d+ and test row 40\)"
    with pytest.raises(ConfigError, match=rf"{identity}, 1 of kind image.*--allow-leaks"):
        write_dataset(tmp_path / "refused", rows, INFO, Acceptance(check=partial(check_leaks, allow=False)))
    assert list(tmp_path.iterdir()) == []
    write_dataset(tmp_path / "set", rows, INFO, Acceptance(check=partial(check_leaks, allow=True)))
    assert read_info(tmp_path / "set").options["leaks"] == 2
    with (tmp_path / "set" / "leaks.csv").open() as file:
        assert [
            (row["kind"], row["first_split"], row["second_split"], row["second_row"]) for row in csv.DictReader(file)
        ] == [
            ("identity", "train", "test", "40"),
            ("image", "train", "test", "40"),
        ]
