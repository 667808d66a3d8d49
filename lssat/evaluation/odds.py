"""Equalised odds: the largest difference between groups of the rate at which a class is found where it is (true
positives) or is not (false positives), over the classes or labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lssat.evaluation.metrics import Array
from lssat.evaluation.predictions import Predictions
from lssat.evaluation.uncertainty import FEWEST_UNITS, counts_of_resamples, interval, joint_halves

LEAST_ROWS = 10  # of a group that is scored, or of a class in it whose rate counts


class Odds(NamedTuple):
    """The largest difference: whose rate of which class is above whose. `rate`: "true positives" or "false positives".
    `column`: of the class or label. `interval`: joint with all other differences of rates; None where `why` says so.
    """

    difference: float
    column: int
    rate: str
    high: str
    low: str
    interval: tuple[float, float] | None = None
    why: str = ""


class _Rate(NamedTuple):
    """A rate of one group: the rows that it is taken over, and which of them are found."""

    group: str
    column: int
    is_true: bool
    rows: Array
    found: Array

    @property
    def value(self) -> float:
        return float(self.found.mean())


def equalised_odds(kind: str, predictions: Predictions, groups: Mapping[str, Array], units: Array) -> Odds | None:
    """groups: the rows of each by name; units [N]: what is resampled. None where no rate of two groups can be had.

    Rates over fewer than LEAST_ROWS rows are left out. What is resampled are signed differences of rates of two groups,
    over at least FEWEST_UNITS units each: the largest of absolute values is never 0, nor is any resample's.
    """
    found = _pairs(_rates(kind, predictions, groups))
    if not found:
        return None
    named = max(range(len(found)), key=lambda index: found[index][0].value - found[index][1].value)
    high, low = found[named]
    rate = "true positives" if high.is_true else "false positives"
    odds = Odds(high.value - low.value, high.column, rate, high.group, low.group)
    fewest = min(len(np.unique(units[each.rows])) for each in (high, low))
    if fewest < FEWEST_UNITS:
        return odds._replace(why=f"too few independent units ({fewest}; an interval takes {FEWEST_UNITS})")
    enough = [pair for pair in found if all(len(np.unique(units[each.rows])) >= FEWEST_UNITS for each in pair)]
    half = _halves(enough, units)[enough.index(found[named])]
    why = "the rates have no spread" if np.isnan(half) else ""
    return odds._replace(interval=interval(odds.difference, half), why=why)


def _rates(kind: str, predictions: Predictions, groups: Mapping[str, Array]) -> list[_Rate]:
    logits, labels = predictions
    if kind == "multiclass":
        classes = np.arange(logits.shape[1])
        predicted, true = logits.argmax(1)[:, None] == classes, labels[:, None] == classes
    else:
        predicted, true = logits > 0, labels.reshape(len(labels), -1) == 1
    found = []
    for column in range(predicted.shape[1]):
        for is_true in (True, False):
            for name, rows in groups.items():
                cell = rows[true[rows, column] == is_true]
                if len(cell) >= LEAST_ROWS:
                    found.append(_Rate(name, column, is_true, cell, predicted[cell, column]))
    return found


def _pairs(rates: Sequence[_Rate]) -> list[tuple[_Rate, _Rate]]:
    """Each two groups' rates of the same class and truth, the higher one first."""
    of_cell: dict[tuple[int, bool], list[_Rate]] = {}
    for rate in rates:
        of_cell.setdefault((rate.column, rate.is_true), []).append(rate)
    found = []
    for each in of_cell.values():
        ordered = sorted(each, key=lambda rate: -rate.value)
        found += [(high, low) for place, high in enumerate(ordered) for low in ordered[place + 1 :]]
    return found


def _halves(pairs: Sequence[tuple[_Rate, _Rate]], units: Array) -> Array:
    counts = counts_of_resamples(units)

    def drawn(rate: _Rate) -> Array:
        of_rows = counts[:, rate.rows]
        total = of_rows.sum(axis=1)
        hits = of_rows @ rate.found.astype(np.float32)
        return np.asarray(np.divide(hits, total, out=np.full(len(total), np.nan), where=total > 0))

    of_rate = {id(rate): drawn(rate) for pair in pairs for rate in pair}
    differences = np.array([high.value - low.value for high, low in pairs])
    return joint_halves(differences, np.array([of_rate[id(high)] - of_rate[id(low)] for high, low in pairs]).T)
