"""A ControlNet whose condition is the photo's latent, as in *Dereflection Any Image*."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from torch import Tensor


class LatentControlNet(ControlNetModel):
    """A diffusers ControlNet without conditioning embedding and without zero convolutions.

    The latent goes straight into ``conv_in``; what the down blocks and the mid block make of it is added to
    the UNet's features unchanged. Published checkpoints still carry the parts that are not used: they are
    passed over when loading and not saved again. ``from_unet`` copies a UNet's weights, as in diffusers.
    """

    unused_parts = ("controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block")
    _keys_to_ignore_on_load_unexpected: Any = [rf"^{part}\." for part in unused_parts]

    @wraps(ControlNetModel.__init__)  # type: ignore[misc]  # diffusers reads the configuration's names from it
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.class_embedding is not None or self.config["addition_embed_type"] is not None:
            raise ValueError("A latent ControlNet takes no class labels or extra embeddings; leave them out.")
        for part in self.unused_parts:
            delattr(self, part)

    def forward(self, latent: Tensor, timestep: int, encoder_hidden_states: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return features to add to a UNet of the same shape.

        ``latent``: B x ``in_channels`` x h x w, in the UNet's scale. ``encoder_hidden_states``: B x N x
        ``cross_attention_dim``. Returns the features of ``conv_in`` and of every down-block layer, in the UNet's order,
        and the mid block's feature.
        """
        steps = torch.full((latent.shape[0],), timestep, device=latent.device)
        embedding = self.time_embedding(self.time_proj(steps).to(latent.dtype))
        return down_and_mid(self, latent, embedding, encoder_hidden_states)


def down_and_mid(network: Any, latent: Tensor, embedding: Tensor, tokens: Tensor) -> tuple[list[Tensor], Tensor]:
    """Run the down path and mid block of a UNet, or of a ControlNet, its copy.

    Returns the features of ``conv_in`` and of every down-block layer, which the up path consumes from the end, and the
    mid block's. ``embedding``: the timestep's, B x C; ``tokens``: B x N x ``cross_attention_dim``.
    """
    hidden = network.conv_in(latent)
    features = [hidden]
    for block in network.down_blocks:
        if getattr(block, "has_cross_attention", False):
            hidden, made = block(hidden, embedding, encoder_hidden_states=tokens)
        else:
            hidden, made = block(hidden, embedding)
        features.extend(made)
    if getattr(network.mid_block, "has_cross_attention", False):
        return features, network.mid_block(hidden, embedding, encoder_hidden_states=tokens)
    return features, network.mid_block(hidden, embedding)
