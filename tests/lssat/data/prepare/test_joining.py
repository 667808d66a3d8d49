"""Several data sets become one: every row of each, told apart by a column, with one meaning of classes and persons."""

import argparse
import csv
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lssat.config import build
from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepare.joining import joined_info
from lssat.data.prepare.look import look
from lssat.data.prepare.prepare import prepare
from lssat.data.prepare.sample import training_images
from lssat.data.prepared import interleaving
from lssat.data.prepared.interleaving import interleaved
from lssat.data.prepared.selection import cells_of, check_hold_out
from lssat.data.prepared.table import INFO_FILE, SPLITS, DatasetInfo, Row, read_info, read_texts, shard_paths
from lssat.data.prepared.writing import write_dataset
from lssat.data_arguments import add_data_arguments, as_trained
from lssat.data_arguments import data_of as data_of_arguments
from lssat.errors import ConfigError
from tests.lssat.data import trees
from tests.lssat.data.shards import read_split
from tests.lssat.data.tables import picture, table

ROOT = Path(__file__).resolve().parents[4]
KILLED = """
import os, signal, sys
from pathlib import Path
from lssat.config import build
from lssat.data.prepare import prepare
from lssat.data.prepared import interleaving
interleaving.SHARD_ROWS, interleaving.GROUP_ROWS = 16, 8
def dying(*given, left=[5], group=interleaving._group):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return group(*given)
interleaving._group = dying
data = build({"data.source": sys.argv[2:], "data.task": "mood"}).data
if __name__ == "__main__":
    prepare.prepare(data, Path(sys.argv[1]), print, map)
"""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Tables `a` and `b`, whose persons have the same names and whose classes come in another order."""
    folder = tmp_path_factory.mktemp("two")
    return [
        table(folder / "a.parquet", {"train": 90, "val": 20, "test": 20}, ["sad", "glad"], {"camera": ["x", "y"]}),
        table(folder / "b.parquet", {"train": 30, "val": 20, "test": 20}, ["glad", "sad"], {"age": ["1", "2"]}),
    ]


def data_of(sources, **more):
    keys = {f"data.{key}": value for key, value in more.items()}
    return build({"data.source": list(map(str, sources)), "data.task": "mood", **keys}).data


def joined(sources, cache, **more):
    return prepare(data_of(sources, **more), cache, lambda _: None)


def bytes_of(folder):
    return {path.name: path.read_bytes() for split in SPLITS for path in shard_paths(folder, split)}


def small(folder, name="small", classes=("glad", "sad"), kind=None, task="mood", synthetic=False, seed=0, rows=12):
    """A prepared data set of a few pictures of noise, each different."""
    random = np.random.default_rng(seed)
    kind = kind or ("binary" if len(classes) == 2 else "multiclass")
    info = DatasetInfo(name, task, kind, tuple(classes), synthetic, fingerprint=f"{name} {seed}")
    label = (lambda row: tuple((row >> bit) % 2 for bit, _ in enumerate(classes))) if kind == "multilabel" else None
    some = [
        Row(picture(random), label(row) if label else row % len(classes), f"{split} {row}", split)
        for split in SPLITS
        for row in range(rows)
    ]
    write_dataset(folder, (row._replace(thumbnail=bytes(1024)) for row in some), info)
    return folder


def test_every_row_of_each_is_there_once_with_the_same_bytes_and_the_label_of_the_same_name(two, tmp_path):
    folder = joined(two, tmp_path / "cache")
    info = read_info(folder)
    assert (info.source, info.task, info.kind, info.classes) == ("a + b", "mood", "binary", ("glad", "sad"))
    assert info.columns == ("camera", "age", "dataset")
    assert info.rows == {"train": 120, "val": 40, "test": 40}
    parts = {name: prepare(data_of([path]), tmp_path / "cache", str) for name, path in zip("ab", two, strict=True)}
    for split in SPLITS:
        whole = read_split(folder, split).to_pylist()
        counted = {name: sum(info.classes[row["label"]] == name for row in whole) for name in info.classes}
        assert counted == info.counts[split]
        for name, part in parts.items():
            known = read_info(part)
            rows = [row for row in whole if row["dataset"] == name]
            own = read_split(part, split).to_pylist()
            assert len(rows) == len(own) == info.options["datasets"][name]["rows"][split]
            for row, before in zip(rows, own, strict=True):
                assert (row["image"], row["thumbnail"]) == (before["image"], before["thumbnail"])
                assert info.classes[row["label"]] == known.classes[before["label"]]
                assert row["identity"] == f"{name}:{before['identity']}"
                assert (row["camera"], row["age"]) == (before.get("camera", ""), before.get("age", ""))
    assert parts.keys() == info.options["datasets"].keys()


def test_the_parts_are_spread_evenly_over_the_whole():
    random = np.random.default_rng(0)
    for _ in range(50):
        counts = random.integers(0, 40, random.integers(1, 5))
        if not counts.sum():
            continue
        part, row = interleaved(counts.tolist())
        for index, count in enumerate(counts):
            assert row[part == index].tolist() == list(range(count))
            due = count / counts.sum() * np.arange(1, len(part) + 1)
            assert np.abs(np.cumsum(part == index) - due).max() < len(counts)


def test_it_is_made_alike_found_again_and_needs_its_parts_no_more(two, tmp_path):
    folder = joined(two, tmp_path / "cache")
    again = joined(two, tmp_path / "other")
    assert again.name == folder.name
    assert bytes_of(again) == bytes_of(folder)
    for path in (tmp_path / "cache").iterdir():
        if path.is_dir() and path != folder:
            shutil.rmtree(path)
    time = (folder / "dataset.json").stat().st_mtime_ns
    assert joined(two, tmp_path / "cache") == folder
    assert (folder / "dataset.json").stat().st_mtime_ns == time
    moved = [shutil.copy2(path, tmp_path / Path(path).name) for path in two]
    assert joined(moved, tmp_path / "moved").name == folder.name
    names = {
        joined(two, tmp_path / "cache", **more).name
        for more in ({}, {"validate_on": "b"}, {"class_names": ["happy", "unhappy"]}, {"allow_leaks": True})
    }
    assert len(names) == 4


def test_a_killed_joining_goes_on_and_ends_as_if_nothing_had_happened(two, tmp_path, monkeypatch):
    monkeypatch.setattr(interleaving, "SHARD_ROWS", 16)
    monkeypatch.setattr(interleaving, "GROUP_ROWS", 8)
    whole = joined(two, tmp_path / "whole")
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, script, tmp_path / "cache", *two]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(list(map(str, command)), env=environment).returncode == -signal.SIGKILL
    (unfinished,) = (tmp_path / "cache").glob("*.unfinished")
    finished = {path.name: path.stat().st_mtime_ns for path in unfinished.glob("*.parquet")}
    assert len(finished) == 2
    folder = joined(two, tmp_path / "cache")
    assert {name: (folder / name).stat().st_mtime_ns for name in finished} == finished
    assert bytes_of(folder) == bytes_of(whole)
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}


def test_what_one_trains_on_and_another_is_tested_on_is_a_leak(two, tmp_path):
    copied = read_split(prepare(data_of(two[:1]), tmp_path / "cache", str), "train")["image"][3].as_py()
    third = table(tmp_path / "c.parquet", {"train": 20, "val": 10, "test": 10}, ["glad", "sad"], first_of_test=copied)
    with pytest.raises(ConfigError, match=r"1 of kind image \(correlation 1.000, a and c: train row \d+ and test row"):
        joined([two[0], third], tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*/*")}
    assert not [*(tmp_path / "cache").glob("*.unfinished")]
    folder = joined([two[0], third], tmp_path / "cache", allow_leaks=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len([*(tmp_path / "cache").glob("*/dataset.json")]) == 3, "what was prepared is not prepared again"
    with (folder / "leaks.csv").open() as file:
        (leak,) = csv.DictReader(file)
    assert leak["detail"].endswith(", a and c")
    assert read_split(folder, "train")["image"][int(leak["first_row"])].as_py() == copied


def test_other_options_of_one_tree_are_of_the_same_persons_and_videos(tmp_path):
    trees.faceforensics(tmp_path / "ff", (3, 1, 1), ("Deepfakes", "FaceSwap"), frames=True, length=2)
    sources = [f"faceforensics:{tmp_path}/ff?methods={method}&frames=1" for method in ("Deepfakes", "FaceSwap")]
    folder = joined(sources, tmp_path / "cache", task="deepfake")
    texts = read_texts(folder, "train")
    assert {*texts["dataset"]} == {"faceforensics", "faceforensics-2"}
    assert {name.partition(":")[0] for name in [*texts["identity"], *texts["video"]]} == {"faceforensics"}
    real = texts["method"] == ""
    assert len({*texts["video"][real]}) == real.sum() / 2, "both have the same real videos"


def test_validation_and_test_may_be_of_one_while_training_has_all(two, tmp_path):
    folder = joined(two, tmp_path / "cache", validate_on="b")
    assert read_info(folder).rows == {"train": 120, "val": 20, "test": 20}
    assert {split: {*read_texts(folder, split)["dataset"]} for split in SPLITS} == {
        "train": {"a", "b"},
        "val": {"b"},
        "test": {"b"},
    }
    assert look(data_of(two, validate_on="b")).info.rows == read_info(folder).rows


def test_classes_are_called_alike_in_all_of_them(two, tmp_path):
    """Each has its own order: in `b` of a prepared folder the first class is the other's second."""
    turned = small(tmp_path / "turned", classes=("sad", "glad"))
    folder = joined([two[0], turned], tmp_path / "cache", class_names=["happy", "unhappy"], allow_leaks=True)
    assert read_info(folder).classes == ("happy", "unhappy")
    rows = [row for row in read_split(folder, "train").to_pylist() if row["dataset"] == "turned"]
    assert [row["label"] for row in rows[:4]] == [1, 0, 1, 0]


def test_several_labels_keep_their_columns(tmp_path):
    parts = [
        small(tmp_path / name, name, classes, "multilabel", seed=seed)
        for seed, (name, classes) in enumerate({"one": ("hat", "beard", "wig"), "two": ("wig", "hat", "beard")}.items())
    ]
    folder = joined(parts, tmp_path / "cache", allow_leaks=True)
    for name, part in zip(("one", "two"), parts, strict=True):
        rows = [row["label"] for row in read_split(folder, "val").to_pylist() if row["dataset"] == name]
        own = read_info(part).classes
        order = [own.index(each) for each in ("hat", "beard", "wig")]
        assert rows == [[row["label"][index] for index in order] for row in read_split(part, "val").to_pylist()]


def test_a_part_that_has_parts_keeps_their_names(tmp_path):
    inner = joined([small(tmp_path / "a", seed=0), small(tmp_path / "b", seed=1)], tmp_path / "cache", allow_leaks=True)
    inner = inner.rename(tmp_path / "inner")
    folder = joined([inner, small(tmp_path / "c", seed=2)], tmp_path / "cache", allow_leaks=True)
    assert {*read_texts(folder, "train")["dataset"]} == {"inner/a", "inner/b", "c"}
    assert read_info(folder).columns == ("dataset",)


def test_training_images_of_each_are_looked_at(two, tmp_path):
    for more in ([], [small(tmp_path / "prepared", rows=60)]):
        found = training_images(data_of([*two, *more]), None, 60, 60)
        assert found.shape == (60, 64, 64, 3)


def refused(sources, **more):
    with pytest.raises(ConfigError) as error:
        look(data_of(sources, **more))
    return str(error.value)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"classes": ("0", "1")}, "but `a` has `glad`, `sad` and `other` has `0`, `1`; if they only have other names"),
        ({"classes": ("calm", "glad", "sad")}, "keep those that both have: `data.classes: [glad, sad]`"),
        ({"classes": ("calm", "glad", "mad")}, "name another task, or classes that both have"),
        ({"kind": "multilabel"}, "must be of one kind of task, but `a` is binary and `other` multilabel"),
        ({"synthetic": True}, "joins synthetic faces (`other`) with others (`a`)"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_opened(two, tmp_path, other, message):
    assert message in refused([two[0], small(tmp_path / "other", **other)])


def with_options(folder, options):
    """A prepared data set that says this of itself."""
    info = read_info(folder)
    (folder / INFO_FILE).write_text(replace(info, options={**options}).to_json())
    return str(folder)


VIDEOS = {"kind": "celebdf", "crop": True, **DETECTOR}


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (
            VIDEOS,
            {**VIDEOS, "align": "upright"},
            "`data.align` is none in `one` and upright in `other`; prepare one anew",
        ),
        (
            VIDEOS,
            VIDEOS | {"detector_sha256": "0" * 64},
            r"the detector is CenterFace .* prepare again, from its videos",
        ),
        (VIDEOS, {"kind": "celebdf", "crop": True}, "and scikit-image lbpcascade_frontalface_opencv.xml .* in `other`"),
        ({"image_size": 64}, {"image_size": 32}, "`data.image_size` is 64 in `one` and 32 in `other`; render one anew"),
    ],
)
def test_images_that_are_opened_otherwise_are_refused(tmp_path, one, other, message):
    sources = [small(tmp_path / "one"), small(tmp_path / "other", seed=1)]
    look(data_of(sources))
    assert re.search(message, refused(map(with_options, sources, (one, other))))
    look(data_of(map(with_options, sources, (other, other))))


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_every_two_of_three_are_compared(tmp_path, order):
    options = {}, VIDEOS, VIDEOS | {"align": "upright"}
    sources = [with_options(small(tmp_path / f"{number}", seed=number), options[number]) for number in order]
    assert "`data.align` is " in refused(sources)


def test_faces_that_were_found_join_with_pictures_as_their_makers_cut_them(tmp_path):
    videos, frames = (trees.celebdf(tmp_path / name, frames=name == "frames", length=1) for name in ("v", "frames"))
    found = look(build({"data.source": [f"celebdf:{videos}", f"celebdf:{frames}"]}).data)
    assert found.info.classes == ("real", "fake")


def test_videos_are_turned_as_a_winners_were_beside_prepared_ones_that_are_turned(tmp_path):
    videos, classes = trees.celebdf(tmp_path / "videos", length=1), ("real", "fake")
    level, turned = (
        with_options(small(tmp_path / name, classes=classes, task="deepfake"), VIDEOS | more)
        for name, more in (("level", {}), ("turned", {"align": "upright"}))
    )
    wanted = build({"data.source": [f"celebdf:{videos}", turned]}).data
    look(as_trained(wanted, {"align": True}))
    with pytest.raises(ConfigError, match=r"`data\.align` is none in `celebdf` and upright in `turned`"):
        look(wanted)
    with pytest.raises(ConfigError, match=r"`data\.align` is upright in `celebdf` and none in `level`"):
        look(as_trained(wanted.model_copy(update={"source": [f"celebdf:{videos}", level]}), {"align": True}))
    assert as_trained(build({"data.source": turned}).data, {"align": True}).align is None


def test_what_is_held_out_of_joined_data_is_checked_before_anything_is_opened(two, tmp_path):
    """By the column of both, or by one that only `a` has; labels are those of the whole."""
    found = look(data_of(two, hold_out="dataset", held_out=["b"]))
    folder = joined(two, tmp_path / "cache")
    assert sorted(found.cells) == sorted(cells_of(folder, "dataset"))
    cameras = look(data_of(two, hold_out="camera", held_out=["x"]))
    assert sorted(cameras.cells) == sorted(cells_of(folder, "camera"))


def test_what_is_held_out_and_validated_on_at_once_is_refused_with_the_repair(two):
    data = data_of(two, hold_out="dataset", held_out=["b"], validate_on="b")
    found = look(data)
    with pytest.raises(ConfigError) as error:
        check_hold_out(found.info, data, found.cells)
    said = "leaves no image in the other part of `val`; leave out `data.validate_on`, by which validation and test are"
    assert said in str(error.value)
    repaired = data_of(two, hold_out="dataset", held_out=["b"])
    check_hold_out(found.info, repaired, look(repaired).cells)


def test_other_tasks_are_refused(two, tmp_path):
    found = small(tmp_path / "other", task="age")
    assert "was prepared for task `age`, not `mood`" in refused([two[0], found])
    with pytest.raises(ConfigError, match="of one task, but `other` is of `age` and `third` of `mood`"):
        look(build({"data.source": [str(found), str(small(tmp_path / "third"))]}).data)


def test_the_same_data_set_twice_is_refused(two, tmp_path):
    again = f"{Path(two[0]).parent}/../{Path(two[0]).parent.name}/a.parquet"
    assert "names the same data set twice" in refused([two[0], again])
    copied = shutil.copy(two[0], tmp_path / "copy.parquet")
    with pytest.raises(ConfigError, match=r"copy.parquet` is a copy of `.*a.parquet`; remove one"):
        joined([two[0], copied], tmp_path / "cache")


def test_a_data_set_to_validate_on_must_be_there_and_have_rows(two):
    assert "names `c`, which is none of the data sets; they are `a`, `b`" in refused(two, validate_on="c")
    rows = {name: {"train": 5, "val": val, "test": 5} for name, val in (("a", 5), ("b", 0))}
    counts = {split: {"glad": 2, "sad": 3} for split in SPLITS}
    infos = {
        name: DatasetInfo(name, "mood", "binary", ("glad", "sad"), False, rows=found, counts=counts)
        for name, found in rows.items()
    }
    with pytest.raises(ConfigError, match="`b`, which has no image in split `val`; those that have are `a`"):
        joined_info(infos, data_of(two, validate_on="b"))


def test_a_class_without_rows_is_refused_by_the_name_of_its_data_set(two, tmp_path):
    lacking = table(tmp_path / "c.parquet", {"train": 8, "val": 1, "test": 4}, ["glad", "sad"])
    assert "split `val` of `c.parquet`, task `mood` has no image of class `sad`" in refused([two[0], lacking])


def test_a_part_of_an_older_version_is_refused(tmp_path):
    old = small(tmp_path / "old", seed=1)
    for path in old.glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["thumbnail"]), path)
    with pytest.raises(ConfigError, match=r"`old` in .* has no column `thumbnail`: it was prepared by an"):
        joined([small(tmp_path / "new"), old], tmp_path / "cache")


def test_commands_on_a_winner_join_what_they_are_given(two):
    parser = argparse.ArgumentParser()
    add_data_arguments(parser)
    found = data_of_arguments(parser.parse_args(["--data", two[0], "--data", two[1], "--task", "mood"]))
    assert (found.sources, found.task) == (tuple(two), "mood")
    assert data_of_arguments(parser.parse_args(["--data", two[0]])).source == two[0]
