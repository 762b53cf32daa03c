"""Batched filters in which every sample has its own parameter."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SOFT = 0.15  # softness of a disc's edge, share of its radius: real apertures and sensors have no harder one


def disc_blur(x: Tensor, radius: Tensor) -> Tensor:
    """Blur each picture of B x C x H x W by a uniform disc of its own ``radius`` (B, in pixels; 0 leaves it alone).

    This is defocus seen through a round aperture. Computed with the disc's transfer function,
    ``2 J1(2 pi r f) / (2 pi r f)``, and a slightly softened edge; borders are mirrored. Radii are up to a tenth of
    the longer side: the margin is the same for every batch, so that a picture's result is its own.
    """
    height, width = x.shape[-2:]
    reach = min(max(height, width) // 8 + 1, height - 1, width - 1)
    padded = F.pad(x, (reach, reach, reach, reach), mode="reflect")
    tall, wide = padded.shape[-2:]
    fy = torch.fft.fftfreq(tall, device=x.device)[:, None]
    fx = torch.fft.rfftfreq(wide, device=x.device)[None]
    f = torch.sqrt(fx**2 + fy**2)[None]
    r = radius.to(x)[:, None, None]
    at = (2 * torch.pi * r * f).clamp(min=1e-4)
    transfer = 2 * torch.special.bessel_j1(at) / at * torch.exp(-((SOFT * at) ** 2) / 2)
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * transfer[:, None], s=(tall, wide))
    return torch.where(r[:, None] > 0, blurred[..., reach : reach + height, reach : reach + width], x)
