"""Further data sets by name, as their owners lay them out: every count, split and label, and what traps become."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lssat.data.prepare.opening import read_table
from lssat.data.prepare.sample import training_images
from lssat.data.prepared.table import Reject, Row
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.published.affectnet import EMOTIONS
from lssat.data.sources.registry import open_listing
from lssat.data.sources.source import located
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from tests.lssat.data import trees_of_layouts as trees


def listed(source: str, **settings: object) -> Listing:
    return open_listing(located(source), DataConfig(source=source, **settings))  # type: ignore[arg-type]


def records(listing: Listing) -> list[Record]:
    found = [entry for entry in listing.entries if isinstance(entry, Record)]
    assert len({record.position for record in found}) == len(found)
    return found


def rejects(listing: Listing) -> dict[str, str]:
    return {str(entry.row): entry.reason for entry in listing.entries if isinstance(entry, Reject)}


def shared(found: list[Record]) -> int:
    """Persons, targets and sources of fakes, that are in two splits."""
    pairs = {(person, record.split) for record in found for person in (record.identity, record.source) if person}
    return len(pairs) - len({person for person, _ in pairs})


def edited(path: Path, line: int, text: str) -> None:
    lines = path.read_text().splitlines()
    lines[line] = text
    path.write_text("\n".join(lines) + "\n")


class TestFairFace:
    def test_val_is_the_test_and_a_part_of_train_is_val(self, tmp_path: Path) -> None:
        listing = listed(f"fairface:{trees.fairface(tmp_path)}")
        assert (listing.info.task, listing.info.classes) == ("race", trees.RACES)
        assert listing.info.rows == {"train": 32, "val": 8, "test": 16}
        assert listing.info.columns == ("age", "gender", "race", "service_test")
        assert records(listing)[2].columns == ("10-19", *records(listing)[2].columns[1:3], "True")
        assert not rejects(listing)
        ages = listed(f"fairface:{tmp_path}", task="age")
        assert ages.info.classes == ("0-2", "3-9", "10-19", "more than 70"), "by size, not by letters"
        gender = listed(f"fairface:{tmp_path}", task="gender")
        assert (gender.info.kind, gender.info.classes) == ("binary", ("Female", "Male"))
        some = listed(f"fairface:{tmp_path}", classes=["Black", "White"])
        assert (some.info.kind, sum(some.info.rows.values())) == ("binary", 28)
        assert not rejects(some)

    def test_every_damaged_row_is_named(self, tmp_path: Path) -> None:
        trees.fairface(tmp_path)
        table = tmp_path / "fairface_label_train.csv"
        edited(table, 1, "train/1.jpg,0-2,Male")
        edited(table, 2, "train/2.jpg,3-9,Male,,False")
        edited(table, 3, "train/4.jpg,3-9,Male,White,False")
        edited(table, 5, "../x.jpg,3-9,Male,White,False")
        edited(table, 6, "val/6.jpg,3-9,Male,White,False")
        (tmp_path / "train" / "7.jpg").unlink()
        assert rejects(listed(f"fairface:{tmp_path}")) == {
            "train/1.jpg": "row without age, gender, race",
            "train/2.jpg": "empty label",
            "train/4.jpg": "listed twice",
            "../x.jpg": "not in the folder `train` of its table",
            "val/6.jpg": "not in the folder `train` of its table",
            "train/7.jpg": "file not found",
            **dict.fromkeys(("train/3.jpg", "train/5.jpg", "train/6.jpg"), "no label for this file"),
        }

    def test_mistakes_name_the_repair(self, tmp_path: Path) -> None:
        trees.fairface(tmp_path)
        with pytest.raises(ConfigError, match=r"one of `age`, `gender`, `race`, but got `rase`; did you mean `race`"):
            listed(f"fairface:{tmp_path}", task="rase")
        edited(tmp_path / "fairface_label_val.csv", 0, "file,age,sex,race,service_test")
        with pytest.raises(ConfigError, match=r"fairface_label_val.csv` has no column `gender`"):
            listed(f"fairface:{tmp_path}")
        (tmp_path / "fairface_label_val.csv").unlink()
        with pytest.raises(ConfigError, match=r"holds no labels; it needs `fairface_label_val.csv`"):
            listed(f"fairface:{tmp_path}")


class TestRafDb:
    @pytest.mark.parametrize("below", ["", "basic"])
    def test_seven_emotions_by_the_misspelt_list(self, tmp_path: Path, below: str) -> None:
        trees.rafdb(tmp_path / below)
        listing = listed(f"rafdb:{tmp_path}")
        assert listing.info.classes == EMOTIONS[:7]
        assert listing.info.rows == {"train": 70, "val": 14, "test": 21}
        assert not rejects(listing)
        label_of = {str(record.name).rpartition("/")[2]: record.label for record in records(listing)}
        lines = dict(line.split() for line in next(tmp_path.rglob("list_patition_label.txt")).read_text().splitlines())
        assert {number: name for number, name in zip("1234567", label_names(label_of, lines), strict=True)} == {
            "1": "Surprise",
            "2": "Fear",
            "3": "Disgust",
            "4": "Happiness",
            "5": "Sadness",
            "6": "Anger",
            "7": "Neutral",
        }

    def test_every_damaged_line_is_named(self, tmp_path: Path) -> None:
        trees.rafdb(tmp_path)
        path = tmp_path / "EmoLabel" / "list_patition_label.txt"
        for line, text in enumerate(("train_00001.jpg", "train_00002.jpg 8", "dev_00003.jpg 1", "train_00005.jpg 7")):
            edited(path, line, text)
        (tmp_path / "Image" / "aligned" / "train_00006_aligned.jpg").unlink()
        found = {name.rpartition("/")[2]: reason for name, reason in rejects(listed(f"rafdb:{tmp_path}")).items()}
        assert found == {
            "list_patition_label.txt:1": "line is not a file and a label",
            "train_00002_aligned.jpg": "label out of range: 8",
            "dev_00003_aligned.jpg": "unknown split `dev`",
            "train_00005_aligned.jpg": "listed twice",
            "train_00006_aligned.jpg": "file not found",
            **dict.fromkeys((f"train_0000{number}_aligned.jpg" for number in (1, 3, 4)), "no label for this file"),
        }
        with pytest.raises(ConfigError, match="must be emotion, but got `race`"):
            listed(f"rafdb:{tmp_path}", task="race")


def label_names(label_of: dict[str, object], lines: dict[str, str]) -> list[str]:
    """What the numbers 1 to 7 became."""
    found = {number: label_of[name.replace(".jpg", "_aligned.jpg")] for name, number in lines.items()}
    return [EMOTIONS[int(str(found[number]))] for number in "1234567"]


class TestFer:
    def test_pixels_are_images_and_usages_are_splits(self, tmp_path: Path) -> None:
        listing = listed(f"fer2013:{trees.fer(tmp_path)}")
        assert listing.info.classes == EMOTIONS[:7]
        assert listing.info.rows == {"train": 84, "val": 21, "test": 21}
        with (tmp_path / "fer2013.csv").open() as file:
            lines = [*csv.DictReader(file)]
        number_of = dict(enumerate(("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral")))
        for line, row in zip(lines, read_table(listing), strict=True):
            assert isinstance(row, Row)
            assert EMOTIONS[int(str(row.label))] == number_of[int(line["emotion"])]
            with Image.open(io.BytesIO(row.image)) as picture:
                assert np.array_equal(np.asarray(picture).ravel(), np.array(line["pixels"].split(), np.uint8))
        seen = training_images(DataConfig(source=f"fer2013:{tmp_path}", image_size=48), None, 40, 60)
        assert seen is not None
        assert seen.shape == (40, 48, 48, 3)

    def test_rows_that_are_none_are_named_by_their_line(self, tmp_path: Path) -> None:
        trees.fer(tmp_path)
        path = tmp_path / "fer2013.csv"
        some = " ".join(["7"] * 2304)
        for line, text in enumerate((f"7,{some},Training", f",{some},Training", f"1,{some},Holiday"), 1):
            edited(path, line, text)
        for line, pixels in enumerate((some + " 7", some.replace("7", "x", 1), some.replace("7", "256", 1), ""), 4):
            edited(path, line, f"1,{pixels},Training")
        listing = listed(f"fer2013:{tmp_path}")
        assert rejects(listing) == {
            "fer2013.csv:2": "label out of range: 7",
            "fer2013.csv:3": "empty label",
            "fer2013.csv:4": "unknown usage `Holiday`",
        }
        found = {str(row.row): row.reason for row in read_table(listing) if isinstance(row, Reject)}
        assert {line: found[f"fer2013.csv:{line}"] for line in range(5, 9)} == {
            5: "2305 pixels instead of 48 x 48",
            6: "pixels are not whole numbers from 0 to 255",
            7: "pixels are not whole numbers from 0 to 255",
            8: "0 pixels instead of 48 x 48",
        }

    def test_the_majority_of_votes_is_the_label(self, tmp_path: Path) -> None:
        trees.fer(tmp_path, votes=True)
        listing = listed(f"ferplus:{tmp_path}")
        assert listing.info.classes == EMOTIONS
        assert listing.info.rows == {"train": 96, "val": 24, "test": 24}
        votes = (  # neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF
            "5,4,0,0,0,1,0,0,0,0",
            "5,5,0,0,0,0,0,0,0,0",
            "4,2,2,1,1,0,0,0,0,0",
            "1,1,1,0,0,0,0,0,7,0",
            "0,0,0,0,0,0,0,0,0,10",
            "0,0,0,0,0,0,3,1,1,1",
            "1,1,1,1,1,1,1,1,1,1",
            "x,0,0,0,0,0,0,0,0,0",
        )
        for line, text in enumerate(votes, 1):
            edited(tmp_path / "fer2013new.csv", line, f"Training,,{text}")
        listing = listed(f"ferplus:{tmp_path}")
        assert rejects(listing) == {
            "fer2013.csv:3": "tie of votes: neutral, happiness",
            "fer2013.csv:4": "no majority of votes",
            "fer2013.csv:5": "voted unknown",
            "fer2013.csv:6": "voted not a face (NF)",
            "fer2013.csv:8": "no majority of votes",
            "fer2013.csv:9": "votes are not whole numbers",
        }
        named = {record.name: EMOTIONS[int(str(record.label))] for record in records(listing)}
        assert (named["fer2013.csv:2"], named["fer2013.csv:7"]) == ("Neutral", "Fear")

    def test_votes_of_other_images_are_refused(self, tmp_path: Path) -> None:
        trees.fer(tmp_path, votes=True)
        path = tmp_path / "fer2013new.csv"
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:-1]))
        with pytest.raises(
            ConfigError, match=r"line 145 of .*fer2013new.csv` is of another image .* .143 and 144 rows."
        ):
            listed(f"ferplus:{tmp_path}")
        path.write_text("\n".join([lines[0], *lines[2:], lines[1]]))
        with pytest.raises(ConfigError, match=r"line 97 of .* is of another image"):
            listed(f"ferplus:{tmp_path}")
        path.write_text("\n".join([lines[0].replace("NF", "none"), *lines[1:]]))
        with pytest.raises(ConfigError, match=r"fer2013new.csv` has no column `NF`"):
            listed(f"ferplus:{tmp_path}")
        path.unlink()
        with pytest.raises(ConfigError, match=r"holds no votes; it needs `fer2013new.csv`"):
            listed(f"ferplus:{tmp_path}")
        (tmp_path / "fer2013.csv").write_text("emotion,pixel,Usage\n")
        with pytest.raises(ConfigError, match="has no column `pixels`; did you mean `pixel`"):
            listed(f"fer2013:{tmp_path}")


class TestCelebDfPlusPlus:
    def test_methods_and_scenarios_are_columns_and_real_faces_have_none(self, tmp_path: Path) -> None:
        listing = listed(f"celebdfpp:{trees.celebdfpp(tmp_path)}?frames=2")
        assert (listing.info.columns, listing.media) == (("method", "scenario"), "images")
        assert listing.info.counts["test"] == {"real": 8, "fake": 16}
        assert sum(listing.info.rows.values()) == 10 * 6 * 2
        assert {(record.label, record.columns) for record in records(listing)} == {
            (0, ("", "")),
            (1, ("Celeb-DF", "FaceSwap")),
            (1, ("SimSwap", "FaceSwap")),
            (1, ("LIA", "FaceReenact")),
            (1, ("FLOAT", "TalkingFace")),
        }
        found = {record.video: record for record in records(listing)}
        fake = found["Celeb-synthesis/FaceSwap/SimSwap/id4_id5_0000"]
        assert (fake.identity, fake.source) == ("id4", "id5")
        spoken = found["Celeb-synthesis/TalkingFace/FLOAT/id4_0000"]
        assert (spoken.identity, spoken.source) == ("id4", ""), "the number of a video is nobody"
        assert shared([record for record in records(listing) if record.split != "test"]) == 0
        assert not rejects(listing)

    def test_what_does_not_fit_is_named(self, tmp_path: Path) -> None:
        trees.celebdfpp(tmp_path)
        fakes = tmp_path / "Celeb-synthesis" / "TalkingFace" / "FLOAT" / "frames"
        (fakes / "id4_0000").rename(fakes / "somebody")
        (fakes / "notes.txt").write_text("x")
        with (tmp_path / "List_of_testing_videos.txt").open("a") as file:
            file.write("0 Celeb-synthesis/FaceSwap/id0_id1_0000.mp4\n")
        found = {
            name.removeprefix("Celeb-synthesis/"): reason
            for name, reason in rejects(listed(f"celebdfpp:{tmp_path}")).items()
        }
        assert found == {
            **{
                f"TalkingFace/FLOAT/frames/somebody/00{step}.png": "name does not say who is shown" for step in range(3)
            },
            "TalkingFace/FLOAT/frames/notes.txt": "not a video or frame",
            "FaceSwap/id0_id1_0000.mp4": "file not found",
        }

    def test_version_2_is_told_apart(self, tmp_path: Path) -> None:
        trees.celebdfpp(tmp_path)
        shutil.rmtree(tmp_path / "Celeb-synthesis")
        (tmp_path / "Celeb-synthesis" / "frames").mkdir(parents=True)
        with pytest.raises(
            ConfigError, match=r"must hold folders of scenarios, `FaceSwap`.* name Celeb-DF v2 by `celebdf:`"
        ):
            listed(f"celebdfpp:{tmp_path}")


class TestDf40:
    def test_val_that_repeats_test_becomes_a_part_of_train(self, tmp_path: Path) -> None:
        listing = listed(f"df40:{trees.df40(tmp_path)}")
        options = listing.info.options
        assert (options["methods"], options["domains"]) == (["lia", "simswap"], ["cdf", "ff"])
        assert options["dropped"] == {"val videos that are in test": 12, "train videos that are in test": 2}
        assert options["splits"].startswith("official test; val of the fakes repeats test or is missing: train 85%")
        found = records(listing)
        assert {(record.label, record.columns) for record in found} == {
            (0, ("", "ff")),
            (0, ("", "cdf")),
            (1, ("simswap", "ff")),
            (1, ("lia", "ff")),
            (1, ("simswap", "cdf")),
        }
        test = {record.identity for record in found if record.split == "test"}
        assert test == {*(f"ff {one:03d}" for one in range(16, 20)), "cdf id0", "cdf id1"}
        assert shared(found) == 0
        assert min(min(counts.values()) for counts in listing.info.counts.values()) > 0
        assert not any("Deepfakes" in str(record.name) for record in found), "of FaceForensics++ real videos alone"
        assert not rejects(listing)

    def test_a_val_of_its_own_is_kept(self, tmp_path: Path) -> None:
        trees.df40(tmp_path)
        for method in ("simswap", "lia"):
            path = tmp_path / f"{method}_ff.json"
            content = json.loads(path.read_text())
            labels = content[f"{method}_ff"][f"{method}_Fake"]
            labels["val"] = {name: labels["train"].pop(name) for name in [*labels["train"]][-4:]}
            path.write_text(json.dumps(content))
        listing = listed(f"df40:{tmp_path}?domains=ff")
        assert listing.info.options["splits"] == "as given"
        assert listing.info.counts["val"] == {"real": 12, "fake": 24}

    def test_methods_and_domains_are_chosen(self, tmp_path: Path) -> None:
        listing = listed(f"df40:{trees.df40(tmp_path)}?methods=lia&domains=ff&frames=1")
        assert {record.columns for record in records(listing)} == {("", "ff"), ("lia", "ff")}
        assert Counter(record.label for record in records(listing)) == {0: 20, 1: 20}

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("?methods=simswop", "`methods` names the unknown `simswop`; did you mean `simswap`"),
            ("?domains=dfd", "`domains` names the unknown `dfd`"),
            ("?methods=lia&domains=cdf", "no JSON of such a method and domain"),
            ("?compression=c40", "has no compression `c40`, but `c23`"),
        ],
    )
    def test_what_is_not_there_is_named(self, tmp_path: Path, options: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            listed(f"df40:{trees.df40(tmp_path)}{options}")

    def test_fakes_without_their_real_videos_are_refused(self, tmp_path: Path) -> None:
        trees.df40(tmp_path)
        (tmp_path / "Celeb-DF-v2.json").rename(tmp_path / "FaceForensics++.json")
        with pytest.raises(
            ConfigError, match=r"lacks `Celeb-DF-v2.json`, whose real videos belong to the fakes; add it"
        ):
            listed(f"df40:{tmp_path}")
        with pytest.raises(ConfigError, match=r"`FaceForensics\+\+.json` .* does not hold `FaceForensics\+\+`"):
            listed(f"df40:{tmp_path}?domains=ff")
        for path in tmp_path.glob("*_*.json"):
            path.unlink()
        with pytest.raises(ConfigError, match=r"is no DF40; it needs `<method>_ff.json`"):
            listed(f"df40:{tmp_path}")

    def test_frames_that_cannot_be_read_are_named(self, tmp_path: Path) -> None:
        trees.df40(tmp_path)
        path = tmp_path / "lia_ff.json"
        content = json.loads(path.read_text())
        train = content["lia_ff"]["lia_Fake"]["train"]
        train["000_001"]["frames"][0] = "/etc/passwd"
        train["001_000"]["frames"] = []
        path.write_text(json.dumps(content))
        (tmp_path / "DF40" / "lia" / "ff" / "frames" / "002_003" / "001.png").unlink()
        assert rejects(listed(f"df40:{tmp_path}")) == {
            "/etc/passwd": "path leaves the data folder",
            "lia_ff/lia_Fake/001_000": "video has no frames",
            "DF40/lia/ff/frames/002_003/001.png": "file not found",
        }


def test_a_tree_of_splits_and_classes_needs_no_kind(tmp_path: Path) -> None:
    listing = listed(str(trees.class_tree(tmp_path)), task="classes")
    assert (listing.info.rows, listing.info.classes) == (trees.HALVES, ("man", "woman"))
    shutil.rmtree(tmp_path / "val")
    cut = listed(str(tmp_path), task="classes").info
    assert (cut.options["splits"], cut.rows["test"]) == ("train 85%, val 15% of train", 12)
