"""Before anything starts: the backbones of a space that the catalogue does not vouch for are built once, pretrained
weights included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lssat.command import Notify
from lssat.config import Config
from lssat.inputs.mask_rule import num_visible
from lssat.model import catalog
from lssat.model.weight_files import is_folder, source_of, weight_files
from search.space.backbone_rules import located
from search.space.definition import Space
from search.space.drawable import backbones, tunings

if TYPE_CHECKING:
    from lssat.model.encoders.base import Encoder

FirstWeights = dict[str, str]
"""`architecture`, the `file` of its first weights, none of timm's hub, with its `sha256`, and how they `match`."""


def check_by_building(space: Space, notify: Notify) -> list[FirstWeights]:
    """Build each backbone that a space can draw and that has pretrained weights, a name of timm's, a pooling or a
    masking of its own; see that every `masking.ratio` of the space hides some of its cells and shows some, and that
    each backbone has what `optim.tune` asks for.

    Weights from the hub are then in the cache. A line tells how weights match; they are returned, for the record.
    Raises ConfigError: better now than in every trial.
    """
    _check_tunings(space)
    configs = backbones(space)
    loaded: list[FirstWeights] = []
    for config, ratios in configs:
        if _needs_building(config):
            with located(config, space.locations):
                encoder = _build(config, loaded, notify)
                for ratio in ratios:
                    num_visible(encoder.num_cells, encoder.ratio(ratio))
    _name_unused_files([config for config, _ in configs], notify)
    return loaded


def _check_tunings(space: Space) -> None:
    from lssat.model.encoders.build import check_name, meta_model
    from lssat.model.tuned import check_tune

    for config in tunings(space):
        if config.optim.tune not in ("all", "head"):  # every backbone has those
            name = catalog.architecture(config.backbone)
            with located(config, space.locations):
                check_name(name)
                check_tune(meta_model(name), name, config.optim.tune)


def _needs_building(config: Config) -> bool:
    backbone = config.backbone
    is_plain = config.head.pooling == "native" and config.masking.mode == "token"
    return bool(backbone.pretrained or backbone.name or not is_plain)


def _build(config: Config, loaded: list[FirstWeights], notify: Notify) -> Encoder:
    from lssat.model.encoders.build import build_encoder
    from lssat.model.lssat import build_model
    from lssat.model.pretrained import load_pretrained

    backbone = config.backbone
    model = build_model(config, 1, trained=True)
    if backbone.pretrained:
        name, source = catalog.architecture(backbone), source_of(backbone)
        encoder = build_encoder(
            backbone, config.masking, config.data.image_size, masked=config.trains_auxiliary, trained=True
        )
        match = load_pretrained(encoder.model, name, source)
        of_folder = f"{Path(str(source)).name}, " if is_folder(backbone) else ""
        found = {"architecture": name, **_origin(source), "match": str(match)}
        if found not in loaded:  # other poolings and masks begin with the same
            loaded.append(found)
            notify(f"weights   {name}: {of_folder}{match}")
    return model.encoder


def _origin(source: bool | str) -> dict[str, str]:
    """The file of weights and a digest of it; none of the hub, where timm's name of the architecture says it."""
    if not isinstance(source, str):
        return {}
    with Path(source).open("rb") as file:
        return {"file": source, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _name_unused_files(configs: Iterable[Config], notify: Notify) -> None:
    """Say which files of weights stay unread, as one of them may bear a wrong name."""
    used: dict[Path, set[Path]] = {}
    for backbone in (config.backbone for config in configs):
        if is_folder(backbone):
            used.setdefault(Path(str(backbone.pretrained)), set()).add(Path(str(source_of(backbone))))
    for folder, files in used.items():
        if unused := [path.name for path in weight_files(folder) if path not in files]:
            notify(f"weights   of no backbone of this space in {folder}: {', '.join(unused)}")
