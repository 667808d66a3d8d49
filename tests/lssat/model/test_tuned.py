"""What `optim.tune` promises: a training step gives gradients to, and changes, what is to learn and nothing else."""

from __future__ import annotations

import re

import numpy as np
import pytest
import timm
import torch
from torch import nn

from lssat.config import Config, build
from lssat.data.prepared.rows import Batch
from lssat.errors import ConfigError
from lssat.model.encoders.build import encoder_of, meta_model
from lssat.model.lssat import build_model
from lssat.model.tuned import check_tune, freeze, norm_names, num_blocks, training_mode
from lssat.task import Task
from lssat.train.distributed import Distributed
from lssat.train.learner import Learner, new_learner
from lssat.train.optim import build_optimizer
from lssat.train.step import StepContext, train_step

CPU = torch.device("cpu")
TASK = Task("emotion", "multiclass", ("a", "b", "c"), (4, 4, 4), 12)

NORMS = {
    "test_vit": r"blocks\.\d\.norm[12]|norm",
    "test_vit3": r"blocks\.\d\.norm[12]|norm|attn_pool\.norm",
    "test_vit_relpos": r"blocks\.\d\.norm[12]|fc_norm",
    "test_resnet": r"conv1\.[14]|bn1|layer\d\.0\.bn\d|layer1\.0\.downsample\.1|layer[234]\.0\.downsample\.2",
    "test_convnext": r"stem\.1|stages\.\d\.blocks\.\d\.norm|stages\.\d\.downsample\.0|head\.norm",
    "test_efficientnet": r"bn[12]|blocks\.\d\.\d\.bn\d",
    "test_coatnet": r"stem\.norm1|stages\.\d\.blocks\.\d\.(pre_norm|norm\d|norm\d\.norm)|norm",
    "convnextv2_atto": r"stem\.1|stages\.\d\.blocks\.\d\.(norm|mlp\.grn)|stages\.\d\.downsample\.0|head\.norm",
}
"""Each tiny model's modules that normalise, written down by hand from timm's source."""
LAST_2 = {
    "test_vit": r"blocks\.[45]\.|norm\.",
    "test_vit3": r"blocks\.[78]\.|norm\.|attn_pool\.",
    "test_vit_relpos": r"blocks\.[78]\.|fc_norm\.",
    "test_resnet": r"layer[34]\.",
    "test_convnext": r"stages\.[23]\.|head\.norm\.",
    "test_efficientnet": r"blocks\.[34]\.|conv_head\.|bn2\.",
    "test_coatnet": r"stages\.[23]\.|norm\.",
    "convnextv2_atto": r"stages\.[23]\.|head\.norm\.",
}
"""The parameters of the last two blocks (flat) or stages, and what stands behind them."""
MASKED = [
    *((name, "token") for name in NORMS if name != "convnextv2_atto"),  # it is larger, and here for its response norm
    ("test_resnet", "sparse"),
    ("test_convnext", "sparse"),
    ("convnextv2_atto", "sparse"),
]
ALONE = ["test_vit", "test_resnet", "test_convnext", "test_coatnet"]
PASSES = [*((name, mode, True) for name, mode in MASKED), *((name, "token", False) for name in ALONE)]
MODES = ["all", "head", "norms", "norms+bias", "last_2"]


def settings(name: str, **others: object) -> Config:
    patch = 16 if name in ("test_vit", "test_vit3") else None
    return build(
        {
            "backbone.name": name,
            "backbone.patch_size": patch,
            "data.image_size": 64,
            "decoder.dim": 32,
            "optim.batch_size": 4,
            "optim.precision": "float32",
            "optim.lr": 0.05,
            "optim.weight_decay": 0.5,
        }
        | others
    )


def promised(name: str, tune: str, model: nn.Module) -> set[str]:
    """What is to learn, by hand."""
    own = {key: value for key, value in model.named_parameters() if key.startswith("encoder.")}
    backbone = {key.removeprefix("encoder.model."): value for key, value in own.items() if "encoder.model." in key}
    token = {"encoder.mask_token"} & own.keys()
    norms = {key for key in backbone if re.fullmatch(rf"({NORMS[name]})\.(weight|bias)", key)}
    biases = {key for key, value in backbone.items() if key.endswith(".bias") and value.ndim == 1}
    found = {
        "all": set(backbone),
        "head": set(),
        "norms": norms,
        "norms+bias": norms | biases,
        "last_2": {key for key in backbone if re.match(LAST_2[name], key)},
    }[tune]
    others = {key for key, _ in model.named_parameters() if not key.startswith("encoder.")}
    return {f"encoder.model.{key}" for key in found} | others | (token if tune not in ("head", "last_2") else set())


def stepped(config: Config, learner: Learner) -> dict[str, torch.Tensor | None]:
    """The gradients of a step, after which the weights have moved."""
    random = np.random.default_rng(0)
    batch = Batch(random.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8), np.array([0, 1, 2, 0]), np.arange(4), 4)
    training_mode(learner.model, config.optim.tune)
    context = StepContext.of(config, TASK, Distributed(CPU))
    train_step(context, learner.model, batch, torch.Generator().manual_seed(0), 1)
    gradients = {key: value.grad for key, value in learner.model.named_parameters()}
    learner.update(config.optim.clip_norm)
    return gradients


@pytest.mark.parametrize("tune", MODES)
@pytest.mark.parametrize(("name", "masking", "auxiliary"), PASSES)
def test_a_step_changes_what_is_promised_and_nothing_else(name: str, masking: str, auxiliary: bool, tune: str) -> None:
    config = settings(name, **{"masking.mode": masking, "auxiliary": auxiliary, "optim.tune": tune})
    torch.manual_seed(0)
    learner = new_learner(config, TASK, CPU)
    before = {key: value.clone() for key, value in learner.model.state_dict().items()}
    gradients = stepped(config, learner)
    expected = promised(name, tune, learner.model)
    given = {key: gradient for key, gradient in gradients.items() if gradient is not None}
    assert given.keys() == expected
    changed = {key for key, value in learner.model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed & gradients.keys() <= expected
    unseen = [given[key].abs().max() for key in expected - changed]
    assert all(gradient < 1e-8 for gradient in unseen), "a softmax does not see some biases"
    # Running statistics move exactly where the norm that keeps them learns.
    moved = {key.rpartition(".")[0] for key in changed - gradients.keys()}
    kept = {key.rpartition(".")[0] for key in before if key.endswith("running_mean")}
    assert moved == {module for module in kept if f"{module}.weight" in expected}


@pytest.mark.parametrize("tune", MODES)
@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_the_optimizer_holds_what_learns_alone_at_the_rates_and_decays_of_all(name: str, tune: str) -> None:
    """So no frozen weight decays, and layers keep their shares of the rate."""
    config = settings(name, **{"optim.layer_decay": 0.5})
    whole, part = build_model(config, 3), freeze(build_model(config, 3), tune)
    rates = []
    for model in (whole, part):
        names = {id(parameter): key for key, parameter in model.named_parameters()}
        groups = build_optimizer(model, config.optim).param_groups
        rates.append(
            {
                names[id(parameter)]: (group["lr"], group["weight_decay"])
                for group in groups
                for parameter in group["params"]
            }
        )
    assert rates[1] == {key: rate for key, rate in rates[0].items() if key in promised(name, tune, whole)}


@pytest.mark.parametrize(
    ("name", "masking"), [("test_vit", "token"), ("test_resnet", "token"), ("test_resnet", "sparse")]
)
def test_the_backward_pass_ends_at_the_lowest_block_that_learns(name: str, masking: str) -> None:
    config = settings(name, **{"masking.mode": masking, "optim.tune": "last_2"})
    model = new_learner(config, TASK, CPU).model
    training_mode(model, "last_2")
    below, above = ["blocks.3", "blocks.4"] if name == "test_vit" else ["layer2", "layer3"]
    has_graph: dict[str, list[bool]] = {below: [], above: []}
    for module, seen in has_graph.items():
        model.encoder.model.get_submodule(module).register_forward_hook(
            lambda _module, _inputs, output, seen=seen: seen.append(output.requires_grad)
        )
    stepped(config, Learner(model, None, build_optimizer(model, config.optim)))
    assert has_graph == {below: [False, False], above: [True, True]}, "the clean pass and the masked one"


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext"])
def test_what_is_frozen_drops_nothing(name: str) -> None:
    """Stochastic depth is in the mode of its block."""
    config = settings(name, **{"backbone.drop_path_rate": 0.5})
    dropping = {}
    for tune in MODES:
        model = freeze(build_model(config, 3), tune)
        training_mode(model, tune)
        assert model.training and model.head.training and model.decoder is not None and model.decoder.training
        modules = model.encoder.model.named_modules()
        dropping[tune] = {key for key, module in modules if "DropPath" in type(module).__name__ and module.training}
    assert dropping["all"] == dropping["norms"] == dropping["norms+bias"] and not dropping["head"]
    assert dropping["last_2"] == {key for key in dropping["all"] if re.match(LAST_2[name], key)} < dropping["all"]


def test_a_norm_without_weights_keeps_its_statistics() -> None:
    """It cannot learn, so it is frozen, although the block around it is not."""
    model = build_model(settings("test_resnet", auxiliary=False), 3)
    model.encoder.model.layer4[0].bn1 = plain = nn.BatchNorm2d(96, affine=False)
    training_mode(freeze(model, "norms"), "norms")
    assert model.encoder.model.layer4[0].bn2.training and not plain.training


@pytest.mark.parametrize("tune", ["norms", "norms+bias"])
@pytest.mark.parametrize("name", ["test_nfnet", "nf_regnet_b0", "vgg11", "resmlp_12_224"])
def test_a_backbone_without_norms_is_refused_where_they_are_to_learn(name: str, tune: str) -> None:
    """NFNet's blocks are called norm-free, and have weights of their own."""
    with pytest.raises(ConfigError, match=rf"^`optim\.tune` {re.escape(tune)}: {name} has no norm .*; choose head"):
        check_tune(meta_model(name), name, tune)
    check_tune(meta_model(name), name, "last_1")


def test_norms_whose_weights_are_constants_are_none() -> None:
    """timm's frozen batch-norm keeps them as buffers."""
    model = timm.create_model("test_resnet", num_classes=0)
    assert norm_names(timm.layers.freeze_batch_norm_2d(model)) == set()


@pytest.mark.parametrize(
    ("name", "there"), [("test_vit", 6), ("test_resnet", 4), ("caformer_s18", 4), ("rdnet_tiny", 7)]
)
def test_more_blocks_than_there_are_is_refused(name: str, there: int) -> None:
    backbone = meta_model(name)
    assert num_blocks(backbone) == there
    check_tune(backbone, name, f"last_{there}")
    with pytest.raises(
        ConfigError, match=rf"`optim\.tune` last_{there + 1}: {name} has {there} .* at most last_{there}"
    ):
        check_tune(backbone, name, f"last_{there + 1}")


@pytest.mark.parametrize("name", ["caformer_s18", "pit_ti_224", "csatv2"])
def test_stages_of_backbones_of_which_timm_says_no_layers_are_those_of_their_features(name: str) -> None:
    with torch.device("meta"):
        model = freeze(build_model(settings(name, auxiliary=False, **{"backbone.pretrained": False}), 3), "last_1")
    learning = {key.removeprefix("encoder.model.") for key, value in model.named_parameters() if value.requires_grad}
    last = model.encoder.model.feature_info[-1]["module"]
    assert all(key.startswith((f"{last}.", "norm", "head.")) for key in learning)
    assert {key for key, _ in model.encoder.model.named_parameters() if key.startswith(f"{last}.")} < learning


@pytest.mark.parametrize(
    ("name", "bias", "table"),
    [
        ("beit_base_patch16_224", "blocks.0.attn.q_bias", "blocks.0.attn.relative_position_bias_table"),
        ("levit_128s", "stages.0.blocks.0.attn.qkv.bn.bias", "stages.0.blocks.0.attn.attention_biases"),
        ("sequencer2d_s", "stages.0.blocks.0.rnn_tokens.rnn_v.bias_ih_l0", "stages.0.blocks.0.rnn_tokens.fc.weight"),
    ],
)
def test_biases_are_those_of_layers_under_any_name_and_no_tables(name: str, bias: str, table: str) -> None:
    side = 112 if name == "sequencer2d_s" else 64
    unit = 28 if name == "sequencer2d_s" else 16
    with torch.device("meta"):
        config = settings(name, auxiliary=False, **{"data.image_size": side, "masking.unit": unit})
        model = freeze(build_model(config, 3), "norms+bias").encoder.model
    learns = {key: value.requires_grad for key, value in model.named_parameters()}
    assert learns[bias] and not learns[table]


@pytest.mark.parametrize("tune", ["norm", "last_0", "last_", "last_-1", "bias", "last_2.5", ""])
def test_an_unknown_way_is_refused(tune: str) -> None:
    with pytest.raises(ConfigError) as error:
        build({"optim.tune": tune})
    assert str(error.value) == (
        "`optim.tune` must be all, head, norms, norms+bias, or last_1, last_2, ... for so many of the last blocks or "
        f"stages, but got {tune!r}"
    )


def test_what_learns_is_the_same_with_weights_and_on_the_meta_device() -> None:
    """The check before a study builds shapes alone."""
    built = encoder_of(settings("test_coatnet")).model
    assert norm_names(built) == norm_names(meta_model("test_coatnet"))
