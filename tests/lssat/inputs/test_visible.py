"""How many cells a mask shows, and which grids are refused; none of it needs torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lssat.errors import ConfigError
from lssat.inputs.mask_rule import check_grid, mask_ratio, num_visible


@pytest.mark.parametrize(
    ("cells", "ratio", "visible"), [(16, 0.75, 4), (49, 0.75, 12), (196, 0.75, 49), (64, 0.6, 25), (16, 0.01, 15)]
)
def test_visible_cells_are_rounded_down(cells: int, ratio: float, visible: int) -> None:
    assert num_visible(cells, ratio) == visible


@pytest.mark.parametrize(
    ("ratio", "left"), [(0.99, "no patch visible"), (1.0, "no patch visible"), (0.0, "no patch hidden")]
)
def test_all_or_nothing_is_refused(ratio: float, left: str) -> None:
    with pytest.raises(ConfigError, match=rf"`masking\.ratio`.*16 patches.*{ratio}.*{left}; move the ratio"):
        num_visible(16, ratio)


def test_ratio_is_the_one_asked_for_or_that_of_the_way_of_masking() -> None:
    assert [mask_ratio(asked, "tokens") for asked in (None, 0.5)] == [0.75, 0.5]
    assert [mask_ratio(asked, "pyramid") for asked in (None, 0.5)] == [0.6, 0.5]


@pytest.mark.parametrize(
    ("size", "unit", "rule"), [(64, 14, "must be a multiple of"), (64, 32, "at least 16 mask units")]
)
def test_grids_that_do_not_fit_are_refused(size: int, unit: int, rule: str) -> None:
    with pytest.raises(ConfigError, match=f"{rule}.*`backbone.patch_size`"):
        check_grid(size, unit, "backbone.patch_size")


def test_a_unit_of_the_backbones_own_is_not_to_be_changed() -> None:
    for size, advice in ((80, "units of 32 pixels; change `data.image_size`"), (96, "pixels; raise `data.image_size`")):
        with pytest.raises(ConfigError, match=advice):
            check_grid(size, 32)


def test_rules_need_no_torch() -> None:
    code = "import sys, lssat.inputs.mask_rule; assert not {'torch', 'timm', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
