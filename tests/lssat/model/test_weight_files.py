"""A folder of weights: each backbone takes the file that is named after it, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from lssat.config import build
from lssat.errors import ConfigError
from lssat.model.encoders.build import encoder_of
from lssat.model.weight_files import source_of
from lssat.settings.model import BackboneConfig

RESNET = {"family": "resnet", "size": "atto"}
"""The catalogue's test_resnet."""


def folder(path: Path, *names: str) -> str:
    for name in names:
        (path / name).touch()
    return f"{path}/"


@pytest.mark.parametrize(
    ("backbone", "files", "taken"),
    [
        ({"name": "resnet18"}, ["resnet18.pth", "resnet34.pth"], "resnet18.pth"),
        ({"name": "resnet18"}, ["resnet18.a1_in1k.safetensors", "resnet18d.pth"], "resnet18.a1_in1k.safetensors"),
        (RESNET, ["test_resnet.r160_in1k.safetensors", "resnet.pth"], "test_resnet.r160_in1k.safetensors"),
        (RESNET, ["resnet.vggface.v2.pth", "README.md", "resnet.txt"], "resnet.vggface.v2.pth"),
        ({"family": "resnet", "size": "tiny"}, ["test_resnet.pth", "resnet.pth"], "resnet.pth"),
    ],
)
def test_a_file_is_named_after_the_architecture_or_else_the_family(
    tmp_path: Path, backbone: dict[str, str], files: list[str], taken: str
) -> None:
    pretrained = folder(tmp_path, *files)
    assert source_of(BackboneConfig(**backbone, pretrained=pretrained)) == str(tmp_path / taken)


def test_elsewhere_nothing_is_looked_for() -> None:
    for pretrained in (True, False, "/w/resnet18.pth"):
        assert source_of(BackboneConfig(name="test_vit", pretrained=pretrained)) == pretrained


@pytest.mark.parametrize(
    ("backbone", "files", "said"),
    [
        ({"name": "resnet18"}, ["resnet.pth"], r"must hold a file for resnet18, such as resnet18\.safetensors"),
        ({"name": "resnet18"}, [], r"but has no \.safetensors and no \.pth; add it, take the backbone out"),
        (
            RESNET,
            ["test_resent.pth"],
            r"for test_resnet or resnet, .* has test_resent\.pth \(did you mean `test_resent`",
        ),
        (RESNET, [f"v{n}.pth" for n in range(9)], r"has v0\.pth, v1\.pth, v2\.pth, v3\.pth, v4\.pth, v5\.pth, \.\.\.;"),
        (
            RESNET,
            ["test_resnet.a.pth", "test_resnet.pth"],
            r"one file for test_resnet, but has test_resnet\.a\.pth, test",
        ),
    ],
)
def test_none_or_several_are_refused(tmp_path: Path, backbone: dict[str, str], files: list[str], said: str) -> None:
    pretrained = folder(tmp_path, *files)
    with pytest.raises(ConfigError, match=rf"^`backbone\.pretrained`: .*{said}"):
        source_of(BackboneConfig(**backbone, pretrained=pretrained))


def test_a_folder_that_is_not_there_is_refused_and_one_needs_a_slash(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere on .*; every worker must see it"):
        source_of(BackboneConfig(name="test_vit", pretrained=f"{tmp_path}/nowhere/"))
    for wrong in (str(tmp_path), "weights/", "~/weights/"):
        with pytest.raises(ConfigError, match="or of a folder of such with / at its end, which every worker reads"):
            build({"backbone.pretrained": wrong})


def test_each_encoder_begins_with_its_own_file(tmp_path: Path) -> None:
    states = {name: timm.create_model(name).state_dict() for name in ("test_resnet", "test_convnext")}
    save_file(states["test_resnet"], tmp_path / "test_resnet.mine.safetensors")
    torch.save({"state_dict": states["test_convnext"]}, tmp_path / "convnext.pth")
    for family in ("resnet", "convnext"):
        settings = {"backbone.family": family, "backbone.size": "atto", "backbone.pretrained": f"{tmp_path}/"}
        built = encoder_of(build(settings)).model.state_dict()
        assert all(torch.equal(tensor, states[f"test_{family}"][key]) for key, tensor in built.items())


def test_a_file_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": timm.create_model("test_resnet")}, tmp_path / "resnet.pth")
    with pytest.raises(ConfigError, match=r"resnet\.pth is damaged, or holds more than weights"):
        encoder_of(build({"backbone.family": "resnet", "backbone.size": "atto", "backbone.pretrained": f"{tmp_path}/"}))
