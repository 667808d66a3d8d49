"""What a study asks of its data is refused before anything starts where they do not hold it."""

import pytest

from lssat.config import ConfigError, DataConfig
from search.space.data_rules import check_sampling


def test_pairs_need_two_classes():
    for kind in ("multiclass", "multilabel"):
        with pytest.raises(ConfigError, match=rf"`data\.sampling` paired needs a task of two classes.*is {kind}; take"):
            check_sampling(DataConfig(sampling="paired"), kind, ())
    check_sampling(DataConfig(sampling="paired"), "binary", ())


def test_weights_need_the_column_that_tells_data_sets_apart():
    asked = DataConfig(weights={"a": 1.0})
    with pytest.raises(ConfigError, match=r"`data\.weights` needs the column `dataset`.*have method, Male;"):
        check_sampling(asked, "multilabel", ("method", "Male"))
    check_sampling(asked, "multilabel", ("method", "dataset"))
