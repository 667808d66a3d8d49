"""One encoder, trained on two tasks at once: a head classifies the clean image, a decoder rebuilds a texture from a
partly hidden one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from timm.layers import trunc_normal_
from torch import Tensor, nn

from lssat.config import Config
from lssat.inputs.mask_rule import num_visible
from lssat.inputs.masking import Mask
from lssat.inputs.target import target_width
from lssat.model.decoder import Decoder
from lssat.model.encoders.base import Encoded, Encoder
from lssat.model.encoders.build import encoder_of


class Output(NamedTuple):
    """What one joint forward yields."""

    logits: Float[Tensor, "B K"]
    pred: Float[Tensor, "M L P"] | None
    """A prediction for every patch of the target; None without a masked image."""
    pooled: Float[Tensor, "B P"] | None = None
    """The encoder's features of the classified image, given where there is no masked one."""


class LSSAT(nn.Module):
    """Encoder, head and, where the auxiliary task is trained, decoder.

    `fuses`: the head reads the pooled image beside the auxiliary branch's features, as in Fusion-SSAT (arXiv
    2601.00789). That paper does not publish the operator, so this one is our own: the features of the classified image,
    nothing hidden, pass through the decoder's blocks, and the mean over the patches is concatenated. So the head reads
    the same in training and at test, where no masked pass runs. It costs one pass of the decoder over all patches, at
    test too, and the decoder learns from both tasks. Where masked and classified stream differ (MLDP/../CRGB), the
    decoder sees the classified one here.
    """

    def __init__(self, encoder: Encoder, head: nn.Linear, decoder: Decoder | None, fuses: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.decoder = decoder
        self.fuses = fuses

    def forward(
        self,
        classified: Float[Tensor, "B 3 H W"],
        masked: Float[Tensor, "M 3 H W"] | None = None,
        mask: Mask | None = None,
    ) -> Output:
        """Logits of `classified`, and predictions for `masked` where it is given, which may be fewer; images in [0, 1].

        Both passes are one call, so that DistributedDataParallel sees every parameter used once per step.
        """
        encoded = self.encoder.encode(classified)
        logits = self.head(self._fused(encoded) if self.fuses else encoded.pooled)
        if masked is None:
            return Output(logits, None, encoded.pooled)
        assert self.decoder is not None, "this model was built without the auxiliary task"
        assert mask is not None, "a masked image needs a mask"
        latent = self.encoder.encode(masked, mask)
        return Output(logits, self.decoder(latent, mask))

    def _fused(self, encoded: Encoded) -> Float[Tensor, "B P"]:
        assert self.decoder is not None, "fusion needs the auxiliary task"
        assert encoded.features.shape[1] == self.encoder.num_cells, "fusion reads an image of which nothing is hidden"
        return torch.cat([encoded.pooled, self.decoder.pooled(encoded)], dim=1)


def build_model(config: Config, num_outputs: int, *, trained: bool = False) -> LSSAT:
    """A new model with random weights, in its encoder those of `backbone.pretrained`.

    `trained`: all weights will come from a checkpoint, so pretrained ones are not looked for. Raises ConfigError where
    a rule is broken. The decoder is drawn last: from one seed, a model with and one without the auxiliary task start
    from the same encoder and head.
    """
    auxiliary, fuses = config.trains_auxiliary, config.head.fusion == "concat"
    encoder = encoder_of(config, trained=trained)
    if auxiliary:
        num_visible(encoder.num_cells, encoder.ratio(config.masking.ratio))
    head = nn.Linear(encoder.pooled_dim + (config.decoder.dim if fuses else 0), num_outputs)
    trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return LSSAT(encoder, head, _build_decoder(config, encoder) if auxiliary else None, fuses)


def _build_decoder(config: Config, encoder: Encoder) -> Decoder:
    width = target_width(config, encoder.unit)
    decoder = Decoder(encoder.features_dim, encoder.grid, width, config.decoder, fills=encoder.masking == "tokens")
    decoder.checkpoints = config.resources.activation_checkpointing
    return decoder
