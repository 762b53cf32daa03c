"""The cross-latent decoder, ``vae_2``: a VAE decoder with skips from the photo."""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from inspect import Parameter, signature
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from models.blocks import zero_conv


class SkipGate(nn.Module):
    """Gates a skip by its agreement with the clean latent, against reflections that return in it; starts at 1/2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = zero_conv(2 * channels, channels)

    def forward(self, skip: Tensor, hidden: Tensor) -> Tensor:
        """Return ``skip`` times its gate."""
        return skip * torch.sigmoid(self.conv(torch.cat([skip, hidden], 1)))


def _with_skip_gates(init: Any) -> Any:
    """Add ``skip_gates`` to the arguments of ``AutoencoderKL``: diffusers reads them from the signature."""
    init = wraps(AutoencoderKL.__init__)(init)
    known = signature(AutoencoderKL.__init__)
    ours = Parameter("skip_gates", Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    init.__signature__ = known.replace(parameters=[*known.parameters.values(), ours])
    return init


class CrossLatentDecoder(AutoencoderKL):
    """An ``AutoencoderKL`` whose encoder hands the photo's features to its decoder, one skip per block.

    With its skips at zero, as they start, it decodes exactly as the VAE it was made from.
    The encoder's bottleneck (mid block, output layers, ``quant_conv``) has no use here: it is neither kept
    nor computed, and passed over in published checkpoints. All other names are the published ones, which have no
    ``skip_gates`` (a :class:`SkipGate` for each skip).
    """

    unused_parts = ("encoder.mid_block", "encoder.conv_norm_out", "encoder.conv_out", "quant_conv")
    _keys_to_ignore_on_load_unexpected: Any = [rf"^{part}\." for part in unused_parts]

    @_with_skip_gates
    def __init__(self, *args: Any, skip_gates: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_to_config(skip_gates=skip_gates)
        channels = self.config["block_out_channels"]
        # A skip meets the decoder where the *next* wider features arrive, hence the channels of block N + 1.
        wide = [*channels[1:], channels[-1]]
        self.encoder.zero_convs = nn.ModuleList(
            nn.ModuleDict({"conv": zero_conv(width, wider)}) for width, wider in zip(channels, wide, strict=True)
        )
        self.gates = nn.ModuleList(map(SkipGate, reversed(wide))) if skip_gates else None
        del self.encoder.mid_block, self.encoder.conv_norm_out, self.encoder.conv_out
        self.quant_conv = None

    @classmethod
    def from_vae(cls, vae: AutoencoderKL, skip_gates: bool = False) -> CrossLatentDecoder:
        """Copy ``vae`` with skips at zero: the start of the decoder's training."""
        made: Any = cls.from_config(vae.config, skip_gates=skip_gates)
        missing, unexpected = made.load_state_dict(vae.state_dict(), strict=False)
        left_over = [name for name in unexpected if not name.startswith(cls.unused_parts)]
        if left_over or any(not name.startswith(("encoder.zero_convs.", "gates.")) for name in missing):
            raise ValueError("This VAE's weights do not fit its configuration; load it again with diffusers.")
        return made.to(next(vae.parameters())).train(vae.training)

    def encode(self, photo: Tensor) -> tuple[Tensor, ...]:
        """Return the skips of a photo, B x 3 x H x W in [-1, 1], finest first, each at the size of its addition."""
        encoder: Any = self.encoder
        hidden = exact_conv(encoder.conv_in, photo).to(self.dtype)
        skips = []
        last = len(encoder.down_blocks) - 1
        for n, (block, added) in enumerate(zip(encoder.down_blocks, encoder.zero_convs, strict=True)):
            hidden = _run(encoder, block, hidden)
            skip = added["conv"](hidden)
            if n != last:
                skip = F.interpolate(skip, scale_factor=2.0, mode="bilinear", align_corners=False)
            skips.append(skip)
        return tuple(skips)

    def decode(self, latent: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Decode a latent, divided by the scaling factor, and skips to a picture, B x 3 x H x W in [-1, 1]."""
        decoder: Any = self.decoder
        hidden = latent if self.post_quant_conv is None else self.post_quant_conv(latent)
        # Attention leaves batches channels last, where torch's group norm on CPUs loses up to four digits; from
        # here on the layout is that of the convolutions' weights.
        hidden = _run(decoder, decoder.mid_block, decoder.conv_in(hidden)).contiguous()
        for n, (block, skip) in enumerate(zip(decoder.up_blocks, reversed(skips), strict=True)):
            if self.gates is not None:
                skip = self.gates[n](skip, hidden)
            hidden = _run(decoder, block, hidden + skip)
        return exact_conv(decoder.conv_out, decoder.conv_act(decoder.conv_norm_out(hidden)))

    def forward(self, photo: Tensor, latent: Tensor) -> Tensor:
        """Return ``decode(latent, encode(photo))``."""
        return self.decode(latent, self.encode(photo))


def encode_exactly(vae: AutoencoderKL, photo: Tensor) -> Tensor:
    """Return the mode of a VAE's posterior, B x 4 x h x w, its first layer in float32: the photo is not rounded."""
    encoder: Any = vae.encoder
    hidden = exact_conv(encoder.conv_in, photo).to(vae.dtype)
    for block in encoder.down_blocks:
        hidden = _run(encoder, block, hidden)
    hidden = _run(encoder, encoder.mid_block, hidden)
    hidden = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(hidden)))
    return (hidden if vae.quant_conv is None else vae.quant_conv(hidden)).chunk(2, dim=1)[0]


def exact_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Convolve in float32 at least, for the first and last layer of a network in half precision."""
    kind = x.device.type
    autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    if autocast or x.dtype == conv.weight.dtype == torch.float32:
        return conv(x)
    dtype = torch.promote_types(torch.promote_types(x.dtype, conv.weight.dtype), torch.float32)
    bias = None if conv.bias is None else conv.bias.to(dtype)
    return F.conv2d(x.to(dtype), conv.weight.to(dtype), bias, conv.stride, conv.padding)


def _run(owner: Any, block: nn.Module, hidden: Tensor) -> Tensor:
    """Run a block, under gradient checkpointing where diffusers' switch on its owner is set."""
    if owner.gradient_checkpointing and torch.is_grad_enabled():
        return owner._gradient_checkpointing_func(block, hidden)
    return block(hidden)
