"""Published trees as their owners lay them out: every count, split, label and key, and what every trap is answered
with.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lssat.data.prepared.table import Reject
from lssat.data.sources.listing import Box, Listing, Record
from lssat.data.sources.registry import open_listing
from lssat.data.sources.source import absolute, located, short_name
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig

spec = importlib.util.spec_from_file_location("trees", Path(__file__).parents[1] / "trees.py")
assert spec and spec.loader
trees = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trees)


def listed(source: str, **settings: object) -> Listing:
    return open_listing(located(source), DataConfig(source=source, **settings))  # type: ignore[arg-type]


def records(listing: Listing) -> list[Record]:
    found = [entry for entry in listing.entries if isinstance(entry, Record)]
    assert len({record.position for record in found}) == len(found)
    return found


def rejects(listing: Listing) -> dict[str, str]:
    return {str(entry.row): entry.reason for entry in listing.entries if isinstance(entry, Reject)}


def disjoint(found: list[Record]) -> bool:
    """Whether no target and no source of a fake is in two splits."""
    pairs = {(person, record.split) for record in found for person in (record.identity, record.source) if person}
    return len(pairs) == len({person for person, _ in pairs})


class TestSource:
    def test_options_and_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert (
            absolute("faceforensics:ff?compression=c40&methods=FaceSwap")
            == f"faceforensics:{tmp_path}/ff?compression=c40&methods=FaceSwap"
        )
        assert absolute("faces.csv") == f"{tmp_path}/faces.csv"
        assert short_name("celeba:/data/x") == "celeba"
        assert short_name("/data/faces.csv") == "faces"

    def test_each_kind_has_its_task_where_none_is_named(self) -> None:
        assert (
            DataConfig().task == DataConfig(source="x.csv").task == DataConfig(source="affectnet:/x").task == "emotion"
        )
        assert DataConfig(source="celeba:/x").task == "attributes"
        assert DataConfig(source="celeba:/x", task="Male").task == "Male"
        assert {
            DataConfig(source=f"{kind}:/x").task for kind in ("faceforensics", "celebdf", "dfdc", "deepfakebench")
        } == {"deepfake"}

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("celebaa:/x", "unknown kind .*did you mean `celeba`"),
            ("celeba:", "must read `celeba:PATH`"),
            ("affectnet:{}?clases=7", "unknown option `clases`.*did you mean `classes`"),
            ("affectnet:{}?classes=6", "must be one of `7`, `8`, but got `6`"),
            ("faceforensics:{}?compression=c22", "must be one of `raw`, `c23`, `c40`, but got `c22`"),
            ("faceforensics:{}?methods=Deepfake", "unknown `Deepfake`; did you mean `Deepfakes`"),
            ("celebdf:{}?frames=0", "`frames` must be .* above 0"),
            ("dfdc:{}?frames=1&frames=2", "must be given once"),
            ("celeba:{}/gone", "there is no"),
            ("celeba:{}?x=1", "`celeba` has none"),
            ("celeba:{}", "holds no attributes"),
            ("affectnet:{}", "is no AffectNet"),
            ("dfdc:{}", "is no DFDC"),
            ("celebdf:{}", "neither videos"),
            ("deepfakebench:{}", "no JSON"),
            ("faceforensics:{}", "no official splits"),
        ],
    )
    def test_mistakes_name_the_repair(self, tmp_path: Path, source: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            listed(source.format(tmp_path))


class TestCelebA:
    @pytest.mark.parametrize(("table", "nested"), [("txt", False), ("csv", True)])
    def test_both_forms_say_the_same(self, tmp_path: Path, table: str, nested: bool) -> None:
        listing = listed(f"celeba:{trees.celeba(tmp_path, 60, 40, table, nested)}")
        assert (listing.info.kind, listing.info.classes, listing.info.columns) == (
            "multilabel",
            trees.CELEBA_NAMES,
            trees.CELEBA_NAMES,
        )
        assert listing.info.rows == {"train": 60, "val": 40, "test": 40}
        assert (listing.media, listing.crop, rejects(listing)) == ("images", False, {})
        male = trees.CELEBA_NAMES.index("Male")
        drawn = [
            trees.face("attributes", "train", number, number % 20)[1][trees.ATTRIBUTES.index("Male")]
            for number in range(60)
        ]
        assert [record.label[male] for record in records(listing)[:60]] == drawn  # type: ignore[index]
        assert all(record.columns == tuple(map(str, record.label)) for record in records(listing))  # type: ignore[arg-type]

    def test_one_attribute_and_several(self, tmp_path: Path) -> None:
        trees.celeba(tmp_path, identities=False)
        one, two = listed(f"celeba:{tmp_path}", task="Male"), listed(f"celeba:{tmp_path}", task="Young, Smiling")
        assert (one.info.kind, two.info.kind, two.info.classes) == ("binary", "multilabel", ("Young", "Smiling"))
        assert [str(record.label) for record in records(one)] == [
            record.columns[trees.CELEBA_NAMES.index("Male")] for record in records(one)
        ]
        with pytest.raises(ConfigError, match="did you mean `Male`"):
            listed(f"celeba:{tmp_path}", task="Mal")

    def test_every_damaged_row_is_named(self, tmp_path: Path) -> None:
        folder = trees.celeba(tmp_path / "x") / "img_align_celeba"
        table = folder.parent / "list_attr_celeba.txt"
        lines = table.read_text().splitlines()
        lines[2] = lines[2].rsplit(None, 1)[0]
        lines[3] = lines[3].rsplit(None, 1)[0] + " nan"
        lines[4] = lines[4].rsplit(None, 1)[0] + " 2"
        lines += [lines[5], lines[5].replace("000004.jpg", "../out.jpg"), lines[5].replace("000004.jpg", "unsplit.jpg")]
        table.write_text("\n".join(lines))
        parts = (folder.parent / "list_eval_partition.txt").read_text().replace(
            "000008.jpg 0", "000008.jpg 3"
        ) + "../out.jpg 0\n"
        (folder.parent / "list_eval_partition.txt").write_text(parts)
        (folder / "000005.jpg").unlink()
        (folder / "000006.jpg").rename(tmp_path / "moved.jpg")
        (folder / "000006.jpg").symlink_to(tmp_path / "moved.jpg")
        (folder / "stray.jpg").write_bytes(b"x")
        listing = listed(f"celeba:{folder.parent}")
        assert {name.removeprefix("img_align_celeba/"): reason for name, reason in rejects(listing).items()} == {
            "000001.jpg": "39 labels instead of 40",
            "000002.jpg": "label Young must be 1 or -1, but is `nan`",
            "000003.jpg": "label Young must be 1 or -1, but is `2`",
            "000004.jpg": "listed twice",
            "000005.jpg": "file not found",
            "000006.jpg": "link leaves the data folder",
            "000008.jpg": "unknown split `3`",
            "../out.jpg": "path leaves the data folder",
            "unsplit.jpg": "no split for this file",
            "stray.jpg": "no label for this file",
        }
        assert len(records(listing)) == 200 - 6  # the twice listed one is kept once


class TestAffectNet:
    @pytest.mark.parametrize("form", ["npy", "csv", "headless", "folders"])
    def test_validation_is_the_test_and_val_a_stratified_tenth_of_train(self, tmp_path: Path, form: str) -> None:
        build = {"npy": trees.affectnet_npy, "csv": trees.affectnet_csv, "folders": trees.affectnet_folders}.get(form)
        build(tmp_path) if build else trees.affectnet_csv(tmp_path, header=False)
        listing = listed(f"affectnet:{tmp_path}")
        assert (listing.info.rows, rejects(listing)) == ({"train": 144, "val": 16, "test": 40}, {})
        assert set(listing.info.counts["val"].values()) == {2}
        assert set(listing.info.counts["test"].values()) == {5}
        assert listing.info.classes[0::7] == ("Neutral", "Contempt")
        boxes = {record.box for record in records(listing)}
        assert (listing.crop, boxes) == (
            (True, {Box(40, 20, 104, 84)}) if "s" in form and form != "folders" else (False, {None})
        )
        dropped = {"None": 2, "Uncertain": 2, "No-Face": 2, "no face box": 2} if listing.crop else {}
        assert listing.info.options["dropped"] == dropped
        seven = listed(f"affectnet:{tmp_path}?classes=7")
        assert (seven.info.rows["test"], len(seven.info.classes), seven.info.options["dropped"]["Contempt"]) == (
            35,
            7,
            25,
        )

    def test_labels_that_are_none(self, tmp_path: Path) -> None:
        trees.affectnet_npy(tmp_path)
        labels = tmp_path / "train_set" / "annotations"
        for number, value in enumerate(
            (np.array(11), np.array("nan"), np.array([1, 2]), np.array([{}], dtype=object), np.array(8))
        ):
            np.save(labels / f"{number}_exp.npy", value)
        (labels / "5_exp.npy").write_bytes(b"\x93NUMPY")
        (labels / "6_exp.npy").unlink()
        (tmp_path / "train_set" / "images" / "7.jpg").unlink()
        listing = listed(f"affectnet:{tmp_path}")
        assert {name.removeprefix("train_set/images/"): reason for name, reason in rejects(listing).items()} == {
            "0.jpg": "label out of range: 11",
            "1.jpg": "label `nan` is not a whole number",
            "2.jpg": "label file does not hold one value",
            "3.jpg": "damaged label file: ValueError",
            "5.jpg": "damaged label file: ValueError",
            "6.jpg": "no label for this file",
            "7.jpg": "file not found",
        }
        assert listing.info.options["dropped"] == {"None": 1}


class TestFaceForensics:
    def test_pairs_split_reals_and_both_orders_of_fakes(self, tmp_path: Path) -> None:
        listing = listed(f"faceforensics:{trees.faceforensics(tmp_path)}")
        assert listing.info.counts == {
            "train": {"real": 12, "fake": 48},
            "val": {"real": 4, "fake": 16},
            "test": {"real": 4, "fake": 16},
        }
        assert (listing.media, listing.crop, rejects(listing)) == ("videos", True, {})
        found = {record.video: record for record in records(listing)}
        assert len(found) == 100
        fake = found["Deepfakes/c23/001_000"]
        assert (fake.label, fake.identity, fake.source, fake.split, fake.columns) == (
            1,
            "001",
            "000",
            "train",
            ("Deepfakes", "c23"),
        )
        assert found["youtube/c23/001"].source == ""
        assert fake.name == "manipulated_sequences/Deepfakes/c23/videos/001_000.mp4"
        assert found["youtube/c23/001"].identity == "001"
        assert disjoint(records(listing))

    def test_frames_are_taken_where_there_are_no_videos(self, tmp_path: Path) -> None:
        trees.faceforensics(tmp_path, frames=True)
        listing = listed(f"faceforensics:{tmp_path}?frames=3&methods=Deepfakes,FaceSwap")
        assert (listing.media, listing.crop, listing.info.counts["test"]) == ("images", False, {"real": 12, "fake": 24})
        names = [Path(str(record.name)).name for record in records(listing) if record.video == "FaceSwap/c23/000_001"]
        assert names == ["000.png", "004.png", "007.png"]

    def test_actors_are_split_by_actor(self, tmp_path: Path) -> None:
        listing = listed(f"faceforensics:{trees.faceforensics(tmp_path, methods=(), dfd=12)}?methods=DeepFakeDetection")
        lost = re.search(r"70/15/15, without (\d+) fakes of two parts", listing.info.options["splits"])
        assert lost and len(records(listing)) == 48 - int(lost[1]) > 24
        fakes = [record for record in records(listing) if record.label]
        assert {len(record.source) for record in fakes} == {len("actor 01")}
        assert all(min(counts.values()) >= 1 for counts in listing.info.counts.values())
        assert disjoint(records(listing))

    def test_videos_without_split_and_splits_without_video(self, tmp_path: Path) -> None:
        trees.faceforensics(tmp_path, methods=("Deepfakes",))
        folder = tmp_path / "manipulated_sequences/Deepfakes/c23/videos"
        (folder / "000_001.mp4").rename(folder / "000_002.mp4")
        (folder / "notes.txt").write_text("x")
        found = rejects(listed(f"faceforensics:{tmp_path}?methods=Deepfakes"))
        assert {Path(name).name: reason for name, reason in found.items()} == {
            "000_002.mp4": "no split for this video",
            "000_001.mp4": "file not found",
            "notes.txt": "not a video or frame",
        }


@pytest.mark.parametrize("frames", [False, True])
def test_celebdf_takes_labels_from_folders_and_its_list_for_test(tmp_path: Path, frames: bool) -> None:
    trees.celebdf(tmp_path, frames=frames)
    with (tmp_path / "List_of_testing_videos.txt").open("a") as file:
        file.write("1 Celeb-real/gone.mp4\n0 ../x.mp4\n")
    listing = listed(f"celebdf:{tmp_path}?frames=1")
    assert listing.info.counts["test"] == {"real": 6, "fake": 4}
    assert sum(listing.info.rows.values()) == 50
    assert rejects(listing) == {"Celeb-real/gone.mp4": "file not found", "../x.mp4": "path leaves the data folder"}
    found = records(listing)
    assert all(record.label == ("synthesis" in str(record.name)) == bool(record.source) for record in found)
    assert disjoint([record for record in found if record.split != "test"])


def test_dfdc_keeps_fakes_with_their_originals(tmp_path: Path) -> None:
    trees.dfdc(tmp_path)
    metadata = tmp_path / "dfdc_train_part_0" / "metadata.json"
    content = json.loads(metadata.read_text())
    content["p0f0000.mp4"]["label"] = "MAYBE"
    del content["p0f0001.mp4"]
    content["gone.mp4"] = {"label": "REAL"}
    metadata.write_text(json.dumps(content))
    listing = listed(f"dfdc:{tmp_path}")
    assert listing.info.counts["test"] == {"real": 3, "fake": 3}
    assert listing.info.rows["train"] + listing.info.rows["val"] == 46
    assert {Path(name).name: reason for name, reason in rejects(listing).items()} == {
        "p0f0000.mp4": "label `MAYBE` is neither real nor fake",
        "p0f0001.mp4": "no label for this file",
        "gone.mp4": "file not found",
    }
    assert disjoint(records(listing))
    assert Counter(record.identity for record in records(listing))["p1r000.mp4"] == 3


def test_deepfakebench_names_frames_below_the_folder(tmp_path: Path) -> None:
    path = trees.deepfakebench(tmp_path) / "FaceForensics++.json"
    content = json.loads(path.read_text())
    videos = content["FaceForensics++"]["FF-DF"]["train"]["c23"]
    videos["000_001"]["frames"][:2] = ["/etc/passwd", "FaceForensics++/gone.png"]
    content["FaceForensics++"]["FF-DF"]["val"]["c23"]["002_003"] = {"label": "FF-DF", "frames": []}  # also in train
    path.write_text(json.dumps(content))
    for source in (tmp_path, path):
        listing = listed(f"deepfakebench:{source}")
        assert listing.info.counts["test"] == {"real": 32, "fake": 64}
        assert rejects(listing)["/etc/passwd"] == "path leaves the data folder"
        assert rejects(listing)["FaceForensics++/gone.png"] == "file not found"
        assert listing.info.options["dropped"] == {"train videos that are in val": 1}
        assert {record.columns for record in records(listing)} == {
            ("", "c23"),
            ("FF-DF", "c23"),
            ("FF-FS", "c23"),
        }
        assert len(Counter(record.video for record in records(listing))) == 60 - 1
        assert {record.source for record in records(listing) if record.video == "FF-DF/c23/001_000"} == {
            "FaceForensics++ 000"
        }


def test_a_folder_that_is_a_link_outwards_is_not_read(tmp_path: Path) -> None:
    trees.celebdf(tmp_path / "x")
    (tmp_path / "x" / "YouTube-real").rename(tmp_path / "elsewhere")
    (tmp_path / "x" / "YouTube-real").symlink_to(tmp_path / "elsewhere")
    listing = listed(f"celebdf:{tmp_path / 'x'}")
    assert rejects(listing)["YouTube-real"] == "link leaves the data folder"
    assert not any("YouTube" in str(record.name) for record in records(listing))
