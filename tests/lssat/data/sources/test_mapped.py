"""Data in layouts that people have: tables whose columns are called otherwise, names of files, shards of the Hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lssat.data.prepare.asked import Faces
from lssat.data.prepare.opening import read_table
from lssat.data.prepare.prepare import prepare
from lssat.data.prepare.sample import training_images
from lssat.data.prepared.table import Reject, Row, read_info
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.registry import fingerprint, open_listing
from lssat.data.sources.source import absolute, located, short_name
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from tests.lssat.data import trees_of_layouts as trees

MAPPING = "?image=file&label=race&identity=id&split=fold"
UTKFACE = "?pattern={age}_{gender}_{race}_*.jpg"
SWAPS = "?pattern={method}/{identity}_{source_identity}/*.png|{method}/{identity}/*.png&label=method&real=original"


def listed(source: str, **settings: object) -> Listing:
    return open_listing(located(source), DataConfig(source=source, **settings))  # type: ignore[arg-type]


def records(listing: Listing) -> list[Record]:
    return [entry for entry in listing.entries if isinstance(entry, Record)]


def rejects(listing: Listing) -> dict[str, str]:
    return {str(entry.row): entry.reason for entry in listing.entries if isinstance(entry, Reject)}


class TestTable:
    def test_columns_take_their_roles_by_any_name(self, tmp_path: Path) -> None:
        listing = listed(f"table:{trees.table(tmp_path)}{MAPPING}")
        first = records(listing)[0]
        assert (listing.info.task, listing.info.classes, listing.info.columns) == ("race", ("a", "b"), ("region",))
        assert (first.name, first.identity, first.split, first.columns) == (
            "photos/train0.jpg",
            "train0",
            "train",
            ("EU",),
        )
        assert listing.info.rows == trees.HALVES
        assert not rejects(listing)

    def test_it_means_the_same_as_a_table_of_ones_own_with_the_usual_names(self, tmp_path: Path) -> None:
        path = trees.table(tmp_path)
        text = path.read_text().replace("file,race,id,fold,region", "image,race,identity,split,region")
        (tmp_path / "usual.csv").write_text(text)
        mapped, usual = listed(f"table:{path}{MAPPING}"), listed(str(tmp_path / "usual.csv"), task="race")
        assert mapped.entries == usual.entries
        assert (mapped.info.counts, mapped.media) == (usual.info.counts, usual.media)

    def test_the_task_may_be_called_otherwise_than_its_column(self, tmp_path: Path) -> None:
        source = f"table:{trees.table(tmp_path)}{MAPPING}"
        assert listed(source, task="deepfake").info.task == "deepfake"
        assert listed(source.replace("&label=race", ""), task="race").info.classes == ("a", "b")
        real = listed(f"{source}&real=b")
        assert (real.info.task, real.info.kind, real.info.classes) == ("deepfake", "binary", ("real", "fake"))
        assert {(record.label, record.columns[0]) for record in records(real)} == {(0, ""), (1, "a")}

    def test_several_labels_are_multilabel(self, tmp_path: Path) -> None:
        path = trees.table(tmp_path)
        text = path.read_text().replace(",b,", ",0,").replace(",a,", ",1,").replace("EU", "0").replace("AS", "1")
        path.write_text(text)
        listing = listed(f"table:{path}{MAPPING.replace('label=race', 'label=race,region')}")
        assert (listing.info.kind, listing.info.classes, listing.info.task) == (
            "multilabel",
            ("race", "region"),
            "race,region",
        )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (MAPPING.replace("race", "rase"), r"`label` names `rase`, but `faces.csv` has no column `rase`; .*`race`"),
            (MAPPING.replace("=id", "=idd"), r"`identity` names `idd`, but `faces.csv` has no .*did you mean `id`"),
            (MAPPING.replace("file", "fiel"), r"`image` names `fiel`, but `faces.csv` has no .*did you mean `file`"),
            (MAPPING.replace("fold", "zzz"), r"`split` names `zzz`.*its columns are `file`, `race`, `id`"),
            ("?label=race", r"no column `image` or `path`; .* name the right one by `table:faces.csv\?image=COLUMN`"),
            ("?image=file", r"`data.task`: `faces.csv` has no column `label`"),
            (
                MAPPING + "&real=c",
                r"`real` names `c`, but column `race` of `faces.csv` has no such value; it holds `a`",
            ),
            (MAPPING + "&colour=x", "unknown option `colour`"),
            (MAPPING + "&image=file", "`image` must be given once"),
        ],
    )
    def test_a_mapping_to_what_is_not_there_names_file_key_and_repair(
        self, tmp_path: Path, options: str, message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            listed(f"table:{trees.table(tmp_path)}{options}")

    def test_it_must_be_a_table(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"must be a .csv or .parquet table, but it is a folder"):
            located(f"table:{tmp_path}")
        (tmp_path / "faces.txt").write_text("x")
        with pytest.raises(ConfigError, match=r"or a .csv or .parquet file, but it is a file"):
            located(f"table:{tmp_path}/faces.txt")

    def test_its_fingerprint_follows_the_images_that_it_names(self, tmp_path: Path) -> None:
        source = located(f"table:{trees.table(tmp_path)}{MAPPING}")
        first = fingerprint(source)
        (tmp_path / "unrelated.txt").write_text("x")
        assert fingerprint(source) == first
        (tmp_path / "photos" / "train0.jpg").write_bytes(b"x")
        assert fingerprint(source) != first


class TestFiles:
    def test_utkface(self, tmp_path: Path) -> None:
        trees.utkface(tmp_path)
        listing = listed(f"files:{tmp_path}{UTKFACE}&label=gender")
        assert (listing.info.task, listing.info.classes, listing.info.columns) == (
            "gender",
            ("0", "1"),
            ("age", "race"),
        )
        assert rejects(listing) == {"61_1_20170109142408075.jpg": "name does not fit the pattern"}
        assert {record.columns for record in records(listing)} >= {("20", "0"), ("21", "1")}
        assert short_name(f"files:{tmp_path}/UTKFace{UTKFACE}") == "UTKFace"
        assert listed(f"files:{tmp_path}{UTKFACE}", task="race").info.classes == ("0", "1", "2", "3", "4")

    def test_lfw_whose_field_stands_twice(self, tmp_path: Path) -> None:
        trees.lfw(tmp_path)
        (tmp_path / "male" / "Aaron_Zz").mkdir()
        shutil.copy(next(tmp_path.glob("male/*/*.jpg")), tmp_path / "male" / "Aaron_Zz" / "Aaron_Yy_0001.jpg")
        listing = listed(f"files:{tmp_path}?pattern={{label}}/{{identity}}/{{identity}}_*.jpg")
        assert rejects(listing) == {"male/Aaron_Zz/Aaron_Yy_0001.jpg": "name does not fit the pattern"}
        assert len({record.identity for record in records(listing)}) == 60
        split_of = {(record.identity, record.split) for record in records(listing)}
        assert len(split_of) == 60, "no person is in two splits"

    def test_methods_videos_and_frames(self, tmp_path: Path) -> None:
        """A video of every method is called `000_001`; both persons of a fake stay in one split."""
        trees.frames(tmp_path)
        listing = listed(f"files:{tmp_path}?pattern={{method}}/{{video}}/*.png&label=method&real=original&frames=2")
        assert (listing.info.task, listing.info.classes, listing.info.columns) == (
            "deepfake",
            ("real", "fake"),
            ("method",),
        )
        assert {record.video for record in records(listing)} >= {"blend/000_001", "warp/000_001", "original/000"}
        assert {str(record.name)[-7:] for record in records(listing)} == {"000.png", "002.png"}
        assert {(record.label, record.columns) for record in records(listing)} == {
            (0, ("",)),
            (1, ("blend",)),
            (1, ("warp",)),
        }
        swaps = records(listed(f"files:{tmp_path}{SWAPS}"))
        pairs = {(one, record.split) for record in swaps for one in (record.identity, record.source) if one}
        assert len(pairs) == len({one for one, _ in pairs}) == 24

    def test_splits_are_taken_from_names_under_any_of_their_names(self, tmp_path: Path) -> None:
        trees.class_tree(tmp_path)
        (tmp_path / "val").rename(tmp_path / "Validation")
        named = listed(f"files:{tmp_path}?pattern={{split}}/{{label}}/*.jpg")
        assert named.info.rows == trees.HALVES
        assert named.info.options["splits"] == "as given"
        (tmp_path / "Validation").rename(tmp_path / "dev")
        unknown = listed(f"files:{tmp_path}?pattern={{split}}/{{label}}/*.jpg")
        assert [*rejects(unknown).values()] == ["unknown split `dev`"] * 12

    def test_links_out_of_the_folder_and_other_files_are_named(self, tmp_path: Path) -> None:
        trees.utkface(tmp_path / "x")
        (tmp_path / "x" / "20_0_0_9.jpg").symlink_to(shutil.copy(next((tmp_path / "x").glob("*.jpg")), tmp_path / "o"))
        (tmp_path / "x" / "notes.txt").write_text("x")
        found = rejects(listed(f"files:{tmp_path / 'x'}{UTKFACE}&label=gender"))
        assert found["20_0_0_9.jpg"] == "link leaves the data folder"
        assert found["notes.txt"] == "not an image file"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("", r"needs a pattern .* such as `\?pattern=\{age\}"),
            ("?pattern=[age]_[gender]_[race]_[time].jpg&label=race", "has no field; write fields in braces"),
            ("?pattern={age_{gender}.jpg&label=gender", "each field in a pair of braces"),
            ("?pattern={}_{gender}.jpg&label=gender", "each field in a pair of braces"),
            ("?pattern={gender}.png&label=gender", r"no file of .* fits `\{gender\}.png`; the first file is `20_"),
            (UTKFACE + "&label=genre", r"`label` names `genre`, but .* has no column `genre`; did you mean `gender`"),
            (UTKFACE + "&label=age&frames=0", "`frames` must be a whole number above 0"),
        ],
    )
    def test_patterns_that_fit_nothing(self, tmp_path: Path, options: str, message: str) -> None:
        trees.utkface(tmp_path)
        with pytest.raises(ConfigError, match=message):
            listed(f"files:{tmp_path}{options}")

    def test_an_ampersand_is_written_as_it_is_in_addresses(self, tmp_path: Path) -> None:
        trees.utkface(tmp_path / "x")
        for path in [*(tmp_path / "x").glob("2*.jpg")]:
            path.rename(path.with_name(path.name.replace("_2017", "&2017")))
        source = absolute(f"files:{tmp_path / 'x'}?pattern={{age}}_{{gender}}_{{race}}%26*.jpg&label=gender")
        assert len(records(listed(source))) == 120


class TestHuggingFace:
    def test_shards_splits_and_names_of_classes(self, tmp_path: Path) -> None:
        listing = listed(f"huggingface:{trees.huggingface(tmp_path)}")
        assert (listing.info.classes, listing.info.columns) == (("man", "woman"), ("camera",)), "in the schema's order"
        assert (listing.info.rows, listing.media) == (trees.HALVES, "table")
        assert listing.info.options["tables"] == [
            "data/test-00000-of-00001.parquet",
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "data/validation-00000-of-00001.parquet",
        ]
        drawn = {
            f"data/{called}-00000-of-00001.parquet:{row}": trees.male(split, row)
            for split, called in (("val", "validation"), ("test", "test"))
            for row in range(12)
        }
        rows = {record.name: row for record, row in zip(records(listing), read_table(listing), strict=True)}
        for name, (image, is_male) in drawn.items():
            row = rows[name]
            assert isinstance(row, Row)
            assert (row.image, row.label) == (image, 1 - is_male)
        second = rows["data/train-00001-of-00002.parquet:1"]
        assert isinstance(second, Row)
        assert (second.image, second.identity, second.columns) == (trees.male("train", 21)[0], "train10", ("studio",))

    def test_a_plan_sees_images_of_every_shard(self, tmp_path: Path) -> None:
        source = f"huggingface:{trees.huggingface(tmp_path)}"
        seen = training_images(DataConfig(source=source, image_size=16), None, 38, 60)
        assert seen is not None
        assert seen.shape == (38, 16, 16, 3)

    def test_rows_without_a_label_or_an_image_are_rejected(self, tmp_path: Path) -> None:
        trees.huggingface(tmp_path)
        rewritten(tmp_path / "data" / "train-00001-of-00002.parquet", unlabelled)
        listing = listed(f"huggingface:{tmp_path}")
        assert rejects(listing) == {"data/train-00001-of-00002.parquet:0": "empty label"}
        found = {str(row.row): row.reason for row in read_table(listing) if isinstance(row, Reject)}
        assert found["data/train-00001-of-00002.parquet:1"] == "no image bytes"
        assert found["data/train-00001-of-00002.parquet:2"] == "not a JPEG or PNG image"
        assert len(found) == 3

    def test_one_file_alone_is_split_here(self, tmp_path: Path) -> None:
        trees.huggingface(tmp_path, (1, 1, 1))
        path = tmp_path / "data" / "train-00000-of-00001.parquet"
        listing = listed(f"huggingface:{path}")
        assert listing.info.options["splits"] == "train 70%, val 15%, test 15% of train"
        assert sum(listing.info.rows.values()) == 40
        with pytest.raises(ConfigError, match=r"holds struct.*; read it by `huggingface:train-00000-of-00001.parquet`"):
            listed(str(path), task="label")

    @pytest.mark.parametrize(
        ("spoil", "options", "message"),
        [
            (lambda data: (data / "train-00000-of-00002.parquet").unlink(), "", "`train` .* lacks shard 00000, of 2"),
            (
                lambda data: shutil.copytree(data, data.parent / "more"),
                "",
                "several folders .`data`, `more`.; name one",
            ),
            (
                lambda data: (data / "test-00000-of-00001.parquet").rename(data / "test.parquet"),
                "",
                "`data/test.parquet` must be called <split>-00000-of-00001.parquet",
            ),
            (lambda data: shutil.rmtree(data), "", "holds no Parquet files"),
            (
                lambda data: None,
                "?label=lable",
                "`label` names `lable`, but .* no column `lable`; did you mean `label`",
            ),
            (lambda data: None, "?image=label", "column `label` of .* must hold images"),
            (lambda data: linked(data), "", "link leaves the data folder; download the files themselves"),
            (lambda data: other_columns(data), "", "has other columns than `test-00000-of-00001.parquet`"),
            (lambda data: numbers(data), "", "column `label` of .* holds `9`, but its schema names the classes 0 to 3"),
        ],
    )
    def test_what_is_not_whole_is_refused(
        self, tmp_path: Path, spoil: Callable[[Path], object], options: str, message: str
    ) -> None:
        spoil(trees.huggingface(tmp_path / "hub") / "data")
        with pytest.raises(ConfigError, match=message):
            listed(f"huggingface:{tmp_path / 'hub'}{options}")

    def test_damaged_files_and_metadata(self, tmp_path: Path) -> None:
        path = trees.huggingface(tmp_path) / "data" / "test-00000-of-00001.parquet"
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        with pytest.raises(ConfigError, match="is damaged or not what its ending says"):
            listed(f"huggingface:{tmp_path}")
        table = pq.read_table(pa.BufferReader(whole)).replace_schema_metadata({"huggingface": json.dumps([1])})
        pq.write_table(table, path)
        with pytest.raises(ConfigError, match="metadata of Hugging Face in the schema are damaged"):
            listed(f"huggingface:{tmp_path}")


def rewritten(path: Path, change: Callable[[list[dict[str, object]]], None]) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def unlabelled(rows: list[dict[str, object]]) -> None:
    rows[0]["label"] = -1
    rows[1]["image"] = {"bytes": None, "path": "outside.jpg"}
    rows[2]["image"] = {"bytes": b"no picture", "path": "x.jpg"}


def linked(data: Path) -> None:
    data.rename(data.parents[1] / "blobs")
    data.mkdir()
    for path in (data.parents[1] / "blobs").iterdir():
        (data / path.name).symlink_to(path)


def other_columns(data: Path) -> None:
    path = data / "validation-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["camera"]), path)


def numbers(data: Path) -> None:
    rewritten(data / "test-00000-of-00001.parquet", lambda rows: rows[3].update(label=9))


@pytest.mark.parametrize("form", ["table", "files", "huggingface"])
def test_prepared_they_keep_their_pictures_and_are_opened_as_ones_own(tmp_path: Path, form: str) -> None:
    source = {
        "table": lambda: f"table:{trees.table(tmp_path / 'x')}{MAPPING}",
        "files": lambda: f"files:{trees.class_tree(tmp_path / 'x')}?pattern={{split}}/{{label}}/*.jpg",
        "huggingface": lambda: f"huggingface:{trees.huggingface(tmp_path / 'x')}",
    }[form]()
    folder = prepare(DataConfig(source=source), tmp_path / "cache", lambda _: None)
    info = read_info(folder)
    assert Faces.of(info) == Faces(keep=True, crop=False)
    assert info.rows == trees.HALVES
    stored = {
        image
        for path in folder.glob("*.parquet")
        for image in pq.read_table(path, columns=["image"])["image"].to_pylist()
    }
    assert stored == {trees.male(split, number)[0] for split, count in trees.HALVES.items() for number in range(count)}
    assert prepare(DataConfig(source=source), tmp_path / "cache", lambda _: None) == folder
