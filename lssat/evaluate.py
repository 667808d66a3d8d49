"""A trained winner: the bundle that is kept of it, and its score on a split."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lssat import catalog, checkpoint
from lssat.config import Config, ConfigError, DataConfig, build
from lssat.data.ingest import read_resident
from lssat.data.prepare import prepare
from lssat.data.rows import Rows
from lssat.data.source import absolute
from lssat.data.table import SPLITS, read_info, read_texts, shard_paths
from lssat.metrics import Array
from lssat.model import LSSAT, build_model
from lssat.place import Place
from lssat.scorecard import scorecard, shown
from lssat.scoring import evaluate, predict_rows, score_predictions
from lssat.task import Task


def export(trained: Path, bundle: Path) -> None:
    """A `best` checkpoint -> a bundle: `weights.safetensors`, `config.json`, `labels.json`, `preprocessing.json`, `validation.json`."""
    tensors, state = checkpoint.load(trained)
    config, task = Config.model_validate(state["config"]), Task.from_json(state["task"])
    encoder = build_model(config, task.num_outputs, trained=True).encoder
    preprocessing = {
        "image_size": config.data.image_size,
        "resize": "bilinear, to a square",
        "scale": "pixels / 255",
        "stream": config.classified_stream,
        "mean": encoder.mean.flatten().tolist(),
        "std": encoder.std.flatten().tolist(),
        "backbone": catalog.architecture(config.backbone),
    }
    bundle.mkdir(parents=True, exist_ok=True)
    save_file({name.removeprefix("model."): tensor for name, tensor in tensors.items()}, bundle / "weights.safetensors")
    parts = {"config": state["config"], "labels": task.to_json(), "preprocessing": preprocessing, "validation": state["result"]}
    for name, part in parts.items():
        (bundle / f"{name}.json").write_text(json.dumps(part, indent=2) + "\n")


def open_bundle(bundle: Path) -> tuple[Config, Task, LSSAT]:
    """A bundle -> its configuration, task and trained model."""
    config = Config.model_validate_json((bundle / "config.json").read_text())
    task = Task.from_json(json.loads((bundle / "labels.json").read_text()))
    model = build_model(config, task.num_outputs, trained=True)
    model.load_state_dict(load_file(bundle / "weights.safetensors"))
    return config, task, model


def score_bundle(bundle: Path, rows: Rows, texts: Mapping[str, Array], subgroups: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that is said of a split (`lssat.scorecard`); `texts` as of `table.read_texts`, in the order of the rows."""
    config, task, model = open_bundle(bundle)
    place = Place(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    micro_batches = json.loads((bundle / "validation.json").read_text())["micro_batches"]  # with which it fitted into memory
    logits, labels, _ = predict_rows(config, model.to(place.device), rows, place, micro_batches)
    scores = {name.removeprefix("test/"): value for name, value in score_predictions(task, logits, labels, "test").items()}
    return scorecard(task, task.score_metric(config.objective.metric), scores, logits, labels, texts, subgroups)


def score_trained(trained: Path, rows: Rows, texts: Mapping[str, Array]) -> dict[str, Any]:
    """The scores of a `best` checkpoint on a split, without intervals; `score` is the metric that its study selects by."""
    tensors, state = checkpoint.load(trained)
    config, task = Config.model_validate(state["config"]), Task.from_json(state["task"])
    place = Place(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    model = build_model(config, task.num_outputs, trained=True)
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items()})
    groups = {name: texts[name] for name in config.objective.subgroups}
    measured = evaluate(config, task, model.to(place.device), rows, place, "test", groups, state["result"]["micro_batches"])
    scores = {name.removeprefix("test/"): value for name, value in measured.items()}
    metric = task.score_metric(config.objective.metric)
    return {"metric": metric, "score": scores[metric], **scores}


def evaluate_on(bundle: Path, data: DataConfig, split: str, subgroups: Sequence[str], cache: Path, note: Callable[[str], None]) -> dict[str, Any]:
    """The scorecard of a bundle on another data set of the same task. Raises ConfigError."""
    if not (bundle / "weights.safetensors").is_file():
        raise ConfigError(f"`{bundle}` is no bundle of a winner; give the folder `best/` of a run")
    config, task, _ = open_bundle(bundle)
    prepared = prepare(data, cache, note)
    info = read_info(prepared)
    if (info.kind, info.classes) != (task.kind, task.classes):
        raise ConfigError(
            f"the bundle tells {', '.join(task.classes)} apart ({task.kind}), but the data hold {', '.join(info.classes)} ({info.kind}); "
            "name data of the same task, or choose labels by `--task` and `--classes`"
        )
    unknown = [name for name in subgroups if name not in info.columns]
    if unknown:
        raise ConfigError(f"the data have no column `{unknown[0]}` to tell subgroups by; they have {', '.join(info.columns) or 'none'}")
    rows = read_resident(shard_paths(prepared, split), config.data.image_size)
    return {"data": data.source, "split": split, **score_bundle(bundle, rows, read_texts(prepared, split), subgroups)}


def main() -> int:
    """0: done, 2: bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m lssat.evaluate",
        description="Score a winner on another data set of the same task.",
        epilog="example:\n  python -m lssat.evaluate results/backbones-faceforensics-deepfake/best --data celebdf:/data/Celeb-DF-v2 --allow-leaks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bundle", type=Path, help="the folder best/ of a run")
    parser.add_argument("--data", required=True, help="as of search/run.py: kind:PATH?option=value, a table, a folder per class, or a prepared folder")
    parser.add_argument("--task", help="label column(s); default: the natural task of the kind")
    parser.add_argument("--classes", metavar="A,B,...", help="keep only these classes of the label")
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--subgroups", default="", metavar="A,B", help="columns of the data to give the score by")
    parser.add_argument("--allow-leaks", action="store_true", help="the other data set's own splits may share persons or images")
    parser.add_argument("--max-rejects", type=float, metavar="SHARE", help="largest share of images that may be unusable (default 0.01)")
    parser.add_argument("--cache", type=Path, default=Path("results/.data"), metavar="DIR", help="where prepared data are kept (default results/.data)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the scorecard as JSON")
    arguments = parser.parse_args()
    keys = {
        "data.source": absolute(arguments.data),
        "data.task": arguments.task,
        "data.classes": arguments.classes.split(",") if arguments.classes else None,
        "data.allow_leaks": arguments.allow_leaks,
        "data.max_rejects": arguments.max_rejects,
    }
    try:
        data = build({key: value for key, value in keys.items() if value is not None}).data
        subgroups = [name for name in arguments.subgroups.split(",") if name]
        card = evaluate_on(arguments.bundle, data, arguments.split, subgroups, arguments.cache, lambda text: print(text, file=sys.stderr))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(shown(card))
    if arguments.out:
        arguments.out.write_text(json.dumps(card, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
