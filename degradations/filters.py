"""Batched filters in which every sample has its own parameter."""

from __future__ import annotations

import math

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
    rows = radius.nonzero()[:, 0]
    if not len(rows):
        return x
    radius = radius.to(x)[rows, None, None]
    height, width = x.shape[-2:]
    reach = min(max(height, width) // 8 + 1, height - 1, width - 1)
    tall, wide = (_fft_size(side + 2 * reach, 2 * side - 1 + reach) for side in (height, width))
    fy = torch.fft.rfftfreq(tall, device=x.device)[:, None]
    fx = torch.fft.rfftfreq(wide, device=x.device)[None]
    at = (2 * torch.pi * radius * torch.sqrt(fx**2 + fy**2)).clamp(min=1e-4)
    transfer = 2 * torch.special.bessel_j1(at) / at * torch.exp(-((SOFT * at) ** 2) / 2)
    row = torch.arange(tall, device=x.device)
    transfer = transfer[:, torch.minimum(row, tall - row)]  # the same for f and -f
    padded = F.pad(x[rows], (reach, wide - width - reach, reach, tall - height - reach), mode="reflect")
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded).mul_(transfer[:, None]), s=(tall, wide))
    result = x.clone()
    result[rows] = blurred[..., reach : reach + height, reach : reach + width]
    return result


def _fft_size(least: int, most: int) -> int:
    """The next size with no prime factor above 5, for which an FFT is several times as fast, unless it is too large."""
    size = fast_length(least)
    return size if size <= most else least


def fast_length(least: int) -> int:
    """Return the smallest length from ``least`` on whose only prime factors are 2, 3 and 5.

    A Fourier transform of such a length is fast. Equals scipy.fft.next_fast_len; scipy is not part of a packed run
    (`training.pack`).
    """
    length = least
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


def reach_of(height: int, width: int) -> int:
    """Return by how many pixels pictures of this size are mirrored at their borders before :func:`convolve`.

    It is an eighth of the shorter side, whatever the kernels are, so that a picture's result does not depend on the
    rest of its batch.
    """
    return min(-(-min(height, width) // 8), height - 1, width - 1)


def convolve(planes: Tensor, kernels: list[Tensor], which: list[int]) -> Tensor:
    """Convolve N x H x W planes, plane i with ``kernels[which[i]]`` (k x k, odd, half of it at most `reach_of`).

    By FFT; borders are mirrored. A kernel that reaches farther is an error.
    """
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
    """Blur each picture of B x C x H x W by a Gaussian of its own ``deviation``.

    ``deviation``: B, in pixels; 0 leaves the picture as it is. Borders are mirrored.
    """
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
