"""Networks of the full tier at tiny size, and pictures for them."""

from __future__ import annotations

import torch
from torch import Tensor

from models.dereflection.full import FullDereflection
from tests.components import make_tiny_dai


def make(seed: int = 0) -> FullDereflection:
    """A tiny network that has been trained, so to speak: ControlNet and UNet differ, skips are not zero."""
    network = make_tiny_dai(seed)
    generator = torch.Generator().manual_seed(seed + 100)
    with torch.no_grad():
        for convolution in network.vae_2.encoder.zero_convs:
            convolution.conv.weight.normal_(0, 0.3, generator=generator)
            convolution.conv.bias.normal_(0, 0.1, generator=generator)
        for parameter in network.controlnet.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network


def picture(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(height * 1000 + width))
