"""Gain and offset for each pixel, B x 6 x H x W: how the small tier changes a photo."""

from __future__ import annotations

import torch
from torch import Tensor


def apply_tone(photo: Tensor, maps: Tensor) -> Tensor:
    """Return ``(1 + gain) * photo + offset``; ``maps`` is B x 6 x H x W, the gain's three channels first."""
    gain, offset = maps.chunk(2, dim=1)
    return photo * (1 + gain) + offset


def weight_global_affine(photo: Tensor, maps: Tensor, weight: float) -> Tensor:
    """Return ``maps`` with ``weight`` of the one affine change that they make to the whole picture.

    That change is, for each channel, the gain and offset that bring the result back to the photo best (least
    squares). Without it (0) the result keeps the photo's brightness and contrast.
    """
    if weight == 1.0:
        return maps
    gain, offset = maps.float().chunk(2, dim=1)
    result, shown = apply_tone(photo, maps).float().flatten(2), photo.float().flatten(2)
    r, p = result - result.mean(2, keepdim=True), shown - shown.mean(2, keepdim=True)
    back = (r * p).sum(2, keepdim=True) / (r**2).sum(2, keepdim=True).clamp(min=1e-6)
    shift = shown.mean(2, keepdim=True) - back * result.mean(2, keepdim=True)
    scale = (weight + (1 - weight) * back)[..., None]
    gain, offset = (1 + gain) * scale - 1, offset * scale + ((1 - weight) * shift)[..., None]
    return torch.cat([gain, offset], 1).to(maps.dtype)
