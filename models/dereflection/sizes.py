"""The published sizes of the full tier, as data, and a network of that size with random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from models.dereflection.cross_latent import CrossLatentDecoder
from models.dereflection.full import FullDereflection
from models.dereflection.latent_controlnet import LatentControlNet


def stable_diffusion_2_1() -> dict[str, Any]:
    """Return diffusers' configurations of Stable Diffusion 2.1's ``vae`` and ``unet``, and the prompt's shape."""
    file = Path(__file__).with_name("stable_diffusion_2_1.json")
    configs: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return configs


def random_network(
    configs: Mapping[str, Any], device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> FullDereflection:
    """Make DAI's networks at the size of ``configs`` on ``device`` ("meta": shapes alone), for measuring."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # so that 1.4 billion numbers are never there twice
    try:
        with torch.device(device), torch.random.fork_rng():
            torch.manual_seed(0)
            unet = UNet2DConditionModel(**configs["unet"])
            network = FullDereflection(
                AutoencoderKL(**configs["vae"]),
                unet,
                LatentControlNet.from_unet(unet, load_weights_from_unet=False),
                CrossLatentDecoder(**configs["vae"]),
                torch.randn(*configs["prompt_embedding"]),
            )
    finally:
        torch.set_default_dtype(before)
    return network.eval().requires_grad_(False)
