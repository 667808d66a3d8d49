"""Whether a study may go on with data that an older version has read."""

from __future__ import annotations

from pathlib import Path

import pytest

from lssat.config import ConfigError
from lssat.data.prepare.detection import DETECTOR
from lssat.data.prepared.table import DatasetInfo, changed_fingerprint, detected_fingerprint
from search.record.manifest import Manifest
from search.study.session import _check_read_alike


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
