"""Several tasks as a page: which backbone suits which, and does one suit all? Every word has its interval beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from lssat.markdown import markdown_table
from search.claims.estimate import Estimate
from search.claims.ranks import FEWEST_TASKS, critical_difference, mean_ranks
from search.claims.regret import Regrets, one_for_all, regrets
from search.claims.words import Claim, beside_best
from search.findings.told import Rule, told

BOUNDS = (
    "How far behind the best of a task, and between which bounds, which all hold together in 95% of cases. The "
    "probabilities are those of somebody who knew nothing beforehand. Differences within a task, above, have narrower "
    "bounds: they answer for that task alone."
)


def which_suits_which(found: Mapping[str, Estimate], rules: Mapping[str, Rule]) -> str:
    """Each task's scores with what they say of each backbone, by the rule of the task, and what would tell more."""
    claims = {
        task: {claim.arm: claim for claim in beside_best(of_task, rules[task].margin)}
        for task, of_task in found.items()
    }
    rows = [
        [backbone, *(_cell(found[task], of_task[backbone]) for task, of_task in claims.items())]
        for backbone in _by_mean_score(found)
    ]
    lines = [line for task, of_task in claims.items() for line in _said_of(task, found[task], of_task, rules[task])]
    title = "**Which backbone suits which task?** Mean scores of the final stage; differences to the task's best."
    return f"{title}\n\n{markdown_table(['backbone', *found], rows)}\n" + "\n".join(lines)


def which_suits_all(found: Mapping[str, Estimate], margin: float) -> str:
    """Regrets with their bounds, probabilities, and the sentence that they make."""
    of_all = regrets(found)
    title = f"**Does one suit all?** Within {margin:g} of the best in every task: {one_for_all(of_all, margin)}."
    header = ["backbone", *of_all.tasks, "best in all", f"within {margin:g} in all", ""]
    table = markdown_table(header, _regret_rows(of_all, margin))
    return f"{title}\n\n{table}\n{BOUNDS}\n\n{_ranks(found)}"


def _by_mean_score(found: Mapping[str, Estimate]) -> list[str]:
    """The backbones, the highest mean over tasks first."""
    arms = next(iter(found.values())).arms
    means = np.mean([of_task.means for of_task in found.values()], axis=0)
    return [arms[arm] for arm in np.argsort(-means, kind="stable")]


def _cell(found: Estimate, claim: Claim) -> str:
    """`0.9461 worse (-0.0310 to -0.0052)`."""
    bounds = "" if math.isnan(claim.low) else f" ({claim.low:+.4f} to {claim.high:+.4f})"
    return f"{found.means[found.arms.index(claim.arm)]:.4f} {claim.word}{bounds}"


def _said_of(task: str, found: Estimate, claims: Mapping[str, Claim], rule: Rule) -> Iterator[str]:
    """What a task's words rest on, or why there are none; and what it would take to tell more."""
    seeds = f"{min(found.runs)}" if min(found.runs) == max(found.runs) else f"{min(found.runs)} to {max(found.runs)}"
    why = next((claim.why for claim in claims.values() if claim.why), "")
    yield f"- {task}: {seeds} seeds, " + (f"cannot be told: {why}" if why else f"{found.units} validation units")
    for of in told(found, list(claims.values()), rule):
        if of.cost:
            yield f"  - {of.claim.arm} from {of.claim.beside}: {of.to_tell}"


def _regret_rows(found: Regrets, margin: float) -> Iterator[list[str]]:
    words, near, best = found.words(margin), found.near_in_all(margin), found.best_in_all
    order = sorted(range(len(found.arms)), key=lambda arm: found.seen[:, arm].max())
    for arm in order:
        sides = zip(found.seen[:, arm], found.low[:, arm], found.high[:, arm], strict=True)
        cells = (f"{seen:.4f} ({low:.4f} to {high:.4f})" if high < 1 else f"{seen:.4f}" for seen, low, high in sides)
        shares = ("-", "-") if found.troubles else (f"{best[arm]:.0%}", f"{near[arm]:.0%}")
        yield [found.arms[arm], *cells, *shares, str(words[found.arms[arm]])]


def _ranks(found: Mapping[str, Estimate]) -> str:
    """Mean ranks with Nemenyi's critical difference, or why there are none."""
    arms, tasks = next(iter(found.values())).arms, len(found)
    apart = critical_difference(len(arms), tasks)
    if tasks < FEWEST_TASKS:
        return (
            f"Ranks are not compared: over {tasks} tasks, mean ranks would have to lie {apart:.1f} apart (Nemenyi), of "
            f"{len(arms) - 1} at most. From {FEWEST_TASKS} tasks on they are."
        )
    of_arms = mean_ranks(np.array([of_task.means for of_task in found.values()]))
    listed = ", ".join(f"{arms[arm]} {of_arms[arm]:.2f}" for arm in np.argsort(of_arms))
    return f"Mean ranks over {tasks} tasks: {listed}. Those that lie more than {apart:.2f} apart differ (Nemenyi, 5%)."
