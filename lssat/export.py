"""`python -m lssat.export`: a winner as an ONNX model, proved on real rows."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

# What loads torch is imported where it is needed, so that `--help` and mistakes are answered at once.
from lssat.command import check_extra, command_parser, exit_code, local_path
from lssat.data.prepare.prepare import prepare
from lssat.data.prepared.decoding import read_some
from lssat.data.prepared.table import SPLITS, read_info, shard_paths
from lssat.data_arguments import add_data_arguments, as_trained, data_of

MOST_ROWS = 1024
"""Rows that a model is proved on: more would prove little more and take minutes of a large one."""
EPILOG = """example:
  python -m lssat.export results/backbones-faces-smiling/best --data faces.parquet --task smiling

The model takes `images`, uint8 [N, S, S, 3] as they were prepared (faces cut out, S pixels wide), and gives `logits`,
`probability` (calibrated) and `embedding`. It is put into the bundle once it has answered rows of the data as torch
does, in batches of 1, 7 and 32; else nothing is written, and the reason is told. Needs the extra: pip install
'.[export]'.

It computes in float32; `python -m lssat.predict` may compute in bfloat16 where that is fast, and answer so slightly
differently."""


def main() -> int:
    """0: written, 2: bad input, or a model that cannot be exported."""
    arguments = _parser().parse_args()
    return exit_code(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    check_extra("export")  # before the data are prepared, which may take hours
    data = data_of(arguments)
    from lssat.bundle.exporting import add_onnx
    from lssat.bundle.folder import ONNX, check_is_current
    from lssat.bundle.onnx_model import check_enough, prove, write_onnx
    from lssat.bundle.opening import open_bundle

    bundle = open_bundle(arguments.bundle)
    check_is_current(arguments.bundle)
    for note in bundle.notes:
        print(f"note: {note}", file=sys.stderr)
    data = as_trained(data, bundle.faces)
    prepared = prepare(data, arguments.cache, lambda line: print(line, file=sys.stderr))
    info = read_info(prepared)
    bundle.check_same_task(info)
    check_enough(info.rows[arguments.split])
    rows = read_some(shard_paths(prepared, arguments.split), MOST_ROWS, bundle.config.data.image_size)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / ONNX
        write_onnx(bundle, model)
        proof = prove(bundle, model, rows["image"], rows["label"])
        add_onnx(arguments.bundle, sorted(model.parent.iterdir()), bundle.digest)  # a large one has its weights beside
    print(
        f"{arguments.bundle / ONNX}: on {proof.rows} rows of {arguments.split}, in batches of "
        f"{', '.join(map(str, proof.batches))}, logits differ from torch's by at most {proof.largest_difference:.1g}, "
        f"labels are the same, and so is {proof.metric}, {proof.score:.4f}"
        + (" (held out or not)" if bundle.config.data.hold_out else "")
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("python -m lssat.export", "Write a winner as an ONNX model, proved on real rows.", EPILOG)
    parser.add_argument("bundle", type=local_path, help="the folder best/ of a run")
    add_data_arguments(parser)
    parser.add_argument("--split", default="val", choices=SPLITS, help="whose rows prove it (default val)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
