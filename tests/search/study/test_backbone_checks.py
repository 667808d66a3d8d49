"""What no trial could train is refused before the search."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from lssat.errors import ConfigError
from search.space import file as space_file
from search.study.backbone_checks import check_by_building

ROOT = Path(__file__).resolve().parents[3]


def load(path, text, **pinned):
    path.write_text(text)
    return space_file.load(path, "none", pinned, {})


def test_weights_are_loaded_and_what_matched_is_said(tmp_path):
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    source = str(tmp_path / "w.safetensors")
    said = []
    check_by_building(
        load(
            tmp_path / "s.yaml",
            "search: {num_trials: 1}",
            **{"backbone.name": "test_resnet", "backbone.pretrained": source},
        ),
        said.append,
    )
    assert len(said) == 1 and "test_resnet: " in said[0] and "0 missing, 0 unexpected" in said[0]
    mixed = "space: {backbone.name: [test_resnet, test_vit]}"
    with pytest.raises(ConfigError, match="must be weights of test_vit"):
        check_by_building(load(tmp_path / "s.yaml", mixed, **{"backbone.pretrained": source}), said.append)


FAMILIES = "space:\n  backbone.family: [resnet, convnext]\nfixed:\n  backbone.size: atto\n"


def test_a_folder_of_weights_is_matched_by_name_said_and_recorded(tmp_path):
    for name, path in {"test_resnet": "test_resnet.mine", "test_convnext": "convnext", "test_vit": "test_vit"}.items():
        save_file(timm.create_model(name).state_dict(), tmp_path / f"{path}.safetensors")
    said = []
    text = f"{FAMILIES}  backbone.pretrained: {tmp_path}/\n"
    found = check_by_building(load(tmp_path / "s.yaml", text), said.append)
    assert [line.partition(" tensors matched")[0] for line in said[:2]] == [
        "weights   test_resnet: test_resnet.mine.safetensors, 75",
        "weights   test_convnext: convnext.safetensors, 99",
    ]
    assert said[2:] == [f"weights   of no backbone of this space in {tmp_path}: test_vit.safetensors"]
    assert [each["architecture"] for each in found] == ["test_resnet", "test_convnext"]
    assert found[1]["file"] == str(tmp_path / "convnext.safetensors")
    assert found[1]["sha256"] == hashlib.sha256((tmp_path / "convnext.safetensors").read_bytes()).hexdigest()


def test_a_backbone_of_the_space_without_a_file_is_refused_at_its_line(tmp_path):
    """Before torch is loaded; and a condition lets the others begin at random weights."""
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "resnet.safetensors")
    text = f"{FAMILIES}  backbone.pretrained: {tmp_path}/\n"
    with pytest.raises(ConfigError, match=r"^convnext atto: `backbone\.pretrained`: .*has resnet\.saf.*s\.yaml:5\)$"):
        load(tmp_path / "s.yaml", text)
    some = f"  backbone.pretrained: {{choices: [{tmp_path}/], when: {{backbone.family: resnet}}}}\nfixed:"
    found = check_by_building(load(tmp_path / "s.yaml", FAMILIES.replace("fixed:", some)), print)
    assert [each["architecture"] for each in found] == ["test_resnet"]


def test_a_file_of_another_architecture_is_refused_whatever_its_name(tmp_path):
    save_file(timm.create_model("test_vit").state_dict(), tmp_path / "resnet.safetensors")
    pins = {"backbone.family": "resnet", "backbone.size": "atto", "backbone.pretrained": f"{tmp_path}/"}
    with pytest.raises(ConfigError, match=r"^resnet atto: .*resnet\.safetensors must be weights of test_resnet"):
        check_by_building(load(tmp_path / "s.yaml", "search: {num_trials: 1}", **pins), print)


@pytest.mark.parametrize(
    ("name", "modes", "said"),
    [
        ("test_nfnet", "[all, norms]", r"^test_nfnet: `optim\.tune` norms: test_nfnet has no norm .*s\.yaml:3\)$"),
        ("test_resnet", "[last_1, last_5]", r"^test_resnet: `optim\.tune` last_5: test_resnet has 4 .*s\.yaml:3\)$"),
    ],
)
def test_a_way_of_tuning_that_a_backbone_has_not_got_is_refused_at_its_line(tmp_path, name, modes, said):
    text = f"space:\n  backbone.name: [test_vit, {name}]\n  optim.tune: {modes}\n"
    with pytest.raises(ConfigError, match=said):
        check_by_building(load(tmp_path / "s.yaml", text), print)
    of_vit = f"  optim.tune: {{choices: {modes}, when: {{backbone.name: test_vit}}}}\n"
    check_by_building(load(tmp_path / "s.yaml", f"space:\n  backbone.name: [test_vit, {name}]\n{of_vit}"), print)


@pytest.mark.parametrize(
    ("pins", "rule"),
    [
        ({"backbone.name": "resnet81"}, "did you mean `resnet"),
        ({"backbone.name": "vit_base_patch16_224", "masking.mode": "sparse"}, "sparse is for convolutional backbones"),
        ({"backbone.family": "swin", "backbone.size": "small", "masking.mode": "sparse"}, "mixes positions"),
        ({"head.pooling": "cls", "backbone.family": "resnet"}, "needs a class token"),
    ],
)
def test_a_backbone_that_cannot_be_is_refused(tmp_path, pins, rule):
    with pytest.raises(ConfigError, match=rule):
        check_by_building(load(tmp_path / "s.yaml", "search: {num_trials: 1}", **pins), print)


@pytest.mark.parametrize("name", ["test_vit2", "test_convnext2"])
@pytest.mark.parametrize("values", ["[0.5, 0.99]", "{low: 0.5, high: 0.99}"])
def test_a_mask_that_hides_all_is_refused_where_only_the_built_encoder_knows_its_cells(tmp_path, name, values):
    """The catalogue lacks these architectures, so the space file alone tells nothing of their cells."""
    text = f"fixed: {{masking.unit: 16}}\nspace:\n  backbone.name: [{name}]\n  masking.ratio: {values}\n"
    many = {"backbone.name": name, "masking.unit": 4, "backbone.patch_size": 4 if name == "test_vit2" else None}
    with pytest.raises(ConfigError, match=rf"^{name}: `masking\.ratio` must hide some of the 16 .*s\.yaml:4\)$"):
        check_by_building(load(tmp_path / "s.yaml", text), print)
    check_by_building(load(tmp_path / "s.yaml", text, **many), print)


def test_without_network_the_search_ends_before_it_begins(tmp_path):
    """In the driver, before data are prepared and Ray starts, with the repair."""
    command = [
        sys.executable,
        "search/run.py",
        "--space",
        "spaces/backbones.yaml",
        "--profile",
        "laptop",
        "--results",
        str(tmp_path),
    ]
    command += [
        "--set",
        "backbone.name=test_vit",
        "--set",
        "backbone.patch_size=8",
        "--set",
        "backbone.pretrained=true",
    ]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(command, cwd=ROOT, env=offline, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "hf download timm/test_vit" in " ".join((done.stdout + done.stderr).split())
    assert not list(tmp_path.rglob("manifest.json")) and not (tmp_path / ".data").exists()
