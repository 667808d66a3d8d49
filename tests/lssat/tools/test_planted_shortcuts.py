"""The planted study of shortcuts: who is chosen, what is said of it, and that a stopped one goes on to the same end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lssat.data.synthetic.generate import NUM_HELD_OUT
from lssat.tools import planted_shortcuts, shortcut_runs
from lssat.tools.planted_shortcuts import SETS, choose, page
from lssat.tools.shortcut_runs import ARMS, HELD_OUT, TRAINED, UNSEEN, PairedRows, result_file, run_seed

HONEST = next(name for name, arm in ARMS.items() if arm.is_marked)
SHORTCUT = next(name for name, arm in ARMS.items() if not arm.is_marked)


def scores(seeds: int) -> dict[str, list[dict[str, float]]]:
    """The shortcut learner is ahead in domain, the honest one else; each other arm is behind both."""
    made = {name: [dict.fromkeys(SETS, 0.5) for _ in range(seeds)] for name in ARMS}
    for seed in range(seeds):
        made[SHORTCUT][seed] = {"in domain": 0.99, "held out": 0.55, "unseen": 0.56, "no trace": 0.6}
        made[HONEST][seed] = {"in domain": 0.8, "held out": 0.75, "unseen": 0.7 + 0.01 * seed, "no trace": 0.79}
    return made


def test_each_rule_takes_the_arm_that_is_best_on_its_own_set() -> None:
    made = scores(4)
    in_domain, held_out = choose(made, "in domain"), choose(made, "held out")
    assert in_domain.takes_shortcut.tolist() == [True] * 4
    assert in_domain.unseen.tolist() == [0.56] * 4
    assert held_out.takes_shortcut.tolist() == [False] * 4
    np.testing.assert_allclose(held_out.unseen, [0.7, 0.71, 0.72, 0.73])


def test_the_page_gives_shares_with_wilson_intervals_and_the_paired_gain() -> None:
    text = page(scores(20), "the command")
    assert "| in domain | 20 of 20 (84% to 100%) | 0.560 (0.560 to 0.560) |" in text
    assert "| held out | 0 of 20 (0% to 16%) | 0.795" in text
    assert "gains 0.235 (0.207 to 0.263) of AUC" in text
    assert f"| `{HONEST}` | 0.800 | 0.750 | 0.795 | 0.790 |" in text


def test_no_set_shares_methods_with_another_and_half_of_the_arms_are_shortcut_learners() -> None:
    methods = [*TRAINED, *HELD_OUT, *UNSEEN]
    assert len(set(methods)) == len(methods)
    assert [arm.is_marked for arm in ARMS.values()].count(True) == len(ARMS) // 2
    assert len({arm.digest for arm in ARMS.values()}) == len(ARMS)


def test_a_batch_holds_faces_with_their_fakes_and_marks_are_the_same_again() -> None:
    faces, kinds = 8, 1 + len(TRAINED)
    images = np.random.default_rng(0).integers(0, 255, (faces * kinds, 16, 16, 3), dtype=np.uint8)
    arrays = {"image": images, "label": np.arange(faces * kinds) % kinds, "row": np.arange(faces * kinds)}
    sharp, marked, again = (
        list(PairedRows(arrays, is_marked).batches(3 * kinds, 3, 7)) for is_marked in (False, True, True)
    )
    assert sorted(np.concatenate([batch.row for batch in sharp])) == list(range(faces * kinds))
    for one, other, same in zip(sharp, marked, again, strict=True):
        assert np.bincount(one.row // kinds).max() == len(one.row) / len(np.unique(one.row // kinds)) == kinds
        np.testing.assert_array_equal(one.image, images[one.row])
        np.testing.assert_array_equal(other.image, same.image)
        is_changed = (one.image != other.image).any(axis=(1, 2, 3))
        assert 0 < is_changed.sum() < len(is_changed)
        assert np.abs(one.image[:, 1:-1, 1:-1].astype(int) - other.image[:, 1:-1, 1:-1]).max() < 20


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images and one epoch."""
    monkeypatch.setattr(shortcut_runs, "NUM_TRAIN", 200)
    monkeypatch.setattr(shortcut_runs, "SCORED_FACES", 24)
    monkeypatch.setattr(shortcut_runs, "SETTINGS", {**shortcut_runs.SETTINGS, **ONE_EPOCH})


ONE_EPOCH = {"optim.epochs": 1, "optim.warmup_epochs": 0.5}


@pytest.mark.usefixtures("small")
def test_a_stopped_study_trains_what_is_missing_and_comes_to_the_same_end(tmp_path: Path) -> None:
    run_seed(3, tmp_path)
    files = {name: result_file(tmp_path, name, 3) for name in ARMS}
    aucs = {name: json.loads(file.read_text())["auc"] for name, file in files.items()}
    lost, *kept = ARMS
    files[lost].unlink()
    written = {name: files[name].stat().st_mtime_ns for name in kept}
    run_seed(3, tmp_path)
    assert {name: files[name].stat().st_mtime_ns for name in kept} == written
    assert json.loads(files[lost].read_text())["auc"] == aucs[lost]
    assert all(set(scored) == set(SETS) for scored in aucs.values())


@pytest.mark.usefixtures("small")
def test_training_has_no_method_of_the_held_out_or_unseen_fakes() -> None:
    drawn: list[str] = []
    orders = shortcut_runs.training_orders(0)
    drawn += [shortcut_runs.MADE[order.label] for order in orders]
    assert set(drawn) == {"", *TRAINED}
    assert len(orders) == 200 // 5 * 3
    people = [
        {order.position // 2 for order in shortcut_runs.of_people("val", TRAINED, 0) if bool(order.label) == is_fake}
        for is_fake in (False, True)
    ]
    assert people[0] == people[1] and len(people[0]) == 24 <= NUM_HELD_OUT // 2


def test_too_few_seeds_are_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["planted_shortcuts", "--seeds", "1"])
    assert planted_shortcuts.main() == 2
    assert "`--seeds >= 2` must hold" in capsys.readouterr().err
