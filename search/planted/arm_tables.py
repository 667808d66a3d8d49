"""The part of docs/claims.md on arms beside the best and beside their baselines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from lssat.text.markdown import markdown_table
from search.claims.runs import Runs
from search.planted.cells import SEED, Goal, missed_goals, percent
from search.planted.studies import Plant
from search.planted.tally import Tally, tally, tally_earlier

PROSE = """\
# Claims: how often what is said of arms is false

Written by `{command}`:
{studies} planted studies of each kind, {earlier} of them under the earlier rule, paired t-tests over seeds
(`search/planted/earlier_rule.py`), and {files} of each kind drawn image by image, written as the files of a study and
read back from its kept predictions (balanced accuracy, with the bootstrap). A cell is a share of studies in percent,
with its 95% Monte Carlo limits.

- **false**: all arms are equal, and yet some arm is called worse, or one the best. It should be at most 5.
- **false, texture**: all arms are equal, and yet some arm is called better or worse than its supervised baseline.
- **pair**, **table**: the interval of a named pair holds the truth; all intervals of the table, beside its first arm,
  hold it.
- **named at 3 SE, 4 SE**: the first arm is ahead of all others by 3 or 4 standard errors of a difference (as if the
  variances were equal and all runs there); the share in which a named other is called worse. **sole best**: all
  others are, so that the first is called best.
- **false, half lead**: some claim is false where half of the arms are ahead of the others by 4 standard errors; **at
  the margin**: where the first arm is ahead by the margin of equivalence (0.01).

The seeds' common effect and a run's own luck have a standard deviation of 0.01 each. Over images that of the score is
0.3 for what all arms share, 0.14 for what an arm does differently from every seed, 0.2 for what a single run does.
"""
OF_EQUALS = ("study", "false", "earlier", "false, texture", "earlier, texture", "pair", "table")
OF_A_LEADER = (
    "study",
    "named at 3 SE",
    "earlier, 3 SE",
    "named at 4 SE",
    "earlier, 4 SE",
    "sole best, 4 SE",
    "false, half lead",
    "at the margin",
)
GOALS: tuple[Goal, ...] = (
    ("false in more than 5%", "false", lambda limits: limits[0] > 0.05),
    ("texture false in more than 5%", "texture", lambda limits: limits[0] > 0.05),
    ("half of the arms lead, false in more than 5%", "half false", lambda limits: limits[0] > 0.05),
    ("the interval of a named pair holds the truth in less than 93%", "pair holds", lambda limits: limits[1] < 0.93),
    ("named at 4 SE in less than 80%", "lead 4", lambda limits: limits[1] < 0.8),
)
SPREAD = {"one arm's spread 2 times": 0.02, "one arm's spread 3 times": 0.03}
DRAWN_BY_IMAGE = ((3, 300), (5, 1000))
"""Seeds and images."""
FEWER_EARLIER = 4
"""The paired t-tests are so much slower; they get a share of the studies."""


def kinds() -> dict[str, Plant]:
    """The kinds of studies, by what is said of them."""
    found = {
        f"{arms} arms, {seeds} seeds, {units} units": Plant(arms, seeds, units)
        for arms in (4, 8)
        for seeds in (3, 5, 10)
        for units in (300, 1000, 4000)
    }
    found["4 arms, 5 seeds, 100 units"] = Plant(4, 5, 100)
    found["the arms agree much per image"] = Plant(4, 5, arm_sd=0.07, unit_sd=0.1)
    found["they agree little"] = Plant(4, 5, arm_sd=0.28, unit_sd=0.3)
    found["only seeds matter"] = Plant(4, 3, common_sd=0.01, arm_sd=0.0, unit_sd=0.001)
    found["large common effect of seeds"] = Plant(4, 5, seed_sd=0.05)
    found["unequal seeds: 10, 10, 5, 3"] = Plant(4, 10, kept=_first_seeds(10, (10, 10, 5, 3)))
    found["no seed in common"] = Plant(4, 5, strange_seeds=True)
    missing = ((True, True, True), (True, False, True), (True, True, True), (False, True, True))
    found["3 seeds, two runs missing"] = Plant(4, 3, kept=missing)
    for words, luck in SPREAD.items():
        for arms, seeds in ((4, 3), (4, 5), (4, 10), (8, 3), (8, 10)):
            found[f"{words}, {arms} arms, {seeds} seeds"] = Plant(arms, seeds, run_sd=(luck, *[0.01] * (arms - 1)))
    for seeds, units in ((3, 1000), (10, 300)):
        found[f"4 finalists of 12, {seeds} seeds, {units} units"] = Plant(4, seeds, units, candidates=12)
        with_baselines = Plant(8, seeds, units, candidates=12, baselines=4)
        found[f"the same with baselines, {seeds} seeds, {units} units"] = with_baselines
    return found


def arm_tables(
    studies: int, files: int, command: str, through_files: Callable[[Plant, np.random.Generator], Runs]
) -> str:
    """Markdown. `through_files` draws a study image by image and reads it from files, `files` times for each kind."""
    earlier = max(studies // FEWER_EARLIER, 1)
    equals, leaders, found = [], [], {}
    for name, plant in kinds().items():
        print(name, file=sys.stderr)
        new, old = tally(plant, studies, seed=SEED), tally_earlier(plant, earlier, seed=SEED)
        found[name] = new
        equals.append(_cells_of_equals(name, new, old))
        leaders.append(_cells_of_a_leader(name, new, old))
    drawn = []
    for seeds, units in DRAWN_BY_IMAGE:
        of_files = tally(Plant(4, seeds, units), files, through_files, SEED)
        shares = (percent(of_files, what) for what in ("false", "pair holds", "shown holds"))
        drawn.append([f"{seeds} seeds, {units} images", *shares])
    sections = [
        ("All arms are equal", OF_EQUALS, equals),
        ("Some arms lead", OF_A_LEADER, leaders),
        ("Image by image, 4 equal arms", ("study", "false", "pair", "table"), drawn),
    ]
    tables = [f"\n## {title}\n\n{markdown_table(header, rows, header[1:])}" for title, header, rows in sections]
    prose = PROSE.format(command=command, studies=studies, earlier=earlier, files=files)
    return prose + missed_goals(GOALS, found) + "".join(tables)


def _first_seeds(seeds: int, counts: Sequence[int]) -> tuple[tuple[bool, ...], ...]:
    """Arms that ran from the first so many of the seeds each."""
    return tuple(tuple(seed < count for seed in range(seeds)) for count in counts)


def _cells_of_equals(name: str, new: Tally, old: Tally) -> list[str]:
    shares = [(new, "false"), (old, "false"), (new, "texture"), (old, "texture"), (new, "pair holds")]
    return [name, *(percent(*share) for share in [*shares, (new, "shown holds")])]


def _cells_of_a_leader(name: str, new: Tally, old: Tally) -> list[str]:
    shares = [(new, "lead 3"), (old, "lead 3"), (new, "lead 4"), (old, "lead 4"), (new, "sole 4")]
    return [name, *(percent(*share) for share in [*shares, (new, "half false"), (new, "margin false")])]
