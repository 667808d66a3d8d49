"""What a study asks of its data is refused before anything starts where they do not hold it."""

import pytest

from lssat.errors import ConfigError
from lssat.settings.data import DataConfig
from search.space.data_rules import check_sampling


def test_pairs_need_two_classes():
    for kind in ("multiclass", "multilabel"):
        with pytest.raises(ConfigError, match=rf"`data\.sampling` paired needs a task of two classes.*is {kind}; take"):
            check_sampling(DataConfig(sampling="paired"), False, kind, ())
    check_sampling(DataConfig(sampling="paired"), False, "binary", ())


def test_weights_need_the_column_that_tells_data_sets_apart():
    asked = DataConfig(weights={"a": 1.0})
    with pytest.raises(ConfigError, match=r"`data\.weights` needs the column `dataset`.*have method, Male;"):
        check_sampling(asked, False, "multilabel", ("method", "Male"))
    check_sampling(asked, False, "multilabel", ("method", "dataset"))


def test_classes_are_not_weighted_as_the_data_have_them_where_rows_are_drawn_otherwise() -> None:
    asked = DataConfig(weights={"a": 9.0, "b": 1.0})
    with pytest.raises(ConfigError, match=r"`optim.class_balanced` weights classes as the data have them"):
        check_sampling(asked, True, "binary", ("dataset",))
    check_sampling(asked.model_copy(update={"sampling": "balanced"}), True, "binary", ("dataset",))
