"""Prepared data sets: what is written is read, whole or not at all, and nothing untrainable gets in."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lssat.data.prepared.table import (
    DatasetInfo,
    Label,
    Reject,
    Row,
    is_complete,
    read_images,
    read_info,
    shard_paths,
)
from lssat.data.prepared.writing import write_dataset
from lssat.errors import ConfigError
from tests.lssat.data.shards import read_split

INFO = DatasetInfo("faces.csv", "male", "binary", ("0", "1"), synthetic=False, fingerprint="ab", options={"seed": 0})


def rows_of(split: str, count: int) -> Iterator[Row]:
    return (Row(f"{split} {index}".encode(), index % 2, f"{split}-{index // 2}", split) for index in range(count))


def all_rows(count: int = 4) -> list[Row]:
    return [row for split in ("train", "val", "test") for row in rows_of(split, count)]


def test_rows_come_back_in_order_in_shards_of_2048_and_groups_of_256(tmp_path: Path) -> None:
    rows = [*rows_of("train", 4700), *rows_of("val", 300), *rows_of("test", 2048)]
    info = write_dataset(tmp_path / "set", rows, INFO)
    shards = {
        split: [pq.ParquetFile(path) for path in shard_paths(tmp_path / "set", split)]
        for split in ("train", "val", "test")
    }
    assert {split: [shard.metadata.num_rows for shard in found] for split, found in shards.items()} == {
        "train": [2048, 2048, 604], "val": [300], "test": [2048]
    }  # fmt: skip
    last = shards["train"][2].metadata
    assert [last.row_group(index).num_rows for index in range(last.num_row_groups)] == [256, 256, 92]
    assert info.rows == {"train": 4700, "val": 300, "test": 2048}
    assert info.counts["val"] == {"0": 150, "1": 150}
    table = read_split(tmp_path / "set", "train")
    assert table.schema.equals(
        pa.schema(
            [("image", pa.binary()), ("label", pa.int64()), ("thumbnail", pa.binary(1024))]
            + [(name, pa.string()) for name in ("identity", "source_identity", "video")]
        )
    )
    assert [
        Row(*values, "train")
        for values in zip(*(table[name].to_pylist() for name in ("image", "label", "identity")), strict=True)
    ] == rows[:4700]


def test_pictures_are_found_by_their_row_in_whatever_shard_or_group_they_are(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", [*rows_of("train", 4700), *rows_of("val", 4), *rows_of("test", 4)], INFO)
    wanted = [4699, 0, 2047, 2048, 255, 256, 0]
    found = read_images(tmp_path / "set", "train", wanted)
    assert found == [f"train {row}".encode() for row in wanted]
    assert read_images(tmp_path / "set", "val", []) == []


def test_multilabel_rows_keep_one_value_per_label_and_count_positives(tmp_path: Path) -> None:
    labels: list[Label] = [(0, 1, 1), (1, 0, 0), (1, 0, 1)]
    rows = [Row(b"x", label, "", split) for split in ("train", "val", "test") for label in labels]
    info = replace(INFO, kind="multilabel", classes=("a", "b", "c"))
    written = write_dataset(tmp_path / "set", rows, info)
    assert written.counts["test"] == {"a": 2, "b": 1, "c": 2}
    table = read_split(tmp_path / "set", "test")
    assert table.schema.field("label").type == pa.list_(pa.int64())
    assert table["label"].to_pylist() == [list(label) for label in labels if isinstance(label, tuple)]


def test_info_survives_the_disk_and_rejects_are_written_twice(tmp_path: Path) -> None:
    rejects = [Reject("b, ü.jpg", "file not found"), Reject("a.jpg", "empty label"), Reject(12, "x"), Reject(3, "y")]
    written = write_dataset(tmp_path / "set", [*all_rows(), *rejects], INFO)
    assert read_info(tmp_path / "set") == written
    assert [reject["row"] for reject in written.rejects] == [3, 12, "a.jpg", "b, ü.jpg"]
    with (tmp_path / "set" / "rejects.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [[str(reject["row"]), reject["reason"]] for reject in written.rejects]


def test_a_failure_in_the_middle_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    write_dataset(tmp_path / "set", all_rows(), INFO)

    def broken() -> Iterator[Row]:
        yield from rows_of("train", 3000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", broken(), INFO)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert read_info(tmp_path / "set").rows["train"] == 4
    write_dataset(tmp_path / "set", all_rows(6), INFO)
    assert read_info(tmp_path / "set").rows["train"] == 6


def test_complete_means_every_shard_with_every_row(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    assert not is_complete(folder)
    write_dataset(folder, all_rows(), INFO)
    assert is_complete(folder)
    shard = shard_paths(folder, "val")[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-20])
    assert not is_complete(folder)
    shard.unlink()
    assert not is_complete(folder)
    shard.write_bytes(whole)
    (folder / "dataset.json").write_text("{}")
    assert not is_complete(folder)


def test_reading_something_else_says_how_to_repair_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a prepared data set.*prepare the data again"):
        read_info(tmp_path)
    (tmp_path / "dataset.json").write_text('{"source": "x"}')
    with pytest.raises(ConfigError, match=r"damaged or of another version; delete"):
        read_info(tmp_path)


def test_when_everything_was_rejected_the_message_gives_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no image .* 2 were rejected; the first: a.jpg: file not found"):
        write_dataset(tmp_path / "set", [Reject("b.jpg", "empty label"), Reject("a.jpg", "file not found")], INFO)
    assert not list(tmp_path.iterdir())
