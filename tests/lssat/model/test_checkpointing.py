"""What is computed again, and what is kept for it."""

import copy

import pytest
import torch
from timm.models.beit import Beit
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from lssat.config import build
from lssat.inputs.masking import random_mask
from lssat.model.encoders.checkpointing import checkpointed, find_segments
from lssat.model.encoders.tokens import TokenEncoder
from lssat.model.lssat import build_model

NAMES = ["vit_tiny_patch16_224", "resnet18", "efficientnet_b0", "convnext_atto", "swin_tiny_patch4_window7_224"]


def model_of(name, checkpointing=True, device="cpu", **settings):
    small = {"backbone.name": name, "data.image_size": 128, "masking.unit": 32, "decoder.depth": 4}
    with torch.device(device):
        return build_model(
            build({**small, **settings, "resources.activation_checkpointing": checkpointing}), 3, trained=True
        )


def inputs(model, rows=2):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(rows, 3, 128, 128, generator=generator)
    noise = torch.rand(rows, model.encoder.num_cells, generator=generator)
    return image, image, random_mask(noise, model.encoder.ratio(None))


def kept_bytes(model):
    """What autograd holds after a joint forward pass, weights aside."""
    storages, held = {}, []

    def save(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        held.append(tensor)  # so that no other tensor gets its place in memory
        return tensor

    with saved_tensors_hooks(save, lambda tensor: tensor):
        _output = model(*inputs(model))
    weights = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    return sum(size for address, size in storages.items() if address not in weights)


@pytest.mark.parametrize(
    ("name", "share", "settings"),
    [
        ("vit_tiny_patch16_224", 0.25, {}),
        ("resnet18", 0.6, {}),
        ("resnet18", 0.6, {"masking.mode": "sparse"}),
        ("efficientnet_b0", 0.3, {}),
        ("convnext_atto", 0.3, {}),
    ],
)
def test_less_is_kept(name, share, settings):
    """Of ResNet-18 much is the stem's, whose layers stand by themselves."""
    kept, whole = (kept_bytes(model_of(name, checkpointing, **settings)) for checkpointing in (True, False))
    assert 0.02 < kept / whole < share


def test_blocks_are_computed_again_whatever_a_family_calls_them():
    assert model_of("vit_tiny_patch16_224", device="meta").encoder.segments == tuple(f"blocks.{n}" for n in range(12))
    of_a_resnet = model_of("resnet50", device="meta").encoder.segments
    assert of_a_resnet[:4] == ("layer1.0", "layer1.1", "layer1.2", "layer2.0")
    assert of_a_resnet[-1] == "layer4", "a whole stage that puts out little"
    assert model_of("resnet50", checkpointing=False, device="meta").encoder.segments == ()


@pytest.mark.parametrize("name", NAMES)
def test_segments_are_apart_and_cover_most_of_a_backbone(name):
    encoder = model_of(name, device="meta").encoder
    inside = [module for each in encoder.segments for module in encoder.model.get_submodule(each).modules()]
    assert len(inside) == len(set(inside))
    weights = sum(weight.numel() for each in inside for weight in each.parameters(recurse=False))
    assert weights > 0.8 * sum(weight.numel() for weight in encoder.model.parameters())


def test_a_module_that_is_not_called_or_is_one_layer_is_no_segment():
    block = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model = nn.ModuleDict({"blocks": nn.ModuleList([block, copy.deepcopy(block)]), "last": nn.Linear(4, 4)})
    model["unused"] = copy.deepcopy(block)

    def run():
        tokens = torch.zeros(2, 4)
        for each in model["blocks"]:
            tokens = each(tokens)
        return model["last"](tokens)

    assert find_segments(model, run) == ["blocks.0", "blocks.1"]


def test_only_training_keeps_less():
    model = model_of("vit_tiny_patch16_224")
    whole = kept_bytes(model_of("vit_tiny_patch16_224", checkpointing=False).eval())
    assert kept_bytes(model.eval()) == whole


def test_an_input_that_is_overwritten_later_is_noticed():
    block = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    tokens = torch.ones(2, 3)
    with checkpointed([block]):
        out = block(tokens)
    tokens.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_module_is_as_it_was_afterwards():
    block, other = nn.Linear(3, 3), nn.Linear(3, 3)
    other.forward = replaced = lambda tokens: tokens
    with checkpointed([block, other]):
        assert "forward" in block.__dict__ and other.forward is not replaced
    assert "forward" not in block.__dict__ and other.forward is replaced


@pytest.mark.parametrize("own", [True, False])
def test_relative_positions_of_hidden_tokens_are_left_out_again(own):
    """Of each block, or shared by all."""
    torch.manual_seed(0)
    options = {"use_rel_pos_bias": own, "use_shared_rel_pos_bias": not own}
    model = Beit(128, 16, num_classes=0, embed_dim=32, depth=2, num_heads=2, init_values=0.1, **options)
    model.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    encoder = TokenEncoder(model, 128)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 3, 128, 128, generator=generator)
    mask = random_mask(torch.rand(3, encoder.num_cells, generator=generator), 0.75)
    found = []
    for segments in ((), ("blocks.0", "blocks.1")):
        encoder.segments = segments
        encoder.zero_grad()
        encoder.encode(image, mask).features.square().mean().backward()
        found.append({name: weight.grad for name, weight in encoder.named_parameters() if weight.grad is not None})
    torch.testing.assert_close(found[1], found[0])
