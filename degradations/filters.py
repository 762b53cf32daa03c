"""Batched filters in which every sample has its own parameter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor

EDGE_SOFTNESS = 0.15  # of a disc, share of its radius: real apertures and sensors have no harder edge


def column(values: Sequence[float] | Sequence[tuple[float, float, float]], device: torch.device) -> Tensor:
    """Return one number, or one of each channel, for each picture: float32 B x 1 x 1 x 1 or B x 3 x 1 x 1."""
    return torch.tensor(values, device=device, dtype=torch.float32).reshape(len(values), -1, 1, 1)


def disc_blur(x: Tensor, radius: Tensor) -> Tensor:
    """Blur each picture of B x C x H x W by a uniform disc: defocus through a round aperture.

    Computed with the disc's transfer function, ``2 J1(2 pi r f) / (2 pi r f)``, and a slightly softened edge; borders
    are mirrored. ``radius``: B, in pixels, up to a tenth of the longer side; 0 leaves a picture as it is. The margin is
    the same for every batch, so that a picture's result does not depend on the others.
    """
    rows = radius.nonzero()[:, 0]
    if not len(rows):
        return x
    radius = radius.to(x)[rows, None, None]
    height, width = x.shape[-2:]
    reach = min(max(height, width) // 8 + 1, height - 1, width - 1)
    least = [side + 2 * reach for side in (height, width)]
    fast, most = map(fast_length, least), (2 * side - 1 + reach for side in (height, width))
    tall, wide = (b if b <= c else a for a, b, c in zip(least, fast, most, strict=True))
    fy = torch.fft.rfftfreq(tall, device=x.device)[:, None]
    fx = torch.fft.rfftfreq(wide, device=x.device)[None]
    at = (2 * torch.pi * radius * torch.sqrt(fx**2 + fy**2)).clamp(min=1e-4)
    transfer = 2 * torch.special.bessel_j1(at) / at * torch.exp(-((EDGE_SOFTNESS * at) ** 2) / 2)
    row = torch.arange(tall, device=x.device)
    transfer = transfer[:, torch.minimum(row, tall - row)]  # the same for f and -f
    padded = F.pad(x[rows], (reach, wide - width - reach, reach, tall - height - reach), mode="reflect")
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded).mul_(transfer[:, None]), s=(tall, wide))
    result = x.clone()
    result[rows] = blurred[..., reach : reach + height, reach : reach + width]
    return result


def fast_length(least: int) -> int:
    """Return the next length with prime factors 2, 3 and 5 alone, for a fast FFT; scipy is not in a packed run."""
    return next(length for length in count(least) if pow(30, 64, length) == 0)  # 30^64 is a multiple of such a length


def reach_of(height: int, width: int) -> int:
    """Return the mirrored border of :func:`convolve` in pixels, an eighth of the shorter side for any kernel."""
    return min(-(-min(height, width) // 8), height - 1, width - 1)


def convolve(planes: Tensor, kernels: list[Tensor], which: list[int]) -> Tensor:
    """Convolve N x H x W planes by FFT, plane i with ``kernels[which[i]]`` (k x k, k odd); borders are mirrored."""
    height, width = planes.shape[-2:]
    reach = reach_of(height, width)
    padded = F.pad(planes[None], (reach, reach, reach, reach), mode="reflect")[0]
    tall, wide = padded.shape[-2:]
    wrapped = torch.zeros(len(kernels), tall, wide)
    for plane, kernel in zip(wrapped, kernels, strict=True):
        half = kernel.shape[-1] // 2
        if half > reach:
            raise ValueError(f"A kernel of {kernel.shape[-1]} px is too large for a picture of {width} x {height} px.")
        at = torch.arange(-half, half + 1)
        plane[at[:, None] % tall, at[None] % wide] = kernel
    transfer = torch.fft.rfft2(wrapped.to(planes.device))
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded) * transfer[which], s=(tall, wide))
    return blurred[..., reach : reach + height, reach : reach + width]


def gaussian_blur(x: Tensor, deviation: Tensor) -> Tensor:
    """Blur B x C x H x W by a Gaussian of each one's ``deviation`` (B, px; 0: none); borders are mirrored."""
    batch, channels, height, width = x.shape
    reach = min(math.ceil(3 * float(deviation.max())), height - 1, width - 1)
    if reach < 1:
        return x
    at = torch.arange(-reach, reach + 1, device=x.device, dtype=torch.float32)
    own = deviation.to(x).clamp(min=1e-3)[:, None]
    # Each is cut at its own width, not the batch's: a picture's result must not depend on the others.
    weights = torch.exp(-((at / own) ** 2) / 2) * (at.abs() <= torch.ceil(3 * own))
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
    planes = F.pad(x, (reach, reach, reach, reach), mode="reflect").reshape(1, batch * channels, height + 2 * reach, -1)
    planes = F.conv2d(planes, weights[..., None], groups=batch * channels)
    planes = F.conv2d(planes, weights[:, :, None], groups=batch * channels)
    return planes.reshape(x.shape)
