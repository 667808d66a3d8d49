"""Whether a study may go on with data that an older version has read; what is on record when it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepared.table import DatasetInfo, changed_fingerprint, detected_fingerprint
from lssat.errors import ConfigError
from lssat.storage.place import Place
from search.record.folder import RunFolder, Storage
from search.record.manifest import Manifest, read_manifest
from search.space.file import load
from search.study.session import Session, _begin, _check_read_alike


def test_a_study_whose_data_were_read_differently_is_told_what_and_why(tmp_path: Path) -> None:
    begun = Manifest(tmp_path / "manifest.json", {"name": "s", "data": {"fingerprint": "x"}})

    def info(fingerprint: str) -> DatasetInfo:
        options = {"changed": ["column `region`", "3 pictures"]}
        return DatasetInfo("f.csv", "t", "binary", ("0", "1"), False, fingerprint=fingerprint, options=options)

    _check_read_alike(begun, info("x"))
    _check_read_alike(begun, info("y"))  # other data: the manifest says so
    with pytest.raises(ConfigError, match=r"which read column `region`, 3 pictures of `f.csv` differently"):
        _check_read_alike(begun, info(changed_fingerprint("x")))
    for fingerprint in (detected_fingerprint("x", DETECTOR), detected_fingerprint(changed_fingerprint("x"), DETECTOR)):
        with pytest.raises(ConfigError, match=r"found the faces of `f.csv` by another detector"):
            _check_read_alike(begun, info(fingerprint))


def test_the_weights_that_backbones_begin_with_stay_on_record(tmp_path: Path) -> None:
    """The study that goes on has trials that began with them."""
    (tmp_path / "s.yaml").write_text("search: {num_trials: 1}")
    folder, space = RunFolder(tmp_path / "run"), load(tmp_path / "s.yaml", "none", {}, {})
    folder.path.mkdir()
    weights = [{"architecture": "test_vit", "file": "/w/vit.pth", "sha256": "0", "match": "80 tensors matched"}]
    data = {"source": "faces.csv", "fingerprint": "x"}
    session = Session(folder, Storage(Place.of(folder.path)), space, tmp_path, tmp_path, None, None)
    assert _begin(session, data, weights).first_weights == weights
    begun = read_manifest(folder.manifest)
    resumed = Session(folder, Storage(Place.of(folder.path)), space, tmp_path, tmp_path, None, begun)
    assert _begin(resumed, data, []).first_weights == weights
    assert read_manifest(folder.manifest).first_weights == weights
