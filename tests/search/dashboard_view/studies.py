"""Studies on disk for the dashboard, made without training."""

import time

from lssat.storage.place import Place
from search.record import manifest
from search.record.folder import RunFolder, Stage, Storage
from search.space.file import load
from tests.search.records import epoch, record

CONDITIONAL = """
fixed: {data.image_size: 64, optim.epochs: 9, seed: 3}
space:
  backbone.name: [test_vit, test_resnet, test_convnext]
  backbone.patch_size: {choices: [8, 16], when: {backbone.name: [test_vit]}}
  optim.lr:
    - {low: 1.0e-4, high: 1.0e-3, log: on, when: {backbone.name: [test_vit]}}
    - {low: 1.0e-3, high: 1.0e-2, log: on, when: {backbone.name: [test_resnet, test_convnext]}}
  streams: [MRGB/RLBP/CRGB, MRGB/RLDP/CRGB]
  target.encoding:
    - {choices: [scaled, bits], when: {streams: [MRGB/RLBP/CRGB]}}
    - {choices: [histogram, bits], when: {streams: [MRGB/RLDP/CRGB]}}
search: {scheduler: promotion, grace_epochs: 1, reduction_factor: 3, num_trials: 12}
"""
VIT = {"backbone.name": "test_vit", "backbone.patch_size": 8, "optim.lr": 3e-4}
RESNET = {"backbone.name": "test_resnet", "optim.lr": 4e-3}
LBP = {"streams": "MRGB/RLBP/CRGB", "target.encoding": "scaled"}
LDP = {"streams": "MRGB/RLDP/CRGB", "target.encoding": "histogram"}


def begun(path, text=CONDITIONAL):
    """The folder of a study that has begun, and its space."""
    path.mkdir(parents=True)
    (path / "s.yaml").write_text(text)
    space = load(path / "s.yaml", "laptop", {}, {})
    folder = RunFolder(path)
    begun = manifest.new_manifest(folder, space, {"fingerprint": "x"}, path)
    begun.begin_session(Storage(Place.of(path)), space, "faces.csv")
    return folder, space


def trial(folder, space, number, sampled, scores, status=None, reason="", **more):
    """A trial with these scores by epoch; without a status it may go on."""
    results = [
        epoch(at, max(scores[:at]), epochs=space.fixed["optim.epochs"], score=score, **more)
        for at, score in enumerate(scores, start=1)
    ]
    where = folder.record(Stage.SEARCH, f"{number:04d}").folder
    return record(where, {**space.fixed, **sampled}, results, status, reason)


def all_that_can_become_of_a_trial(path):
    """A study that was interrupted, with a trial of each kind."""
    folder, space = begun(path)
    trial(folder, space, 0, VIT | LBP, [0.1 * at for at in range(1, 10)], "complete")
    trial(folder, space, 1, RESNET | LDP, [0.2], "stopped")
    trial(folder, space, 2, RESNET | LBP, [0.4, 0.5, 0.6])  # a rung: it has paused
    trial(folder, space, 3, VIT | LDP, [0.3, 0.35])
    trial(folder, space, 4, VIT | LDP, [], "infeasible", "out of memory with 1 row")
    trial(folder, space, 5, RESNET | LDP, [0.1], "failed", "its process died; see log.txt")
    return folder, space


def wait_for_the_clock():
    """Until the times of files that are written now are later than those of what was written before."""
    time.sleep(0.05)
