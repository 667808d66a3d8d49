"""Killed before any single write, of a record or of Optuna's study, a study ends as if nothing had happened."""

import io
from contextlib import ExitStack, suppress
from dataclasses import replace
from unittest.mock import patch

import optuna
import pytest
from rich.console import Console

from lssat.on_ray.machine_fault import MachineFailed
from lssat.storage.place import Place
from search.earlier.trials import ranked, taken_over, tried_first
from search.findings import final_table, leaderboard
from search.record.folder import RunFolder, Stage, Storage
from search.space.definition import EarlierStudy
from search.space.file import load
from search.strategy import searcher
from search.strategy.baselines import Baselines
from search.strategy.deadline import Deadline
from search.study import tuning
from search.study.context import Study
from tests.search.study.fake_tune import FakeTune

SPACE = """
fixed: {optim.epochs: 4, optim.warmup_epochs: 0, backbone.name: test_resnet, data.image_size: 64}
space:
  optim.lr: {low: 0.01, high: 0.2}
  optim.weight_decay: [0.01, 0.02, 0.03, 10.0]
  optim.batch_size: [16, 32, 64, 512]
search: {num_trials: 6, sampler: random, seed: 0, grace_epochs: 1, reduction_factor: 2, finalists: 1, final_seeds: 2}
"""
SEARCHES = {
    "asha": {"scheduler": "asha"},
    "promotion": {"scheduler": "promotion"},
    "two objectives": {"scheduler": "asha", "objectives": ["score", "parameters"]},
    "budget": {"scheduler": "none", "max_epochs": 8},
    "from another study": {"scheduler": "promotion", "sampler": "tpe", "startup_trials": 2},
}
TWO_COMPLETE = ("asha", "from another study")
"""Where two trials are complete, so that learning rates of baselines are tried."""
WRITES = (
    "search.record.trials.write_json",
    "search.record.trials.write_text",
    "search.record.trials.append_json_line",
    "search.record.folder.shutil.rmtree",
    "optuna.study.Study.ask",
    "optuna.study.Study.add_trial",
    "optuna.study.Study.enqueue_trial",
    "optuna.study.Study.tell",
    "optuna.trial.Trial.report",
    "optuna.trial.Trial.set_user_attr",
    "optuna.trial.Trial.set_constraint",
)


class Killed(BaseException):
    """No handler of ours may catch it, as none catches a SIGKILL."""


def earlier_study(space):
    """One that tried five learning rates, of which the higher were the better; its best fails here, once promoted."""
    keys = {"optim.weight_decay": 0.01, "optim.batch_size": 16}
    tried = [{**keys, "optim.lr": rate} for rate in (0.02, 0.04, 0.06, 0.08, 0.1)]
    tried[-1]["optim.weight_decay"] = 10.0
    trials = [taken_over(f"{n}", sampled, [sampled["optim.lr"]] * 4, 4, space) for n, sampled in enumerate(tried)]
    return EarlierStudy("old", "x", None, tuple(ranked(trials)), tried_first(ranked(trials), space), {})


class Disk:
    """A study's folder, Optuna's storage and the checkpoints: what outlives a kill."""

    def __init__(self, path, kind, searches=SEARCHES):
        path.mkdir()
        (path / "s.yaml").write_text(SPACE)
        self.folder = RunFolder(path / "study")
        self.space = load(path / "s.yaml", "laptop", {}, searches[kind])
        if kind == "from another study":
            self.space = replace(self.space, earlier=(earlier_study(self.space),))
        self.tune = FakeTune()
        self._optuna = optuna.storages.InMemoryStorage()

    def open_study(self, database, name, space):
        return searcher.create_study(self._optuna, name, space)

    def session(self, kill_at=None):
        """Search, try rates, and train the final stage; the number of writes. Killed before write `kill_at`, from 0."""
        study = Study(self.folder, Storage(Place.of(self.folder.path)), self.space, None, self.folder.path, {})
        console, writes = Console(file=io.StringIO()), 0

        def counted(write):
            def call(*args, **options):
                nonlocal writes
                if writes == kill_at:
                    raise Killed
                writes += 1
                return write(*args, **options)

            return call

        with ExitStack() as stack:
            stack.enter_context(patch.object(tuning, "open_study", self.open_study))
            stack.enter_context(patch.object(tuning, "_tune", self.tune))
            for name in WRITES:
                patcher = patch(name)
                original = patcher.get_original()[0]
                stack.enter_context(patch(name, counted(original)))
            self.progress = progress = tuning.begin_progress(study, console)
            tuning.search(study, Deadline(self.space.search, 4, 0.0), progress)
            rows = leaderboard.of_folder(self.folder)
            finalists = final_table.planned_finalists(self.folder, rows, self.space.search)
            candidates = Baselines(self.folder, self.space.search).runs(finalists, self.space)
            tuning.train_baselines(study, candidates, progress)
            runs = final_table.planned_runs(self.folder, rows, self.space.search)
            tuning.train_finals(study, runs, progress)
        return writes

    def ends(self):
        """What a study comes to: leaderboard, final table in words, and what Optuna knows; epochs trained."""
        rows = leaderboard.rank(self.folder.records(Stage.SEARCH), self.space.search.objectives)
        runs = final_table.planned_runs(self.folder, rows, self.space.search)
        trials = self.open_study(None, self.folder.name, self.space).trials
        known = [(t.state, t.values, t.params, t.intermediate_values, t.constraints) for t in trials]
        epochs = {record.name: record.epochs for stage in Stage for record in self.folder.records(stage)}
        table = final_table.final_table(self.folder, runs, rows, self.space.search)
        return rows, list(map(final_table.cells, table)), known, epochs


@pytest.fixture(autouse=True)
def no_curves():
    """TensorBoard's files are no part of what is compared, and take most of the time."""
    with patch("search.study.recorder.TensorBoard"):
        yield


@pytest.mark.filterwarnings("ignore:The reported value is ignored")
@pytest.mark.filterwarnings("ignore:The constraint value is ignored")
@pytest.mark.parametrize("kind", SEARCHES)
def test_a_kill_before_any_write_changes_nothing(tmp_path, kind):
    whole = Disk(tmp_path / "whole", kind)
    num_writes = whole.session()
    expected = whole.ends()
    statuses = {row.status for row in expected[0]}
    assert {"complete", "failed"} <= statuses, "or the study shows too little"
    assert num_writes > 50
    assert bool(whole.folder.records(Stage.BASELINE)) == (kind in TWO_COMPLETE)
    for kill_at in range(num_writes):
        disk = Disk(tmp_path / str(kill_at), kind)
        with pytest.raises(Killed):
            disk.session(kill_at)
        disk.session()
        assert disk.ends() == expected, f"killed before write {kill_at} of {num_writes}"
        assert disk.tune.num_trained == whole.tune.num_trained, f"an epoch was trained again after write {kill_at}"


@pytest.mark.filterwarnings("ignore:The reported value is ignored")
@pytest.mark.parametrize("kind", SEARCHES)
def test_a_full_disk_at_any_epoch_changes_nothing_once_there_is_room(tmp_path, kind):
    """No configuration is blamed, nothing more is tried, and the next session tries again what was running."""
    whole = Disk(tmp_path / "whole", kind)
    whole.session()
    expected = whole.ends()
    for fails_at in range(whole.tune.num_trained):
        disk = Disk(tmp_path / str(fails_at), kind)
        disk.tune.fails_at = fails_at
        with suppress(MachineFailed):
            disk.session()
        disk.session()
        assert disk.ends() == expected, f"the disk was full at message {fails_at}"


def test_a_study_that_is_over_is_left_as_it_is(tmp_path):
    disk = Disk(tmp_path / "d", "promotion")
    disk.session()
    before = disk.ends()
    disk.session()
    assert disk.ends() == before
    extended = replace(disk.space, search=disk.space.search.model_copy(update={"num_trials": 8}))
    disk.space = extended
    disk.session()
    assert len(disk.ends()[0]) == 8


@pytest.mark.parametrize("stage", Stage)
def test_a_run_whose_checkpoint_was_lost_is_trained_again_and_its_record_stays(tmp_path, stage):
    disk = Disk(tmp_path / "d", "asha")
    disk.session()
    before, num_trained = disk.ends(), disk.tune.num_trained
    lost = next(record for record in disk.folder.records(stage) if record.status == "complete")
    disk.tune.saved.pop(lost.name)
    study = Study(disk.folder, Storage(Place.of(disk.folder.path)), disk.space, None, disk.folder.path, {})
    with patch.object(tuning, "_tune", disk.tune):
        tuning.train_again(study, stage, [lost.name], tuning.begin_progress(study, Console(file=io.StringIO())))
    assert disk.tune.num_trained == num_trained + 4
    assert disk.ends() == before
    disk.session()
    assert disk.ends() == before and disk.tune.num_trained == num_trained + 4, "it is over"
