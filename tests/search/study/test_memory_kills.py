"""Ray kills a trial's process for memory: the study goes on, and that trial with smaller micro-batches; after a plain
kill with the same.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
STUDY = """
import os, sys, psutil
memory = psutil.virtual_memory()
os.environ["RAY_memory_usage_threshold"] = str(round((memory.total - memory.available + 5e9) / memory.total, 4))
os.environ["RAY_memory_monitor_refresh_ms"] = "100"
from pathlib import Path
import ray
from ray import tune
from lssat.storage.place import Place
from lssat.train import microbatch
from search.strategy.suggestion import Suggestion, suggestion_of
from search.study import memory_kills

storage = Path(sys.argv[1])

class Recover(tune.Callback):
    def on_trial_recover(self, iteration, trials, trial, **info):
        suggestion = suggestion_of(trial)
        memory_kills.halve_rows_if_killed(trial, Place.of(storage / "trials" / suggestion.name), suggestion.config)

KILLS = ["plain", "memory", "none"]

def train(tune_config):
    suggestion = tune_config["suggestion"]
    kill = KILLS[int(suggestion.name)]
    import os, signal, time
    import numpy as np
    folder = storage / "trials" / suggestion.name
    num_micro_batches = microbatch.begin(folder, suggestion.config, {})
    if kill != "none" and not (folder / "died").exists():
        folder.mkdir(parents=True)
        (folder / "died").touch()
        if kill == "plain":
            os.kill(os.getpid(), signal.SIGKILL)
        held = []
        while True:
            held.append(np.ones(20_000_000))
            time.sleep(0.02)
    tune.report({"micro_batches": num_micro_batches})

memory_kills.survive()
ray.init(
    num_cpus=1,
    include_dashboard=False,
    _node_ip_address="127.0.0.1",
    _temp_dir=sys.argv[2],
    object_store_memory=100 << 20,
)
failures = tune.FailureConfig(max_failures=3)
run = tune.RunConfig(storage_path=str(storage / "ray"), callbacks=[Recover()], failure_config=failures, verbose=0)
suggestions = tune.grid_search([Suggestion(name, {}) for name in "012"])
results = tune.Tuner(train, param_space={"suggestion": suggestions}, run_config=run).fit()
for result in results:
    print("RESULT", KILLS[int(result.config["suggestion"].name)], result.metrics.get("micro_batches"))
"""


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.skipif(psutil.virtual_memory().available < 8e9, reason="fills 5 GB for a moment")
@pytest.mark.timeout(300)
def test_a_kill_for_memory_halves_and_a_plain_kill_does_not(tmp_path):
    with tempfile.TemporaryDirectory(
        prefix="oom", dir="/tmp", ignore_cleanup_errors=True
    ) as ray:  # Ray's sockets need a short path
        done = subprocess.run(
            [sys.executable, "-c", STUDY, tmp_path, ray], cwd=ROOT, capture_output=True, text=True, timeout=250
        )
    results = sorted(line.split()[1:] for line in done.stdout.splitlines() if line.startswith("RESULT"))
    assert results == [["memory", "2"], ["none", "1"], ["plain", "1"]], done.stdout + done.stderr[-4000:]
