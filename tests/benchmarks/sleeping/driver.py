"""On the head of a cluster: trials that sleep, run as a study runs its trials, and the seconds that they took."""

import os
import sys
import time
from pathlib import Path

from ray import tune

from search.study import tuning
from search.study.cluster import connect

ROOT = Path(__file__).resolve().parents[3]
SECONDS, EPOCHS = 20.0, 5


def sleep_through(config):
    for epoch in range(EPOCHS):
        time.sleep(SECONDS / EPOCHS)
        tune.report({"epoch": epoch + 1})


def run(address: str, num_trials: int, slots: int) -> float:
    """Seconds from the first suggestion to the last end, with the cluster joined already."""
    connect(address, ROOT)
    os.environ.update(tuning.TUNE_SETTINGS)
    began = time.monotonic()
    tune.Tuner(
        tune.with_resources(sleep_through, {"cpu": 1}),
        tune_config=tune.TuneConfig(num_samples=num_trials, max_concurrent_trials=slots, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(Path("/tmp/sleeping")), verbose=0),
    ).fit()
    return time.monotonic() - began


if __name__ == "__main__":
    took = run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(f"took: {took:.2f}")
