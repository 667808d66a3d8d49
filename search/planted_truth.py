"""`python -m search.planted_truth`: say what may be said of studies whose truth is known, and write docs/claims.md.

2,000 studies of each kind take about seven minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lssat.command import exit_code, local_path
from lssat.config import ConfigError
from lssat.files import write_text
from lssat.markdown import markdown_table
from search.planted.one_for_all import FAMILIES, TASKS, TRUTHS, Truth, tally_families, tally_one_for_all
from search.planted.studies import Plant, draw_predictions
from search.planted.tally import Tally, tally, tally_today

OUTPUT = Path(__file__).parents[1] / "docs" / "claims.md"

PROSE = """\
# Claims: how often what is said of arms is false

Written by `{command}`:
{studies} planted studies of each kind, {today} of them under the paired t-tests over seeds that the tables use today
(`search/claims/paired.py`), and {files} of each kind drawn image by image and scored by balanced accuracy, with the
bootstrap. A cell is a share of studies in percent, with its 95% Monte Carlo limits.

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

Of three tasks, each a study of the same arms: **false**: of some arm it is falsely said that it suits all, or that it
does not, within the margin of 0.01. **today**: so by the rule before, which took one run of each arm and a margin of
0.02 (of which it is judged here). **held**: the bounds of all regrets in all tasks hold the truth. **told**: of every
arm it is said, and rightly, whether it suits all; leads are of 0.01 and 4 standard errors. **any family**: something
false is said in the comparison with the best, beside the baselines (both of one study), or of one for all; it should be
at most 10.
"""
OF_EQUALS = ("study", "false", "today", "false, texture", "today, texture", "pair", "table")
OF_A_LEADER = (
    "study",
    "named at 3 SE",
    "today, 3 SE",
    "named at 4 SE",
    "today, 4 SE",
    "sole best, 4 SE",
    "false, half lead",
    "at the margin",
)
OF_TASKS = ("study", "false", "today", "held", "told")
OF_FAMILIES = ("study", *FAMILIES, "any family")
TASK_PLANTS = tuple(Plant(arms, seeds, units) for arms in (4, 8) for seeds, units in ((3, 1000), (3, 4000), (10, 1000)))
FAMILY_PLANTS = (Plant(8, 3, 1000), Plant(16, 3, 1000), Plant(8, 10, 300))
"""Half of the arms are baselines."""
Goal = tuple[str, str, Callable[[tuple[float, float]], bool]]
"""In words; what is counted; whether its limits miss it."""
GOALS: tuple[Goal, ...] = (
    ("false in more than 5%", "false", lambda limits: limits[0] > 0.05),
    ("texture false in more than 5%", "texture", lambda limits: limits[0] > 0.05),
    ("half of the arms lead, false in more than 5%", "half false", lambda limits: limits[0] > 0.05),
    ("the interval of a named pair holds the truth in less than 93%", "pair holds", lambda limits: limits[1] < 0.93),
    ("named at 4 SE in less than 80%", "lead 4", lambda limits: limits[1] < 0.8),
)
GOALS_OF_TASKS: tuple[Goal, ...] = (
    ("one for all false in more than 5%", "false", lambda limits: limits[0] > 0.05),
    ("the bounds of all regrets hold in less than 95%", "held", lambda limits: limits[1] < 0.95),
)
GOALS_OF_FAMILIES: tuple[Goal, ...] = (
    ("something false in any family in more than 10%", "any", lambda limits: limits[0] > 0.1),
)
SPREAD = {"one arm's spread 2 times": 0.02, "one arm's spread 3 times": 0.03}
DRAWN_BY_IMAGE = ((3, 300), (5, 1000))
"""Seeds and images."""
FEWER_TODAY = 4
"""The paired t-tests are so much slower; they get a share of the studies."""


def main() -> int:
    """Simulate and write the page. 0: done, 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m search.planted_truth", description=__doc__)
    parser.add_argument("--studies", type=int, default=2000, help="planted studies of each kind; default: 2000")
    parser.add_argument("--files", type=int, default=200, help="of each kind, drawn image by image; default: 200")
    parser.add_argument(
        "--output", type=local_path, default=OUTPUT, help="where the page goes; default: docs/claims.md"
    )
    arguments = parser.parse_args()
    return exit_code(lambda: _write(arguments.studies, arguments.files, arguments.output))


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


def page(studies: int, files: int, command: str) -> str:
    """The page as Markdown."""
    today = max(studies // FEWER_TODAY, 1)
    equals, leaders, found = [], [], {}
    for name, plant in kinds().items():
        print(name, file=sys.stderr)
        new, old = tally(plant, studies), tally_today(plant, today)
        found[name] = new
        equals.append(_cells_of_equals(name, new, old))
        leaders.append(_cells_of_a_leader(name, new, old))
    drawn = [
        _cells_of_files(f"{seeds} seeds, {units} images", Plant(4, seeds, units), files)
        for seeds, units in DRAWN_BY_IMAGE
    ]
    tasks = _each(TASK_PLANTS, tally_one_for_all, studies)
    families = _each(FAMILY_PLANTS, tally_families, studies)
    prose = PROSE.format(command=command, studies=studies, today=today, files=files)
    sections = [
        ("All arms are equal", OF_EQUALS, equals),
        ("Some arms lead", OF_A_LEADER, leaders),
        ("Image by image, 4 equal arms", ("study", "false", "pair", "table"), drawn),
        ("Does one suit all of three tasks?", OF_TASKS, _rows(tasks, ("false", "today", "held", "all told"))),
        ("All families of claims together", OF_FAMILIES, _rows(families, (*FAMILIES, "any"))),
    ]
    tables = [f"\n## {title}\n\n{markdown_table(header, rows, header[1:])}" for title, header, rows in sections]
    missed = [*_missed(GOALS, found), *_missed(GOALS_OF_TASKS, tasks), *_missed(GOALS_OF_FAMILIES, families)]
    return prose + "\n## Where a goal is missed, beyond the Monte Carlo limits\n\n" + "".join(missed) + "".join(tables)


def _write(studies: int, files: int, output: Path) -> None:
    for option, number in (("--studies", studies), ("--files", files)):
        if number < 1:
            raise ConfigError(f"`{option} >= 1` must hold, but got {number}")
    command = f"python -m search.planted_truth --studies {studies} --files {files}"
    write_text(output, page(studies, files, command))


def _missed(goals: Sequence[Goal], found: Mapping[str, Tally]) -> Iterator[str]:
    """Of each goal, where it is missed by more than Monte Carlo luck."""
    for words, what, is_missed in goals:
        missed = [f"{name} ({100 * of.share(what):.1f})" for name, of in found.items() if is_missed(of.limits(what))]
        line = f"- {words}: {'; '.join(missed) or 'in none'}."
        yield "\n".join(textwrap.wrap(line, 120, subsequent_indent="  ")) + "\n"


def _first_seeds(seeds: int, counts: Sequence[int]) -> tuple[tuple[bool, ...], ...]:
    """Arms that ran from the first so many of the seeds each."""
    return tuple(tuple(seed < count for seed in range(seeds)) for count in counts)


def _cells_of_equals(name: str, new: Tally, old: Tally) -> list[str]:
    shares = [(new, "false"), (old, "false"), (new, "texture"), (old, "texture"), (new, "pair holds")]
    return [name, *(_percent(*share) for share in [*shares, (new, "shown holds")])]


def _cells_of_a_leader(name: str, new: Tally, old: Tally) -> list[str]:
    shares = [(new, "lead 3"), (old, "lead 3"), (new, "lead 4"), (old, "lead 4"), (new, "sole 4")]
    return [name, *(_percent(*share) for share in [*shares, (new, "half false"), (new, "margin false")])]


def _cells_of_files(name: str, plant: Plant, studies: int) -> list[str]:
    found = tally(plant, studies, draw_predictions)
    return [name, *(_percent(found, what) for what in ("false", "pair holds", "shown holds"))]


def _each(plants: Sequence[Plant], counted: Callable[[Plant, Truth, int], Tally], studies: int) -> dict[str, Tally]:
    """The counts of each kind of study with each truth."""
    found = {}
    for plant in plants:
        kind = f"{TASKS} tasks, {plant.arms} arms, {plant.seeds} seeds, {plant.units} units"
        for name, truth in TRUTHS.items():
            found[f"{kind}: {name}"] = counted(plant, truth, studies)
    return found


def _rows(found: Mapping[str, Tally], shares: Sequence[str]) -> list[list[str]]:
    return [[name, *(_percent(of, what) for what in shares)] for name, of in found.items()]


def _percent(found: Tally, what: str) -> str:
    low, high = found.limits(what)
    return f"{100 * found.share(what):.1f} ({100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    sys.exit(main())
