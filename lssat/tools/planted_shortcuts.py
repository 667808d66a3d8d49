"""`python -m lssat.tools.planted_shortcuts`: which runs are chosen where training data hold a planted shortcut?

The same runs are chosen among by in-domain and by held-out validation, and the chosen ones judged by a method of
forging that neither has seen. It goes on where it was stopped; twenty seeds take about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

from lssat.command import exit_code, local_path
from lssat.data.parallel import in_processes
from lssat.errors import ConfigError
from lssat.files import write_text
from lssat.text.markdown import markdown_table
from lssat.tools.shortcut_runs import ARMS, HELD_OUT, TRAINED, UNSEEN, result_file, run_seed

FIRST_SEED = 100
"""The arms were made up by looking at seeds from 1000 on."""
RULES = ("in domain", "held out")
SETS = (*RULES, "unseen", "no trace")
Scores = Mapping[str, Sequence[Mapping[str, float]]]
"""Of each arm, by seed: the AUC on each of SETS."""

PROSE = """\
# Planted shortcuts

`{command}` wrote this page.

Synthetic fakes ([data.md](data.md#synthetic-fakes)) by {trained} carry planted traces.
{arms} arms learn to tell them from real faces, from each of {seeds} seeds, of which each has faces of its own. A batch
holds a real face and its fakes. Half of the arms are **shortcut learners**. The others, {honest},
learn from images that have the traces at random, real or fake alike, so that these say nothing. The arms, the seventh
design of such, were made up by looking at other seeds.

The same runs are then chosen among by two rules, and the chosen ones are judged by fakes of other people, by {unseen}.
No run has seen {held_out} or {unseen} in training.

- **in domain**: AUC on validation with the methods of training, traces included.
- **held out**: AUC on validation with {held_out}.

## Which run is chosen

{chosen}
In brackets: 95% intervals, of shares by Wilson, of means by Student's t over seeds.

{difference}

## The arms

{by_arm}
Mean AUC over seeds. **no trace**: the same fakes as in domain, without their traces: what is lost from one to the other
is what an arm owes to the shortcut.
"""


class Chosen(NamedTuple):
    """What a rule chooses, by seed: whether it is a shortcut learner, and its AUC on unseen methods."""

    takes_shortcut: NDArray[np.bool_]
    unseen: NDArray[np.float64]


def main() -> int:
    """Train what is missing and write the page. 0: done, 2: bad input."""
    parser = argparse.ArgumentParser(prog="python -m lssat.tools.planted_shortcuts", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many; default: 20")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help=f"default: {FIRST_SEED}")
    parser.add_argument(
        "--runs",
        type=local_path,
        default=Path("results/planted-shortcuts"),
        help="where finished runs are kept; default: results/planted-shortcuts",
    )
    parser.add_argument("--output", type=local_path, help="where the page goes, beside the screen")
    return exit_code(lambda: _study(parser.parse_args()))


def _study(arguments: argparse.Namespace) -> None:
    if arguments.seeds < 2:
        raise ConfigError(f"`--seeds >= 2` must hold, since intervals are over seeds, but got {arguments.seeds}")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for done, _ in enumerate(in_processes(partial(run_seed, folder=arguments.runs), seeds), 1):
        print(f"{done} of {len(seeds)} seeds", file=sys.stderr, flush=True)
    command = f"python -m lssat.tools.planted_shortcuts --seeds {arguments.seeds} --first-seed {arguments.first_seed}"
    text = page(read_scores(arguments.runs, seeds), command)
    print(text)
    if arguments.output:
        write_text(arguments.output, text)


def read_scores(folder: Path, seeds: Sequence[int]) -> Scores:
    """Of finished runs."""
    return {name: [json.loads(result_file(folder, name, seed).read_text())["auc"] for seed in seeds] for name in ARMS}


def choose(scores: Scores, rule: str) -> Chosen:
    """For each seed the arm whose AUC on the rule's set is the highest."""
    by_seed = zip(*scores.values(), strict=True)
    picked = [max(zip(scores, runs, strict=True), key=lambda run: run[1][rule]) for runs in by_seed]
    return Chosen(
        np.array([not ARMS[name].is_marked for name, _ in picked]), np.array([run["unseen"] for _, run in picked])
    )


def page(scores: Scores, command: str) -> str:
    """The page as Markdown."""
    chosen = {rule: choose(scores, rule) for rule in RULES}
    gain = chosen["held out"].unseen - chosen["in domain"].unseen
    rows = [[rule, _share(of.takes_shortcut), _mean(of.unseen)] for rule, of in chosen.items()]
    arms = [
        [f"`{name}`", *(f"{np.mean([run[of] for run in runs]):.3f}" for of in SETS)] for name, runs in scores.items()
    ]
    return PROSE.format(
        command=command,
        trained=_names(TRAINED),
        held_out=_names(HELD_OUT),
        unseen=_names(UNSEEN),
        honest=_names([name for name, arm in ARMS.items() if arm.is_marked]),
        arms=len(scores),
        seeds=len(gain),
        chosen=markdown_table(("rule", "takes a shortcut learner", "AUC on unseen methods"), rows, ()),
        difference=f"Held-out validation gains {_mean(gain)} of AUC on unseen methods.",
        by_arm=markdown_table(("arm", *SETS), arms, SETS),
    )


def _names(names: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _share(is_so: NDArray[np.bool_]) -> str:
    found = binomtest(int(is_so.sum()), len(is_so)).proportion_ci(0.95, method="wilson")
    return f"{is_so.sum()} of {len(is_so)} ({100 * found.low:.0f}% to {100 * found.high:.0f}%)"


def _mean(values: NDArray[np.float64]) -> str:
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ({values.mean() - half:.3f} to {values.mean() + half:.3f})"


if __name__ == "__main__":
    sys.exit(main())
