"""What the driver's work costs in the middle of a search: `python -m tests.benchmarks.scaling.case 5000 1000` prints it
as JSON, of 5,000 trials that are over and 1,000 that run, in CPU seconds of this process, a new one for each case.

Ray Tune is played; searcher, scheduler, recorder and display are those of a study, and so are its files.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from rich.console import Console

from lssat.storage.place import Place
from lssat.task import Task
from search.findings import leaderboard
from search.record.folder import RunFolder, Storage
from search.strategy.deadline import Deadline
from search.study import tuning
from search.study.context import Study
from search.study.recorder import Recorder
from search.study.tune_adaptor import Adaptor
from tests.benchmarks.scaling.made import EPOCHS, make, result_of, space_of

ROUNDS = 10
"""Trials that end, each with a new one in its place."""
REFRESHES = 5


class PlayedTune:
    """Stands for `search.study.tuning._tune`: lets trials go on, report, end and follow one another."""

    def __init__(self, running: int) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.counts: dict[str, int] = {}
        self._running = running
        self._ids = count()
        self._began = time.process_time()

    def __call__(self, study: Study, adaptor: Adaptor, recorder: Recorder, num_runs: int) -> None:
        self.seconds["resume"].append(time.process_time() - self._began)
        trials = [self._start(adaptor, recorder) for _ in range(self._running)]
        for trial in trials:
            self._report(adaptor, recorder, trial, 4)
        for name in ("suggestion", "start", "report"):
            self.seconds[name].clear()  # those of trials that go on
        for _ in range(REFRESHES):
            with self._timed("refresh"):
                recorder.progress.console.print(recorder.progress.render())
        for trial in trials[:ROUNDS]:
            self._report(adaptor, recorder, trial, EPOCHS)
            with self._timed("end"):
                adaptor.tune_scheduler.on_trial_complete(None, trial, {})
                adaptor.tune_searcher.on_trial_complete(trial.trial_id)
            self._start(adaptor, recorder)
        self.counts = {"open_files": len(os.listdir("/proc/self/fd")), "resident_bytes": resident_bytes()}
        self._began = time.process_time()

    def end(self, study: Study) -> None:
        """The search is over: its leaderboard."""
        self.seconds["end_of_search"].append(time.process_time() - self._began)
        with self._timed("leaderboard"):
            leaderboard.write(leaderboard.of_folder(study.folder), study.folder)

    def _start(self, adaptor: Adaptor, recorder: Recorder) -> Any:
        name = str(next(self._ids))
        with self._timed("suggestion"):
            config = adaptor.tune_searcher.suggest(name)
        assert isinstance(config, dict), "the search has room for more trials"
        trial = SimpleNamespace(trial_id=name, config=config, run_metadata=SimpleNamespace(num_failures=0))
        with self._timed("start"):
            adaptor.tune_scheduler.on_trial_add(None, trial)
            recorder.on_trial_start(0, [], cast(Any, trial))
        return trial

    def _report(self, adaptor: Adaptor, recorder: Recorder, trial: Any, epoch: int) -> None:
        report = result_of(epoch, score=0.5 + int(trial.trial_id) / 1e5).to_report()
        with self._timed("report"):
            adaptor.tune_scheduler.on_trial_result(None, trial, report)
            recorder.on_trial_result(0, [], trial, report)
            adaptor.tune_stopper.stop_all()

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[name].append(time.process_time() - began)


def measured(over: int, running: int) -> dict[str, float]:
    """Name -> median of CPU seconds, number of open files, bytes of resident memory."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, space = RunFolder(Path(temporary) / "made"), space_of(over + running + 10 * ROUNDS)
        folder.path.mkdir()
        make(folder, space, over, running)
        study = Study(folder, Storage(Place.of(folder.path)), space, cast(Task, None), folder.path, {})
        console = Console(file=io.StringIO(), width=120, height=50, force_terminal=True)
        played = PlayedTune(running)
        tuning._tune = played
        deadline = Deadline(space.search, EPOCHS, time.monotonic())
        tuning.search(study, deadline, tuning.begin_progress(study, console))
        played.end(study)
        return {**{name: float(np.median(each)) for name, each in played.seconds.items()}, **played.counts}


def resident_bytes(process: int | str = "self") -> int:
    """Of a process."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(measured(*map(int, sys.argv[1:]))))
