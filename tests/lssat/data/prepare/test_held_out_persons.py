"""Whoever is in a held-out fake is not in training: neither whose face it shows nor whose it borrows."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lssat.config import build
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.selection import learnt_rows
from lssat.errors import ConfigError
from tests.lssat.data.shards import read_split

PERSONS = 60


def table(path, **columns):
    """Three real photos of each person and a fake of each method, which borrows the face of a neighbour."""
    generator, rows = np.random.default_rng(0), []
    for person in range(PERSONS):
        for method in ("", "", "", "swap", "warp"):
            pixels, out = generator.integers(0, 255, (16, 16, 3)), io.BytesIO()
            Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
            source = f"p{person ^ 1}" if method else ""
            fake = {"image": out.getvalue(), "label": "fake" if method else "real", "method": method}
            rows.append({**fake, "identity": f"p{person}", "source_identity": source})
    made = pa.Table.from_pylist(rows)
    for name, values in columns.items():
        made = made.append_column(name, pa.array(values))
    pq.write_table(made, path / "fakes.parquet")
    return build({"data.source": str(path / "fakes.parquet"), "data.task": "label", **HELD_OUT}).data


HELD_OUT = {"data.hold_out": "method", "data.held_out": ["warp"]}


def test_no_person_of_a_held_out_fake_is_learnt_from(tmp_path):
    data = table(tmp_path)
    folder = prepare(data, tmp_path / "cache", lambda text: None)
    train = read_split(folder, "train").filter(pa.array(learnt_rows(folder, data)))
    assert "warp" not in train["method"].to_pylist()
    learnt = {*train["identity"].to_pylist(), *train["source_identity"].to_pylist()} - {""}
    for split in ("val", "test"):
        fakes = [row for row in read_split(folder, split).to_pylist() if row["method"] == "warp"]
        assert fakes
        assert not learnt & {person for row in fakes for person in (row["identity"], row["source_identity"])}


def test_a_split_by_which_one_would_be_is_refused_whatever_is_held_out(tmp_path):
    """The fakes that are held out in validation show persons of training."""
    parts = [("train", "val", "test")[number // 5 % 3] for number in range(5 * PERSONS)]
    data = table(tmp_path, split=parts)
    with pytest.raises(ConfigError, match=r"in two splits|leak"):
        prepare(data, tmp_path / "cache", lambda text: None)


def test_what_is_held_out_does_not_prepare_the_data_again(tmp_path):
    data = table(tmp_path)
    folder = prepare(data, tmp_path / "cache", lambda text: None)
    others = [data.model_copy(update={"held_out": ["swap"]}), data.model_copy(update={"hold_out": None})]
    assert {prepare(other, tmp_path / "cache", lambda text: None) for other in others} == {folder}
