"""docs/scaling.md: how the driver's work grows, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 120
COMMAND = "python -m tests.benchmarks.scaling --output docs/scaling.md"
INTRODUCTION = (
    "What the process of a search spends beside training, as the study grows: searcher, scheduler, recorder "
    "and display of a study, its files and its database are real, Ray Tune is played and nothing is trained. "
    "A study is made with so many trials that are over, of 20 epochs each, and so many that run; it is gone "
    "on with, its running trials report, some end, and new ones take their place. Each line is a process of "
    "its own. CPU seconds, medians; `make bench` writes this page, and `scaling.json` beside it, which also "
    "keeps what was measured before this was worked on."
)
FIGURES = {
    "suggestion": "a suggestion",
    "report": "a report",
    "end": "a trial's end",
    "refresh": "a refresh of the screen",
    "resume": "a resume",
    "leaderboard": "the last leaderboard",
}
METHOD = (
    "A sampler is shown the trials that run and, of all others, the best 500 at the epoch at which they are "
    "compared and the newest 500 of the rest: a search of up to 1,000 trials suggests what it would suggest "
    "if it were shown all. So a suggestion costs what runs. A refresh shows the 20 best of the running "
    "trials. The screen is refreshed twice a second. A resume and the last leaderboard read the files of each "
    "trial once, so they grow with the study."
)


def markdown(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], real: Mapping[str, Any]) -> str:
    """The page. `real`: what was measured of a real study; empty where none was run."""
    parts = ["# Scaling", _wrapped(INTRODUCTION), f"Command: `{COMMAND}`"]
    parts += ["![CPU seconds over trials that are over, before and now](pictures/scaling.svg)", _wrapped(METHOD)]
    for title, cases in (("Now", now), ("Before", before)):
        parts += [f"## {title}", f"Measured of {cases[0]['of']}.", _table(cases)] if cases else []
    return "\n\n".join([*parts, *_real(real)]) + "\n"


def _table(cases: Sequence[Mapping[str, Any]]) -> str:
    header = ["over", "running", *FIGURES.values(), "open files", "memory"]
    lines = [
        [
            f"{case['over']:,}",
            f"{case['running']:,}",
            *(f"{case[name]:.2g} s" for name in FIGURES),
            str(case["open_files"]),
            f"{case['resident_bytes'] / 1e9:.2f} GB",
        ]
        for case in cases
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))


def _real(real: Mapping[str, Any]) -> list[str]:
    if not real:
        return []
    first, last = real["moments"][0], real["moments"][-1]
    slope = (last["driver"] - first["driver"]) / max(1, last["over"] - first["over"])
    text = (
        f"A real study under Ray of {real['trials']:,} trials of one epoch, of a network of timm's made for tests, on "
        f"{real['cores']} cores: {real['seconds']:.0f} s. Workers are processes that train; what had leaked would be "
        "seen as more of them, and a placement group that stays holds a core, so that the study would stop. Processes "
        f"that were left when it had ended: {real['left']}. Its folder takes {real['bytes_per_trial'] / 1e3:.0f} kB a "
        f"trial, checkpoints included. The driver grows by {slope / 1e3:.0f} kB a trial."
    )
    header = ["trials over", "driver", "open files", "threads", "raylet", "open files", "workers"]
    lines = [
        [
            f"{at['over']:,}",
            f"{at['driver'] / 1e6:.0f} MB",
            str(at["files"]),
            str(at["threads"]),
            f"{at['raylet'] / 1e6:.0f} MB",
            str(at["raylet_files"]),
            str(at["workers"]),
        ]
        for at in real["moments"]
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines))
    of = f"Measured of {real['of']} by\n`python -m tests.benchmarks.scaling --trials {real['trials']}`."
    return ["## Many short trials", _wrapped(of), _wrapped(text), table]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
