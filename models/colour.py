"""sRGB and linear light (IEC 61966-2-1), batched and differentiable."""

from __future__ import annotations

import torch
from torch import Tensor


def to_linear(x: Tensor) -> Tensor:
    """Convert sRGB in [0, 1] to linear light in [0, 1]."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(x: Tensor) -> Tensor:
    """Convert linear light to sRGB; values are clipped to [0, 1] first."""
    x = x.clamp(0, 1)
    curve = 1.055 * x.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(x <= 0.0031308, x * 12.92, curve).clamp(max=1)  # 1.055 - 0.055 is not quite 1
