"""The one-step UNet of *Dereflection Any Image*: its ControlNet, and the part that does not depend on the photo.

DAI gives its UNet an all-zero latent, so the features of its down and mid blocks are the same for every photo of one
size and one prompt: they are computed once and cached. The ControlNet, which reads the photo's latent, adds the photo.
"""

from __future__ import annotations

from collections import deque
from functools import wraps
from typing import Any, NamedTuple

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

MAX_BYTES = 512 * 2**20  # of one size that is cached, about 1,536 px in float32
UNSUPPORTED = (
    "center_input_sample",
    "class_embed_type",
    "num_class_embeds",
    "addition_embed_type",
    "encoder_hid_dim_type",
    "time_embedding_act_fn",
)


class LatentControlNet(ControlNetModel):
    """A diffusers ControlNet that reads the photo's latent, without conditioning embedding and zero convolutions.

    The latent goes straight into ``conv_in``; the features of the down blocks and the mid block are added to the UNet's
    unchanged. Published checkpoints still carry the parts that are not used: they are ignored when loading and not
    saved again. ``from_unet`` copies a UNet's weights, as in diffusers.
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
        """Return :func:`down_and_mid` of a latent, B x ``in_channels`` x h x w, in the UNet's scale."""
        steps = torch.full((latent.shape[0],), timestep, device=latent.device)
        embedding = self.time_embedding(self.time_proj(steps).to(latent.dtype))
        return down_and_mid(self, latent, embedding, encoder_hidden_states)


def down_and_mid(network: Any, latent: Tensor, embedding: Tensor, tokens: Tensor) -> tuple[list[Tensor], Tensor]:
    """Run the down path and mid block of a UNet or ControlNet; returns all down features and the mid block's."""
    hidden = network.conv_in(latent)
    features = [hidden]
    for block in network.down_blocks:
        hidden, made = block(hidden, embedding, **_attended(block, tokens))
        features.extend(made)
    return features, network.mid_block(hidden, embedding, **_attended(network.mid_block, tokens))


def _attended(block: Any, tokens: Tensor) -> dict[str, Tensor]:
    return {"encoder_hidden_states": tokens} if getattr(block, "has_cross_attention", False) else {}


class Constants(NamedTuple):
    """Time embedding, down features in the UNet's order and mid feature for one size and prompt."""

    tokens: Tensor
    embedding: Tensor
    down: tuple[Tensor, ...]
    mid: Tensor


def check_plain(unet: UNet2DConditionModel) -> None:
    """Raise ValueError for UNets whose forward pass has parts that :func:`finish` lacks."""
    for name in UNSUPPORTED:
        if unet.config.get(name):
            raise ValueError(f"The UNet's `{name}` is not supported; use one shaped like Stable Diffusion's.")


def compute(unet: UNet2DConditionModel, size: tuple[int, int], tokens: Tensor) -> Constants:
    """Compute down and mid features of the zero latent of ``size`` (h, w); ``tokens`` are B x N x C."""
    zeros = tokens.new_zeros(tokens.shape[0], unet.config["in_channels"], *size)
    embedding = unet.time_embedding(unet.get_time_embed(sample=zeros, timestep=0))
    down, mid = down_and_mid(unet, zeros, embedding, tokens)
    return Constants(tokens, embedding, tuple(down), mid)


def finish(unet: UNet2DConditionModel, constants: Constants, down: list[Tensor], mid: Tensor, tokens: Tensor) -> Tensor:
    """Run the UNet's up path on the constants (any batch) plus the ControlNet's features: the clean latent."""
    features = [own + added for own, added in zip(constants.down, down, strict=True)]
    hidden = constants.mid + mid
    embedding = constants.embedding.expand(hidden.shape[0], -1)
    blocks: Any = unet.up_blocks
    for n, block in enumerate(blocks):
        count = len(block.resnets)
        taken, features = tuple(features[-count:]), features[:-count]
        # Sizes that do not halve evenly come back to the size of the feature that is added next.
        upsample_size = features[-1].shape[-2:] if n != len(blocks) - 1 else None
        hidden = block(hidden, taken, embedding, upsample_size=upsample_size, **_attended(block, tokens))
    if unet.conv_norm_out is not None:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    return unet.conv_out(hidden)


def constants_of(
    cache: deque[Constants], unet: UNet2DConditionModel, size: tuple[int, int], tokens: Tensor
) -> Constants:
    """Return :func:`compute`'s result, from ``cache`` where it is there; the caller clears that when weights change."""
    for constants in cache:
        # The prompt is the same tensor each time; comparing values would make a GPU wait.
        same = constants.tokens is tokens or (
            constants.tokens.dtype == tokens.dtype and torch.equal(constants.tokens, tokens)
        )
        if same and constants.down[0].shape[-2:] == size:
            return constants
    constants = compute(unet, size, tokens)
    if sum(kept.nbytes for kept in (constants.mid, *constants.down)) <= MAX_BYTES:
        cache.append(constants)
    return constants
