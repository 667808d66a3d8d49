"""What a comparison of arms tells of each setting by itself: the contrasts of arms in which it alone changes.

A setting is compared within strata: arms that agree in all others. So nothing of the others comes in, whatever they do
together and whichever runs are missing (sums of squares of type II). Left out of the strata is what hangs on the
setting itself: what is drawn for some of its values only, and what each of its values brings with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.claims.runs import Array

Levels = Mapping[str, Mapping[str, str | None]]
"""Factor -> arm -> its value; None where the arm does not have the factor."""
Column = tuple[str | None, ...]
SMALL = 1e-9


@dataclass(frozen=True)
class Factor:
    """contrasts [A, Q]: orthonormal, of the arms' means. Where there are none, the factor was never varied by itself:
    `confounded` names those that always change with it. `apart`: its values that no other can be compared with.
    """

    name: str
    contrasts: Array
    confounded: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


def factors_of(arms: Sequence[str], levels: Levels) -> list[Factor]:
    """The factors that vary over these arms. Those that are one and the same in all arms become one more factor."""
    columns = {name: tuple(values.get(arm) for arm in arms) for name, values in levels.items()}
    columns = {name: column for name, column in columns.items() if len(set(column)) > 1}
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, column in columns.items():
        groups.setdefault(_partition(column), []).append(name)
    merged = {together(names): columns[names[0]] for names in groups.values()}
    found = []
    for names in groups.values():
        factor = _factor(together(names), merged)
        found.append(factor)
        if len(names) > 1:
            found += [_lost(name, len(arms), [other for other in names if other != name]) for name in names]
    return found


def together(names: Sequence[str]) -> str:
    """The name of a factor of which several settings are one and the same."""
    return " with ".join(names)


def additive_space(arms: Sequence[str], levels: Levels) -> Array:
    """An orthonormal basis [A, Q] of what the factors make of the arms where each does the same whatever the others
    are; the common mean is left out.
    """
    dummies = [_dummies([values.get(arm) for arm in arms]) for values in levels.values()]
    return _basis(_centred(np.hstack(dummies)) if dummies else np.zeros((len(arms), 0)))


def complement(space: Array) -> Array:
    """An orthonormal basis [A, Q] of the differences of arms that are orthogonal to a space."""
    others = _centred(np.eye(len(space)))
    return _basis(others - space @ (space.T @ others))


def always_with(columns: Mapping[str, Column]) -> dict[str, tuple[str, ...]]:
    """Of trials that are no grid: each setting that is a matter of another one, with those that decide it. columns:
    the value in each trial. A setting with a value of its own in nearly every trial decides nothing, nor does one that
    is drawn for some values of the other only, and has several there: the other decides.
    """
    found = {}
    for name, column in columns.items():
        others = [
            other
            for other, values in columns.items()
            if other != name
            and 1 < len(set(values)) <= len(values) / 2
            and determines(values, column)
            and (determines(column, values) or not _is_drawn_for_some(values, column))
        ]
        if others:
            found[name] = tuple(others)
    return found


def determines(one: Column, other: Column) -> bool:
    """Whether every value of one occurs with a single value of the other."""
    return len(set(zip(one, other, strict=True))) == len(set(one))


def _factor(name: str, columns: Mapping[str, Column]) -> Factor:
    own = columns[name]
    used = np.array([value is not None for value in own])
    others = {other: column for other, column in columns.items() if other != name and not _hangs_on(column, own)}
    contrasts, apart = _within(own, used, list(others.values()))
    if contrasts.shape[1]:
        return Factor(name, contrasts, (), apart)
    return _lost(name, len(own), _companions(own, used, others))


def _lost(name: str, arms: int, companions: Sequence[str]) -> Factor:
    return Factor(name, np.zeros((arms, 0)), tuple(companions))


def _companions(own: Column, used: Array, others: Mapping[str, Column]) -> list[str]:
    """Those without which it would vary; where no single one is to blame, all that vary with it."""
    if len({value for value in own if value is not None}) == 1:  # it is there, or it is not
        return [other for other, column in others.items() if determines(column, own)] or list(others)
    single = []
    for other in others:
        rest = [column for name, column in others.items() if name != other]
        if _within(own, used, rest)[0].shape[1]:
            single.append(other)
    return single or list(others)


def _within(own: Column, used: Array, others: Sequence[Column]) -> tuple[Array, tuple[str, ...]]:
    """The contrasts within strata of the others, and the values that no stratum has beside another."""
    kept = np.flatnonzero(used)
    strata = [tuple(column[arm] for column in others) for arm in kept]
    within = _dummies(strata)
    means = within @ (within / within.sum(axis=0)).T
    values = [own[arm] for arm in kept]
    changes = _dummies(values)
    changes = changes - means @ changes
    names = list(dict.fromkeys(values))
    apart = tuple(
        str(value) for value, column in zip(names, changes.T, strict=True) if not np.abs(column).max() > SMALL
    )
    contrasts = np.zeros((len(own), 0))
    basis = _basis(changes)
    if basis.shape[1]:
        contrasts = np.zeros((len(own), basis.shape[1]))
        contrasts[kept] = basis
    return contrasts, apart


def _hangs_on(column: Column, own: Column) -> bool:
    """Whether a factor is a matter of this one: its value goes with this one's, or it is there for some values only."""
    return determines(own, column) or _is_drawn_for_some(column, own)


def _is_drawn_for_some(column: Column, own: Column) -> bool:
    """Whether a factor is there for some values of this one only."""
    there = {value: False for value in own if value is not None}
    for value, other in zip(own, column, strict=True):
        if value is not None:
            there[value] |= other is not None
    return len(set(there.values())) == 2


def _partition(column: Column) -> tuple[int, ...]:
    numbers: dict[str | None, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in column)


def _dummies(values: Sequence[object]) -> Array:
    kinds = list(dict.fromkeys(values))
    return np.array([[float(value == kind) for kind in kinds] for value in values])


def _centred(matrix: Array) -> Array:
    return np.asarray(matrix - matrix.mean(axis=0))


def _basis(matrix: Array) -> Array:
    """An orthonormal basis of the columns."""
    if not matrix.size:
        return np.zeros((len(matrix), 0))
    left, sizes, _ = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left[:, sizes > SMALL])
