"""`python -m lssat.tools.rename_weights SOURCE ARCHITECTURE DESTINATION`: give a foreign checkpoint timm's names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

import timm
import torch
from torch import Tensor

from lssat.command import exit_code, local_path
from lssat.errors import ConfigError
from lssat.model.pretrained import read_weights
from lssat.train.checkpoint import write_tensors


def main() -> int:
    """Write the renamed weights. 0: done, 2: bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m lssat.tools.rename_weights",
        description="Give a foreign checkpoint timm's names, in the order of both.",
    )
    parser.add_argument("source", type=local_path, help="weights (.safetensors or .pth), classifier included")
    parser.add_argument("architecture", help="timm's name of the same architecture")
    parser.add_argument("destination", type=local_path, help="the .safetensors to write, for `backbone.pretrained`")
    arguments = parser.parse_args()

    def rename() -> None:
        state = renamed_in_order(read_weights(arguments.source), arguments.architecture)
        write_tensors(state, arguments.destination)

    return exit_code(rename)


def renamed_in_order(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of a foreign checkpoint under timm's names for architecture `name`, classifier included, in the order
    of both.

    Raises ConfigError unless number and shapes agree from the first to the last.
    """
    with torch.device("meta"):
        own = timm.create_model(name, pretrained=False).state_dict()
    if len(own) != len(state):
        raise ConfigError(
            f"timm's {name} has {len(own)} tensors, but the file has {len(state)}: it is another architecture's"
        )
    renamed = {}
    for (key, wanted), (given_key, given) in zip(own.items(), state.items(), strict=True):
        if wanted.shape != given.shape:
            raise ConfigError(
                f"`{key}` of timm's {name} is {tuple(wanted.shape)}, but the file's `{given_key}` is "
                f"{tuple(given.shape)}"
            )
        renamed[key] = given
    return renamed


if __name__ == "__main__":
    sys.exit(main())
