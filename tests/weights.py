"""Random weights for networks whose last layers start at zero."""

from __future__ import annotations

from torch import nn


def stir(network: nn.Module, std: float = 0.05) -> None:
    """Draw the parameters that are zero from a normal distribution: until then they would leave the photo as it is."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=std)
