"""A run is trained again on the data of its study, or it is said what became of them."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lssat.config import build
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.table import read_info
from lssat.errors import ConfigError
from search.again.row import find
from search.again.session import Places, study_data

BEFORE = Path(__file__).resolve().parents[2] / "fixtures" / "version_before"


@pytest.fixture
def begun(tmp_path):
    """A study's folder, its table, and the data as they were prepared for it."""
    table = tmp_path / "noise.parquet"
    shutil.copy(BEFORE / "noise.parquet", table)
    study = tmp_path / "study"
    shutil.copytree(BEFORE / "study", study)
    prepared = prepare(build({"data.source": str(table), "data.task": "bright"}).data, tmp_path / ".data", str)
    manifest = json.loads((study / "manifest.json").read_text())
    manifest["data"]["prepared"] = str(prepared)
    manifest["resolved"]["data"] = read_info(prepared).fingerprint
    (study / "manifest.json").write_text(json.dumps(manifest))
    path = study / "trials" / "0000" / "config.json"
    path.write_text(path.read_text().replace("/data/noise.parquet", str(table)))
    return study, table, prepared


def data_of(study, data=None):
    return study_data(find(f"{study}#0000"), Places(study.parent / ".data", data, None, None, study), str)


def test_the_data_are_found_as_they_were_prepared_even_where_the_source_is_gone(begun):
    study, table, prepared = begun
    table.unlink()
    assert data_of(study) == prepared
    moved = study.parent / "elsewhere"
    shutil.move(prepared, moved)
    (study.parent / ".data").mkdir(exist_ok=True)
    shutil.move(moved, study.parent / ".data" / prepared.name)
    assert data_of(study) == prepared, "in the cache of today, under the name of then"


def test_they_are_prepared_anew_from_the_same_source_wherever_it_lies_now(begun):
    study, table, prepared = begun
    shutil.rmtree(prepared)
    assert data_of(study) == prepared
    shutil.rmtree(prepared)
    moved = table.rename(table.with_name("moved.parquet"))
    found = data_of(study, str(moved))
    assert read_info(found).fingerprint == read_info(data_of(study, str(moved))).fingerprint


def test_data_that_are_gone_or_have_changed_are_refused_with_the_repair(begun):
    study, table, prepared = begun
    shutil.rmtree(prepared)
    moved = table.rename(table.with_name("moved.parquet"))
    with pytest.raises(
        ConfigError, match=r"the data of the study are gone: .*name where the source lies now by `--data`"
    ):
        data_of(study)
    rows = pq.read_table(moved)
    pq.write_table(rows.slice(0, len(rows) - 1), moved)
    with pytest.raises(ConfigError, match=r"are not those that the study was trained on"):
        data_of(study, str(moved))
