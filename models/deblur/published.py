"""The full-size network from published components: SANA 0.6B's transformer and the autoencoder it was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, SanaTransformer2DModel
from torch import nn

from models.deblur.network import Deblur
from models.errors import ModelError
from models.loading import load_part

# Options of the network beside the published parts: pre-reconstruction down to 1/32, where the latent is, and motion.
FULL_TIER: dict[str, Any] = {
    "widths": (48, 96, 192, 384, 512),
    "depths": (1, 2, 2, 4, 4),
    "extra": 3,
    "motion_widths": (32, 64, 128),
    "motion_code": 128,
    "motion_fine": 96,
    "long_range_features": True,
    "deep_motion_encoder": True,
    "kernel": True,
}
DERIVED_OPTIONS = ("in_channels", "out_channels", "caption_channels")  # of a transformer: set by the network


def start(folder: Path, ours: dict[str, Any] | None = None) -> tuple[Deblur, dict[str, Any]]:
    """Make the network from published ``vae`` and ``transformer``; ``ours`` replaces options. Raises ModelError."""
    autoencoder = load_part(AutoencoderDC, folder, "vae", torch.float32)
    transformer = load_part(SanaTransformer2DModel, folder, "transformer", torch.float32)
    coder, step = (
        {k: v for k, v in part.config.items() if not k.startswith("_")} for part in (autoencoder, transformer)
    )
    takes, makes = step["in_channels"], coder["latent_channels"]
    if takes != makes or step["out_channels"] != makes:
        what = f"takes latents of {takes} channels and its vae makes {makes}"
        raise ModelError(f"The transformer of '{folder.name}' {what}: they do not belong together.")
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
    """Copy published weights; columns for added inputs, and last layers, stay zero. Returns a record by name."""
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
            else:
                target.copy_(value)
                done["copied"] += value.numel()
    return done
