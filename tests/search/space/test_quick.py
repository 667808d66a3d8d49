"""A smoke run: every space has one, it is small, and what the user asks for stays."""

from pathlib import Path

import pytest

from search.space import epochs
from search.space.file import load
from search.space.quick import EPOCHS, ROWS, SEARCH, changes, smoke_settings

SPACES = sorted((Path(__file__).resolve().parents[3] / "spaces").glob("*.yaml"))


def smoke(path, profile, num_rows, data=None, **search):
    space = load(path, profile, data or {}, search)
    pinned, of_search = smoke_settings(space, num_rows)
    return space, load(path, profile, {**pinned, **(data or {})}, {**of_search, **search})


@pytest.mark.parametrize("profile", ["laptop", "gpu"])
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_every_space_has_a_small_smoke_run(path, profile):
    _, own = smoke(path, profile, 6353, {"data.source": "/faces.parquet", "data.task": "male"})
    _, synthetic = smoke(path, profile, None)
    for space in (own, synthetic):
        most = epochs.searched(space.search, EPOCHS).high + epochs.final(space.search, EPOCHS)
        assert most <= SEARCH["num_trials"] * EPOCHS + 2 * SEARCH["final_seeds"] * EPOCHS
    assert own.example().data.train_fraction * 6353 <= ROWS + 1
    assert synthetic.example().data.num_images <= ROWS


def test_a_smoke_run_enlarges_nothing_and_leaves_what_was_asked_for(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(
        "fixed: {optim.epochs: 1, data.train_fraction: 0.01}\nspace: {aux_weight: [0.1, 0.5]}\n"
        "search: {num_trials: 2, finalists: 0}"
    )
    space, small = smoke(path, "none", 10_000, {"data.source": "/faces.csv", "data.task": "male"}, final_seeds=4)
    config, search = small.example(), small.search
    assert (config.optim.epochs, config.data.train_fraction) == (1, 0.01)
    assert (search.num_trials, search.finalists, search.final_seeds) == (2, 0, 4)
    assert changes(space, small) == "search.grace_epochs 1 (2)"


def test_what_a_smoke_run_changed_is_named_with_what_it_was(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("space: {optim.warmup_epochs: [1, 2]}\nsearch: {sampler: grid, finalists: 2, max_epochs: 400}")
    space, small = smoke(path, "none", None)
    named = changes(space, small)
    for part in (
        "optim.epochs 2 (10)",
        "optim.warmup_epochs 1.0 (searched)",
        "data.num_images 500 (4000)",
        "search.sampler random (grid)",
        "search.finalists 1 (2)",
        "search.max_epochs None (400)",
    ):
        assert part in named
