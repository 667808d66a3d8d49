"""How fast each network of a study classifies: measured once, when no trial runs, and kept in the run folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from lssat.files import write_json
from lssat.model import catalog
from search.record.folder import RunFolder
from search.record.trials import TrialRecord


@dataclass(frozen=True)
class Network:
    """What a speed is that of. `flops` tells networks of one architecture apart that differ in patches or head; it is
    None of trials of a version that did not count them, whose speed is not measured.
    """

    backbone: str
    image_size: int
    precision: str
    flops: int | None


def network_of(record: TrialRecord) -> Network:
    """The network that a trial has trained."""
    config, last = record.config, record.last
    backbone = catalog.architecture(config.backbone)
    return Network(backbone, config.data.image_size, config.optim.precision, last.flops if last else None)


def read_speeds(folder: RunFolder) -> dict[Network, float]:
    """Images per second that each network classifies which was measured so far."""
    return {Network(**line["network"]): float(line["images_per_s"]) for line in _lines(folder)}


def add_speed(folder: RunFolder, network: Network, images_per_s: float, measured_on: str) -> None:
    """Keep what was measured. `measured_on`: a device, in words."""
    line = {"network": asdict(network), "images_per_s": round(images_per_s, 1), "measured_on": measured_on}
    write_json(folder.speeds, [*_lines(folder), line])


def _lines(folder: RunFolder) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = json.loads(folder.speeds.read_text()) if folder.speeds.exists() else []
    return lines
