"""The part of the one-step UNet that does not depend on the photo, computed once and cached.

DAI gives its UNet an all-zero latent, so the features of its down and mid blocks are the same for every photo of one
size and one prompt; the photo is added afterwards, by the ControlNet.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from models.dereflection.latent_controlnet import down_and_mid

MAX_BYTES = 512 * 2**20  # about two sizes of 1,536 px in half precision, or one in float32
UNSUPPORTED = (
    "center_input_sample",
    "class_embed_type",
    "num_class_embeds",
    "addition_embed_type",
    "encoder_hid_dim_type",
    "time_embedding_act_fn",
)


class Constants(NamedTuple):
    """Time embedding, down features in the UNet's order and mid feature for one size and prompt."""

    tokens: Tensor
    embedding: Tensor
    down: tuple[Tensor, ...]
    mid: Tensor

    @property
    def nbytes(self) -> int:
        """Their memory in bytes."""
        return sum(t.nbytes for t in (self.tokens, self.embedding, self.mid, *self.down))


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
    """Run the UNet's up path on the constants plus the ControlNet's features: the clean latent, B x C x h x w.

    Constants of batch 1 serve any batch.
    """
    features = [own + added for own, added in zip(constants.down, down, strict=True)]
    hidden = constants.mid + mid
    embedding = constants.embedding.expand(hidden.shape[0], -1)
    blocks: Any = unet.up_blocks
    for n, block in enumerate(blocks):
        count = len(block.resnets)
        taken, features = tuple(features[-count:]), features[:-count]
        # Sizes that do not halve evenly come back to the size of the feature that is added next.
        upsample_size = features[-1].shape[-2:] if n != len(blocks) - 1 else None
        if getattr(block, "has_cross_attention", False):
            hidden = block(hidden, taken, embedding, encoder_hidden_states=tokens, upsample_size=upsample_size)
        else:
            hidden = block(hidden, taken, embedding, upsample_size=upsample_size)
    if unet.conv_norm_out is not None:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    return unet.conv_out(hidden)


class ConstantStore:
    """Caches constants by size and prompt, the latest used, up to ``max_bytes``.

    It does not notice that weights change: clear it then.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.hits = 0
        self._kept: list[Constants] = []  # latest used last

    def get(self, unet: UNet2DConditionModel, size: tuple[int, int], tokens: Tensor) -> Constants:
        """Return what :func:`compute` gives, from the cache where it is there."""
        for place, constants in enumerate(self._kept):
            if constants.down[0].shape[-2:] == size and _same(constants.tokens, tokens):
                self._kept.append(self._kept.pop(place))
                self.hits += 1
                return constants
        constants = compute(unet, size, tokens)
        self._kept.append(constants)
        while sum(kept.nbytes for kept in self._kept) > self.max_bytes:
            self._kept.pop(0)
        return constants

    def clear(self) -> None:
        """Empty the cache."""
        self._kept.clear()


def _same(a: Tensor, b: Tensor) -> bool:
    # The prompt is the same tensor each time; comparing values would make a GPU wait.
    return a is b or (a.dtype == b.dtype and a.device == b.device and torch.equal(a, b))
