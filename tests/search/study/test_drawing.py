"""Rows that are to be drawn must fit into memory: that is said once, before any trial."""

import numpy as np
import pytest

from lssat.errors import ConfigError
from lssat.on_ray.ingest import Split
from lssat.settings.data import DataConfig
from lssat.storage.place import Place
from lssat.task import Task
from search.record.folder import RunFolder, Storage
from search.study.context import Study, check_drawing


def study(path, kind, resident):
    task = Task("smiling", kind, ("no", "yes"), (5, 5), 10)
    split = Split((), np.ones(0, bool), 32, 1, resident)
    return Study(RunFolder(path), Storage(Place.of(path)), None, task, path, {1: {"train": split}})


@pytest.mark.parametrize("asked", [{"sampling": "balanced"}, {"sampling": "paired"}, {"weights": {"a": 1.0}}])
def test_streamed_rows_are_refused_where_rows_are_to_be_drawn(tmp_path, asked):
    with pytest.raises(ConfigError, match=r"`data\.(sampling|weights)`.* needs data that fit into memory"):
        check_drawing(study(tmp_path, "binary", None), DataConfig(**asked))
    check_drawing(study(tmp_path, "binary", ()), DataConfig(**asked))


def test_streamed_rows_that_come_once_are_not(tmp_path):
    check_drawing(study(tmp_path, "binary", None), DataConfig())
    check_drawing(study(tmp_path, "multilabel", None), DataConfig(sampling="balanced"))
