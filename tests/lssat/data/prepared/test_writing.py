"""What is said of data of which too much cannot be used."""

from pathlib import Path

import pytest

from lssat.data.prepared.table import Reject
from lssat.data.prepared.writing import check_listed, check_rejects
from lssat.errors import ConfigError

REJECTS = [
    *(Reject(row, "unknown split `dev`") for row in range(5)),
    Reject(5, "unknown split `holdout`"),
    *(Reject(row, f"no face in any of {row} frames") for row in (6, 7, 8)),
    *(Reject(row, "no image bytes") for row in (9, 10)),
    Reject(11, "file not found"),
]


def test_the_commonest_reasons_keep_the_names_that_are_in_them(tmp_path: Path) -> None:
    expected = (
        r"12 of 100 .* allows: unknown split `dev` and the like \(6\), no face in any of 6 frames and the like \(3\), "
        r"no image bytes \(2\); all are listed in .*set.rejects.csv; .* `data.max_rejects: 0.12`$"
    )
    with pytest.raises(ConfigError, match=expected):
        check_rejects(tmp_path / "set", REJECTS, 100, 0.11)
    assert len((tmp_path / "set.rejects.csv").read_text().splitlines()) == 1 + 12
    check_rejects(tmp_path / "set", REJECTS, 100, 0.12)  # as advised


def test_before_anything_is_opened_the_advice_says_so() -> None:
    with pytest.raises(ConfigError, match=r"unknown split `dev` \(5\); the first: 0, 1, 2; .* no image was opened yet"):
        check_listed(REJECTS[:5], 100, 0.01)
    check_listed(REJECTS[:5], 100, 0.05)
