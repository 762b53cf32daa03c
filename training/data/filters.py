"""Batched filters in which every sample has its own parameter."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture of B x C x H x W by its own ``sigma`` (B, in pixels; 0 leaves it alone).

    Separable, edges replicated. The support covers three times the largest sigma.
    """
    batch, channels, height, width = x.shape
    radius = max(1, min(int(3 * float(sigma.max()) + 0.5), min(height, width) - 1))
    at = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-(at**2) / (2 * sigma.to(x.dtype).clamp(min=1e-3)[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = x.reshape(1, batch * channels, height, width)
    flat = F.conv2d(
        F.pad(flat, (radius, radius, 0, 0), mode="replicate"),
        kernel[:, None, None, :],
        groups=batch * channels,
    )
    flat = F.conv2d(
        F.pad(flat, (0, 0, radius, radius), mode="replicate"),
        kernel[:, None, :, None],
        groups=batch * channels,
    )
    return flat.reshape(x.shape)


def shift(x: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
    """Move each picture of B x C x H x W by its own (``dy``, ``dx``) pixels; bilinear, edges replicated."""
    batch, _, height, width = x.shape
    theta = torch.zeros(batch, 2, 3, device=x.device, dtype=x.dtype)
    theta[:, 0, 0] = theta[:, 1, 1] = 1
    theta[:, 0, 2], theta[:, 1, 2] = -2 * dx.to(x) / width, -2 * dy.to(x) / height
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
