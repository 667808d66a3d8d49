"""The study that people see: a name for each setting, states as they are; the study searched is left alone."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from optuna_dashboard import get_note

from lssat.errors import ConfigError
from search.dashboard_view.distributions import distributions
from search.dashboard_view.study import StudyView
from search.record.folder import RunFolder, Stage
from search.record.locking import is_locked, locked
from search.space.definition import Parameter, Space
from search.space.settings import SearchConfig
from search.strategy.objectives import front
from search.strategy.searcher import BROKEN, open_study
from tests.search.dashboard_view.studies import (
    LBP,
    LDP,
    RESNET,
    VIT,
    all_that_can_become_of_a_trial,
    begun,
    trial,
    wait_for_the_clock,
)
from tests.search.records import epoch

ROOT = Path(__file__).resolve().parents[3]
HOLD = "import sys\nfrom pathlib import Path\nfrom search.record.locking import locked\n"
HOLD += "from search.record.folder import RunFolder\nwith locked(RunFolder(Path(sys.argv[1]))):\n"
HOLD += "    print('held', flush=True)\n    sys.stdin.read()\n"


def shown(folder, panels):
    """Optuna's study as the dashboard has it."""
    panels.mkdir(exist_ok=True)
    storage = StudyView(folder, panels).changed()
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def note(study, number):
    return get_note(optuna.trial.Trial(study, study.trials[number]._trial_id))


@contextmanager
def runs(folder):
    """A process works on the folder, as a search does."""
    command = [sys.executable, "-c", HOLD, folder.path]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield
        process.kill()


def test_a_setting_is_one_parameter_whatever_it_depends_on(tmp_path):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    study = shown(folder, tmp_path / "panels")
    names = {name for each in study.trials for name in each.params}
    assert names == {"backbone.name", "backbone.patch_size", "optim.lr", "streams", "target.encoding"}
    assert study.trials[0].params == VIT | LBP and study.trials[1].params == RESNET | LDP
    of_all = {name: {each.distributions[name] for each in study.trials if name in each.params} for name in names}
    assert of_all["optim.lr"] == {FloatDistribution(1e-4, 1e-2, log=True)}
    assert of_all["target.encoding"] == {CategoricalDistribution(("scaled", "bits", "histogram"))}
    assert of_all["backbone.patch_size"] == {CategoricalDistribution((8, 16))}
    assert study.user_attrs["optim.epochs"] == 9 and study.user_attrs["search.scheduler"] == "promotion"


def test_each_trial_stands_as_it_does_and_says_why(tmp_path):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    study = shown(folder, tmp_path / "panels")
    assert [each.state.name for each in study.trials] == ["COMPLETE", "PRUNED", "WAITING", "WAITING", "PRUNED", "FAIL"]
    words = ["complete", "stopped", "paused", "interrupted", "infeasible", "failed"]
    assert [each.user_attrs["status"] for each in study.trials] == words
    assert [each.values for each in study.trials] == [[0.9], [0.2], None, None, None, None]
    assert study.trials[0].intermediate_values == pytest.approx({at: 0.1 * at for at in range(1, 10)})
    assert study.trials[2].intermediate_values == {1: 0.4, 2: 0.5, 3: 0.6}
    assert [each.number for each in study.trials if any(each.constraints.values())] == [4]
    notes = [note(study, number) for number in range(6)]
    for number, words in enumerate(
        ("best epoch is 9", "epoch 1 of 9", "epoch 3 of 9", "epoch 2 of 9", "memory", "log")
    ):
        assert words in notes[number]
    assert "`--resume`" in notes[2] and "1 in 3" in notes[2] and "`--resume`" in notes[3]
    assert "out of memory with 1 row" in notes[4] and "its process died" in notes[5]
    assert "**6 trials**" in get_note(study) and "was interrupted" in get_note(study)


def test_a_fact_is_an_attribute_of_its_own(tmp_path):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    facts = shown(folder, tmp_path / "panels").trials[0].user_attrs
    assert facts.items() >= {"backbone": "test_vit", "epochs": 9, "score": 0.9, "seconds": 9.0, "parameters": 5}.items()
    assert len(facts["config_hash"]) == 8
    assert not facts.keys() & {"streams", "backbone.name", "seed", "optim.epochs", "reason", "test"}
    assert not [value for value in facts.values() if isinstance(value, str) and "{" in value]


def test_running_is_what_runs_now(tmp_path):
    """Of a session that runs: what it has begun or gone on with runs, but for what has paused since."""
    folder, space = begun(tmp_path / "s")
    trial(folder, space, 0, VIT | LBP, [0.1, 0.2])  # begun, no rung
    paused = trial(folder, space, 1, RESNET | LBP, [])
    wait_for_the_clock()
    paused.append(epoch(1, 0.3, epochs=9), 1.0)  # the first rung
    went_on = trial(folder, space, 2, RESNET | LDP, [0.4])  # paused there and then promoted
    wait_for_the_clock()
    went_on.begin(went_on.sampled, went_on.config)
    trial(folder, space, 3, VIT | LDP, [])  # not an epoch yet
    with runs(folder):
        study = shown(folder, tmp_path / "panels")
    assert [each.user_attrs["status"] for each in study.trials] == ["running", "paused", "running", "running"]
    assert [each.state == TrialState.RUNNING for each in study.trials] == [True, False, True, True]
    assert "runs now" in get_note(study) and "`--resume`" not in note(study, 1)
    study = shown(folder, tmp_path / "panels")
    assert [each.user_attrs["status"] for each in study.trials] == ["interrupted", "paused", "paused", "interrupted"]


def test_what_an_earlier_session_left_waits_for_the_one_that_runs(tmp_path):
    folder, space = begun(tmp_path / "s")
    made = trial(folder, space, 0, VIT | LBP, [0.1, 0.2])
    long_ago = made.started - 3600
    for file in made.folder.iterdir():
        os.utime(file, (long_ago, long_ago))
    with runs(folder):
        study = shown(folder, tmp_path / "panels")
    assert study.trials[0].state == TrialState.WAITING and "interrupted" in note(study, 0)
    assert "`--resume`" not in note(study, 0)


def test_a_lock_is_seen_while_it_is_held_and_no_longer(tmp_path):
    folder = RunFolder(tmp_path / "s")
    assert not is_locked(folder)
    with runs(folder):
        assert is_locked(folder)
    assert not is_locked(folder), "a kill leaves the file"
    with locked(folder):
        assert is_locked(folder)


def test_several_objectives_have_their_names_directions_and_front(tmp_path):
    text = """
fixed: {data.image_size: 64, optim.epochs: 2, backbone.name: test_resnet}
space: {optim.lr: {low: 1.0e-4, high: 1.0e-2, log: on}}
search: {scheduler: none, objectives: [score, parameters, flops], num_trials: 12}
"""
    folder, space = begun(tmp_path / "s", text)
    points = [(0.5, 50, 9), (0.6, 60, 8), (0.4, 60, 9), (0.6, 60, 7), (0.9, 900, 99)]
    for number, (score, parameters, flops) in enumerate(points):
        sampled = {"optim.lr": 1e-3 * (number + 1)}
        trial(folder, space, number, sampled, [0.1, score], "complete", parameters=parameters, flops=flops)
    trial(folder, space, 5, {"optim.lr": 2e-4}, [0.1, 0.95], "complete", parameters=1)  # an old one knows no flops
    study = shown(folder, tmp_path / "panels")
    assert study.metric_names == ["score", "parameters", "flops"]
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    best = front(space.search.objectives, points)
    assert {each.number for each in study.best_trials} == {number for number, is_best in enumerate(best) if is_best}
    assert study.trials[5].values is None and study.trials[5].user_attrs["status"] == "complete"


def test_numbers_are_those_of_the_study_and_its_file_stays_as_it_is(tmp_path):
    """A point that breaks a rule has no record, and one that was asked for may have none yet."""
    folder, space = begun(tmp_path / "s")
    searched = open_study(folder.study_db, "s", space)
    for number in range(4):
        asked = searched.ask()
        if number == 1:
            asked.set_user_attr(BROKEN, "`masking.unit` must divide the image")
            searched.tell(asked, state=TrialState.FAIL)
    del searched
    trial(folder, space, 0, VIT | LBP, [0.1] * 9, "complete")
    trial(folder, space, 3, RESNET | LDP, [0.2] * 9, "complete")
    before = folder.study_db.read_bytes()
    study = shown(folder, tmp_path / "panels")
    assert [each.user_attrs["status"] for each in study.trials] == ["complete", "failed", "queued", "complete"]
    assert "must divide the image" in note(study, 1) and study.trials[3].params == RESNET | LDP
    assert folder.study_db.read_bytes() == before
    assert [file.name for file in folder.path.iterdir() if file.name.startswith("study.db-")] == []


def test_what_has_not_changed_is_not_read_again_and_what_has_is(tmp_path):
    folder, space = begun(tmp_path / "s")
    made = trial(folder, space, 0, VIT | LBP, [0.1])
    (tmp_path / "panels").mkdir()
    view = StudyView(folder, tmp_path / "panels")
    assert view.changed() and view.changed() is None
    wait_for_the_clock()
    made.append(epoch(2, 0.7, epochs=9), 2.0)
    (seen,) = view.changed().get_all_trials(0)
    assert seen.intermediate_values == {1: 0.1, 2: 0.7}
    trial(folder, space, 1, RESNET | LBP, [])
    assert len(view.changed().get_all_trials(0)) == 2


def test_the_panel_of_a_trial_is_its_artifact_under_a_name_of_its_own_time(tmp_path):
    folder, space = begun(tmp_path / "s")
    made = trial(folder, space, 0, VIT | LBP, [0.1])
    made.panel.write_bytes(b"one")
    shown(folder, tmp_path / "panels")
    wait_for_the_clock()
    made.panel.write_bytes(b"two")
    shown(folder, tmp_path / "panels")
    assert len(list((tmp_path / "panels").iterdir())) == 2, "a browser keeps what it has under a name"
    assert {link.read_bytes() for link in (tmp_path / "panels").iterdir()} == {b"two"}


@pytest.mark.parametrize(
    ("parameters", "drawn", "expected"),
    [
        ([{"choices": ("a", "b")}, {"choices": ("c", "b")}], [], CategoricalDistribution(("a", "b", "c"))),
        ([{"choices": (True, False)}, {"choices": (None,)}], [], CategoricalDistribution((True, False, None))),
        ([{"low": 0.1, "high": 1.0}, {"low": 0.5, "high": 2.0}], [], FloatDistribution(0.1, 2.0)),
        ([{"low": 0.1, "high": 1.0, "log": True}, {"low": 1.0, "high": 2.0}], [], FloatDistribution(0.1, 2.0)),
        ([{"low": 1, "high": 4}, {"low": 2, "high": 8}], [], IntDistribution(1, 8)),
        ([{"low": 2, "high": 8, "step": 2}], [4], IntDistribution(2, 8, step=2)),
        ([{"low": 2, "high": 8, "step": 2}, {"low": 3, "high": 9, "step": 2}], [3], IntDistribution(2, 9)),
        ([{"low": 0.0, "high": 0.5, "step": 0.25}], [0.25], FloatDistribution(0.0, 0.5, step=0.25)),
        ([{"low": 0.4, "high": 0.8}, {"choices": (0.9,)}], [0.5, 0.9], FloatDistribution(0.4, 0.9)),
        ([{"low": 0.4, "high": 0.8}, {"choices": (None,)}], [0.5], CategoricalDistribution((None, 0.5))),
        ([{"low": 0.4, "high": 0.8, "log": True}, {"choices": (0.0,)}], [], FloatDistribution(0.0, 0.8)),
        ([{"low": 0.4, "high": 0.8}], [0.3], FloatDistribution(0.3, 0.8)),  # an older version drew it
    ],
)
def test_the_distributions_of_a_key_become_one_that_holds_them_all(parameters, drawn, expected):
    made = [Parameter("k", f"k@{index}", {}, **each) for index, each in enumerate(parameters)]
    space = Space("laptop", {}, tuple(made), {}, SearchConfig(), {})
    assert distributions(space, [{"k": value} for value in drawn]) == {"k": expected}


def test_what_is_no_study_or_has_no_trial_is_said_in_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"no manifest of a study.*give a run folder"):
        shown(RunFolder(tmp_path), tmp_path / "panels")
    folder, _ = begun(tmp_path / "s")
    with pytest.raises(ConfigError, match=r"no trial of .* has begun yet"):
        shown(folder, tmp_path / "panels")
    assert not (folder.path / Stage.SEARCH).exists()


@pytest.mark.parametrize("name", ["config.json", "outcome.json", "metrics.jsonl"])
def test_a_damaged_record_is_a_trial_without_one(tmp_path, name):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    (folder.record(Stage.SEARCH, "0001").folder / name).write_text('{"epoch": 1}\n')
    study = shown(folder, tmp_path / "panels")
    assert len(study.trials) == 6 and study.trials[1].params == {}
    assert study.trials[0].values == [0.9]


def test_a_damaged_database_is_one_sentence(tmp_path):
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    folder.study_db.write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigError, match=r"study.db cannot be read .*restore it from a copy"):
        shown(folder, tmp_path / "panels")


def test_a_file_that_is_renamed_while_it_is_looked_at_is_passed_over(tmp_path):
    """As one that was listed and is gone: here a link to nothing."""
    folder, _ = all_that_can_become_of_a_trial(tmp_path / "s")
    (folder.record(Stage.SEARCH, "0001").folder / ".metrics.tmp").symlink_to("gone")
    assert len(shown(folder, tmp_path / "panels").trials) == 6
