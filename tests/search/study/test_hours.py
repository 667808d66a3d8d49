"""`--hours`: search and final stage end in time, with as much as there is time for."""

import io
from types import SimpleNamespace

import optuna
import pytest
from rich.console import Console

from lssat.storage.place import Place
from search.findings import leaderboard
from search.record.folder import RunFolder, Stage, Storage
from search.record.trials import Status
from search.space.file import load
from search.strategy import budget, deadline, searcher
from search.strategy.baselines import num_rates
from search.study import progress, recorder, session, tuning
from search.study.context import Study
from tests.search.study.fake_tune import FakeTune

SPACE = """
fixed: {optim.epochs: 4, backbone.name: test_resnet, data.image_size: 64}
space:
  optim.lr: {low: 0.01, high: 0.2}
search: {num_trials: 12, sampler: random, seed: 0, grace_epochs: 1, reduction_factor: 2, finalists: 2, final_seeds: 3}
"""
OF_BACKBONES = """
fixed: {optim.epochs: 4, data.image_size: 64}
space: {backbone.name: [test_resnet, test_convnext, test_efficientnet], optim.lr: [0.01, 0.1]}
search: {sampler: grid, scheduler: none, finalists: 1, finalists_per: backbone, supervised: none, final_seeds: 3}
"""
EPOCH = 60.0
"""Seconds of the clock that an epoch takes."""


class SlowTune(FakeTune):
    """The clock goes on with every epoch."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock

    def _messages(self, suggestion):
        before = self.num_trained
        for message in super()._messages(suggestion):
            self._clock[0] += EPOCH * (self.num_trained - before)  # the last epoch is reported again without training
            before = self.num_trained
            yield message


class Studied:
    """A session on a clock of its own: what it says, its trials and its final runs, and the epochs that it took."""

    def __init__(self, path, monkeypatch, num_epochs, text=SPACE, **search):
        clock = [1000.0]
        for module in (budget, deadline, progress, recorder):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        tune = SlowTune(clock)
        monkeypatch.setattr(tuning, "_tune", tune)
        monkeypatch.setattr(recorder.TensorBoard, "add", lambda *_: None)  # its panels would be pictures
        storage = optuna.storages.InMemoryStorage()
        monkeypatch.setattr(tuning, "open_study", lambda _, name, space: searcher.create_study(storage, name, space))
        path.mkdir(exist_ok=True)
        (path / "s.yaml").write_text(text)
        hours = {} if num_epochs is None else {"hours": num_epochs * EPOCH / 3600}
        space = load(path / "s.yaml", "laptop", {}, {**search, **hours})
        folder = RunFolder(path / "study")
        study = Study(folder, Storage(Place.of(folder.path)), space, None, folder.path, {})
        said = io.StringIO()
        console = Console(file=said, width=200)
        until = deadline.Deadline(space.search, 4, clock[0], num_rates(space))
        shown = tuning.begin_progress(study, console)
        tuning.search(study, until, shown)
        rows = leaderboard.of_folder(folder)
        settings = session._time_for(study, rows, until, console)
        session._tune_baselines(study, rows, settings, shown)
        self.runs = session._final_runs(study, rows, settings, console)
        tuning.train_finals(study, self.runs, shown)
        self.said = said.getvalue()
        self.trials = folder.records(Stage.SEARCH)
        self.baselines = folder.records(Stage.BASELINE)
        self.finals = folder.records(Stage.FINAL)
        self.num_epochs = (clock[0] - 1000.0) / EPOCH


@pytest.mark.parametrize("scheduler", ["promotion", "asha", "none"])
@pytest.mark.parametrize("num_epochs", [None, 30, 50, 70, 1000])
def test_search_and_final_stage_end_in_time_with_a_winner(tmp_path, monkeypatch, scheduler, num_epochs):
    done = Studied(tmp_path, monkeypatch, num_epochs, scheduler=scheduler)
    assert num_epochs is None or done.num_epochs <= num_epochs
    assert any(record.status == Status.COMPLETE for record in done.trials)
    assert done.runs
    assert all(record.status == Status.COMPLETE for record in done.finals)
    has_room = num_epochs in (None, 1000)
    assert ("is for the final stage" in done.said) == (not has_room)
    if has_room:
        assert (len(done.trials), len(done.runs)) == (12, 3 * 3), "two finalists of one backbone, one baseline"
        num_whole = sum(record.status == Status.COMPLETE for record in done.trials)
        assert len(done.baselines) == (num_whole if num_whole > 1 else 0)


@pytest.mark.parametrize("scheduler", ["promotion", "asha", "none"])
def test_a_final_stage_that_does_not_fit_is_cut_and_said_to_be(tmp_path, monkeypatch, scheduler):
    short = Studied(tmp_path / "short", monkeypatch, 26, scheduler=scheduler)
    assert short.num_epochs <= 26
    assert len(short.runs) == 4, "one finalist and its baseline, two seeds"
    assert "final stage cut from 2 x 3 seeds to 1 x 2 seeds" in short.said
    shorter = Studied(tmp_path / "shorter", monkeypatch, 12, scheduler=scheduler)
    assert shorter.num_epochs <= 12
    assert not shorter.runs and "none: the best trial of the search wins" in shorter.said
    assert any(record.status == Status.COMPLETE for record in shorter.trials), "the search has a winner all the same"


@pytest.mark.parametrize("num_epochs", [None, 1000, 66])
def test_the_best_of_each_backbone_are_trained_anew_in_time(tmp_path, monkeypatch, num_epochs):
    done = Studied(tmp_path, monkeypatch, num_epochs, OF_BACKBONES)
    assert num_epochs is None or done.num_epochs <= num_epochs
    assert "[60 s] search: 1 of 60 epochs" in done.said, "the final stage of three backbones is expected"
    backbones = [run.arm.config.backbone.name for run in done.runs]
    assert sorted(backbones) == sorted(["test_resnet", "test_convnext", "test_efficientnet"] * 3)
    assert "final stage: the best 3 (1 of each backbone) over 3 fresh seeds" in done.said
    assert "not in the final stage" not in done.said


def test_a_backbone_that_there_was_no_time_for_is_named(tmp_path, monkeypatch):
    done = Studied(tmp_path, monkeypatch, 50, OF_BACKBONES)
    (missing,) = {"test_resnet", "test_convnext", "test_efficientnet"} - {
        run.arm.config.backbone.name for run in done.runs
    }
    assert done.num_epochs <= 50
    assert f"not in the final stage, as no trial of them is complete: {missing};" in done.said
