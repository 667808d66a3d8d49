"""What `python -m lssat.evaluate` shows by class and by attribute."""

import io

import numpy as np

from lssat.evaluate import show
from lssat.evaluation.classes import tables_by_class
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.units import RowTexts
from lssat.task import Task
from lssat.text.console import SafeConsole


def on_screen(kind, classes, predictions, width):
    nothing = np.full(len(predictions.labels), "")
    task = Task("t", kind, tuple(classes), (1,) * len(classes), len(classes))
    card = tables_by_class(task, predictions, RowTexts(nothing, nothing, {}))
    score = {"metric": "accuracy", "score": 0.5, "interval": None, "interval_why": "few"}
    out = io.StringIO()
    show(SafeConsole(file=out, width=width), {**score, **card})
    return out.getvalue()


def cells(said):
    return [line.replace("│", " ").split() for line in said.splitlines()]


def test_a_table_of_confusion_has_its_classes_by_name_or_where_these_do_not_fit_by_number():
    names = [f"a class of a long name {number}" for number in range(6)]
    labels = np.arange(60) % 6
    predictions = Predictions(np.eye(6)[labels], labels)
    wide, narrow = (on_screen("multiclass", names, predictions, width) for width in (250, 80))
    assert wide.count(names[5]) == 3, "by class, as truth and as prediction"
    assert narrow.count(names[5]) == 2 and "6 a class of a long name 5" in narrow
    assert "truth \\ prediction" in wide and "truth \\ prediction" in narrow
    assert "no room" not in wide + narrow and max(map(len, narrow.splitlines())) <= 80


def test_what_is_undefined_is_explained_and_names_are_not_obeyed():
    """A class that nothing is of, and one that nothing is taken for, whose name would colour the screen."""
    names, labels = ("a", "b\x1b[31m", "c"), np.array([0, 0, 1, 1])
    said = on_screen("multiclass", names, Predictions(np.eye(3)[[0, 0, 2, 0]], labels), 100)
    assert "\x1b" not in said
    assert ["c", "0.0000", "-", "0.0000", "0", "1"] in cells(said)
    assert ["b\\x1b[31m", "-", "0.0000", "0.0000", "2", "0"] in cells(said)
    assert "  -: undefined" in said
    assert "undefined" not in on_screen("multiclass", "abc", Predictions(np.eye(3), np.arange(3)), 100)


def test_forty_attributes_have_a_row_each():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (50, 40))
    labels[:, 7] = 0
    names = [f"attribute-{column}" for column in range(40)]
    said = on_screen("multilabel", names, Predictions(random.normal(size=(50, 40)), labels), 140)
    assert [line[0] for line in cells(said) if line and line[0].startswith("attribute-")] == names
    (lacking,) = [line for line in cells(said) if line[:1] == ["attribute-7"]]
    assert lacking[-2:] == ["-", "-"] and "balanced_accuracy" in said and "auc" in said
