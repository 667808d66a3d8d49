"""Which films are pairs, by what each reader fills in; and what is said where there are none, or no weights."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from lssat.data.prepared.row_keys import pair_clips, read_keys
from lssat.data.prepared.table import DatasetInfo, Row
from lssat.data.prepared.writing import write_dataset
from lssat.data.sources.listing import Record
from lssat.data.sources.registry import open_listing
from lssat.data.sources.source import located
from lssat.data.synthetic.generate import MADE, PER_FACE, plan
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig

spec = importlib.util.spec_from_file_location("trees", Path(__file__).parents[1] / "trees.py")
assert spec and spec.loader
trees = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trees)


def pairs(source: str) -> dict[str, set[str]]:
    """Fake video of a tree -> its real ones, by the ends of their keys."""
    listing = open_listing(located(source), DataConfig(source=source))
    found = [entry for entry in listing.entries if isinstance(entry, Record)]
    texts = {name: np.array([getattr(record, name) for record in found]) for name in ("identity", "video")}
    clips = pair_clips(texts, np.array([record.label for record in found]))
    name_of = {int(number): record.video for number, record in zip(clips.number, found, strict=True)}
    return {name_of[fake]: {PurePosixPath(name_of[real]).name for real in own} for fake, own in clips.partners.items()}


def test_fakes_of_faceforensics_stand_beside_the_video_that_they_were_made_of(tmp_path: Path) -> None:
    found = pairs(f"faceforensics:{trees.faceforensics(tmp_path, (2, 1, 1), length=1, frames=True)}")
    assert found["Deepfakes/c23/000_001"] == {"000"} and found["NeuralTextures/c23/001_000"] == {"001"}
    assert len(found) == 4 * 8


def test_fakes_of_actors_stand_beside_the_same_scene(tmp_path: Path) -> None:
    tree = trees.faceforensics(tmp_path, (0, 0, 0), dfd=12, length=1, frames=True)
    found = pairs(f"faceforensics:{tree}?methods=DeepFakeDetection")
    assert found
    for fake, real in found.items():
        actors, scene, _ = PurePosixPath(fake).name.split("__")
        assert real == {f"{actors[:2]}__{scene}"}


def test_fakes_of_celebdf_stand_beside_the_take_that_they_were_made_of(tmp_path: Path) -> None:
    found = pairs(f"celebdf:{trees.celebdf(tmp_path, frames=True, length=1)}")
    assert found["Celeb-synthesis/id2_id3_0000"] == {"id2_0000"}
    assert found["Celeb-synthesis/id2_id3_0001"] == {"id2_0001"}


def test_fakes_of_dfdc_stand_beside_the_original_that_its_metadata_name(tmp_path: Path) -> None:
    found = pairs(f"dfdc:{trees.dfdc(tmp_path, originals=4, length=1)}")
    assert found["dfdc_train_part_1/p1f0021"] == {"p1r002"} and len(found) == 16


def test_fakes_of_deepfakebench_stand_beside_their_target(tmp_path: Path) -> None:
    found = pairs(f"deepfakebench:{trees.deepfakebench(tmp_path, (2, 1, 1), length=1)}")
    assert found["FF-FS/c23/002_003"] == {"002"} and len(found) == 2 * 8


def test_synthetic_fakes_stand_beside_real_pictures_of_the_same_face() -> None:
    orders = [order for order in plan("deepfake", 400, 64, 0) if order.split == "train"]
    face = np.array([str(order.position // PER_FACE["train"]) for order in orders])
    label = np.array([int(MADE[order.label] != "") for order in orders])
    clips = pair_clips({"identity": face, "video": np.full(len(face), "")}, label)
    assert len(clips.partners) > 30 and not clips.films
    for fake, (real,) in clips.partners.items():
        assert {*face[clips.number == fake]} == {*face[clips.number == real]}
        assert (label[clips.number == fake] == 1).all() and (label[clips.number == real] == 0).all()


def test_a_film_that_is_forged_in_part_is_a_pair_by_itself_where_nobody_is_named() -> None:
    video, label = np.array(["a", "a", "a", "b", "", ""]), np.array([0, 1, 1, 1, 0, 1])
    clips = pair_clips({"identity": np.full(6, ""), "video": video}, label)
    assert clips.partners == {clips.number[1]: (clips.number[0],)}


def prepared(folder: Path, rows: list[tuple[int, str, str]], columns: tuple[str, ...] = ("dataset",)) -> Path:
    """A data set of rows (label, identity, data set), with one row of each class in the other splits."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    info = DatasetInfo("here", "deepfake", "binary", ("real", "fake"), synthetic=False, columns=columns)
    made = [
        Row(out.getvalue(), label, who, "train", columns=(data,) if columns else ()) for label, who, data in rows
    ] + [
        Row(out.getvalue(), label, split, split, columns=("elsewhere",) if columns else ())
        for split in ("val", "test")
        for label in (0, 1)
    ]
    write_dataset(folder, made, info)
    return folder


ROWS = [(0, "x", "a"), (1, "x", "a"), (1, "x", "a"), (1, "y", "b"), (0, "z", "b")]


def test_what_is_paired_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    keys = read_keys(prepared(tmp_path / "d", ROWS), DataConfig(sampling="paired"), said.append)
    assert keys is not None and keys.clips is not None and keys.datasets is None
    assert said == ["paired: 2 images of `fake` with 1 of `real`; left out, for want of a partner: 1 and 1"]


def test_data_without_a_pair_are_refused(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "d", [(0, "x", ""), (1, "y", ""), (1, "", ""), (0, "", "")])
    with pytest.raises(
        ConfigError, match=r"`data\.sampling` paired finds no .*`fake` with one of class `real`.*identity"
    ):
        read_keys(folder, DataConfig(sampling="paired"), print)


def test_weights_go_to_the_data_sets_of_training_by_name(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "d", ROWS)
    keys = read_keys(folder, DataConfig(weights={"b": 3, "a": 0.5}), print)
    assert keys is not None and keys.datasets is not None and keys.clips is None
    assert keys.datasets.weight[keys.datasets.number].tolist() == [0.5, 0.5, 0.5, 3, 3]
    with pytest.raises(
        ConfigError, match=r"`data\.weights` names `elsewhere`, which is none of the data sets; training has"
    ):
        read_keys(folder, DataConfig(weights={"a": 1, "b": 1, "elsewhere": 1}), print)
    held_out = {"hold_out": "dataset", "held_out": ["b"]}  # it is learnt from where another is held out in its place
    for more in ({}, held_out):
        with pytest.raises(ConfigError, match=r"must name every data set of training, but lacks `b`"):
            read_keys(folder, DataConfig.model_validate({"weights": {"a": 1.0}, **more}), print)


def test_nothing_is_read_where_rows_come_as_they_are_or_are_balanced(tmp_path: Path) -> None:
    for sampling in ("natural", "balanced"):
        assert read_keys(tmp_path / "not there", DataConfig(sampling=sampling), print) is None  # type: ignore[arg-type]
