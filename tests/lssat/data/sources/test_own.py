"""A user's own tables and folders: what they mean, what is left out, and what every mistake is answered with."""

from __future__ import annotations

import csv as python_csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lssat.config import build
from lssat.data.prepare.opening import open_entry, open_options, read_table
from lssat.data.prepared.table import Reject, Row
from lssat.data.sources.listing import Listing, Record
from lssat.data.sources.reading import read_source
from lssat.data.sources.registry import fingerprint, open_listing
from lssat.data.sources.source import located
from lssat.errors import ConfigError
from lssat.settings.data import DataConfig


def jpeg(number: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (16, 16), number % 256).save(buffer, "JPEG")
    return buffer.getvalue()


def png(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (number % 256, 0, 0)).save(path, "PNG")


def parquet(folder: Path, columns: Mapping[str, Sequence[Any]], name: str = "faces.parquet") -> str:
    rows = len(next(iter(columns.values())))
    pq.write_table(pa.table({"image": [jpeg(row) for row in range(rows)], **columns}), folder / name)
    return str(folder / name)


def csv(folder: Path, columns: Mapping[str, Sequence[Any]], name: str = "faces.csv") -> str:
    pacsv.write_csv(pa.table(columns), folder / name)
    return str(folder / name)


def listed(source: str, task: str, classes: list[str] | None = None, seed: int = 0) -> Listing:
    return open_listing(located(source), DataConfig(source=source, task=task, classes=classes, seed=seed))


def records(source: Listing) -> list[Record]:
    return [entry for entry in source.entries if isinstance(entry, Record)]


def rejects(source: Listing) -> list[Reject]:
    return [entry for entry in source.entries if isinstance(entry, Reject)]


class TestLabels:
    @pytest.mark.parametrize(
        ("values", "kind", "classes"),
        [
            ([0, 1], "binary", ("0", "1")),
            ([False, True], "binary", ("false", "true")),
            ([0.0, 1.0], "binary", ("0", "1")),
            ([1, -1], "binary", ("-1", "1")),
            (["yes", "no"], "binary", ("no", "yes")),
            ([10, 9, 100], "multiclass", ("9", "10", "100")),
            (["10", "9", "100"], "multiclass", ("9", "10", "100")),
            (["happy", "Angry", "sad"], "multiclass", ("Angry", "happy", "sad")),
        ],
    )
    @pytest.mark.parametrize("write", [parquet, csv])
    def test_one_column_is_binary_or_multiclass_by_its_distinct_values(
        self, tmp_path: Path, write: Any, values: list[Any], kind: str, classes: tuple[str, ...]
    ) -> None:
        columns: dict[str, list[Any]] = {"feeling": values * 20}
        if write is csv:
            columns["path"] = ["x.png"] * len(columns["feeling"])
        source = listed(write(tmp_path, columns), "feeling")
        assert (source.info.kind, source.info.classes) == (kind, classes)
        numbers = [
            classes.index(str(value).lower().removesuffix(".0") if not isinstance(value, str) else value)
            for value in columns["feeling"]
        ]
        assert [record.label for record in records(source)] == numbers

    def test_several_columns_are_multilabel_in_the_order_asked_for(self, tmp_path: Path) -> None:
        source = listed(parquet(tmp_path, {"a": [0, 1] * 40, "b": [True, False, False, True] * 20}), "b, a")
        assert (source.info.kind, source.info.classes) == ("multilabel", ("b", "a"))
        assert [record.label for record in records(source)][:4] == [(1, 0), (0, 1), (0, 0), (1, 1)]

    def test_two_of_many_classes_are_binary_and_other_rows_are_no_rejects(self, tmp_path: Path) -> None:
        source = listed(parquet(tmp_path, {"emotion": [0, 1, 6, 7] * 20}), "emotion", ["6", "1"])
        assert (source.info.kind, source.info.classes) == ("binary", ("1", "6"))
        assert [(record.name, record.label) for record in records(source)][:4] == [(1, 0), (2, 1), (5, 0), (6, 1)]
        assert not rejects(source)

    def test_classes_are_called_as_the_user_calls_them(self, tmp_path: Path) -> None:
        source = parquet(tmp_path, {"emotion": [10, 9, 1, 7] * 20, "b": [0, 1] * 40, "c": [1, 0, 0, 1] * 20})

        def called(names: list[str], task: str = "emotion") -> Listing:
            config = build({"data.source": source, "data.task": task, "data.class_names": names}).data
            return open_listing(located(source), config)

        plain, named = listed(source, "emotion"), called(["sad", "happy", "calm", "odd"])
        assert plain.info.classes == ("1", "7", "9", "10")
        assert named.info.classes == ("sad", "happy", "calm", "odd")
        assert named.entries == plain.entries
        assert [[*found.values()] for found in named.info.counts.values()] == [
            [*found.values()] for found in plain.info.counts.values()
        ]
        with pytest.raises(
            ConfigError, match=r"the 4 classes .*, in this order: `1`, `7`, `9`, `10`; but got `a`, `b`"
        ):
            called(["a", "b"])
        with pytest.raises(ConfigError, match="must be names that differ, but got a, a, b, c"):
            called(["a", "a", "b", "c"])
        with pytest.raises(ConfigError, match="has several; remove it"):
            called(["a", "c"], "b,c")

    def test_empty_labels_are_rejected_by_name(self, tmp_path: Path) -> None:
        source = listed(
            parquet(tmp_path, {"a": [None, float("nan"), *[0.0, 1.0] * 20], "b": [0, 1, None, *[1, 0] * 19, 1]}), "a"
        )
        assert rejects(source) == [Reject(0, "empty label"), Reject(1, "empty label")]
        both = listed(str(tmp_path / "faces.parquet"), "a,b")
        assert rejects(both) == [Reject(0, "empty label"), Reject(1, "empty label"), Reject(2, "empty label")]
        text = "path,word\na.png,yes\nb.png,\nc.png,  \n" + "".join(
            f"d{row}.png,{'yes' if row % 2 else 'no'}\n" for row in range(40)
        )
        (tmp_path / "words.csv").write_text(text)
        assert rejects(listed(str(tmp_path / "words.csv"), "word")) == [
            Reject("b.png", "empty label"),
            Reject("c.png", "empty label"),
        ]


ODD_WORDS = ["NA", "N/A", "null", "nan", "NaN", "NULL", "None", "n/a", "#N/A", "-nan", "01", "010", "10", "1e3", "+1",
         "yes", "True", "a;b", 'say "so"', "two\nlines", "é"]  # fmt: skip


def quoted(folder: Path, columns: Mapping[str, Sequence[Any]], quoting: Literal[0, 1]) -> str:
    """As pandas writes a CSV: True for a truth, 1.0 for a number in a column with empty cells."""
    with (folder / f"quoting-{quoting}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = python_csv.writer(file, quoting=quoting)
        writer.writerow(columns)
        writer.writerows(
            ["" if value is None else value for value in row] for row in zip(*columns.values(), strict=True)
        )
    return file.name


class TestFormats:
    """The same table says the same as CSV, as CSV with every cell in quotes, and as Parquet."""

    @pytest.mark.parametrize("seed", range(6))
    @pytest.mark.parametrize(
        "cells", [ODD_WORDS, [True, False], [0, 1, 10], [0.0, 1.0, None], ["true", "FALSE"], ["", " ", "NA", "EU"]]
    )
    def test_any_table_is_listed_alike(self, tmp_path: Path, cells: list[Any], seed: int) -> None:
        generator = np.random.default_rng(seed)

        def drawn(values: list[Any]) -> list[Any]:
            return [values[index] for index in generator.permutation(np.arange(60 * len(values)) % len(values))[:120]]

        columns = {
            "image": [f"{row}.png" for row in range(120)],
            "label": (cells * 120)[:120],
            "identity": drawn([*ODD_WORDS, None, "", *map(str, range(60))]),
            "video": drawn(["NA", None, "x", "1.0", "7"]),
            "person": drawn([True, False, None]),
            "weight": drawn([0.5, 2.0, None]),
            "region": drawn([*ODD_WORDS, None]),
        }
        pq.write_table(pa.table(columns), tmp_path / "faces.parquet")
        sources = [quoted(tmp_path, columns, 0), quoted(tmp_path, columns, 1), str(tmp_path / "faces.parquet")]
        rows = [read_source(located(source), DataConfig(source=source, task="label")) for source in sources]
        first, second, third = (each._replace(options={}) for each in rows)
        assert first == second == third
        assert "NA" in first.columns["region"]

    def test_words_for_nothing_are_classes_persons_and_videos(self, tmp_path: Path) -> None:
        columns = {
            "image": [*map(str, range(120))],
            "region": ["NA", "EU", "null"] * 40,
            "identity": ["NA", "", "b", "c"] * 30,
        }
        for source in (quoted(tmp_path, columns, 0), quoted(tmp_path, columns, 1)):
            found = listed(source, "region")
            assert (found.info.classes, len(rejects(found))) == (("EU", "NA", "null"), 0)
            assert [record.identity for record in records(found)][:4] == ["NA", "", "b", "c"]

    def test_padded_numbers_are_classes_of_their_own(self, tmp_path: Path) -> None:
        source = quoted(tmp_path, {"image": [*"abcdef"] * 20, "code": ["010", "10", "9"] * 40}, 0)
        assert listed(source, "code").info.classes == ("9", "010", "10")

    @pytest.mark.parametrize(
        ("cells", "asked", "kept"),
        [
            ([True, False], [True, False], ("false", "true")),
            ([True, False], ["true", "false"], ("false", "true")),
            ([1, 2, 3], [1, 2], ("1", "2")),
            ([1.0, 2.0, None], [1.0, 2], ("1", "2")),
            (["010", "10", "11"], ["010", "10"], ("010", "10")),
            (["NA", "EU", "AS"], ["NA", "EU"], ("EU", "NA")),
        ],
    )
    def test_classes_are_asked_for_as_the_table_or_yaml_writes_them(
        self, tmp_path: Path, cells: list[Any], asked: list[Any], kept: tuple[str, ...]
    ) -> None:
        columns = {"label": (cells * 120)[:120]}
        with_paths = {"image": [*map(str, range(120))], **columns}
        for source in (parquet(tmp_path, columns), quoted(tmp_path, with_paths, 0), quoted(tmp_path, with_paths, 1)):
            config = build({"data.source": source, "data.task": "label", "data.classes": asked}).data
            assert open_listing(located(source), config).info.classes == kept

    def test_numbers_beside_what_is_none_are_refused_with_the_repair(self, tmp_path: Path) -> None:
        source = quoted(tmp_path, {"image": [*"abcd"] * 10, "male": ["0", "1", "nan", "1"] * 10}, 0)
        with pytest.raises(ConfigError, match="but holds nan; leave a cell empty where the label is unknown"):
            listed(source, "male")

    @pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_a_table_means_the_same_whatever_separates_its_cells_and_encodes_its_text(
        self, tmp_path: Path, mark: str, encoding: str
    ) -> None:
        lines = [("image", "region", "male"), *((f"é {row}.png", "a, b; c", str(row % 2)) for row in range(30_000))]
        text = "".join(mark.join(f'"{cell}"' for cell in line) + "\n" for line in lines)
        (tmp_path / "faces.csv").write_bytes(text.encode(encoding))
        found = records(listed(str(tmp_path / "faces.csv"), "male"))
        assert [record.name for record in found] == [name for name, _, _ in lines[1:]]
        assert {record.columns for record in found} == {("a, b; c",)}

    def test_an_encoding_that_is_not_certain_is_named_with_the_repair(self, tmp_path: Path) -> None:
        for text in ("image,male\né.png,0\n", "image,émale\na.png,0\n"):
            (tmp_path / "my faces.csv").write_bytes(text.encode("latin-1"))
            repair = "iconv -f WINDOWS-1252 -t UTF-8 'my faces.csv' > 'my faces-utf8.csv'"
            with pytest.raises(ConfigError, match=rf"not UTF-8, but most likely Windows-1252 .* `{repair}`"):
                listed(str(tmp_path / "my faces.csv"), "male")

    def test_bits_may_be_written_as_celeba_writes_them(self, tmp_path: Path) -> None:
        source = parquet(tmp_path, {"a": [-1, 1] * 40, "b": [0, 1, 1, 0] * 20, "c": [-1, 0, 1, 1] * 20})
        assert [record.label for record in records(listed(source, "a,b"))][:4] == [(0, 0), (1, 1), (0, 1), (1, 0)]
        with pytest.raises(ConfigError, match=r"but `c` .* holds `-1`, `0`, `1`; write 0 and 1, or name one column"):
            listed(source, "a,c")

    def test_only_what_older_versions_read_differently_is_said_to_have_changed(self, tmp_path: Path) -> None:
        same = {
            "label": [0, 1] * 60,
            "identity": [f"p{row // 2}" for row in range(120)],
            "region": ["EU", "AS", "", "x"] * 30,
        }
        for source in (parquet(tmp_path, same), quoted(tmp_path, {"image": [*map(str, range(120))], **same}, 0)):
            assert "changed" not in listed(source, "label").info.options
        for name, cells in {"label": ["true", "false"], "identity": ["NA", "b"], "region": ["null", "b"]}.items():
            columns = {"image": [*map(str, range(120))], **same, name: cells * 60}
            source = quoted(tmp_path, columns, 0)
            changed = read_source(located(source), DataConfig(source=source, task="label")).options["changed"]
            assert changed == [f"column `{name}`"]


class TestSplits:
    def test_rows_without_a_person_stay_with_their_video_and_each_alone_without_one(self, tmp_path: Path) -> None:
        people = [f"p{row // 4}" if row % 4 < 2 else "" for row in range(400)]
        videos = [f"v{row // 4}" if row < 200 else None for row in range(400)]
        columns = {"male": [row // 2 % 2 for row in range(400)], "identity": people, "video": videos}
        found = records(listed(parquet(tmp_path, columns), "male"))
        for key in ("video", "identity"):
            of_each = defaultdict(set)
            for record in found:
                of_each[getattr(record, key)].add(record.split)
            assert len(of_each.pop("")) == 3  # no row is tied to another by what nobody knows of both
            assert {len(splits) for splits in of_each.values()} == {1}

    def test_given_splits_are_kept_under_any_of_their_names(self, tmp_path: Path) -> None:
        names = ["train", "Valid", "test", "validation", "TRAIN", "val"]
        source = listed(parquet(tmp_path, {"male": [0] * 6 + [1] * 6, "split": names * 2}), "male")
        assert [record.split for record in records(source)] == ["train", "val", "test", "val", "train", "val"] * 2
        assert source.info.options["splits"] == "as given"

    def test_rows_with_an_empty_or_unknown_split_are_rejected(self, tmp_path: Path) -> None:
        splits = ["dev", "", None, *["train", "train", "val", "val", "test", "test"] * 2]
        source = listed(parquet(tmp_path, {"male": [0, 1, 0] + [0, 1] * 6, "split": splits}), "male")
        assert rejects(source) == [Reject(0, "unknown split `dev`"), Reject(1, "empty split"), Reject(2, "empty split")]

    @pytest.mark.parametrize("group", ["identity", "video"])
    def test_made_splits_are_disjoint_in_identity_and_repeat_with_the_seed(self, tmp_path: Path, group: str) -> None:
        people = np.random.default_rng(0).integers(0, 80, 600)
        path = parquet(tmp_path, {"male": people % 2, group: people})
        first, again, other = (records(listed(path, "male", seed=seed)) for seed in (1, 1, 2))
        assert first == again
        assert [record.split for record in first] != [record.split for record in other]
        assert [record.identity for record in first] == [str(person) for person in people]
        assert shared(first) == 0
        shares = Counter(record.split for record in first)
        assert [shares[split] / 600 for split in ("train", "val", "test")] == pytest.approx([0.7, 0.15, 0.15], abs=0.03)

    @pytest.mark.parametrize(
        ("given", "made"),
        [(("train", "test"), "train 85%, val 15% of train"), (("train", "val"), "train 85%, test 15% of train"),
         (("train",), "train 70%, val 15%, test 15% of train")],
    )  # fmt: skip
    def test_a_missing_split_is_cut_out_of_train_alone(self, tmp_path: Path, given: tuple[str, ...], made: str) -> None:
        people = np.repeat(np.arange(100), 4)
        splits = [given[person % len(given)] for person in people]
        source = listed(parquet(tmp_path, {"male": (people // 2) % 2, "identity": people, "split": splits}), "male")
        found = records(source)
        assert source.info.options["splits"] == made
        assert {record.split for record in found} == {"train", "val", "test"}
        assert shared(found) == 0
        assert all(record.split == split for record, split in zip(found, splits, strict=True) if split != "train")

    def test_a_split_that_only_lost_its_rows_is_not_made_anew(self, tmp_path: Path) -> None:
        columns = {"emotion": [0, 1, 0, 1, 2, 3], "split": ["train", "train", "test", "test", "val", "val"]}
        with pytest.raises(ConfigError, match=r"split `val` .* has no image"):
            listed(parquet(tmp_path, columns), "emotion", ["0", "1"])


class TestFolder:
    def test_one_folder_per_class_with_and_without_splits(self, tmp_path: Path) -> None:
        for number in range(40):
            png(tmp_path / "flat" / ("cat", "ant", "bee")[number % 3] / f"{number}.png")
            split = ("train", "valid", "test", "train")[number % 4]
            png(tmp_path / "deep" / split / ("cat", "ant")[number // 4 % 2] / "x" / f"{number}.png")
        png(tmp_path / "flat" / ".hidden" / "0.png")
        flat, deep = listed(str(tmp_path / "flat"), "animal"), listed(str(tmp_path / "deep"), "animal")
        assert (flat.info.kind, flat.info.classes) == ("multiclass", ("ant", "bee", "cat"))
        assert {record.name: record.label for record in records(flat)} == {
            f"{('cat', 'ant', 'bee')[number % 3]}/{number}.png": (2, 0, 1)[number % 3] for number in range(40)
        }
        assert (deep.info.kind, deep.info.classes, deep.info.rows) == (
            "binary",
            ("ant", "cat"),
            {"train": 20, "val": 10, "test": 10},
        )


def read_rows(source: Listing) -> list[Row | Reject]:
    if source.media == "table":
        return [*read_table(source)]
    found: list[Row | Reject] = []
    for entry in source.entries:
        if isinstance(entry, Reject):
            found.append(entry)
            continue
        became = open_entry(open_options(source), entry)
        found += [*became.rows, *([became.reject] if became.reject else [])]
    return found


class TestImages:
    def test_damaged_images_of_a_table_are_named_by_position_and_no_others(self, tmp_path: Path) -> None:
        images = [jpeg(row) for row in range(600)]
        images[3], images[300], images[301], images[599] = jpeg()[:150], b"", b"no image", None  # type: ignore[call-overload]
        pq.write_table(pa.table({"image": images, "male": [0, 1] * 300}), tmp_path / "faces.parquet")
        found = [*read_rows(listed(str(tmp_path / "faces.parquet"), "male"))]
        left_out = {item.row: item.reason for item in found if isinstance(item, Reject)}
        assert list(left_out) == [3, 300, 301, 599]
        assert left_out[3].startswith("damaged image")
        assert [left_out[row] for row in (300, 301, 599)] == [
            "no image bytes",
            "not a JPEG or PNG image",
            "no image bytes",
        ]
        kept = [image for row, image in enumerate(images) if row not in left_out]
        assert [row.image for row in found if isinstance(row, Row)] == kept

    def test_bytes_go_to_their_own_labels_past_rows_that_are_not_wanted(self, tmp_path: Path) -> None:
        emotions: list[int | None] = [0, 1, 2, None] * 100
        path = parquet(tmp_path, {"emotion": emotions})
        rows = [row for row in read_rows(listed(path, "emotion", ["0", "2"])) if isinstance(row, Row)]
        wanted = [(jpeg(row), {0: 0, 2: 1}[emotion]) for row, emotion in enumerate(emotions) if emotion in (0, 2)]
        assert [(row.image, row.label) for row in rows] == wanted

    def test_paths_that_lead_nowhere_or_elsewhere_are_named(self, tmp_path: Path) -> None:
        root = tmp_path / "data"
        for number in range(40):
            png(root / "images" / f"{number}.png", number)
        png(tmp_path / "outside.png")
        os.symlink(tmp_path / "outside.png", root / "link.png")
        (root / "cut.png").write_bytes((root / "images" / "0.png").read_bytes()[:50])
        bad = [str(tmp_path / "outside.png"), "../outside.png", "link.png", "cut.png", "gone.png", ""]
        paths = [*(f"images/{number}.png" for number in range(40)), *bad]
        splits = ["train", "train", "val", "val", "test", "test"] * 7 + ["train"] * 4
        source = listed(
            csv(root, {"path": paths, "male": [0, 1] * 23, "identity": ["007", "7"] * 23, "split": splits}), "male"
        )
        found = [*read_rows(source)]
        left_out = {item.row: item.reason for item in found if isinstance(item, Reject)}
        assert set(left_out) == set(bad)
        assert left_out[bad[0]] == left_out[bad[1]] == "path leaves the data folder"
        assert [left_out[name] for name in ("link.png", "gone.png", "")] == [
            "link leaves the data folder",
            "file not found",
            "no image path",
        ]
        assert left_out["cut.png"].startswith("damaged image")
        assert {row.identity for row in found if isinstance(row, Row)} == {"007", "7"}
        assert {row.image for row in found if isinstance(row, Row)} == {
            (root / path).read_bytes() for path in paths[:40]
        }


class TestFingerprint:
    def test_it_follows_the_table_and_the_image_files(self, tmp_path: Path) -> None:
        png(tmp_path / "a.png", 1)
        source = located(csv(tmp_path, {"image": ["a.png", "gone.png"], "male": [0, 1]}))
        first = fingerprint(source)
        assert first == fingerprint(source)
        (tmp_path / "unrelated.txt").write_text("x")
        assert first == fingerprint(source)
        png(tmp_path / "gone.png")
        second = fingerprint(source)
        os.utime(tmp_path / "a.png", ns=(1, 1))
        third = fingerprint(source)
        csv(tmp_path, {"image": ["a.png", "gone.png"], "male": [1, 0]})
        assert len({first, second, third, fingerprint(source)}) == 4

    def test_it_follows_the_files_of_a_folder(self, tmp_path: Path) -> None:
        png(tmp_path / "a" / "1.png")
        png(tmp_path / "b" / "2.png")
        source = located(str(tmp_path))
        first = fingerprint(source)
        (tmp_path / "b" / "2.png").rename(tmp_path / "a" / "2.png")
        assert first != fingerprint(source)


class TestErrors:
    def check(self, source: Path | str, task: str, message: str, classes: list[str] | None = None) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            listed(str(source), task, classes)
        assert "\n" not in str(caught.value)

    def test_missing_sources_name_the_nearest(self, tmp_path: Path) -> None:
        csv(tmp_path, {"path": ["x"], "male": [0]})
        self.check(tmp_path / "face.csv", "male", r"there is no `.*face.csv`; did you mean `faces.csv`")
        self.check(tmp_path / "zzz" / "face.csv", "male", r"there is no .*; `.*` holds `faces.csv`, `synthetic`")
        self.check("synthetc", "male", "did you mean `synthetic`")

    def test_what_is_no_table(self, tmp_path: Path) -> None:
        (tmp_path / "faces.xlsx").write_bytes(b"PK")
        self.check(
            tmp_path / "faces.xlsx", "male", r"must be a .csv or .parquet table, or a folder .* but got `.*faces.xlsx`"
        )

    def test_damaged_tables(self, tmp_path: Path) -> None:
        whole = Path(parquet(tmp_path, {"male": [0, 1] * 20})).read_bytes()
        (tmp_path / "cut.parquet").write_bytes(whole[:-30])
        self.check(tmp_path / "cut.parquet", "male", r"the table `.*cut.parquet` is damaged .*write it again")
        (tmp_path / "page.parquet").write_bytes(whole[:8] + bytes(len(whole) - 2000) + whole[-1992:])
        with pytest.raises(ConfigError, match="damaged"):
            list(read_rows(listed(str(tmp_path / "page.parquet"), "male")))
        (tmp_path / "ragged.csv").write_text("path,male\na.png,0\nb.png,1,2\n")
        self.check(tmp_path / "ragged.csv", "male", r"ragged.csv` is damaged .*Expected 2 columns")
        (tmp_path / "latin.csv").write_bytes("path,male\né.png,0\n".encode("latin-1"))
        self.check(tmp_path / "latin.csv", "male", r"the text of `.*latin.csv` is not UTF-8")
        (tmp_path / "empty.csv").write_text("")
        self.check(tmp_path / "empty.csv", "male", "empty.csv` is empty")
        (tmp_path / "head.csv").write_text("path,male\n")
        self.check(tmp_path / "head.csv", "male", "head.csv` has no rows")
        (tmp_path / "twice.csv").write_text("path,male,male\na,0,1\n")
        self.check(tmp_path / "twice.csv", "male", "several columns called `male`")

    def test_columns(self, tmp_path: Path) -> None:
        source = parquet(
            tmp_path, {"male": [0, 1] * 20, "age": [0.5, 3.2] * 20, "many": [0, 2] * 20, "none": [None] * 40}
        )
        self.check(source, "mael", "has no column `mael`; did you mean `male`")
        self.check(source, "zzzz", "has no column `zzzz`; its columns are `image`, `male`, `age`")
        self.check(source, "male,male", "names the column `male` twice")
        self.check(
            source,
            "age",
            "column `age` .* whole numbers, words or true/false as labels, but holds 0.5; .* regression is not",
        )
        self.check(source, "male,many", r"each must hold 0 and 1 \(or -1 and 1\), but `many` .* holds `0`, `2`")
        self.check(source, "none", "task `none` .* has no labels")
        self.check(
            csv(tmp_path, {"file": ["x"], "male": [0]}),
            "male",
            "no column `image` or `path`; its columns are `file`, `male`",
        )
        pq.write_table(pa.table({"image": [1, 2], "male": [0, 1]}), tmp_path / "ids.parquet")
        self.check(tmp_path / "ids.parquet", "male", "column `image` .* image bytes or image paths, but holds int64")

    def test_classes(self, tmp_path: Path) -> None:
        source = parquet(tmp_path, {"word": ["happy", "sad", "calm"] * 20, "male": [0, 1] * 30, "same": [1] * 60})
        self.check(source, "word", "`data.classes` names `hapy`, .*; did you mean `happy`", ["hapy", "sad"])
        self.check(source, "word", "names `9`, .*; its classes are `calm`, `happy`, `sad`", ["9", "sad"])
        self.check(source, "word", "`data.classes` keeps only `sad` .* at least two classes", ["sad"])
        self.check(source, "same", "all labels are `1` in task `same` .* at least two classes")
        self.check(source, "male,same", "`data.classes` selects classes of one label column", ["0", "1"])

    def test_splits_and_classes_that_lack_images(self, tmp_path: Path) -> None:
        splits = ["train", "train", "val", "val", "test", "test"] * 2
        columns = {"w": [*"abababcccccc"], "split": ["train"] * 6 + splits[:6]}
        self.check(parquet(tmp_path, columns), "w", "`val` .* no image of class `a`, `b`")
        columns = {"w": [*"aaabbbbabbab"], "split": ["train"] * 3 + ["val", "test"] * 4 + ["val"]}
        self.check(parquet(tmp_path, columns), "w", "all training .* `a`")
        self.check(
            parquet(tmp_path, {"w": [*"abab"], "split": ["val", "val", "test", "test"]}),
            "w",
            "split `train` .* has no image",
        )
        self.check(
            parquet(tmp_path, {"w": [*"abab"], "split": ["0"] * 4}),
            "w",
            r"4 were rejected; the first: 0: unknown split `0`",
        )

    def test_folders(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        self.check(tmp_path / "empty", "t", r"`.*empty` holds no images in class folders; it needs <class>/<image>")
        png(tmp_path / "loose" / "1.png")
        self.check(tmp_path / "loose", "t", "holds no images in class folders")
        for name in ("train/a", "train/b", "extra/a"):
            png(tmp_path / "mixed" / name / "1.png")
        self.check(tmp_path / "mixed", "t", r"mixes split folders \(`train`\) with others \(`extra`\)")
        png(tmp_path / "one" / "only" / "1.png")
        self.check(tmp_path / "one", "t", "all labels are `only`")


def shared(found: Sequence[Record]) -> int:
    splits = defaultdict(set)
    for record in found:
        splits[record.identity].add(record.split)
    return sum(len(names) > 1 for names in splits.values())


WORDS = ["NA", "N/A", "null", "NULL", "nan", "None", "#N/A", "010", "10", "-0", "007"]


@pytest.mark.parametrize("other", WORDS)
@pytest.mark.parametrize("quoting", ["needed", "all_valid"])
def test_a_word_is_a_class_in_every_format_and_an_empty_cell_is_none(tmp_path: Path, other: str, quoting: str) -> None:
    label = [other, "EU", "", "  "] * 12
    names = [f"{row}.png" for row in range(48)]
    for row, name in enumerate(names):
        png(tmp_path / name, row)
    table = pa.table({"image": names, "region": label})
    pacsv.write_csv(table, tmp_path / "t.csv", pacsv.WriteOptions(quoting_style=quoting))
    pq.write_table(table, tmp_path / "t.parquet")
    for source in ("t.csv", "t.parquet"):
        found = listed(str(tmp_path / source), "region")
        assert found.info.classes == tuple(sorted([other, "EU"])), source
        assert len(rejects(found)) == 24


def test_numbers_with_a_zero_in_front_are_words(tmp_path: Path) -> None:
    source = csv(tmp_path, {"image": [f"{row}.png" for row in range(30)], "code": ["010", "10", "7"] * 10})
    assert listed(source, "code").info.classes == ("7", "010", "10")
