"""What a session says of its progress: true at every moment, over both stages, and within the width of a terminal."""

import io
import math
from contextlib import suppress
from itertools import pairwise
from unittest.mock import patch

import pytest
from rich.cells import cell_len
from rich.console import Console

from lssat.on_ray.machine_fault import MachineFailed
from search.record.folder import Stage
from search.space import epochs
from search.space.settings import SearchConfig
from search.strategy.forecast import Forecast
from search.strategy.suggestion import Suggestion
from search.study.progress import Part, Progress
from tests.search.records import epoch
from tests.search.study.test_kills_between_writes import SEARCHES, Disk

KINDS = {**SEARCHES, "median": {"scheduler": "median"}, "hyperband": {"scheduler": "hyperband"}}


@pytest.fixture(autouse=True)
def no_curves():
    with patch("search.study.recorder.TensorBoard"):
        yield


def watched(disk):
    """A session of a study; (epochs trained, epochs that there will be) at each message."""
    seen = []

    def watch():
        seen.append((disk.progress.forecast.trained, disk.progress.forecast.trained + disk.progress.forecast.left()))

    disk.tune.watch = watch
    with suppress(MachineFailed):
        disk.session()
    watch()
    return seen


def on_disk(disk):
    return sum(record.num_epochs for stage in Stage for record in disk.folder.records(stage))


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_are_counted_over_both_stages_and_the_estimate_ends_at_what_was_trained(tmp_path, kind):
    disk = Disk(tmp_path / "d", kind, KINDS)
    seen = watched(disk)
    search, num_epochs = disk.space.search, 4
    of_baselines = epochs.baselines(search, num_epochs, 1, math.inf)
    plan = epochs.searched(search, num_epochs).plus(of_baselines).plus(epochs.final(search, num_epochs))
    trained = [now for now, _ in seen]
    assert all(later - earlier in (0, 1) for earlier, later in pairwise(trained))
    assert trained[-1] == on_disk(disk)
    assert all(now <= total <= plan.high + 1 for now, total in seen)
    assert seen[-1][0] == seen[-1][1]
    shares = [now / total for now, total in seen]
    assert all(later > earlier - 0.1 for earlier, later in pairwise(shares)), "no great step back"
    finals = disk.folder.records(Stage.FINAL)
    of_final_stage = seen[-sum(record.num_epochs for record in finals) - 1 :]
    assert len({total for _, total in of_final_stage}) == 1, "what is known is not guessed"


@pytest.mark.parametrize("kind", ["asha", "promotion"])
def test_a_session_goes_on_from_the_number_at_which_the_last_one_ended(tmp_path, kind):
    disk = Disk(tmp_path / "d", kind)
    num_messages = len(watched(disk))
    for fails_at in range(2, num_messages, 5):
        disk = Disk(tmp_path / str(fails_at), kind)
        disk.tune.fails_at = fails_at
        interrupted = watched(disk)[-1]
        resumed = watched(disk)
        assert interrupted[0] <= resumed[0][0] <= interrupted[0] + 1
        assert resumed[-1] == (on_disk(disk), on_disk(disk))


def test_lines_say_epochs_and_never_that_it_takes_longer(tmp_path):
    disk = Disk(tmp_path / "d", "promotion")
    lines = []
    disk.tune.watch = lambda: lines.append(disk.progress.line())
    disk.session()
    assert not [line for line in lines if "longer" in line]
    assert lines[0].startswith("[0 s] search: ") and "epochs, time left: measuring, 0 of 6 trials over" in lines[0]
    assert any("paused" in line for line in lines)
    assert " final stage: " in lines[-1] and f"{on_disk(disk)} of {on_disk(disk)} epochs" in lines[-1]
    assert "left" not in lines[-1].partition("epochs")[2]


def screen(width, rows):
    """What a terminal of this width shows of some running trials."""
    shown = io.StringIO()
    console = Console(file=shown, width=width)
    progress = Progress(console, Forecast(SearchConfig(), 30))
    with progress.shows(Part("final stage", "runs", 12, best=(0.91234, "convnextv2_atto.fcmae, 0003-seed1"))):
        for number, sampled in enumerate(rows):
            suggestion = Suggestion(f"{number:04d}-supervised-CLBP-seed{number}", sampled)
            progress.started(suggestion)
            if number:
                progress.observe(suggestion, epoch(7, 0.81234, 30))
        console.print(progress.render())
    return shown.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_line_fits_the_terminal_and_the_score_stays_where_there_is_room(width):
    rows = [
        {"backbone.family": "convnextv2", "backbone.size": "nano"},
        {"backbone.family": "vit", "backbone.size": "tiny", "streams": "MRGB/RLDP/CRGB", "aux_weight": 0.4321},
        {"backbone.name": "test_resnet", "auxiliary": False},
    ]
    lines = screen(width, rows)
    assert max(map(cell_len, lines)) <= width
    running = [line for line in lines if "-seed" in line and "best" not in line]
    assert len(running) == len(rows)
    if width >= 80:
        assert all("0.8123" in line for line in running[1:])
    assert ("MRGB/RLDP/CRGB" in "".join(running)) == (width == 200)


def test_of_many_running_trials_the_best_are_shown_and_how_many_more_there_are():
    console = Console(file=io.StringIO(), width=100, height=12, force_terminal=True)
    progress = Progress(console, Forecast(SearchConfig(num_trials=200), 4))
    with progress.shows(Part("search", "trials", 200)):
        for number in range(100):
            suggestion = Suggestion(f"{number:04d}", {"backbone.name": "test_vit", "optim.epochs": 4})
            progress.started(suggestion)
            progress.observe(suggestion, epoch(1, number / 100))
    with console.capture() as shown:  # without what the display itself draws
        console.print(progress.render())
    lines = shown.get().rstrip().splitlines()
    assert len(lines) <= console.height and all(cell_len(line) <= 200 for line in lines)
    assert "0099" in lines[2] and "0098" in lines[3]
    assert lines[-1].strip() == f"and {100 - (len(lines) - 3)} more"
