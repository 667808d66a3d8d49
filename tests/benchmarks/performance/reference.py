"""The yardstick: the published two-branch step, written straight down in eager float32 with naive attention.

It is what a reader of the papers would write first, from their description: each branch by itself, every score of the
attention matrix kept, AdamW as torch makes it by default, no clipping. Weights go by the names of our model, so that
both begin with the same ones. Its target is made beforehand: published code makes it as images are loaded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lssat.inputs.texture import TEXTURES
from lssat.train.distributed import to_device
from tests.benchmarks.performance.trained import Trained

EPS = 1e-6
LARGEST_LDP = 255


class Losses(NamedTuple):
    """Means over the batch."""

    task: Tensor
    reconstruction: Tensor


class Reference:
    """The step of a vision transformer, for what `trained` is trained with: the same weights, pictures and masks."""

    def __init__(self, trained: Trained) -> None:
        config, model = trained.config, trained.learner.model
        self.weights = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
        self.positions = model.decoder.position.clone()
        self.heads = model.encoder.model.blocks[0].attn.num_heads
        self.config, self.patch = config, model.encoder.unit
        self.image, self.label = to_device(trained.batch, trained.context.distributed.device)
        self.pixels = (self.image - 0.5) / 0.5
        self.noise = trained.draws().mask_noise.to(self.image.device)
        self.target = patches(TEXTURES["LDP"](self.image, config.texture) / LARGEST_LDP, self.patch)
        matrices = [value for name, value in self.weights.items() if value.ndim > 1 and "weight" in name]
        others = [value for name, value in self.weights.items() if not (value.ndim > 1 and "weight" in name)]
        groups = [
            {"params": matrices, "weight_decay": config.optim.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.optim.lr)

    def step(self) -> Losses:
        losses = self.losses()
        w = self.config.aux_weight
        ((1 - w) * losses.task + w * losses.reconstruction).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return losses

    def losses(self) -> Losses:
        everything = self.embedded()
        clean = self.encoded(everything)
        task = F.cross_entropy(self.linear(clean[:, 0], "head"), self.label)

        length = everything.shape[1] - 1
        order = self.noise.argsort(dim=1)
        visible = order[:, : int(length * (1 - self.config.masking.ratio))].sort(dim=1).values
        hidden = torch.ones_like(self.noise).scatter(1, visible, 0.0)
        embedded = self.embedded()
        kept = embedded[:, 1:].gather(1, visible[:, :, None].expand(-1, -1, embedded.shape[2]))
        latent = self.encoded(torch.cat([embedded[:, :1], kept], dim=1))[:, 1:]
        error = ((self.decoded(latent, visible, length) - self.target) ** 2).mean(-1)
        return Losses(task, (error * hidden).sum() / hidden.sum())

    def embedded(self) -> Tensor:
        """Class token and patches with their positions."""
        w, name = self.weights, "encoder.model."
        maps = F.conv2d(
            self.pixels, w[f"{name}patch_embed.proj.weight"], w[f"{name}patch_embed.proj.bias"], stride=self.patch
        )
        tokens = maps.flatten(2).transpose(1, 2)
        first = w[f"{name}cls_token"].expand(len(tokens), -1, -1)
        return torch.cat([first, tokens], dim=1) + w[f"{name}pos_embed"]

    def encoded(self, tokens: Tensor) -> Tensor:
        return self.norm(self.blocks(tokens, "encoder.model.blocks", self.heads), "encoder.model.norm", EPS)

    def decoded(self, latent: Tensor, visible: Tensor, length: int) -> Tensor:
        tokens = self.linear(latent, "decoder.embed")
        empty = self.weights["decoder.mask_token"].expand(len(tokens), length, -1)
        filled = empty.scatter(1, visible[:, :, None].expand(-1, -1, tokens.shape[2]), tokens)
        mixed = self.blocks(filled + self.positions, "decoder.blocks", self.config.decoder.num_heads)
        return self.linear(self.norm(mixed, "decoder.norm", 1e-5), "decoder.predict")

    def blocks(self, tokens: Tensor, name: str, heads: int) -> Tensor:
        number = 0
        while f"{name}.{number}.norm1.weight" in self.weights:
            block = f"{name}.{number}"
            tokens = tokens + self.attended(self.norm(tokens, f"{block}.norm1", EPS), f"{block}.attn", heads)
            wide = F.gelu(self.linear(self.norm(tokens, f"{block}.norm2", EPS), f"{block}.mlp.fc1"))
            tokens = tokens + self.linear(wide, f"{block}.mlp.fc2")
            number += 1
        return tokens

    def attended(self, tokens: Tensor, name: str, heads: int) -> Tensor:
        batch, length, width = tokens.shape
        parts = self.linear(tokens, f"{name}.qkv").reshape(batch, length, 3, heads, width // heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        scores = (query @ key.transpose(-2, -1)) * (width // heads) ** -0.5
        mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(batch, length, width)
        return self.linear(mixed, f"{name}.proj")

    def linear(self, values: Tensor, name: str) -> Tensor:
        return F.linear(values, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, values: Tensor, name: str, eps: float) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(values, weight.shape, weight, bias, eps)


def patches(maps: Tensor, side: int) -> Tensor:
    """Maps of one channel [B,1,H,W] as squares [B,L,side*side], row by row."""
    return F.unfold(maps, side, stride=side).transpose(1, 2)
