"""The part of docs/claims.md on settings and on texture: kinds of planted grids, and what was said of them."""

from __future__ import annotations

import sys

from lssat.text.markdown import markdown_table
from search.planted.cells import SEED, Goal, missed_goals, percent
from search.planted.grids import Grid, tally_grid, tally_texture
from search.planted.studies import Plant

PROSE = """
## What role settings play (importance)

Grids of 3 x 2 x 2 settings unless said, 3 seeds, 1,000 images. Each value of a setting does something of its own to an
image, the same from every seed (0.1), and so does each arm (0.1); a seed that acts on values does it to those of the
first setting. One run of each arm has no noise floor; where all these are from one seed, nothing is claimed.

- **false**: no setting does anything, and yet some, or their interactions, are said to matter.
- **false beside others**: the first two matter much, apart and together; the last, which does nothing, is said to.
- **named at 4 SE**: the last has an effect of 4 standard errors, and is said to matter. **its share**: the interval
  then holds the true share of the variance. **all shares**: all intervals do, where the first two matter.
"""
OF_TEXTURE = """
## Texture over backbones

Half of the arms have the texture, each on a backbone that the other half has without.

- **false**: it does nothing, and yet helps or harms some backbone or all, or is said to differ between them.
- **false, torn**: it helps one half of the backbones as much as it harms the other, by 4 standard errors of the pooled
  effect, and yet is said to help or harm all. **differs**: the share in which it is told to differ between them.
- **named at 4 SE**: it helps each backbone by 4 standard errors of the pooled effect, and is said to help them all.
  **pooled**: the interval of that holds the truth.
"""

GOALS: tuple[Goal, ...] = (
    ("false in more than 5%", "false", lambda limits: limits[0] > 0.05),
    ("false beside others in more than 5%", "false beside others", lambda limits: limits[0] > 0.05),
    ("named at 4 SE in less than 80%", "lead", lambda limits: limits[1] < 0.8),
)
GOALS_OF_TEXTURE: tuple[Goal, ...] = (
    ("false in more than 5%", "false", lambda limits: limits[0] > 0.05),
    ("false, torn, in more than 5%", "torn", lambda limits: limits[0] > 0.05),
    ("named at 4 SE in less than 80%", "lead", lambda limits: limits[1] < 0.8),
)


def grids() -> dict[str, Grid]:
    """The kinds of grids, in words."""
    return {
        "300 images": Grid(units=300),
        "1000 images": Grid(),
        "4000 images": Grid(units=4000),
        "100 images": Grid(units=100),
        "10 seeds, 300 images": Grid(seeds=10, units=300),
        "4 x 3 x 2 x 2": Grid((4, 3, 2, 2)),
        "2 seeds": Grid(seeds=2),
        "no seed in common": Grid(strange_seeds=True),
        "one run of each arm": Grid(seeds=1, strange_seeds=True),
        "one run of each arm, 4 x 3 x 2": Grid((4, 3, 2), seeds=1, strange_seeds=True),
        "every fifth run is missing": Grid(missing=5),
        "the first value's luck 3 times": Grid(unlike=3),
        "seeds act on values as much as luck": Grid(seed_value_sd=0.01),
        "only seeds matter": Grid(common_sd=0.01, value_sd=0.0, arm_sd=0.0, unit_sd=0.001),
    }


def textures() -> dict[str, Plant]:
    """The kinds of studies with and without texture, in words."""
    return {
        "2 backbones, 3 seeds": Plant(4, 3),
        "2 backbones, 3 seeds, 4000 images": Plant(4, 3, 4000),
        "4 backbones, 3 seeds": Plant(8, 3),
        "4 backbones, 10 seeds, 300 images": Plant(8, 10, 300),
        "one arm's spread 3 times": Plant(8, 3, run_sd=(0.03, *[0.01] * 7)),
        "4 finalists of 12 on 4 backbones": Plant(8, 3, candidates=12, baselines=4),
        "the same, 10 seeds, 300 images": Plant(8, 10, 300, candidates=12, baselines=4),
    }


def role_tables(studies: int) -> str:
    """Markdown, of so many studies of each kind."""
    of_grids, of_textures = [], []
    all_grids, all_textures = {}, {}
    for name, grid in grids().items():
        print(f"importance: {name}", file=sys.stderr)
        all_grids[name] = found = tally_grid(grid, studies, SEED)
        shown = ["false", "false beside others", "lead", *([] if grid.missing else ["holds", "others hold"])]
        of_grids.append([name, *(percent(found, what) for what in shown), *[""] * (5 - len(shown))])
    for name, plant in textures().items():
        print(f"texture: {name}", file=sys.stderr)
        all_textures[name] = found = tally_texture(plant, studies, SEED)
        of_textures.append([name, *(percent(found, what) for what in ("false", "torn", "differs", "lead", "holds"))])
    header = ("grid", "false", "false beside others", "named at 4 SE", "its share", "all shares")
    of_texture = ("study", "false", "false, torn", "differs", "named at 4 SE", "pooled")
    tables = [markdown_table(header, of_grids, header[1:]), markdown_table(of_texture, of_textures, of_texture[1:])]
    importance = PROSE + missed_goals(GOALS, all_grids) + "\n" + tables[0]
    return importance + OF_TEXTURE + missed_goals(GOALS_OF_TEXTURE, all_textures) + "\n" + tables[1]
