"""Whether a hundred trials leave anything behind. `make bench`."""

import subprocess
import threading
import time

import numpy as np
import psutil
import pytest

from search.record.folder import Stage
from tests.benchmarks.performance.turnover import GROUPS, command, noise_table, run_folder

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return noise_table(tmp_path_factory.mktemp("data"))


def search(tmp_path, table, *more):
    """Run a study; its folder, its seconds, and the resident memory of it and all it started, sampled every two seconds
    (MB).
    """
    started, memory = time.time(), []
    process = subprocess.Popen(
        command(tmp_path, table, *more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    def watch():
        while process.poll() is None:
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            memory.append(sum(_private(member) for member in family) / 1e6)
            time.sleep(2)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return run_folder(tmp_path), time.time() - started, memory


def _private(process):
    try:
        return process.memory_full_info().uss
    except psutil.Error:
        return 0


@pytest.mark.parametrize(("trials", "more"), [(100, ()), (10, GROUPS)], ids=["100-local", "10-two-worker"])
def test_stopped_trials_leave_nothing_behind(tmp_path, table, trials, more):
    folder, seconds, memory = search(tmp_path, table, "--num-trials", str(trials), *more)
    states = [record.status for record in folder.records(Stage.SEARCH)]
    counted = {state: states.count(state) for state in set(states)}
    third = len(memory) // 3
    early, late = (
        np.percentile(part, 90) for part in (memory[third : 2 * third], memory[2 * third :])
    )  # workers come and go: their peaks tell
    print(
        f"\n{trials} trials {' '.join(more)}: {counted} in {seconds:.0f} s; memory {early:.0f} MB in the middle "
        f"third, {late:.0f} MB in the last"
    )
    assert len(states) == trials
    assert set(states) <= {"complete", "stopped"}
    assert states.count("stopped") >= trials // 4
    assert late < 1.15 * early
