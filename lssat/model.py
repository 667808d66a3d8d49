"""One encoder, trained on two tasks at once: a head reads the clean image, a decoder rebuilds a texture from a partly hidden one."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float
from timm.layers import trunc_normal_
from torch import Tensor, nn

from lssat.config import Config
from lssat.decoder import Decoder
from lssat.encoders import Encoder, build_encoder
from lssat.target import target_width


class Output(NamedTuple):
    """What one joint forward yields."""

    logits: Float[Tensor, "B K"]
    pred: Float[Tensor, "B L P"] | None
    """A prediction for every patch of the target; None without a masked image."""


class LSSAT(nn.Module):
    """Encoder, head and, where the auxiliary task is trained, decoder."""

    def __init__(self, encoder: Encoder, head: nn.Linear, decoder: Decoder | None) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.decoder = decoder

    def forward(
        self,
        classified: Float[Tensor, "B 3 H W"],
        masked: Float[Tensor, "B 3 H W"] | None = None,
        mask: Bool[Tensor, "B L"] | None = None,
    ) -> Output:
        """Images in [0, 1]. Both passes are one call, so that DistributedDataParallel sees every parameter used once per step."""
        logits = self.head(self.encoder.encode(classified).pooled)
        if masked is None:
            return Output(logits, None)
        assert self.decoder is not None, "this model was built without the auxiliary task"
        assert mask is not None, "a masked image needs a mask"
        return Output(logits, self.decoder(self.encoder.encode(masked, mask), mask))


def build_model(config: Config, num_outputs: int) -> LSSAT:
    """A new model with random weights. Raises ConfigError where the backbone breaks a rule.

    The decoder is drawn last: from one seed, a model with and one without the auxiliary task start from the same encoder and head.
    """
    auxiliary = config.trains_auxiliary
    encoder = build_encoder(config.backbone, config.masking, config.data.image_size, masked=auxiliary)
    head = nn.Linear(encoder.pooled_dim, num_outputs)
    trunc_normal_(head.weight, std=0.02)
    nn.init.zeros_(head.bias)
    return LSSAT(encoder, head, _build_decoder(config, encoder) if auxiliary else None)


def _build_decoder(config: Config, encoder: Encoder) -> Decoder:
    width = target_width(config, encoder.unit)
    return Decoder(encoder.features_dim, encoder.grid, width, config.decoder, fills=encoder.masking == "tokens")
