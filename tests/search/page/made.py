"""Studies for the page, made without training."""

import json

from lssat.data.prepared.table import DatasetInfo
from lssat.storage.place import Place
from search.page.study import read_study
from search.record import manifest
from search.record.folder import RunFolder, Stage, Storage
from search.space.file import load
from tests.search.records import record

SPACE = """
fixed:
  {{data.image_size: 64, masking.unit: 16, optim.epochs: 4, objective.subgroups: [Male], data.source: /me/faces.csv}}
space:
  backbone.name: [test_resnet, test_convnext, test_efficientnet]
  optim.lr: {{low: 1.0e-4, high: 1.0e-2, log: true}}
search: {{sampler: random, num_trials: 6, finalists: 0, objectives: [{objectives}]}}
"""
ROWS = {"train": 1000, "val": 200, "test": 300}


def begun(path, objectives="score", prepared=None):
    """A study without a trial. `prepared`: the folder of its data, where they are still there."""
    path.mkdir(parents=True)
    (path / "s.yaml").write_text(SPACE.format(objectives=objectives))
    space, folder = load(path / "s.yaml", "laptop", {}, {}), RunFolder(path)
    data = {"fingerprint": "x", "rows": ROWS, "source": "faces.csv", "task": "male", "rejects": 0}
    if prepared:
        data["prepared"] = str(prepared)
    manifest.new_manifest(folder, space, data, path).begin_session(Storage(Place.of(path)), space, "faces.csv")
    return folder


def trial(folder, name, results, status=None, stage=Stage.SEARCH, **sampled):
    """A run of a study, whose keys have `__` for the dots."""
    keys = {"backbone.name": "test_resnet", **{key.replace("__", "."): value for key, value in sampled.items()}}
    fixed = {"data.image_size": 64, "masking.unit": 16, "optim.epochs": 4}
    reason = keys.pop("reason", "")
    return record(folder.path / stage / name, {**fixed, **keys}, results, status, reason)


def dataset(folder, rejects=(), leaks=(), synthetic=False, allow_leaks=True, **options):
    """The prepared data of such a study, without its pictures; `options`: further ones of `DatasetInfo`."""
    counts = {split: {"no": number // 4, "yes": number - number // 4} for split, number in ROWS.items()}
    info = DatasetInfo(
        "faces.csv",
        "male",
        "binary",
        ("no", "yes"),
        synthetic,
        (),
        "x",
        {"allow_leaks": allow_leaks, **options},
        ROWS,
        counts,
        rejects,
    )
    folder.mkdir()
    (folder / "dataset.json").write_text(info.to_json())
    lines = ["kind,first_split,first_row,second_split,second_row,detail", *(",".join(leak) for leak in leaks)]
    (folder / "leaks.csv").write_text("\n".join(lines) + "\n")
    return folder


def on_page(folder):
    """The study as sections see it, afresh."""
    return read_study(folder.path, "s")


def of_kind(section, kind):
    """The blocks of a section that are statements, tables or charts, by their names or the ends of their ids."""
    blocks = [block for block in section.blocks if isinstance(block, kind)]
    return {getattr(block, "name", None) or block.id.partition(".")[2]: block for block in blocks}


def without_nan(drawn):
    """A chart as a browser reads it, for which NaN is no JSON."""
    return json.loads(json.dumps(drawn, allow_nan=False))
