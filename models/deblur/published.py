"""Full size, from published components: SANA 0.6B's transformer and the autoencoder it was trained on.

What their ``config.json`` files say is here as data (from diffusers' own conversion scripts of both, whose parameter
counts the tests check), for who wants the network without downloading anything. Their weights are taken where they
fit; :func:`adopt` says what does not, and why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, SanaTransformer2DModel
from torch import nn

from models.deblur.network import Deblur
from models.errors import ModelError
from models.loading import load_part

# mit-han-lab/dc-ae-f32c32-sana-1.1-diffusers; what is not named is diffusers' default.
DC_AE: dict[str, Any] = {
    "latent_channels": 32,
    "attention_head_dim": 32,
    "encoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "decoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "encoder_layers_per_block": (2, 2, 2, 3, 3, 3),
    "decoder_layers_per_block": (3, 3, 3, 3, 3, 3),
    "encoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "decoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "encoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "decoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "downsample_block_type": "conv",
    "upsample_block_type": "interpolate",
    "scaling_factor": 0.41407,
}
# Efficient-Large-Model/Sana_600M_512px_diffusers, transformer/, but for its channels, which ours are.
SANA_600M: dict[str, Any] = {
    "num_layers": 28,
    "num_attention_heads": 36,
    "attention_head_dim": 32,
    "num_cross_attention_heads": 16,
    "cross_attention_head_dim": 72,
    "cross_attention_dim": 1152,
    "mlp_ratio": 2.5,
    "attention_bias": False,
    "patch_size": 1,
    "sample_size": 16,
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "interpolation_scale": None,
}
CAPTION_CHANNELS = 2304  # width of SANA's tokens, those of Gemma 2 2B

# What is ours at that size: pre-reconstruction down to 1/32, where the latent is, and motion.
FULL_TIER: dict[str, Any] = {
    "widths": (48, 96, 192, 384, 512),
    "depths": (1, 2, 2, 4, 4),
    "extra": 3,
    "motion_widths": (32, 64, 128),
    "motion_code": 128,
    "motion_fine": 96,
}
DERIVED_OPTIONS = ("in_channels", "out_channels", "caption_channels")  # of a transformer: what the network decides


def full(**ours: Any) -> Deblur:
    """Make the full network with random weights, 0.95 B parameters; ``ours`` replaces entries of `FULL_TIER`."""
    options = FULL_TIER | ours | {"autoencoder_config": DC_AE, "transformer_config": SANA_600M}
    return Deblur(**options, token_dim=CAPTION_CHANNELS)


def start(folder: Path, ours: dict[str, Any] | None = None) -> tuple[Deblur, dict[str, Any]]:
    """Make the network from ``folder``'s published parts ``vae`` and ``transformer``.

    Also returns what :func:`adopt` did. ``ours`` replaces entries of `FULL_TIER`. Raises ModelError where a part is
    missing, unreadable or does not fit.
    """
    autoencoder = load_part(AutoencoderDC, folder, "vae", torch.float32)
    transformer = load_part(SanaTransformer2DModel, folder, "transformer", torch.float32)
    coder, step = (
        {k: v for k, v in part.config.items() if not k.startswith("_")} for part in (autoencoder, transformer)
    )
    if step["in_channels"] != coder["latent_channels"] or step["out_channels"] != coder["latent_channels"]:
        raise ModelError(
            f"The transformer of '{folder.name}' takes latents of {step['in_channels']} channels and its vae makes"
            f" {coder['latent_channels']}: they do not belong together."
        )
    if step["guidance_embeds"]:
        raise ModelError(f"The transformer of '{folder.name}' wants a guidance scale (SANA-Sprint): give a plain one.")
    network = Deblur(
        **FULL_TIER | (ours or {}),
        autoencoder_config=coder,
        transformer_config={k: v for k, v in step.items() if k not in DERIVED_OPTIONS},
        token_dim=step["caption_channels"],
    )
    return network, adopt(network, autoencoder, transformer)


@torch.no_grad()
def adopt(network: Deblur, autoencoder: nn.Module, transformer: nn.Module) -> dict[str, Any]:
    """Copy published weights into a new network, and return by name what was done with them.

    * The patch embedding reads more channels here. The published columns read the photo's latent, which at timestep 0
      is in the place of the latent to be denoised; those for the aligned latent and the motion start at zero. * The
      transformer's and the decoder's last layers stay at zero: here they add to the aligned latent and to the
      pre-reconstruction, so that the network starts as the identity.
    """
    done: dict[str, Any] = {"copied": 0, "widened": [], "left_at_zero": []}
    last = {"transformer": ("proj_out.",), "autoencoder": ("decoder.conv_out.",)}
    for name, part in (("autoencoder", autoencoder), ("transformer", transformer)):
        own, given = getattr(network, name).state_dict(), part.state_dict()
        if own.keys() != given.keys():
            odd = sorted(own.keys() ^ given.keys())[0]
            raise ModelError(f"The published {name} and ours differ in '{odd}': another version of diffusers made it.")
        for key, value in given.items():
            target = own[key]
            if key.startswith(last[name]):
                done["left_at_zero"].append(f"{name}.{key}")
            elif key == "patch_embed.proj.weight" and name == "transformer":
                target.zero_()
                target[:, : value.shape[1]].copy_(value)
                done["widened"].append(f"{name}.{key}: {value.shape[1]} channels of {target.shape[1]}")
            elif target.shape != value.shape:
                raise ModelError(
                    f"The published {name}'s {key} has the shape {tuple(value.shape)}, ours {tuple(target.shape)}."
                )
            else:
                target.copy_(value)
                done["copied"] += value.numel()
    return done
