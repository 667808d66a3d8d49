"""`python -m search.planted_truth`: say what may be said of studies whose truth is known, and write docs/claims.md.

2,000 studies of each kind take about nine minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lssat.command import exit_code, local_path
from lssat.config import ConfigError
from lssat.files import write_text
from lssat.markdown import markdown_table
from search.claims.power import smallest_gap
from search.claims.runs import Runs
from search.planted.files import write_study
from search.planted.power import named_gap
from search.planted.role_tables import role_tables
from search.planted.studies import Plant, draw_answers
from search.planted.tally import Tally, tally, tally_earlier
from search.record.folder import RunFolder, Stage
from search.report.scored_runs import scored_runs

OUTPUT = Path(__file__).parents[1] / "docs" / "claims.md"

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
GOALS: tuple[tuple[str, str, Callable[[tuple[float, float]], bool]], ...] = (
    ("false in more than 5%", "false", lambda limits: limits[0] > 0.05),
    ("texture false in more than 5%", "texture", lambda limits: limits[0] > 0.05),
    ("half of the arms lead, false in more than 5%", "half false", lambda limits: limits[0] > 0.05),
    ("the interval of a named pair holds the truth in less than 93%", "pair holds", lambda limits: limits[1] < 0.93),
    ("named at 4 SE in less than 80%", "lead 4", lambda limits: limits[1] < 0.8),
)
"""In words; what is counted; whether its limits miss it."""
SPREAD = {"one arm's spread 2 times": 0.02, "one arm's spread 3 times": 0.03}
DRAWN_BY_IMAGE = ((3, 300), (5, 1000))
"""Seeds and images."""
POWER_PROSE = """\

## Which difference is seen

By how much the best arm must be ahead of all others so that a named one of them is called worse in 80% of {studies}
planted studies, in points of the score; in brackets, in standard deviations of a run's own luck (0.01). Columns: so
many validation units; `reckoned`: what `--plan` says beforehand (`search/claims/power.py`) of 1000 units.

{table}
The cost grows with the number of seeds. A third seed is worth it: half more cost, and what is seen shrinks by a third.
From 3 to 5 two thirds more cost buy a sixth with 1000 units (a seventh with 300, a quarter with 4000: what the choice
of units does no seed makes smaller), from 5 to 10 twice the cost buys a fifth. An arm that spreads more than the others
is told from luck from 5 seeds on, too (its false claims above). So `search.final_seeds` is 5 by default.
"""
POWER_SEEDS = (2, 3, 4, 5, 7, 10)
POWER_UNITS = (300, 1000, 4000)
FEWER_EARLIER = 4
"""The paired t-tests are so much slower; they get a share of the studies."""


def main() -> int:
    """Simulate and write the page. 0: done, 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m search.planted_truth", description=__doc__)
    parser.add_argument("--studies", type=int, default=2000, help="planted studies of each kind; default: 2000")
    parser.add_argument("--files", type=int, default=200, help="of each kind, by way of prediction files; default: 200")
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


def through_files(plant: Plant, generator: np.random.Generator) -> Runs:
    """A study of equal arms, drawn image by image, as it is read from files like those that a real one leaves."""
    with tempfile.TemporaryDirectory() as folder:
        study = RunFolder(Path(folder))
        return scored_runs(study, Stage.FINAL, write_study(study, draw_answers(plant, generator)))


def page(studies: int, files: int, command: str) -> str:
    """The page as Markdown."""
    earlier = max(studies // FEWER_EARLIER, 1)
    equals, leaders, found = [], [], {}
    for name, plant in kinds().items():
        print(name, file=sys.stderr)
        new, old = tally(plant, studies), tally_earlier(plant, earlier)
        found[name] = new
        equals.append(_cells_of_equals(name, new, old))
        leaders.append(_cells_of_a_leader(name, new, old))
    drawn = [
        _cells_of_files(f"{seeds} seeds, {units} images", Plant(4, seeds, units), files)
        for seeds, units in DRAWN_BY_IMAGE
    ]
    prose = PROSE.format(command=command, studies=studies, earlier=earlier, files=files)
    sections = [
        ("All arms are equal", OF_EQUALS, equals),
        ("Some arms lead", OF_A_LEADER, leaders),
        ("Image by image, 4 equal arms", ("study", "false", "pair", "table"), drawn),
    ]
    tables = [f"\n## {title}\n\n{markdown_table(header, rows, header[1:])}" for title, header, rows in sections]
    return prose + _beyond(found) + "".join(tables) + role_tables(studies) + power_section(studies)


def power_section(studies: int) -> str:
    """The part of the page from which the default of `search.final_seeds` is taken."""
    rows = []
    for arms in (4, 8):
        for seeds in POWER_SEEDS:
            gaps = [named_gap(Plant(arms, seeds, units), studies) for units in POWER_UNITS]
            cells = [f"{gap:.3f} ({gap / Plant().luck[0]:.1f})" for gap in gaps]
            rows.append([f"{arms} arms, {seeds} seeds", *cells, f"{smallest_gap(arms, seeds, 1000):.3f}"])
    header = ("study", *(f"{units} units" for units in POWER_UNITS), "reckoned")
    return POWER_PROSE.format(studies=studies, table=markdown_table(header, rows, header[1:]))


def _write(studies: int, files: int, output: Path) -> None:
    for option, number in (("--studies", studies), ("--files", files)):
        if number < 1:
            raise ConfigError(f"`{option} >= 1` must hold, but got {number}")
    command = f"python -m search.planted_truth --studies {studies} --files {files}"
    write_text(output, page(studies, files, command))


def _beyond(found: Mapping[str, Tally]) -> str:
    """What is asked for and missed by more than Monte Carlo luck."""
    lines = []
    for words, what, is_missed in GOALS:
        missed = [f"{name} ({100 * of.share(what):.1f})" for name, of in found.items() if is_missed(of.limits(what))]
        lines.append(f"- {words}: {'; '.join(missed) or 'in none'}.")
    wrapped = ("\n".join(textwrap.wrap(line, 120, subsequent_indent="  ")) for line in lines)
    return "\n## Where a goal is missed, beyond the Monte Carlo limits\n\n" + "\n".join(wrapped) + "\n"


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
    found = tally(plant, studies, through_files)
    return [name, *(_percent(found, what) for what in ("false", "pair holds", "shown holds"))]


def _percent(found: Tally, what: str) -> str:
    low, high = found.limits(what)
    return f"{100 * found.share(what):.1f} ({100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    sys.exit(main())
