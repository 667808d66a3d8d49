"""Which file holds the first weights of a backbone (`backbone.pretrained`). Imports neither torch nor timm."""

from __future__ import annotations

import platform
from pathlib import Path

from lssat.errors import ConfigError
from lssat.model import catalog
from lssat.settings.model import WEIGHTS_ENDINGS, BackboneConfig
from lssat.text.did_you_mean import did_you_mean

NAMES_SHOWN = 6


def is_folder(backbone: BackboneConfig) -> bool:
    """Whether each backbone has a file of its own, in one folder."""
    return isinstance(backbone.pretrained, str) and backbone.pretrained.endswith("/")


def source_of(backbone: BackboneConfig) -> bool | str:
    """Where the first weights come from: a file; True: timm's hub; False: they are drawn.

    In a folder, what a file's name has before its first dot must be the architecture or, where no file has that, the
    family: `resnet18.pth`, `resnet18.a1_in1k.safetensors` (timm's name of the weights), `resnet.safetensors`. Raises
    ConfigError where none is so called, or several are.
    """
    if not is_folder(backbone):
        return backbone.pretrained
    folder = Path(str(backbone.pretrained))
    files = weight_files(folder)
    names = _names(backbone)
    for name in names:
        found = [path for path in files if _stem(path) == name]
        if len(found) > 1:
            raise ConfigError(
                f"`backbone.pretrained`: {folder} must hold one file for {name}, but has "
                f"{', '.join(path.name for path in found)}; leave one of them there"
            )
        if found:
            return str(found[0])
    there = [path.name for path in files]
    shown = ", ".join(there[:NAMES_SHOWN]) + (", ..." if len(there) > NAMES_SHOWN else "")
    hint = did_you_mean(names[0], [_stem(path) for path in files], cutoff=0.8)
    raise ConfigError(
        f"`backbone.pretrained`: {folder} must hold a file for {' or '.join(names)}, such as {names[0]}.safetensors, "
        f"but has {shown or 'no .safetensors and no .pth'}{f' ({hint})' if hint else ''}; add it, take the backbone "
        "out of the space, or draw the key for those alone that have one (`when:`)"
    )


def weight_files(folder: Path) -> list[Path]:
    """The files of weights in a folder, in order of their names. Raises ConfigError where there is no such folder."""
    if not folder.is_dir():
        raise ConfigError(
            f"`backbone.pretrained`: there is no folder {folder} on {platform.node()}; every worker must see it"
        )
    return sorted(path for path in folder.iterdir() if path.suffix in WEIGHTS_ENDINGS and path.is_file())


def _names(backbone: BackboneConfig) -> list[str]:
    """What the file of a backbone may be called, the first before the second."""
    architecture = catalog.architecture(backbone)
    return [architecture] if backbone.name else list(dict.fromkeys([architecture, backbone.family]))


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]
